package mapping_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/record"
)

func id(t record.IdentifierType, value string) record.Identifier {
	return record.Identifier{Authority: "H1", Type: t, Value: value}
}

func TestMerges(t *testing.T) {
	pair := "EVN||20260301\rPID|1||10^^^H1^PI~990101198001011236^^^H1^NI|||李^四||||||||||||ACC1\rPV1|1|I|||||||||||||||||V1^^^H1\rMRG|20^^^H1^PI~ZY2^^^H1^IP||ACC2||V2^^^H1\r"
	person := []record.Identifier{id(record.LocalPatient, "10"), id(record.ResidentID, "990101198001011236")}
	prior := []record.Identifier{id(record.LocalPatient, "20"), id(record.InpatientNo, "ZY2")}
	other := func(list []record.Identifier, authority, v string) []record.Identifier {
		return append(append([]record.Identifier(nil), list...), record.Identifier{Authority: authority, Type: record.OtherID, Value: v})
	}
	for _, event := range []string{"A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47", "A48"} {
		r := mapText(t, head("ADT^"+event)+pair)
		m, err := hl7.ParseMerge(r.Metadata[hl7.MergeKey])
		require.NoError(t, err, event)
		assert.Equal(t, hl7.Merge{Event: "ADT^" + event, Subject: hl7.PatientSubject, Survivor: person, Prior: prior}, m)
	}
	for event, c := range map[string]struct {
		subject         hl7.MergeSubject
		survivor, prior []record.Identifier
	}{
		"A43": {hl7.MovedSubject, person, prior},
		"A41": {hl7.AccountSubject, other(person, "", "ACC1"), other(prior, "", "ACC2")},
		"A35": {hl7.AccountSubject, other(person, "", "ACC1"), other(prior, "", "ACC2")},
		"A42": {hl7.VisitSubject, other(person, "H1", "V1"), other(prior, "H1", "V2")},
		"A50": {hl7.VisitSubject, other(person, "H1", "V1"), other(prior, "H1", "V2")},
	} {
		r := mapText(t, head("ADT^"+event)+pair)
		assert.Empty(t, r.Metadata[hl7.MergeKey], "%s does not change who is who", event)
		m, err := hl7.ParseMerge(r.Metadata[hl7.MergeKey+"."+string(c.subject)])
		require.NoError(t, err, event)
		assert.Equal(t, hl7.Merge{Event: "ADT^" + event, Subject: c.subject, Survivor: c.survivor, Prior: c.prior}, m, event)
	}
	for _, event := range []string{"A01", "A08", "A31"} {
		assert.NotContains(t, mapText(t, head("ADT^"+event)+pair).Metadata, hl7.MergeKey)
	}
}

func TestSelfMergeIsReportedAsItIs(t *testing.T) {
	r := mapText(t, head("ADT^A40")+"PID|1||10^^^H1^PI||A\rMRG|10^^^H1^PI\r")
	m, err := hl7.ParseMerge(r.Metadata[hl7.MergeKey])
	require.NoError(t, err)
	assert.Equal(t, m.Survivor, m.Prior, "whoever keeps the index refuses it")
	moved := mapText(t, head("ADT^A43")+"PID|1||10^^^H1^PI||A\rMRG|10^^^H1^PI\r")
	assert.NotContains(t, moved.Metadata, "merge.move", "a number that moves to where it is says nothing")
}

func TestSeveralMergesInOneMessage(t *testing.T) {
	raw := head("ADT^A40") + "EVN||2026\rPID|1||1^^^H1^PI||A\rMRG|2^^^H1^PI\rPID|2||3^^^H1^PI||B\rPD1|\rMRG|4^^^H1^PI\rMRG|9^^^H1^PI\r"
	r := mapText(t, raw)
	first, err := hl7.ParseMerge(r.Metadata["merge"])
	require.NoError(t, err)
	second, err := hl7.ParseMerge(r.Metadata["merge.2"])
	require.NoError(t, err)
	assert.Equal(t, []record.Identifier{id(record.LocalPatient, "2")}, first.Prior)
	assert.Equal(t, []record.Identifier{id(record.LocalPatient, "3")}, second.Survivor)
	assert.NotContains(t, r.Metadata, "merge.3", "an MRG without a PID before it says nothing")
	msg, err := hl7.Parse([]byte(raw))
	require.NoError(t, err)
	assert.Equal(t, []hl7.Merge{first, second}, mapping.NewMapper(nil, mapping.Options{}).Merges(msg))
	many := mapText(t, head("ADT^A40")+strings.Repeat("PID|1||1^^^H1^PI||A\rMRG|2^^^H1^PI\r", 100))
	assert.Contains(t, many.Metadata, "merge.64")
	assert.NotContains(t, many.Metadata, "merge.65")
	assert.Equal(t, "MRG", many.Metadata["unread"], "a merge that was overlooked is named")
	var long strings.Builder
	for i := range 32 {
		fmt.Fprintf(&long, "%0250d^^^H1^PI~", i)
	}
	huge := mapText(t, head("ADT^A40")+"PID|1||"+long.String()+"||A\rMRG|"+long.String()+"\r"+"PID|1||1^^^H1^PI||A\rMRG|2^^^H1^PI\r")
	assert.Equal(t, "MRG", huge.Metadata["unread"])
	assert.Contains(t, huge.Metadata, "merge")
	assert.NotContains(t, huge.Metadata, "merge.2")
}

func TestUndo(t *testing.T) {
	want := hl7.Merge{Event: "ADT^A37", Subject: hl7.PatientSubject, Undo: true,
		Survivor: []record.Identifier{id(record.LocalPatient, "1")}, Prior: []record.Identifier{id(record.LocalPatient, "2")}}
	r := mapText(t, head("ADT^A37")+"EVN||2026\rPID|1||1^^^H1^PI||A\rPD1|\rPV1|1|I\rPID|2||2^^^H1^PI||B\rPV1|1|I\r")
	got, err := hl7.ParseMerge(r.Metadata["merge"])
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, "ADT^A24", r.Metadata["cancels"])

	doc := parse(t, preamble+"merges: {undo: [\"ADT^Z40\"], link: [\"ADT^A24\"]}\n")
	r = mapWith(t, doc, head("ADT^Z40")+"PID|1||1^^^H1^PI||A\rMRG|2^^^H1^PI\r")
	got, err = hl7.ParseMerge(r.Metadata["merge"])
	require.NoError(t, err)
	want.Event = "ADT^Z40"
	assert.Equal(t, want, got)
	pair := "PID|1||1^^^H1^PI||A\rPID|2||2^^^H1^PI||B\r"
	linked, err := hl7.ParseMerge(mapWith(t, doc, head("ADT^A24")+pair).Metadata["merge"])
	require.NoError(t, err)
	want.Event, want.Undo = "ADT^A24", false
	assert.Equal(t, want, linked)
	assert.NotContains(t, mapText(t, head("ADT^A24")+pair).Metadata, "merge", "a link is no merge unless the hospital says so")
	assert.NotContains(t, mapText(t, head("ADT^A40")+pair).Metadata, "merge", "two PID are none where MRG is due")
	assert.NotContains(t, mapWith(t, doc, head("ADT^A37")+"PID|1||1\rPID|2||2\r").Metadata, "merge", "the list was replaced")
}

func FuzzMap(f *testing.F) {
	// Short seeds: the fuzzer minimises what it finds, in time that grows with the square.
	f.Add([]byte(head("ADT^A40") + "PID|1||1^^^H1^PI||A\rMRG|2^^^H1^PI\r"))
	f.Add([]byte("MSH|^~\\&|||||||ADT^A37|1|P|2.5\rPID|||~^^^&&~\\F\\\rPID|||1&2^3\r"))
	f.Add([]byte(head("ORU^R01") + "PID|1||7^^^H^SFZ|||王~W||1980|X\rOBR|1||||||2026|" + "\rDG1|1||I10\rDG1|2||J1\r"))
	f.Add([]byte("MSH|^~\\&|||||||MDM^T09|1|P|2.5\rTXA||DS||x|||||||||1|2||||||Q\r"))
	m := mapping.NewMapper(nil, mapping.Options{Unmapped: new(mapping.Report).Note})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := m.Map(mapping.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP"})
		if err != nil {
			return
		}
		r.ReceivedAt = 1
		text, err := r.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if len(text)-len(raw) > 512<<10 {
			t.Fatalf("an envelope of %d bytes", len(text)-len(raw))
		}
	})
}
