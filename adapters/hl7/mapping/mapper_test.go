package mapping_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/record"
)

func mapText(t *testing.T, raw string) *record.Record {
	t.Helper()
	return mapWith(t, nil, raw)
}

func mapWith(t *testing.T, doc *mapping.Document, raw string) *record.Record {
	t.Helper()
	r, err := mapping.NewMapper(doc, mapping.Options{}).Map(mapping.Source{Raw: []byte(raw), HospitalNumber: 1, HospitalMSP: "H1MSP",
		ReceivedAt: time.UnixMilli(1772323200000)})
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	return r
}

func encode(t *testing.T, cs hl7.Charset, s string) []byte {
	t.Helper()
	b, err := cs.Encode([]byte(s))
	require.NoError(t, err)
	return b
}

func head(kind string) string { return "MSH|^~\\&|X|H|E|H|20260301100000||" + kind + "|1|P|2.5\r" }

func TestMapAdmission(t *testing.T) {
	r := mapText(t, "MSH|^~\\&|HIS|H1|EMR|H1|20260301080000||ADT^A01^ADT_A01|C-1|P|2.5||||||UNICODE UTF-8\r"+
		"EVN|A01|20260301080000||R1|N07^赵^护士|20260301075501.25+0900\r"+
		"PID|1|EXT1|10001^^^H1&1.2.3&ISO^PI~990101198001011236^^^GA^NNCHN~YB-77^^^SI^YB~HC-5^^^NHC^HC~Z2026-1^^^H1^IP~M-3^^^H1^OP|ALT1|CESHI^JIA~测^试甲||19800101|1||||||||||990101198001011236\r"+
		"PD1||||||||||||Y\r"+
		"PV1|1|I|内科^301^05||||D001^王^医生||||||||||||Z2026-1-1|||||||||||||||||||||||||20260301074000\r"+
		"DG1|1||J18.9^肺炎^I10\r")
	assert.Equal(t, "ADT^A01", r.Kind)
	assert.Equal(t, []record.Identifier{
		{Authority: "H1", Type: record.LocalPatient, Value: "10001"},
		{Authority: "GA", Type: record.ResidentID, Value: "990101198001011236"},
		{Authority: "SI", Type: record.InsuranceNo, Value: "YB-77"},
		{Authority: "NHC", Type: record.HealthCard, Value: "HC-5"},
		{Authority: "H1", Type: record.InpatientNo, Value: "Z2026-1"},
		{Authority: "H1", Type: record.OutpatientNo, Value: "M-3"},
		{Type: record.OtherID, Value: "EXT1"}, {Type: record.OtherID, Value: "ALT1"},
	}, r.Patient.Identifiers)
	assert.Equal(t, "测试甲", r.Patient.Name)
	assert.Equal(t, "19800101", r.Patient.BirthDate)
	assert.Equal(t, "1", r.Patient.Gender)
	assert.Equal(t, "Z2026-1-1", r.Encounter)
	assert.Equal(t, "N07 赵护士", r.Author)
	assert.Equal(t, "2026-03-01T07:55:01.250+09:00", r.EventTime.String())
	assert.False(t, r.EventTime.ZoneAssumed)
	assert.Equal(t, record.Restricted, r.Confidentiality)
	assert.Equal(t, "UNICODE UTF-8", r.Charset)
	assert.Equal(t, "内科", r.Metadata["department"])
	assert.Equal(t, "J18.9", r.Metadata["diagnosis-code"])
	assert.Empty(t, r.Metadata["unread"])
}

func TestMapByKind(t *testing.T) {
	pid := "PID|1||7^^^H^PI||李^四||19700203|F\r"
	cases := []struct{ name, raw, at, author, key, value string }{
		{"result", head("ORU^R01") + pid + "OBR|1|P1|F1|CBC^血常规|||20260301083000+0800|||||||||D9^孙^医生||||||20260301093000|||F|||||||LT1&钱&检验\rOBX|1|NM|WBC||5\rOBX|2|NM|RBC||4\r",
			"2026-03-01T08:30:00+08:00", "LT1 钱检验", "observations", "2"},
		{"result without interpreter", head("ORU^R01") + pid + "OBR|1|P1|F1|CBC|||202603|||||||||D9^孙^医生\r", "2026-03", "D9 孙医生", "filler-order", "F1"},
		{"document", head("MDM^T02") + "EVN|T02|20260301\r" + pid + "TXA|1|DS^出院小结|TX|2026030109||202603011000|||D2^周^主任|||DOC-9||||||R\r", "2026-03-01T09+08:00", "D2 周主任", "document-id", "DOC-9"},
		{"order", head("ORM^O01") + pid + "ORC|NW|O1|||||||20260301091500|||D3^吴^医生\rOBR|1|O1||CT^胸部CT\r", "2026-03-01T09:15:00+08:00", "D3 吴医生", "service", "胸部CT"},
		{"other", head("SIU^S12") + pid, "2026-03-01T10:00:00+08:00", "", "processing-id", "P"},
		{"bad time", head("ORU^R01") + pid + "OBR|1|P1|F1|CBC|||yesterday\r", "2026-03-01T10:00:00+08:00", "", "unread", "OBR-7"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := mapText(t, c.raw)
			assert.Equal(t, c.at, r.EventTime.String())
			assert.Equal(t, c.author, r.Author)
			assert.Equal(t, c.value, r.Metadata[c.key])
			assert.Equal(t, "李四", r.Patient.Name)
			assert.Equal(t, c.raw, string(r.Payload))
		})
	}
}

func TestMapNeverTrustsABadResidentID(t *testing.T) {
	r := mapText(t, "MSH|^~\\&|X|H|E|H|2026||ADT^A01|1|P|2.5\rPID|1||990101198001011233^^^GA^NNCHN||李^四\r")
	assert.Equal(t, record.OtherID, r.Patient.Identifiers[0].Type)
	assert.Equal(t, "PID-3", r.Metadata["unread"])
}

func TestMapOfSeveralPatientsIsHeldBack(t *testing.T) {
	r := mapText(t, "MSH|^~\\&|X|H|E|H|2026||ORU^R01|1|P|2.5\rPID|1||1^^^H^PI\rOBR|1\rPID|2||2^^^H^PI\rOBR|1\r")
	assert.Equal(t, record.VeryRestricted, r.Confidentiality)
	assert.Equal(t, "2", r.Metadata["patients"])
}

func TestMapIsBoundedAgainstHugeValues(t *testing.T) {
	long := strings.Repeat("9", 100_000)
	r := mapText(t, "MSH|^~\\&|X|H|E|H|2026||ADT^A01|1|P|2.5\rPID|1||"+strings.Repeat("7^^^H^PI~", 50_000)+"8||"+long+
		"\rPV1|1|"+long+"|"+long+"||||"+long+"||||||||||||"+long+"\r")
	assert.LessOrEqual(t, len(r.Patient.Identifiers), 32)
	canonical, err := r.Canonical()
	require.NoError(t, err)
	assert.Less(t, len(canonical)-len(r.Payload), 4096)
	assert.Contains(t, r.Metadata["unread"], "PID-5")
}

func TestMapUsesTheCharsetOfTheSubmission(t *testing.T) {
	raw := encode(t, hl7.GB18030, "MSH|^~\\&|X|H|E|H|2026||ADT^A01|1|P|2.5\rPID|1||1^^^H^PI||李^四\r")
	m := mapping.NewMapper(nil, mapping.Options{})
	_, err := m.Map(mapping.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP"})
	require.ErrorIs(t, err, hl7.ErrCharset)
	r, err := m.Map(mapping.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Charset: "GB 18030-2000"})
	require.NoError(t, err)
	assert.Equal(t, "李四", r.Patient.Name)
}
