package cda_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

func render(t *testing.T, code string, change func(*cda.Document)) []byte {
	t.Helper()
	typ, ok := cda.TypeByCode(code)
	require.True(t, ok)
	d := cdaexample.Document(typ, 1)
	if change != nil {
		change(d)
	}
	b, err := cda.Render(d, cda.Roots{})
	require.NoError(t, err)
	return b
}

func TestTypes(t *testing.T) {
	all := cda.Types()
	require.Len(t, all, 53)
	for i, typ := range all {
		require.Equal(t, fmt.Sprintf("C%04d", i+1), typ.Code)
		require.Equal(t, fmt.Sprintf("2.16.156.10011.2.1.1.%d", 21+i), typ.Template())
		got, ok := cda.TypeByTemplate(typ.Template())
		require.True(t, ok)
		require.Same(t, typ, got)
		require.NotEmpty(t, typ.Sections())
		require.NotEmpty(t, typ.PatientRoots)
	}
	for _, wrong := range []string{"", "C0000", "C0054", "C1", "c0001", "C001", "C00001"} {
		_, ok := cda.TypeByCode(wrong)
		require.False(t, ok, wrong)
	}
	for _, wrong := range []string{"", "2.16.156.10011.2.1.1.20", "2.16.156.10011.2.1.1.74", "2.16.156.10011.2.1.1.021", "1.21"} {
		_, ok := cda.TypeByTemplate(wrong)
		require.False(t, ok, wrong)
	}
}

// Every type renders, is read back with the same facts, and passes the strict rules.
func TestEveryTypeRoundTrips(t *testing.T) {
	for _, typ := range cda.Types() {
		t.Run(typ.Code, func(t *testing.T) {
			for seed := range uint64(3) {
				d := cdaexample.Document(typ, seed)
				b, err := cda.Render(d, cda.Roots{})
				require.NoError(t, err)
				back, err := cda.Parse(b, cda.ReadOptions{})
				require.NoError(t, err)
				require.Same(t, typ, back.Type)
				require.Empty(t, cda.Validate(back, cda.Partner{Strict: true}))
				again, err := cda.Render(back, cda.Roots{})
				require.NoError(t, err)
				require.True(t, bytes.Equal(b, again))
				require.Equal(t, d.Patient.IDs, back.Patient.IDs)
				require.Equal(t, d.Patient.Name, back.Patient.Name)
				require.Len(t, back.Sections, len(d.Sections))
			}
		})
	}
}

func TestExamplesDiffer(t *testing.T) {
	typ, _ := cda.TypeByCode("C0001")
	require.Equal(t, cdaexample.Document(typ, 7), cdaexample.Document(typ, 7))
	require.NotEqual(t, cdaexample.Document(typ, 7).ID, cdaexample.Document(typ, 8).ID)
}

func rules(issues []cda.Issue, s cda.Severity) []string {
	var out []string
	for _, i := range issues {
		if i.Severity == s {
			out = append(out, i.Rule)
		}
	}
	return out
}

func TestValidateFinds(t *testing.T) {
	whole := string(render(t, "C0039", nil))
	for _, c := range []struct {
		name, old, new, rule string
		severity             cda.Severity
		path                 string
	}{
		{"template of another type", `<templateId root="2.16.156.10011.2.1.1.59"`, `<templateId root="2.16.156.10011.2.1.1.60"`, "template-code", cda.Err, "/ClinicalDocument/code"},
		{"code of another type", `code="C0039"`, `code="C0001"`, "template-code", cda.Err, "/ClinicalDocument/code"},
		{"no template", `  <templateId root="2.16.156.10011.2.1.1.59"/>` + "\n", "", "template", cda.Err, "/ClinicalDocument/templateId"},
		{"other code system", `codeSystem="2.16.156.10011.2.4"`, `codeSystem="2.16.156.10011.2.5"`, "code-system", cda.Err, "/ClinicalDocument/code"},
		{"title", "<title>上级医师查房记录", "<title>查房", "title", cda.Warning, "/ClinicalDocument/title"},
		{"gender", `administrativeGenderCode code="2"`, `administrativeGenderCode code="3"`, "gender", cda.Err, "/ClinicalDocument/recordTarget/patientRole/patient/administrativeGenderCode"},
		{"gender's name", `displayName="女性"`, `displayName="男性"`, "code-name", cda.Warning, "/ClinicalDocument/recordTarget/patientRole/patient/administrativeGenderCode"},
		{"resident id", `extension="990000196407164127"`, `extension="990000196407164128"`, "resident-id", cda.Warning, "/ClinicalDocument/recordTarget/patientRole/patient/id"},
		{"birth", `birthTime value="19640716"`, `birthTime value="19641316"`, "birth", cda.Err, "/ClinicalDocument/recordTarget/patientRole/patient/birthTime"},
		{"birth and number", `birthTime value="19640716"`, `birthTime value="19640717"`, "resident-id", cda.Warning, "/ClinicalDocument/recordTarget/patientRole/patient/birthTime"},
		{"age", `unit="岁"`, `unit="年"`, "age", cda.Warning, "/ClinicalDocument/recordTarget/patientRole/patient/age"},
		{"time", `effectiveTime value="20231227210220"`, `effectiveTime value="20231327210220"`, "time", cda.Err, "/ClinicalDocument/effectiveTime"},
		{"root", `root="2.16.156.10011.1.12" extension`, `root="1.2..3" extension`, "oid", cda.Err, "/ClinicalDocument/recordTarget/patientRole/id"},
		{"other root", `root="2.16.156.10011.1.12" extension`, `root="1.2.3" extension`, "patient-root", cda.Warning, "/ClinicalDocument/recordTarget/patientRole/id"},
		{"realm", `realmCode code="CN"`, `realmCode code="US"`, "realm", cda.Warning, "/ClinicalDocument/realmCode"},
		{"confidentiality", `confidentialityCode code="N"`, `confidentialityCode code="X"`, "code-table", cda.Err, "/ClinicalDocument/confidentialityCode"},
		{"custodian", `extension="12990000MB00000001"`, `extension="12990000"`, "custodian-id", cda.Warning, "/ClinicalDocument/custodian/assignedCustodian/representedCustodianOrganization/id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(whole, c.old, c.new, 1)
			require.NotEqual(t, whole, text)
			d, err := cda.Parse([]byte(text), cda.ReadOptions{})
			require.NoError(t, err)
			issues := cda.Validate(d, cda.Partner{})
			require.Contains(t, rules(issues, c.severity), c.rule)
			for _, i := range issues {
				if i.Rule == c.rule {
					require.Equal(t, c.path, i.Path)
				}
			}
			require.Equal(t, c.severity == cda.Warning, cda.Valid(issues))
			require.True(t, cda.Valid(cda.Validate(d, cda.Partner{Allow: []string{c.rule}})))
			if c.severity == cda.Warning {
				require.False(t, cda.Valid(cda.Validate(d, cda.Partner{Strict: true})), "strict rules refuse it")
			}
		})
	}
}

// A patient may be unknown in a document of CDA R2, but not in one of WS/T 500, whose
// numbers say whose it is.
func TestUnknownPatient(t *testing.T) {
	const unknown = `<recordTarget><patientRole><id nullFlavor="UNK"/><patient><name nullFlavor="UNK"/></patient></patientRole></recordTarget>`
	head, rest, _ := strings.Cut(small, "<recordTarget>")
	_, tail, _ := strings.Cut(rest, "</recordTarget>")
	d, err := cda.Parse([]byte(head+unknown+tail), cda.ReadOptions{})
	require.NoError(t, err)
	require.Contains(t, rules(cda.Validate(d, cda.Partner{}), cda.Err), "patient-id")
	foreign := strings.NewReplacer("C0039", "11488-4", "2.16.156.10011.2.4", "2.16.840.1.113883.6.1", "2.16.156.10011.2.1.1.59", "1.2.3").Replace(head)
	d, err = cda.Parse([]byte(foreign+unknown+tail), cda.ReadOptions{})
	require.NoError(t, err)
	issues := cda.Validate(d, cda.Partner{})
	require.NotContains(t, rules(issues, cda.Err), "patient-id")
	require.Contains(t, rules(issues, cda.Warning), "patient-id")
	d, err = cda.Parse([]byte(foreign+tail), cda.ReadOptions{})
	require.NoError(t, err)
	require.Contains(t, rules(cda.Validate(d, cda.Partner{}), cda.Err), "patient")
}

func TestCodeTables(t *testing.T) {
	for _, c := range []struct{ code, old, new, rule string }{
		{"C0032", `maritalStatusCode code="20"`, `maritalStatusCode code="25"`, "code-table"},
		{"C0032", `ethnicGroupCode code="01"`, `ethnicGroupCode code="60"`, "code-table"},
		{"C0032", `displayName="汉族"`, `displayName="藏族"`, "code-name"},
		{"C0032", `occupationCode code="17"`, `occupationCode code="18"`, "code-table"},
		{"C0023", `educationLevelCode code="20"`, `educationLevelCode code="24"`, "code-table"},
		{"C0032", `<code code="3" codeSystem="2.16.156.10011.2.3.1.271"`, `<code code="4" codeSystem="2.16.156.10011.2.3.1.271"`, "code-table"},
		{"C0044", `displayName="中级"`, `displayName="正高"`, "code-name"},
		{"C0032", `<code code="1" codeSystem="2.16.156.10011.2.3.3.8"`, `<code code="98" codeSystem="2.16.156.10011.2.3.3.8"`, "code-table"},
	} {
		whole := string(render(t, c.code, nil))
		text := strings.Replace(whole, c.old, c.new, 1)
		require.NotEqual(t, whole, text, c.old)
		d, err := cda.Parse([]byte(text), cda.ReadOptions{})
		require.NoError(t, err)
		issues := cda.Validate(d, cda.Partner{Strict: true})
		require.Equal(t, []string{c.rule}, rules(issues, cda.Err), c.new)
	}
}

func TestOrderOfHeader(t *testing.T) {
	text := string(render(t, "C0039", nil))
	setID := text[strings.Index(text, "  <setId>"):strings.Index(text, "  <versionNumber>")]
	text = strings.Replace(text, setID, "", 1)
	text = strings.Replace(text, "  <title>", setID+"  <title>", 1)
	d, err := cda.Parse([]byte(text), cda.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"order"}, rules(cda.Validate(d, cda.Partner{}), cda.Warning))
}

func TestReadForms(t *testing.T) {
	plain := render(t, "C0032", nil)
	text := string(plain)
	gb, _ := hl7.CharsetByName("GB18030")
	encoded, err := gb.Encode([]byte(strings.Replace(text, `encoding="UTF-8"`, `encoding="gb18030"`, 1)))
	require.NoError(t, err)
	_, root, _ := strings.Cut(text, "?>")
	prefixed := strings.NewReplacer("</", "</v3:", "<", "<v3:").Replace(root)
	prefixed = strings.Replace(prefixed, `xmlns="urn:hl7-org:v3"`, `xmlns:v3="urn:hl7-org:v3"`, 1)
	want, err := cda.Parse(plain, cda.ReadOptions{})
	require.NoError(t, err)
	for name, raw := range map[string][]byte{
		"byte order mark": append([]byte("\xef\xbb\xbf"), plain...),
		"gb18030":         encoded,
		"prefixes":        []byte(prefixed),
		"CRLF":            []byte(strings.ReplaceAll(text, "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cda.Parse(raw, cda.ReadOptions{})
			require.NoError(t, err)
			require.Equal(t, want.Patient, got.Patient)
			require.Equal(t, want.Sections, got.Sections)
			require.Empty(t, cda.Validate(got, cda.Partner{Strict: true}))
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"/>`: "CCR",
		`<section xmlns="urn:hl7-org:v3"/>`:                  "not ClinicalDocument",
		`<ClinicalDocument/>`:                                "namespace",
		`<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/passwd">]><ClinicalDocument>&x;</ClinicalDocument>`: "document type declaration",
	} {
		_, err := cda.Parse([]byte(text), cda.ReadOptions{})
		require.ErrorContains(t, err, want)
	}
	_, err := cda.Parse([]byte(`<ClinicalDocument/>`), cda.ReadOptions{AnyNamespace: true})
	require.NoError(t, err)
}

func TestRenderIsStrict(t *testing.T) {
	typ, _ := cda.TypeByCode("C0039")
	d := cdaexample.Document(typ, 1)
	d.Realm = "US"
	d.Patient.Birth = ""
	_, err := cda.Render(d, cda.Roots{})
	var invalid *cda.Invalid
	require.ErrorAs(t, err, &invalid)
	require.ElementsMatch(t, []string{"realm", "header-part"}, rules(invalid.Issues, cda.Err))
	d.Type = nil
	_, err = cda.Render(d, cda.Roots{})
	require.ErrorIs(t, err, cda.ErrNoType)
}

// What XML cannot hold, or gives a meaning, survives in values.
func TestRenderEscapes(t *testing.T) {
	nasty := "a<b>&\"'\r\n\tz"
	raw := render(t, "C0039", func(d *cda.Document) {
		d.Sections[0].Entries[0].Values[0].Text = nasty
		d.Custodian.Name = nasty + "\x01"
		d.Sections[0].Entries[0].Code.Display = nasty
	})
	d, err := cda.Parse(raw, cda.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, nasty, d.Sections[0].Entries[0].Values[0].Text)
	require.Equal(t, nasty, d.Sections[0].Entries[0].Code.Display)
	require.Equal(t, nasty+"\uFFFD", d.Custodian.Name)
}

func TestMap(t *testing.T) {
	raw := render(t, "C0039", func(d *cda.Document) {
		d.Related = []cda.Related{{TypeCode: "RPLC", ID: cda.ID{Extension: "old"}, SetID: cda.ID{Extension: "set"}, Version: "1"}}
		d.Version, d.Confidential.Code = "2", "R"
		d.Patient.IDs = append(d.Patient.IDs, cda.ID{Root: "2.16.156.10011.1.24", Extension: "R-1"})
	})
	src := cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "EMR", ControlID: "c", ReceivedAt: time.UnixMilli(1700000000000)}
	r, err := cda.NewMapper(cda.MapperConfig{}).Map(src)
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	require.Equal(t, "C0039", r.Kind)
	require.Equal(t, cda.MediaType, r.MediaType)
	require.Equal(t, record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "EMR", ControlID: "c", Payload: raw}), r.ID)
	require.Equal(t, []record.Identifier{
		{Authority: "2.16.156.10011.1.12", Type: record.InpatientNo, Value: "8696771993"},
		{Authority: "2.16.156.10011.1.3", Type: record.ResidentID, Value: "990000196407164127"},
	}, r.Patient.Identifiers)
	require.Equal(t, "2", r.Patient.Gender)
	require.Equal(t, "19640716", r.Patient.BirthDate)
	require.Equal(t, "8696771993", r.Encounter)
	require.Equal(t, "2", r.Version)
	require.Equal(t, "old", r.Replaces)
	require.Equal(t, record.Restricted, r.Confidentiality)
	require.Equal(t, "2023-12-27T21:02:20+08:00", r.EventTime.String())
	require.Equal(t, "R-1", r.Metadata["request-form"])
	require.Equal(t, "上级医师查房记录", r.Metadata["title"])
	require.NotEmpty(t, r.Metadata["department"])
	require.Equal(t, "51848-0 11450-4 29548-5 18776-5 10160-0 46209-3", r.Metadata["section-codes"])
	require.True(t, bytes.Equal(raw, r.Payload))
	require.Empty(t, r.Metadata["unread"])
}

func TestMapByPartner(t *testing.T) {
	raw := []byte(strings.Replace(string(render(t, "C0039", nil)), `root="2.16.156.10011.1.12" extension`, `root="1.2.3" extension`, 1))
	src := cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "EMR", ControlID: "c"}
	r, err := cda.NewMapper(cda.MapperConfig{}).Map(src)
	require.NoError(t, err)
	require.Equal(t, record.LocalPatient, r.Patient.Identifiers[0].Type)
	r, err = cda.NewMapper(cda.MapperConfig{
		Roots:       func(string) cda.Roots { return cda.Roots{Alias: map[string]string{"1.2.3": "2.16.156.10011.1.12"}} },
		Authorities: map[string]string{"1.2.3": "HIS"},
	}).Map(src)
	require.NoError(t, err)
	require.Equal(t, record.Identifier{Authority: "HIS", Type: record.InpatientNo, Value: "8696771993"}, r.Patient.Identifiers[0])
}

// small is a document of few bytes, which the fuzzer can change quickly.
const small = `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="CN"/>` +
	`<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><templateId root="2.16.156.10011.2.1.1.59"/><id root="1.2" extension="0123456789abcdef0123456789abcdef"/>` +
	`<code code="C0039" codeSystem="2.16.156.10011.2.4"/><title>查房</title><effectiveTime value="20240501080000"/><confidentialityCode code="N"/><setId>s</setId><versionNumber>1</versionNumber>` +
	`<recordTarget><patientRole><id root="2.16.156.10011.1.12" extension="1"/><patient><id root="2.16.156.10011.1.3" extension="990000196407164127"/><name>甲</name>` +
	`<administrativeGenderCode code="2"/><birthTime value="19640716"/><age unit="岁" value="59"/></patient></patientRole></recordTarget>` +
	`<author><time value="2024"/><assignedAuthor><id extension="7"/><assignedPerson><name>乙</name></assignedPerson></assignedAuthor></author>` +
	`<relatedDocument typeCode="RPLC"><parentDocument><id>x</id></parentDocument></relatedDocument><component><structuredBody><component><section>` +
	`<code code="51848-0"/><text>t</text><entry><observation classCode="OBS" moodCode="EVN"><code code="DE05.01.024.00"/><value xsi:type="PQ" value="1.5" unit="kg"/></observation></entry>` +
	`</section></component></structuredBody></component></ClinicalDocument>`

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(strings.Replace(strings.Replace(small, "C0039", "34133-9", 1), "2.16.156.10011.2.1.1.59", "2.16.840.1.113883.10.20.1", 1)))
	f.Add([]byte(`<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section><component><section/></component></section></component></structuredBody></component></ClinicalDocument>`))
	m := cda.NewMapper(cda.MapperConfig{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := cda.Parse(raw, cda.ReadOptions{Limits: safexml.Limits{Bytes: 1 << 20}})
		if err != nil {
			return
		}
		cda.Validate(d, cda.Partner{Strict: true})
		if d.Type != nil {
			if out, err := cda.Render(d, cda.Roots{}); err == nil {
				_, err = cda.Parse(out, cda.ReadOptions{})
				require.NoError(t, err, "what was rendered is read")
			}
		}
		if _, err := m.Map(cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H", Sender: "s", ControlID: "c"}); err != nil {
			t.Fatal(err)
		}
	})
}

// A skeleton maps to the same envelope, whatever made the document large.
func TestSkeleton(t *testing.T) {
	for name, text := range map[string]string{"a picture": strings.Repeat("QUJD", 1<<18), "many sections": ""} {
		raw := render(t, "C0034", func(d *cda.Document) {
			d.Sections[0].Entries[0].Values[0].Text = text
			for range 3000 {
				if text == "" {
					d.Sections = append(d.Sections, d.Sections[1])
				}
			}
		})
		require.Greater(t, len(raw), 1<<20)
		d, err := cda.Parse(raw, cda.ReadOptions{})
		require.NoError(t, err)
		small := cda.Skeleton(d, 1<<18)
		require.Less(t, len(small), 1<<18, name)
		m := cda.NewMapper(cda.MapperConfig{})
		src := cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "EMR", ControlID: "c", ReceivedAt: time.UnixMilli(1)}
		whole, err := m.Map(src)
		require.NoError(t, err)
		src.Raw, src.Charset = small, "UTF-8"
		part, err := m.Map(src)
		require.NoError(t, err)
		require.Equal(t, whole.Patient, part.Patient)
		require.Equal(t, whole.Kind, part.Kind)
		require.Equal(t, whole.EventTime, part.EventTime)
		require.Equal(t, whole.Encounter, part.Encounter)
	}
}
