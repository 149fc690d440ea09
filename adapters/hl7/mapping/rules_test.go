package mapping_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/record"
)

// segment writes a segment from pairs of field number and value.
func segment(name string, pairs ...any) string {
	fields := make([]string, 64)
	fields[0] = name
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i].(int)] = pairs[i+1].(string)
	}
	return strings.Join(fields, "|") + "\r"
}

// TestChineseIdentifiers: one way of writing each kind of number, by type code, by
// authority, by both, and by itself.
func TestChineseIdentifiers(t *testing.T) {
	doc := parse(t, preamble+`identifiers:
  types: {KH: health-card}
  authorities: {医保局: insurance, 1.2.156.9: medical}
  authority-types: {HIS^01: medical}
`)
	cases := []struct {
		cx        string
		want      record.IdentifierType
		value     string
		authority string
	}{
		{"990101198001011236^^^GA^NNCHN", record.ResidentID, "990101198001011236", "GA"},
		{"990101800101123^^^^身份证", record.ResidentID, "990101198001011236", ""},
		{"11010519491231002x^^^^01", record.ResidentID, "11010519491231002X", ""},
		{"990101198001011236^^^&2.16.156.10011.1.3&ISO", record.ResidentID, "990101198001011236", "2.16.156.10011.1.3"},
		{"990101198001011233^^^^SFZ", record.OtherID, "990101198001011233", ""},
		{"YB-1^^^SI^YB", record.InsuranceNo, "YB-1", "SI"},
		{"YB-2^^^医保局^PI", record.InsuranceNo, "YB-2", "医保局"},
		{"YB-3^^^^医保号", record.InsuranceNo, "YB-3", ""},
		{"ZY1^^^H1^IP", record.InpatientNo, "ZY1", "H1"},
		{"ZY2^^^H1&2.16.156.10011.1.12&ISO^MR", record.InpatientNo, "ZY2", "H1"},
		{"MZ1^^^H1^门诊号", record.OutpatientNo, "MZ1", "H1"},
		{"JK1^^^NHC^HC", record.HealthCard, "JK1", "NHC"},
		{"JK2^^^&2.16.156.10011.1.19&ISO", record.HealthCard, "JK2", "2.16.156.10011.1.19"},
		{"KH1^^^H1^kh", record.HealthCard, "KH1", "H1"},
		{"BA1^^^H1^BAH", record.MedicalNo, "BA1", "H1"},
		{"BA2^^^HIS^01", record.MedicalNo, "BA2", "HIS"},
		{"BA3^^^&1.2.156.9&ISO^PI", record.MedicalNo, "BA3", "1.2.156.9"},
		{"E12345678^^^^PPN", record.Passport, "E12345678", ""},
		{"H1234567801^^^^06", record.TravelPermit, "H1234567801", ""},
		{"12345678^^^^台胞证", record.TravelPermit, "12345678", ""},
		{"10001^^^H1^PI", record.LocalPatient, "10001", "H1"},
		{"10001", record.LocalPatient, "10001", ""},
		{"X1^^^H1^ZZ", record.OtherID, "X1", "H1"},
	}
	for _, c := range cases {
		r := mapWith(t, doc, head("ADT^A01")+"PID|1||"+c.cx+"||李^四\r")
		assert.Equal(t, []record.Identifier{{Authority: c.authority, Type: c.want, Value: c.value}}, r.Patient.Identifiers, c.cx)
	}
}

func TestIdentifiersFromOtherFields(t *testing.T) {
	doc := parse(t, preamble+`identifiers:
  fields:
    - {path: PID-3, untyped: local-patient, detect: true}
    - {path: PV1-19 if PV1-2.1 = I, type: inpatient}
    - {path: ZPI-2, type: health-card}
`)
	numbers := "PID|1||990101198001011236~7||李^四\rPV1|1|%|||||||||||||||||V9^^^H1\rZPI|1|K1\r"
	inpatient := mapWith(t, doc, head("ADT^A01")+strings.Replace(numbers, "%", "i", 1))
	assert.Equal(t, []record.Identifier{{Type: record.ResidentID, Value: "990101198001011236"}, {Type: record.LocalPatient, Value: "7"},
		{Authority: "H1", Type: record.InpatientNo, Value: "V9"}, {Type: record.HealthCard, Value: "K1"}}, inpatient.Patient.Identifiers)
	outpatient := mapWith(t, doc, head("ADT^A01")+strings.Replace(numbers, "%", "O", 1))
	assert.Len(t, outpatient.Patient.Identifiers, 3)
	msg, err := hl7.Parse([]byte(head("ADT^A01") + "PID|1||7||李^四\r"))
	require.NoError(t, err)
	assert.Equal(t, []record.Identifier{{Type: record.LocalPatient, Value: "7"}}, mapping.NewMapper(doc, mapping.Options{}).Identifiers(msg))
}

func TestCodeTables(t *testing.T) {
	for _, c := range []struct{ gender, race, marital, ethnic, wantGender, wantMarital, wantEthnic string }{
		{"女", "", "已婚", "汉族", "2", "20", "01"},
		{"f", "", "w", "ZH", "2", "30", "08"},
		{"9", "满族", "10", "", "9", "10", "11"},
		{"X", "", "?", "珞巴族", "", "", "55"},
		{"", "", "", "H", "", "", ""},
		{"1", "2106-3", "D", "", "1", "40", ""},
		{`""`, "", `""`, "", "", "", ""},
		{" 男 ", "", "S^single", "1^汉族^GB 3304", "1", "10", "01"},
		{"U^unknown", "", "90", "99", "0", "90", ""},
	} {
		r := mapText(t, head("ADT^A01")+segment("PID", 3, "1", 8, c.gender, 10, c.race, 16, c.marital, 22, c.ethnic))
		assert.Equal(t, []string{c.wantGender, c.wantMarital, c.wantEthnic},
			[]string{r.Patient.Gender, r.Metadata["marital-status"], r.Metadata["ethnic-group"]}, c)
	}
	for class, want := range map[string]string{"I": "3", "E": "2", "O": "1", "B": "3", "P": "9", "N": "", "?": ""} {
		r := mapText(t, head("ADT^A01")+"PID|1||1\rPV1|1|"+class+"\r")
		assert.Equal(t, want, r.Metadata["patient-type"], class)
		assert.Equal(t, class, r.Metadata["patient-class"])
	}
	for section, want := range map[string]string{"LAB": "C0007", "RAD": "C0006", "MB": "C0007", "CT": "C0006", "??": ""} {
		r := mapText(t, head("ORU^R01")+"PID|1||1\r"+segment("OBR", 24, section))
		assert.Equal(t, want, r.Metadata["wst500"], section)
	}
	for code, want := range map[string]string{"DS": "C0053", "C0039": "C0039", "ZZ^日常病程记录": "C0038", "??^??": ""} {
		r := mapText(t, head("MDM^T02")+"PID|1||1\rTXA|1|"+code+"\r")
		assert.Equal(t, want, r.Metadata["wst500"], code)
	}
}

func TestConfidentialityTakesTheStrictest(t *testing.T) {
	for in, want := range map[[2]string]record.Confidentiality{
		{"", ""}: record.Normal, {"U", "N"}: record.Normal, {"U", "Y"}: record.Restricted, {"R", "N"}: record.Restricted,
		{"V", "N"}: record.VeryRestricted, {"", "V"}: record.VeryRestricted, {"?", ""}: record.Restricted, {"V", "?"}: record.VeryRestricted,
	} {
		r := mapText(t, head("MDM^T02")+"PID|1||1\r"+segment("PD1", 12, in[1])+segment("TXA", 18, in[0]))
		assert.Equal(t, want, r.Confidentiality, in)
	}
}

func TestDocumentsAndTheirReplacement(t *testing.T) {
	for event, want := range map[string][3]string{ // version, replaces, action
		"T01": {"D-2", "", "original"}, "T02": {"D-2", "", "original"}, "T04": {"D-2", "", "status"}, "T06": {"D-2", "", "addendum"},
		"T08": {"D-2", "D-2", "edit"}, "T09": {"D-2", "D-1", "replacement"}, "T10": {"D-2", "D-1", "replacement"}, "T11": {"D-2", "D-2", "cancel"},
	} {
		r := mapText(t, head("MDM^"+event)+"PID|1||1\r"+segment("TXA", 2, "DS", 4, "20260301", 12, "D-2", 13, "D-1", 17, "AU"))
		assert.Equal(t, want, [3]string{r.Version, r.Replaces, r.Metadata["document-action"]}, event)
		assert.Equal(t, "D-1", r.Metadata["parent-document"])
		assert.Equal(t, "AU", r.Metadata["document-status"])
	}
	corrected := mapText(t, head("ORU^R01")+"PID|1||1\r"+segment("OBR", 3, "F1", 25, "C"))
	assert.Equal(t, "F1", corrected.Replaces)
	final := mapText(t, head("ORU^R01")+"PID|1||1\r"+segment("OBR", 3, "F1", 25, "F"))
	assert.Empty(t, final.Replaces)
}

func TestFactsOfOtherEvents(t *testing.T) {
	cases := []struct{ kind, body, time, author, key, value string }{
		{"ADT^A03", "EVN||20260301120000\rPID|1||1\r" + segment("PV1", 36, "1", 45, "20260301113000"), "2026-03-01T11:30:00+08:00", "", "disposition", "1"},
		{"ADT^A02", "EVN||20260301120000\rPID|1||1\rPV1|1|I|新^2|||旧^1\r", "2026-03-01T12:00:00+08:00", "", "prior-department", "旧"},
		{"ADT^A11", "EVN||20260301120000\rPID|1||1\r", "2026-03-01T12:00:00+08:00", "", "cancels", "ADT^A01"},
		{"ADT^A13", "EVN||20260301120000\rPID|1||1\r", "2026-03-01T12:00:00+08:00", "", "cancels", "ADT^A03"},
		{"OML^O21", "PID|1||1\rORC|NW|O1|||||||202603010915|||D3^吴^医生\rOBR|1|O1||GLU\r", "2026-03-01T09:15+08:00", "D3 吴医生", "placer-order", "O1"},
		{"RDE^O11", "PID|1||1\rORC|NW|O1|||||||202603010915|||D3^吴^医生\rRXE||A01^阿司匹林\r", "2026-03-01T09:15+08:00", "D3 吴医生", "drug", "阿司匹林"},
		{"OMP^O09", "PID|1||1\rORC|NW|O1|||||||202603010915\rRXO|A01^阿司匹林\r", "2026-03-01T09:15+08:00", "", "drug-code", "A01"},
		{"RAS^O17", "PID|1||1\rORC|RE\rRXA|0|1|20260301101500||A01^阿司匹林|||||N7^钱^护士\r", "2026-03-01T10:15:00+08:00", "N7 钱护士", "drug-code", "A01"},
		{"RDS^O13", "PID|1||1\rORC|RE\rRXD|1|A01^阿司匹林|20260301101500\r", "2026-03-01T10:15:00+08:00", "", "drug", "阿司匹林"},
		{"VXU^V04", "PID|1||1\rORC|RE\rRXA|0|1|20260301||08^乙肝\rRXA|0|1|20260301||20^百白破\r", "2026-03-01", "", "vaccine-code", "08,20"},
		{"SIU^S12", segment("SCH", 2, "AP2", 11, "^^^20260305090000") + "PID|1||1\r", "2026-03-01T10:00:00+08:00", "", "appointment-time", "20260305090000"},
		{"SIU^S15", "SCH|AP1|AP2\rPID|1||1\r", "2026-03-01T10:00:00+08:00", "", "appointment", "AP2"},
		{"DFT^P03", "EVN||20260301\rPID|1||1\rFT1|1|T9||20260301084500||CG|A100^挂号费\r", "2026-03-01T08:45:00+08:00", "", "transaction-code", "A100"},
		{"BAR^P01", "EVN||20260301110000\r" + segment("PID", 3, "1", 18, "ACC7") + "PR1|1||P01\r", "2026-03-01T11:00:00+08:00", "", "account", "ACC7"},
		{"MFN^M02", "MFI|STF||UPD||202603010000\rMFE|MAD\r", "2026-03-01T00:00+08:00", "", "master-file", "STF"},
		{"QRY^A19", "QRD|20260301|R|I|Q7\r", "2026-03-01T10:00:00+08:00", "", "query", "Q7"},
		{"REF^I12", segment("RF1", 1, "A", 7, "20260228") + "PRD|RP|孙^医生\rPID|1||1\r", "2026-02-28", "孙医生", "referral-status", "A"},
		{"ZZZ^Z01", "EVN||20260301110000\rPID|1||1\r", "2026-03-01T11:00:00+08:00", "", "processing-id", "P"},
		{"ADT^A01", "EVN||20260301\rPID|1||1\rDG1|1||J18.9\rDG1|2||I10\rDG1|3||I10\r", "2026-03-01", "", "diagnosis-codes", "J18.9,I10"},
	}
	for _, c := range cases {
		r := mapText(t, head(c.kind)+c.body)
		assert.Equal(t, c.time, r.EventTime.String(), c.kind)
		assert.Equal(t, c.value, r.Metadata[c.key], c.kind)
		if c.author != "" {
			assert.Equal(t, c.author, r.Author, c.kind)
		}
	}
}

func TestRulesOfAHospital(t *testing.T) {
	doc := parse(t, preamble+`zone: UTC
tables:
  ward: {unmapped: =99, codes: {"0301": 内科}}
  own: {unmapped: keep, codes: {a: 甲}}
events:
  "*":
    author: ~
    metadata: {receiver: ~, ward: {from: PV1-3.1, table: ward}}
  ADT:
    encounter: [PV1-19 if PV1-2 = I|E, PV1-50 if PV1-2 != I, PV1-5 if PV1-4]
  ADT^Z01,Z02:
    time: {from: [ZEV-1, MSH-7]}
    author: {from: ZEV-2, as: name}
    version: {from: ZEV-1, as: time}
    metadata:
      born: {from: ZEV-1, as: date}
      staff: {from: ZEV-3, as: staff, every: true}
      times: {from: [ZEV-4, "=x"], as: text, every: true, table: own}
      fixed: =yes
      notes: {from: NTE, as: count}
`)
	r := mapWith(t, doc, head("ADT^Z02")+"PID|1||1\rPV1|1|O|0301|X|V5|||D1^王||||||||||||V19\rZEV|202603010203|李^四|1^甲~2^乙|a~b~A\rNTE|1\rNTE|2\rNTE|3\r")
	assert.Equal(t, "2026-03-01T02:03Z", r.EventTime.String())
	assert.Equal(t, "李四", r.Author)
	assert.Equal(t, "2026-03-01T02:03Z", r.Version)
	assert.Equal(t, "V5", r.Encounter, "the first place whose condition holds and that has a value")
	assert.Equal(t, map[string]string{"born": "20260301", "staff": "1 甲,2 乙", "times": "甲,b,x", "fixed": "yes", "notes": "3", "ward": "内科",
		"hl7-version": "2.5", "patient-class": "O", "patient-type": "1", "processing-id": "P", "department": "0301"}, r.Metadata)
	in := mapWith(t, doc, head("ADT^A01")+"PID|1||1\r"+segment("PV1", 2, "I", 3, "0999", 19, "V19"))
	assert.Equal(t, "V19", in.Encounter)
	assert.Equal(t, "99", in.Metadata["ward"])
	assert.Equal(t, "D1 王", mapWith(t, doc, head("ADT^A01")+"PID|1||1\rPV1|1|I|||||D1^王\r").Author, "ADT has a rule of its own")
	assert.Empty(t, mapWith(t, doc, head("QBP^Q22")+"PID|1||1\rPV1|1|I|||||D1^王\r").Author)
}

func TestTimesThatAreNotOfHL7(t *testing.T) {
	for in, want := range map[string][2]string{
		"2026-03-01":           {"2026-03-01", "20260301"},
		"2026/03/01 08:09":     {"2026-03-01T08:09+08:00", "20260301"},
		" 2026-03-01 08:09:10": {"2026-03-01T08:09:10+08:00", "20260301"},
		"2026-03-01T08:09:10":  {"2026-03-01T08:09:10+08:00", "20260301"},
		"2026-02-30":           {"2026-03-01T10:00:00+08:00", ""},
		"01/03/2026":           {"2026-03-01T10:00:00+08:00", ""},
		"2026-3-1":             {"2026-03-01T10:00:00+08:00", ""},
		"二零二六":                 {"2026-03-01T10:00:00+08:00", ""},
		"2026年03月01日":          {"2026-03-01T10:00:00+08:00", ""},
	} {
		r := mapText(t, head("ADT^A01")+"EVN||"+in+"\rPID|1||1||A||"+in+"\r")
		assert.Equal(t, want[0], r.EventTime.String(), in)
		assert.Equal(t, want[1], r.Patient.BirthDate, in)
		assert.Equal(t, want[1] == "", r.Metadata["unread"] == "EVN-2,PID-7", in)
	}
	own := parse(t, preamble+"time-forms: [YYYY年MM月DD日, DD.MM.YYYY]\n")
	for _, in := range []string{"2026年03月01日", "01.03.2026", "20260301"} {
		assert.Equal(t, "20260301", mapWith(t, own, head("ADT^A01")+"PID|1||1||A||"+in+"\r").Patient.BirthDate)
	}
	for _, bad := range []string{"YYYY-DD", "YY-MM-DD", "MM-DD", "YYYY-MM-DD hh:ss", "YYYY-MM-MM", "YYYY-M-M", "YYYY0MM", strings.Repeat("-", 30) + "YYYY", "''"} {
		_, err := mapping.Parse([]byte(preamble + "time-forms: [" + bad + "]\n"))
		assert.ErrorContains(t, err, "line 5: time-forms", bad)
	}
}

func TestUnmappedCodes(t *testing.T) {
	var report mapping.Report
	m := mapping.NewMapper(nil, mapping.Options{Unmapped: report.Note})
	for _, gender := range []string{"X", "X", "13900000000", "张 三", strings.Repeat("长", 20), "M"} {
		raw := head("ADT^A01") + "PID|1||1^^^H1^ZZ||李^四||1980|" + gender + "|||||||||||||||\r"
		_, err := m.Map(mapping.Source{Raw: []byte(raw), HospitalNumber: 1, HospitalMSP: "H", ReceivedAt: time.UnixMilli(1)})
		require.NoError(t, err)
	}
	assert.Equal(t, []mapping.Count{
		{Unmapped: mapping.Unmapped{Table: "gender", Path: "PID-8.1", Code: mapping.HiddenCode}, N: 3},
		{Unmapped: mapping.Unmapped{Table: "gender", Path: "PID-8.1", Code: "X"}, N: 2},
		{Unmapped: mapping.Unmapped{Table: "identifiers.types", Path: "PID-3", Code: "ZZ"}, N: 6},
	}, report.Counts())
	assert.Equal(t, 11, report.Total())

	var quiet mapping.Report
	m = mapping.NewMapper(nil, mapping.Options{Unmapped: quiet.Note})
	_, err := m.Map(mapping.Source{Raw: []byte(head("MDM^T02") + "PID|1||1\rTXA|1|ZZ^出院小结\r"), HospitalNumber: 1, HospitalMSP: "H"})
	require.NoError(t, err)
	assert.Empty(t, quiet.Counts(), "a later place had what the table knows")
}

func TestReportIsBounded(t *testing.T) {
	var report mapping.Report
	for i := range 20_000 {
		report.Note(mapping.Unmapped{Table: "t", Path: "p", Code: strings.Repeat("x", i%7) + string(rune(i))})
	}
	assert.LessOrEqual(t, len(report.Counts()), 10_000)
	assert.Equal(t, 20_000, report.Total())
}

func TestSetChoosesBySender(t *testing.T) {
	own := parse(t, preamble+"events: {ZZZ: {}, ORU: {encounter: PV1-5}}\n")
	standard := mapping.NewMapper(nil, mapping.Options{})
	set, err := mapping.NewSet(standard, mapping.Choice{Sender: "LIS*|H1", Mapper: mapping.NewMapper(own, mapping.Options{})})
	require.NoError(t, err)
	raw := func(app, facility string) []byte {
		return []byte("MSH|^~\\&|" + app + "|" + facility + "|E|H|20260301||ORU^R01|1|P|2.5\rPID|1||7||A\rPV1|1||||V5\r")
	}
	for _, c := range []struct{ app, facility, encounter string }{{"LIS", "H1", "V5"}, {"LIS2", "H1", "V5"}, {"LIS", "H2", ""}, {"HIS", "H1", ""}} {
		r, err := set.Map(mapping.Source{Raw: raw(c.app, c.facility), HospitalNumber: 1, HospitalMSP: "H"})
		require.NoError(t, err)
		assert.Equal(t, c.encounter, r.Encounter, c)
		direct, err := standard.Map(mapping.Source{Raw: raw(c.app, c.facility), HospitalNumber: 1, HospitalMSP: "H"})
		require.NoError(t, err)
		assert.Equal(t, direct.ID, r.ID, "the rules do not change the id")
	}
	assert.True(t, set.Knows("ZZZ^Z01"))
	assert.True(t, set.Knows("ADT^A01"))
	assert.False(t, set.Knows("YYY^Z01"))
	msg, err := hl7.Parse(raw("LIS", "H1"))
	require.NoError(t, err)
	assert.Len(t, set.Identifiers(msg), 1)
	_, err = set.Map(mapping.Source{Raw: []byte("junk")})
	require.Error(t, err)
	for _, bad := range []string{"LIS", "|H1", "LIS|", ""} {
		_, err := mapping.NewSet(standard, mapping.Choice{Sender: bad, Mapper: standard})
		assert.ErrorIs(t, err, mapping.ErrSender, bad)
	}
}

// TestOneMapperForManyGoroutines: documents of different size take turns, and nothing of one
// message shows in another.
func TestOneMapperForManyGoroutines(t *testing.T) {
	var report mapping.Report
	small := parse(t, "format: 1\nname: s\nversion: \"1\"\nidentifiers: {fields: [{path: ZID-1}]}\nevents: {\"*\": {author: PV1-7}}\n")
	set, err := mapping.NewSet(mapping.NewMapper(nil, mapping.Options{Unmapped: report.Note}),
		mapping.Choice{Sender: "S|*", Mapper: mapping.NewMapper(small, mapping.Options{})})
	require.NoError(t, err)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for i := range 100 {
				sender, id := []string{"A", "S"}[i%2], fmt.Sprintf("%d-%d", n, i)
				raw := "MSH|^~\\&|" + sender + "|H|E|H|2026||ADT^A01|" + id + "|P|2.5\rPID|1||" + id + "||" + id + "||1980|?\rPV1|1|I|" + id + "||||" + id + "\r"
				r, err := set.Map(mapping.Source{Raw: []byte(raw), HospitalNumber: 1, HospitalMSP: "H", ReceivedAt: time.UnixMilli(1)})
				if !assert.NoError(t, err) || !assert.Equal(t, id, r.Author) {
					return
				}
				if sender == "S" {
					assert.Empty(t, r.Patient.Identifiers)
					assert.Empty(t, r.Metadata)
					continue
				}
				assert.Equal(t, id, r.Patient.Identifiers[0].Value)
				assert.Equal(t, id, r.Metadata["department"])
			}
		})
	}
	group.Wait()
	assert.Equal(t, 400, report.Total())
}

func TestCompare(t *testing.T) {
	own := parse(t, preamble+"events: {ADT: {encounter: PV1-5, metadata: {bed: ~, ward: PV1-3.2}}}\n")
	raw := head("ADT^A01") + "PID|1||7^^^H1^PI||A\rPV1|1|I|W^2^B||V5||||||||||||||V19\r"
	a, b := mapText(t, raw), mapWith(t, own, raw)
	assert.Equal(t, []mapping.Difference{{Fact: "encounter", A: "V19", B: "V5"}, {Fact: "metadata.bed", A: "B", B: ""},
		{Fact: "metadata.ward", A: "", B: "2"}}, mapping.Compare(a, b))
	assert.Empty(t, mapping.Compare(a, a))
	assert.Equal(t, "local-patient=7@H1, other=8", mapping.IdentifierText(append(a.Patient.Identifiers, record.Identifier{Type: record.OtherID, Value: "8"})))
	assert.Equal(t, "[encounter]", mapping.Compare(a, b)[0].LogValue().String())
}
