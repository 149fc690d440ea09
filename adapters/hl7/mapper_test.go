package hl7_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

func mapText(t *testing.T, raw string) *record.Record {
	r, err := hl7.NewMapper(hl7.MappingConfig{}).Map(hl7.Source{Raw: []byte(raw), HospitalNumber: 1, HospitalMSP: "H1MSP",
		ReceivedAt: time.UnixMilli(1772323200000)})
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	return r
}

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
	head := func(kind string) string { return "MSH|^~\\&|X|H|E|H|20260301100000||" + kind + "|1|P|2.5\r" }
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

func TestMappingConfig(t *testing.T) {
	m := hl7.NewMapper(hl7.MappingConfig{Zone: time.UTC,
		IDTypes:        map[string]record.IdentifierType{"kh": record.HealthCard},
		AuthorityTypes: map[string]record.IdentifierType{"1.2.156": record.InsuranceNo},
		Charset:        hl7.CharsetPolicy{Default: hl7.GB18030}})
	raw := encode(t, hl7.GB18030, "MSH|^~\\&|X|H|E|H|2026||ADT^A01|1|P|2.5\rPID|1||1^^^H^KH~2^^^&1.2.156&ISO^MR~3^^^H^??||李^四\r")
	r, err := m.Map(hl7.Source{Raw: raw, HospitalNumber: 2, HospitalMSP: "H2MSP", ReceivedAt: time.UnixMilli(1)})
	require.NoError(t, err)
	assert.Equal(t, []record.Identifier{{Authority: "H", Type: record.HealthCard, Value: "1"},
		{Authority: "1.2.156", Type: record.InsuranceNo, Value: "2"}, {Authority: "H", Type: record.OtherID, Value: "3"}},
		r.Patient.Identifiers)
	assert.Equal(t, "李四", r.Patient.Name)
	assert.Equal(t, int16(0), r.EventTime.OffsetMinutes)
	assert.Equal(t, record.Year, r.EventTime.Precision)
	assert.Equal(t, uint16(2), r.ID.HospitalNumber())
	assert.Equal(t, raw, r.Payload)
}

func TestNormalResidentID(t *testing.T) {
	for in, want := range map[string]string{
		"990101198001011236": "990101198001011236", "990101800101123": "990101198001011236",
		"990101198001011233": "", "99010119800101123": "", "990101198013011232": "", "": "",
		"990101198001010xyz": "", "11010519491231002X": "11010519491231002X", "11010519491231002x": "11010519491231002X",
	} {
		got, ok := hl7.NormalResidentID(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want != "", ok, in)
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026": "2026", "202603": "2026-03", "20260301": "2026-03-01", "2026030108": "2026-03-01T08+08:00",
		"202603010809": "2026-03-01T08:09+08:00", "20260301080910": "2026-03-01T08:09:10+08:00",
		"20260301080910.1234": "2026-03-01T08:09:10.123+08:00", "20260301080910.5-0330": "2026-03-01T08:09:10.500-03:30",
		"20260301+0000": "2026-03-01", "20240229": "2024-02-29",
	} {
		got, err := hl7.ParseTime(in, nil)
		require.NoError(t, err, in)
		assert.Equal(t, want, got.String(), in)
	}
	for _, in := range []string{"", "20", "20261", "20261301", "20260230", "2026030124", "00000000", "2026-03-01", "20260301+08",
		"20260301+9900", "202603010809.5", "20260301080910.", "20260301080910.x", "yesterday"} {
		_, err := hl7.ParseTime(in, nil)
		assert.ErrorIs(t, err, hl7.ErrTime, in)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("20260301080910.1234+0800")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := hl7.ParseTime(s, nil); err == nil {
			require.NoError(t, got.Validate())
		}
	})
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
	m := hl7.NewMapper(hl7.MappingConfig{})
	_, err := m.Map(hl7.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP"})
	require.ErrorIs(t, err, hl7.ErrCharset)
	r, err := m.Map(hl7.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Charset: "GB 18030-2000"})
	require.NoError(t, err)
	assert.Equal(t, "李四", r.Patient.Name)
}
