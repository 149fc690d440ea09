package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

const preamble = "format: 1\nname: h\nversion: \"1\"\nextends: default\n"

func parse(t *testing.T, text string) *mapping.Document {
	t.Helper()
	d, err := mapping.Parse([]byte(text))
	require.NoError(t, err)
	return d
}

func TestEmbeddedDocuments(t *testing.T) {
	d := parse(t, string(mapping.DefaultText()))
	assert.Equal(t, mapping.Default().ID(), d.ID())
	assert.Regexp(t, `^default/2\+[0-9a-f]{8}$`, d.ID())
	assert.Len(t, d.Digest(), 64)
	example := parse(t, string(mapping.ExampleText()))
	assert.Equal(t, "my-hospital", example.Name())
	assert.True(t, example.Knows("ADT^Z01"))
	assert.False(t, d.Knows("ADT^Z01"))
	cs, ok := example.Charset()
	assert.True(t, ok)
	assert.Equal(t, hl7.GB18030, cs)
	assert.Equal(t, "Asia/Shanghai", example.Zone().String())
}

// TestKindsOfTheStandard: every event that the product promises to read has rules.
func TestKindsOfTheStandard(t *testing.T) {
	d := mapping.Default()
	promised := "ADT^A01 ADT^A13 ADT^A28 ADT^A31 ADT^A34 ADT^A40 ADT^A47 ADT^A18 ADT^A35 ADT^A36 ADT^A41 ADT^A45 ADT^A49 ADT^A50 ADT^A51 ADT^A37 " +
		"ORU^R01 ORU^R30 ORU^R32 ORM^O01 OML^O21 OML^O33 OML^O35 OMP^O09 RDE^O11 RDE^O25 RDS^O13 RAS^O17 OMG^O19 MDM^T01 MDM^T11 " +
		"SIU^S12 SIU^S26 DFT^P03 DFT^P11 VXU^V04 BAR^P01 BAR^P12 MFN^M02 REF^I12"
	for _, kind := range strings.Fields(promised) {
		assert.True(t, d.Knows(kind), kind)
	}
	for _, kind := range []string{"ADT^A99", "ZZZ^Z01", "*", "", "ZZZ", "MDM^T12", "QBP^Q22", "QBP", "QRY^A19"} {
		assert.False(t, d.Knows(kind), kind)
	}
	for _, code := range []string{"ADT", "ORU", "VXU"} {
		assert.True(t, d.Knows(code), code)
	}
	assert.Contains(t, d.Kinds(), "ADT^A13")
	assert.Contains(t, d.Kinds(), "VXU")
}

func TestDigestIsOfTheRules(t *testing.T) {
	base := parse(t, preamble+"tables: {gender: {codes: {X: \"9\", Z: \"0\"}}}\n")
	same := parse(t, "# a remark\nversion: \"1\"\nname: h\nformat: 1\ndescription: other words\ntables:\n  gender:\n    codes:\n      z: \"0\"\n      X: \"9\"\nextends: default\n")
	other := parse(t, preamble+"tables: {gender: {codes: {X: \"9\", Z: \"1\"}}}\n")
	assert.Equal(t, base.Digest(), same.Digest())
	assert.NotEqual(t, base.Digest(), other.Digest())
	assert.NotEqual(t, base.Digest(), mapping.Default().Digest())
	first := mapping.Default().Digest()
	parse(t, preamble+"events: {ADT: {author: PV1-8, metadata: {bed: ~}}}\nidentifiers: {types: {NI: ~}}\n")
	assert.Equal(t, first, mapping.Default().Digest(), "a document that extends leaves the embedded one as it is")
	assert.True(t, parse(t, string(mapping.DefaultText())).Digest() == first)
}

func TestAllFaultsAtOnceWithTheirLines(t *testing.T) {
	_, err := mapping.Parse([]byte(`format: 2
name: My Hospital
extends: elsewhere.yaml
zone: Middle/Earth
charset: klingon
colour: blue
identifiers:
  fields:
    - {path: PID, untyped: local-patient}
    - {untyped: badge, detect: perhaps}
  types: {NI: resident, ni: resident-id}
patient: {name: {as: name}, shoe-size: PID-99}
tables:
  gender: {unmapped: guess, codes: {M: [1]}}
  gender: {}
events:
  "*":
    time: yesterday
    metadata:
      unread: PID-1
      Bed: PV1-3
      bed: {from: [PV1-3 if bed], as: shout, every: 3, else: x}
  AD: {}
  ADT^A9-A01: {}
  MDM^T09,T10: {}
  MDM^T10: {}
  ORU: {events: [R01, R99-R01], time: []}
merges: {patient: [A40], person: []}
`))
	var faults mapping.Faults
	require.ErrorAs(t, err, &faults)
	text := err.Error()
	for _, want := range []string{
		"version: is missing", "line 1: format: is not 1", `line 2: name: "My Hospital" does not have the form`,
		"line 3: extends: ", `line 4: zone: "Middle/Earth" is no time zone`, `line 5: charset: "klingon" is no charset`,
		"line 6: colour: is not a key here; known are charset, description, events, extends, format,",
		`line 9: identifiers.fields[1].path: "PID" is no field`, `line 10: identifiers.fields[2].untyped: "badge" is no type of number`,
		"line 10: identifiers.fields[2].detect: true or false", "line 10: identifiers.fields[2]: has no path",
		`line 11: identifiers.types.NI: "resident" is no type`, "line 11: identifiers.types.ni: stands here a second time",
		"line 12: patient.name: has no from", "line 12: patient.shoe-size: is not a key here",
		`line 14: tables.gender.unmapped: "guess" is not keep, drop or =CODE`, "line 14: tables.gender.codes.M: a text is wanted",
		"line 15: tables.gender: stands here a second time; the first is in line 14",
		`line 18: events.*.time: "yesterday" is no path`, "line 20: events.*.metadata.unread: is no free name",
		"line 21: events.*.metadata.Bed: is no free name", `line 22: events.*.metadata.bed.from: "bed" after if is no path`,
		`line 22: events.*.metadata.bed.as: "shout" is not one of`, "line 22: events.*.metadata.bed.every: true or false",
		"line 22: events.*.metadata.bed.else: is not a key here", `line 23: events.AD: "AD" is no message code`,
		`line 24: events.ADT^A9-A01: "A9-A01" is no event`, "line 26: events.MDM^T10: MDM^T10 has rules twice",
		`line 27: events.ORU.events: "R99-R01" is no range`, "line 27: events.ORU.time: names no place",
		`line 28: merges.patient: "A40" is no event`, "line 28: merges.person: is not a key here",
	} {
		assert.Contains(t, text, want)
	}
	for i := 1; i < len(faults); i++ {
		assert.LessOrEqual(t, faults[i-1].Line, faults[i].Line, "faults are in the order of the file")
	}
}

func TestFaultsOfTheWhole(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no table":            {preamble + "events: {ADT: {encounter: {from: PV1-1, table: wards}}}", `line 5: events.ADT.encounter: there is no table "wards"`},
		"table of a name":     {preamble + "events: {ADT: {author: {from: PV1-7, table: gender}}}", "a table translates text"},
		"foreign gender":      {preamble + "tables: {gender: {codes: {X: male}}}", "takes only the codes 0, 1, 2, 9"},
		"gender kept":         {preamble + "tables: {gender: {unmapped: keep}}", "needs unmapped: drop or =CODE"},
		"gender without":      {preamble + "patient: {gender: PID-8}", "needs a table"},
		"time as text":        {preamble + "events: {ADT: {time: {from: EVN-2, as: text}}}", "cannot be read as text; allowed are time"},
		"two subjects":        {preamble + "merges: {account: [ADT^A40]}", "stands under two subjects"},
		"nothing":             {"", "is empty"},
		"list":                {"- a", "a mapping is a set of keys"},
		"two documents":       {preamble + "---\na: b", "one file holds one document"},
		"alias":               {preamble + "zone: &z UTC", "anchors and aliases are not taken"},
		"GBK":                 {preamble + "description: \xc8\xcb", "save it as UTF-8"},
		"byte order mark":     {"\xef\xbb\xbf" + preamble + "zone: Nowhere", "line 5: zone"},
		"broken":              {preamble + "zone: [", "line 5"},
		"deep":                {preamble + "zone: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), "nested more than 8 deep"},
		"large":               {preamble + "#" + strings.Repeat("x", mapping.MaxDocument), "at most 1048576"},
		"stands alone, empty": {"format: 1\nname: h\nversion: \"1\"", "identifiers.fields: is missing"},
		"many places":         {preamble + "events: {ADT: {author: [" + strings.Repeat("PV1-7, ", 33) + "]}}", "more than 32 places"},
		"long text":           {preamble + "events: {ADT: {author: " + strings.Repeat("x", 300) + "}}", "longer than 256 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mapping.Parse([]byte(c.text))
			var faults mapping.Faults
			require.ErrorAs(t, err, &faults)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// TestInheritedFaultIsNamedOnce: a fault in the rules of all kinds is not repeated for each.
func TestInheritedFaultIsNamedOnce(t *testing.T) {
	_, err := mapping.Parse([]byte(preamble + "events: {\"*\": {encounter: {from: PV1-1, table: wards}}}"))
	var faults mapping.Faults
	require.ErrorAs(t, err, &faults)
	assert.Len(t, faults, 1)
}

func TestLoadExtendsFilesBesideIt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("group.yaml", preamble+"tables: {gender: {codes: {X: \"9\"}}}\nevents: {ADT: {encounter: PV1-5}}\n")
	d, err := mapping.Load(write("ward.yaml", "format: 1\nname: ward\nversion: \"3\"\nextends: group.yaml\ntables: {gender: {codes: {Y: \"9\"}}}\n"))
	require.NoError(t, err)
	assert.Equal(t, "ward", d.Name())
	r := mapWith(t, d, head("ADT^A01")+"PID|1||1||A||1980|x\rPV1|1|I|||V-5\r")
	assert.Equal(t, "9", r.Patient.Gender)
	assert.Equal(t, "V-5", r.Encounter)
	assert.Equal(t, d.ID(), r.MappingVersion)

	for name, c := range map[string]struct{ text, want string }{
		"outside.yaml": {"format: 1\nname: w\nversion: \"1\"\nextends: ../x.yaml\n", "extends default or a file beside it"},
		"absent.yaml":  {"format: 1\nname: w\nversion: \"1\"\nextends: nothing.yaml\n", "no such file"},
		"self.yaml":    {"format: 1\nname: w\nversion: \"1\"\nextends: self.yaml\n", "extend one another"},
	} {
		_, err := mapping.Load(write(name, c.text))
		assert.ErrorContains(t, err, c.want, name)
	}
	write("bad.yaml", "format: 1\n")
	_, err = mapping.Load(write("child.yaml", "format: 1\nname: w\nversion: \"1\"\nextends: bad.yaml\n"))
	require.ErrorContains(t, err, "bad.yaml has faults of its own")
	_, err = mapping.Load(filepath.Join(dir, "none.yaml"))
	require.ErrorContains(t, err, "mapping example shows one")
	_, err = mapping.Load(write("huge.yaml", strings.Repeat("#", mapping.MaxDocument+1)))
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	// Short seeds: the fuzzer minimises what it finds, in time that grows with the square.
	f.Add([]byte(preamble))
	f.Add([]byte(preamble + "events: {ADT: {time: ~, author: {from: [PV1-7 if A-1 != x], every: true}}}"))
	f.Add([]byte(preamble + "tables: {t: {unmapped: =9, codes: {a: b}}}"))
	f.Add([]byte("format: 1\nname: h\nversion: \"1\"\nidentifiers: {fields: [{path: PID-3, detect: true}]}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {}\n: x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := mapping.Parse(text)
		if err != nil {
			return
		}
		r, err := mapping.NewMapper(d, mapping.Options{}).Map(mapping.Source{Raw: []byte(oneKilobyte), HospitalNumber: 1, HospitalMSP: "H"})
		if err != nil || r.MappingVersion != d.ID() {
			t.Fatal("a document that is taken maps")
		}
	})
}
