package hip

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a service with everything behind it replaced.
type rig struct {
	*Service
	taken   []Submission
	refused []Refused
	fail    error
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{}
	c := Config{
		Submit: func(_ context.Context, s Submission) error {
			if r.fail == nil {
				r.taken = append(r.taken, s)
			}
			return r.fail
		},
		Quarantine: func(_ context.Context, q Refused) error { r.refused = append(r.refused, q); return nil },
		Now:        func() time.Time { return time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC) },
		NewID:      func() string { return "00000000-0000-4000-8000-000000000001" },
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	require.NoError(t, err)
	r.Service = s
	return r
}

func (r *rig) say(text string) (code, detail string, what Outcome, whole string) {
	reply, what := r.Handle(context.Background(), text, "peer")
	x, err := safexml.Parse(reply, safexml.Encoding{}, safexml.Limits{})
	if err != nil {
		return "", err.Error(), what, string(reply)
	}
	ack := x.Root.Child("acknowledgement")
	return ack.Attr("typeCode"), ack.Find("acknowledgementDetail", "text").Attr("value"), what, string(reply)
}

func example(t testing.TB, code string) (*cda.Document, []byte) {
	t.Helper()
	typ, ok := cda.TypeByCode(code)
	require.True(t, ok)
	d := cdaexample.Document(typ, 1)
	raw, err := cda.Render(d, cda.Roots{})
	require.NoError(t, err)
	return d, raw
}

const head = `<%[1]s xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ITSVersion="XML_1.0">
<id root="2.16.156.10011.2.5.1.1" extension="22a0f9e0-4454-11dc-a6be-3603d6866807"/><creationTime value="20240501080000"/>
<interactionId root="2.16.156.10011.2.5.1.2" extension="%[1]s"/><processingCode code="P"/><processingModeCode/><acceptAckCode code="AL"/>
<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE"><id><item root="2.16.156.10011.2.5.1.3" extension="BRIDGE"/></id></device></receiver>
<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE"><id><item root="2.16.156.10011.2.5.1.3" extension="EMR-1"/></id></device></sender>
`

// register makes a registration of a document.
func register(d *cda.Document, raw []byte) string {
	return fmt.Sprintf(head, "RCMR_IN000002UV02") + `<controlActProcess classCode="STC" moodCode="APT"><subject typeCode="SUBJ">
<clinicalDocument classCode="DOCCLIN" moodCode="EVN"><id><item root="2.16.156.10011.2.5.1.24" extension="` + d.ID.Extension + `"/></id>
<code code="` + d.Code.Code + `" codeSystem="2.16.156.10011.2.5.1.23"><displayName value="` + d.Title + `"/></code><title value="` + d.Title + `"/>
<effectiveTime value="` + d.Time + `"/><versionNumber value="` + d.Version + `"/>
<storageCode><originalText value="` + base64.StdEncoding.EncodeToString(raw) + `"/><translation/></storageCode>
<recordTarget typeCode="RCT"><patient classCode="PAT"><id><item root="2.16.156.10011.2.5.1.4" extension="P1"/>` +
		`<item root="` + d.Patient.IDs[0].Root + `" extension="` + d.Patient.IDs[0].Extension + `"/></id><patientPerson><id>` +
		`<item root="2.16.156.10011.1.3" extension="` + d.Patient.PersonIDs[0].Extension + `"/></id>` +
		`<name xsi:type="DSET_EN"><item><part value="` + d.Patient.Name + `"/></item></name></patientPerson></patient></recordTarget>
</clinicalDocument></subject></controlActProcess></RCMR_IN000002UV02>`
}

func TestRegisterEveryType(t *testing.T) {
	r := newRig(t, nil)
	for i, typ := range cda.Types() {
		d, raw := example(t, typ.Code)
		code, detail, what, _ := r.say(register(d, raw))
		require.Equal(t, "AA", code, detail)
		require.Equal(t, Taken, what)
		require.Len(t, r.taken, i+1)
		s := r.taken[i]
		require.Equal(t, raw, s.Raw)
		require.Equal(t, typ.Code, s.Kind)
		require.Equal(t, cda.MediaType, s.MediaType)
		require.Equal(t, "EMR-1", s.Sender)
		require.Equal(t, d.ID.String()+"/1", s.ControlID)
		require.NotEmpty(t, s.RoutingHint)
	}
	require.Empty(t, r.refused)
}

func TestRegisterRefuses(t *testing.T) {
	d, raw := example(t, "C0039")
	whole := register(d, raw)
	content := base64.StdEncoding.EncodeToString(raw)
	for _, c := range []struct{ name, old, new, code, detail string }{
		{"id", `2.5.1.24" extension="` + d.ID.Extension, `2.5.1.24" extension="x`, "MISMATCH", "document id"},
		{"type", `<code code="C0039"`, `<code code="C0038"`, "MISMATCH", "document type"},
		{"title", `<title value="` + d.Title, `<title value="出院小结`, "MISMATCH", "title"},
		{"time", `<effectiveTime value="2023`, `<effectiveTime value="2022`, "MISMATCH", "time"},
		{"version", `<versionNumber value="1`, `<versionNumber value="2`, "MISMATCH", "version"},
		{"resident id", `1.3" extension="` + d.Patient.PersonIDs[0].Extension, `1.3" extension="99000019640716412X`, "MISMATCH", "patient (resident-id)"},
		{"inpatient number", `1.12" extension="` + d.Patient.IDs[0].Extension, `1.12" extension="1`, "MISMATCH", "patient (inpatient)"},
		{"name", `<part value="` + d.Patient.Name, `<part value="别人`, "MISMATCH", "patient (name)"},
		{"no document", content, "", "NO_DOCUMENT", "storageCode"},
		{"not base64", content, "PG*", "BASE64", "not base64"},
		{"not CDA", content, "PGE+PC9hPg==", "UNREADABLE_DOCUMENT", "not ClinicalDocument"},
		{"truncated", content, content[:len(content)/2/4*4], "UNREADABLE_DOCUMENT", "xml:"},
		{"wrong code", content, base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), `code="C0039"`, `code="C0040"`, 1))), "INVALID_DOCUMENT", "template-code"},
		{"no clinicalDocument", "clinicalDocument", "x", "REGISTER", "clinicalDocument"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			text := strings.ReplaceAll(whole, c.old, c.new)
			require.NotEqual(t, whole, text)
			code, detail, what, reply := r.say(text)
			require.Equal(t, "AE", code)
			require.Equal(t, Rejected, what)
			require.Contains(t, detail, c.code)
			require.Contains(t, detail, c.detail)
			require.Empty(t, r.taken)
			require.Len(t, r.refused, 1)
			require.Equal(t, c.code, r.refused[0].Code)
			require.Equal(t, text, string(r.refused[0].Raw))
			for _, secret := range []string{d.Patient.Name, d.Patient.PersonIDs[0].Extension, "别人"} {
				require.NotContains(t, reply, secret)
				require.NotContains(t, r.refused[0].Reason, secret)
			}
		})
	}
}

func TestRegisterByPartner(t *testing.T) {
	d, raw := example(t, "C0039")
	gbk, _ := hl7.CharsetByName("GB18030")
	other := strings.Replace(string(raw), `root="2.16.156.10011.1.12" extension`, `root="1.2.3" extension`, 1)
	other = strings.Replace(other, `  <templateId root="2.16.156.10011.2.1.1.59"/>`+"\n", "", 1)
	other = strings.Replace(other, ` encoding="UTF-8"`, "", 1)
	encoded, err := gbk.Encode([]byte(other))
	require.NoError(t, err)
	text := strings.Replace(register(d, encoded), `<code code="C0039"`, `<code code="39"`, 1)
	code, _, _, _ := newRig(t, nil).say(text)
	require.Equal(t, "AE", code)
	r := newRig(t, func(c *Config) {
		c.Partner = func(sender string) Partner {
			require.Equal(t, "EMR-1", sender)
			return Partner{Encoding: "GBK", Types: map[string]string{"39": "C0039"},
				Rules: cda.Partner{Allow: []string{"template"}, Roots: cda.Roots{Alias: map[string]string{"1.2.3": "2.16.156.10011.1.12"}}}}
		}
	})
	code, detail, _, _ := r.say(text)
	require.Equal(t, "AA", code, detail)
	require.Equal(t, encoded, r.taken[0].Raw)
	require.Equal(t, "GB18030", r.taken[0].Charset)
}

// Nothing is acknowledged that is not durable.
func TestNotDurableIsNotAcknowledged(t *testing.T) {
	d, raw := example(t, "C0001")
	r := newRig(t, nil)
	r.fail = errors.New("disk full at /secret")
	code, detail, what, _ := r.say(register(d, raw))
	require.Equal(t, "AE", code)
	require.Equal(t, Failed, what)
	require.Contains(t, detail, "send it again")
	require.NotContains(t, detail, "secret")
	require.Empty(t, r.refused, "the sender still has it")
	r.fail = fmt.Errorf("x: %w", ErrTooLarge)
	_, detail, what, _ = r.say(register(d, raw))
	require.Equal(t, Rejected, what)
	require.Contains(t, detail, "TOO_LARGE")
	require.Len(t, r.refused, 1)
}

func TestRegistrationKept(t *testing.T) {
	d, raw := example(t, "C0001")
	r := newRig(t, func(c *Config) { c.KeepRegistration = true })
	text := register(d, raw)
	code, _, _, _ := r.say(text)
	require.Equal(t, "AA", code)
	require.Len(t, r.taken, 2)
	require.Equal(t, text, string(r.taken[0].Raw))
	require.Equal(t, raw, r.taken[1].Raw)
}

func patientMessage(root, registration, extra string) string {
	return fmt.Sprintf(head, root) + `<controlActProcess classCode="CACT" moodCode="EVN"><subject typeCode="SUBJ"><` + registration + ` classCode="REG" moodCode="RQO">
<statusCode code="active"/><subject1 typeCode="SBJ"><patient classCode="PAT"><id><item root="2.16.156.10011.2.5.1.4" extension="P-2"/></id>
<patientPerson><id><item root="2.16.156.10011.1.3" extension="990000196407164127"/></id><name xsi:type="LIST_EN"><item><part value="郑晓燕"/></item></name>
<administrativeGenderCode code="2" codeSystem="2.16.156.10011.2.3.3.4"/><birthTime value="19640716"/>
<asOtherIDs classCode="PAT"><id><item root="2.16.156.10011.1.19" extension="HC9"/></id></asOtherIDs></patientPerson></patient></subject1>
<author typeCode="AUT"><assignedEntity classCode="ASSIGNED"><id><item root="2.16.156.10011.1.4" extension="U7"/></id><assignedPerson><name xsi:type="DSET_EN"><item><part value="李四"/></item></name></assignedPerson></assignedEntity></author>
` + extra + `</` + registration + `></subject></controlActProcess></` + root + `>`
}

const replacement = `<replacementOf typeCode="RPLC"><priorRegistration classCode="REG" moodCode="EVN"><statusCode code="obsolete"/><subject1 typeCode="SBJ">
<priorRegisteredRole classCode="PAT"><id><item root="2.16.156.10011.2.5.1.4" extension="P-1"/></id></priorRegisteredRole></subject1></priorRegistration></replacementOf>`

func (r *rig) record(t *testing.T, s Submission) *record.Record {
	t.Helper()
	rec, err := r.c.Mapper.Map(cda.Source{Raw: s.Raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID,
		ReceivedAt: s.ReceivedAt, Charset: s.Charset})
	require.NoError(t, err)
	require.NoError(t, rec.Validate())
	return rec
}

func TestAgain(t *testing.T) {
	d, raw := example(t, "C0002")
	text := register(d, raw)
	r := newRig(t, nil)
	what, detail := r.Again(context.Background(), strings.Replace(text, `<code code="C0002"`, `<code code="C0003"`, 1), "operator")
	require.Equal(t, Rejected, what)
	require.Contains(t, detail, "MISMATCH")
	require.Empty(t, r.refused)
	what, _ = r.Again(context.Background(), text, "operator")
	require.Equal(t, Taken, what)
	require.Len(t, r.taken, 1)
}

func TestPatientMessages(t *testing.T) {
	r := newRig(t, nil)
	for i, root := range []string{"PRPA_IN201311UV02", "PRPA_IN201314UV02"} {
		text := patientMessage(root, "registrationRequest", "")
		code, detail, _, _ := r.say(text)
		require.Equal(t, "AA", code, detail)
		require.Equal(t, root, r.taken[i].Kind)
		rec := r.record(t, r.taken[i])
		require.Equal(t, text, string(rec.Payload))
		require.Equal(t, []record.Identifier{
			{Authority: "2.16.156.10011.2.5.1.4", Type: record.LocalPatient, Value: "P-2"},
			{Authority: "2.16.156.10011.1.3", Type: record.ResidentID, Value: "990000196407164127"},
			{Authority: "2.16.156.10011.1.19", Type: record.HealthCard, Value: "HC9"},
		}, rec.Patient.Identifiers)
		require.Equal(t, "郑晓燕", rec.Patient.Name)
		require.Equal(t, "2", rec.Patient.Gender)
		require.Equal(t, "19640716", rec.Patient.BirthDate)
		require.Equal(t, "U7 李四", rec.Author)
		require.Equal(t, "2024-05-01T08:00:00+08:00", rec.EventTime.String())
		require.Equal(t, "EMR-1", rec.Sender)
		require.Empty(t, rec.Metadata[hl7.MergeKey])
	}
}

func TestMerge(t *testing.T) {
	r := newRig(t, nil)
	code, detail, _, _ := r.say(patientMessage("PRPA_IN201304UV02", "registrationEvent", replacement))
	require.Equal(t, "AA", code, detail)
	merge, err := hl7.ParseMerge(r.record(t, r.taken[0]).Metadata[hl7.MergeKey])
	require.NoError(t, err)
	require.Equal(t, "PRPA_IN201304UV02", merge.Event)
	require.Equal(t, hl7.PatientSubject, merge.Subject)
	require.Contains(t, merge.Survivor, record.Identifier{Authority: "2.16.156.10011.2.5.1.4", Type: record.LocalPatient, Value: "P-2"})
	require.Equal(t, []record.Identifier{{Authority: "2.16.156.10011.2.5.1.4", Type: record.LocalPatient, Value: "P-1"}}, merge.Prior)

	for extra, why := range map[string]string{"": "both", strings.Replace(replacement, "P-1", "P-2", 1): "itself"} {
		code, detail, _, _ = r.say(patientMessage("PRPA_IN201304UV02", "registrationEvent", extra))
		require.Equal(t, "AE", code)
		require.Contains(t, detail, why)
	}
	require.Len(t, r.refused, 2)
}

func TestOtherServices(t *testing.T) {
	require.Len(t, Interactions(), 69)
	r := newRig(t, func(c *Config) { c.AcceptOthers = []string{"POOR_IN200901UV"} })
	for root, want := range map[string]string{"POOR_IN200901UV": "AA", "POOR_IN200901UV01": "AA", "POOR_IN200902UV": "AE", "PRPA_IN400001UV": "AE", "ABC": "AE"} {
		code, detail, _, _ := r.say(fmt.Sprintf(head, root) + `<controlActProcess/></` + root + `>`)
		require.Equal(t, want, code, root+detail)
	}
	all := newRig(t, func(c *Config) { c.AcceptOthers = []string{"*"} })
	for _, i := range Interactions() {
		code, detail, what, _ := all.say(fmt.Sprintf(head, i.Root) + `<controlActProcess/></` + i.Root + `>`)
		switch {
		case strings.HasSuffix(i.Name, "Query") || i.Name == "DocumentAccess" || i.Name == "DocumentRetrieve":
			require.Equal(t, NotFound, what, i.Name)
		case i.Root == rootRegister, i.Root == rootPatientMerge:
			require.Equal(t, Rejected, what, i.Name)
		default:
			require.Equal(t, "AA", code, i.Name+detail)
		}
	}
}

// shelf is an archive and a registry of a few examples.
type shelf struct {
	found []Found
	asked DocumentQuery
	err   error
}

func (s *shelf) Documents(_ context.Context, q DocumentQuery) ([]Found, error) {
	s.asked = q
	var out []Found
	for _, f := range s.found {
		if q.DocumentID == f.Document.ID.Extension || slices.ContainsFunc(q.Patient, func(id cda.ID) bool { return slices.Contains(f.Document.Patient.IDs, id) }) {
			out = append(out, f)
		}
	}
	return out, s.err
}

func (s *shelf) Patients(_ context.Context, q PatientQuery) ([]cda.Patient, error) {
	for _, f := range s.found {
		if slices.ContainsFunc(q.IDs, func(id cda.ID) bool { return slices.Contains(f.Document.Patient.PersonIDs, id) }) {
			return []cda.Patient{f.Document.Patient}, nil
		}
	}
	return nil, s.err
}

func documentQuery(root, parameters string) string {
	return fmt.Sprintf(head, root) + `<controlActProcess classCode="CACT" moodCode="EVN"><queryByParameter><queryId extension="q"/>` + parameters +
		`</queryByParameter></controlActProcess></` + root + `>`
}

func TestDocumentQueries(t *testing.T) {
	d, raw := example(t, "C0053")
	s := &shelf{found: []Found{{Document: d, Content: raw}}}
	r := newRig(t, func(c *Config) { c.Archive, c.Registry = s, s })
	byPatient := `<clinicalDocument.code><value code="C0053"/></clinicalDocument.code><clinicalDocument.effectiveTime><value><low value="20200101"/><high value="20300101"/></value></clinicalDocument.effectiveTime>
<patient.id><value><item root="2.16.156.10011.1.12" extension="` + d.Patient.IDs[1].Extension + `"/></value><semanticsText value="患者id"/></patient.id>`
	code, _, what, reply := r.say(documentQuery("RCMR_IN000029UV01", byPatient))
	require.Equal(t, "AA", code)
	require.Equal(t, Answered, what)
	require.Contains(t, reply, "<RCMR_IN000030UV01")
	require.Contains(t, reply, d.ID.Extension)
	require.NotContains(t, reply, "originalText")
	require.Equal(t, DocumentQuery{Types: []string{"C0053"}, From: "20200101", To: "20300101",
		Patient: []cda.ID{{Root: "2.16.156.10011.1.12", Extension: d.Patient.IDs[1].Extension}}}, s.asked)

	byID := `<clinicalDocument.id><value root="2.16.156.10011.2.5.1.24" extension="` + d.ID.Extension + `"/></clinicalDocument.id>`
	for root, back := range map[string]string{"RCMR_IN000031UV01": "RCMR_IN000032UV01", "RCMR_IN000029UV01": "RCMR_IN000030UV01"} {
		code, _, _, reply = r.say(documentQuery(root, byID))
		require.Equal(t, "AA", code)
		require.Contains(t, reply, "<"+back)
		require.Contains(t, reply, base64.StdEncoding.EncodeToString(raw))
	}
	code, detail, what, _ := r.say(documentQuery("RCMR_IN000031UV01", strings.Replace(byID, d.ID.Extension, "0000", 1)))
	require.Equal(t, "AE", code)
	require.Equal(t, NotFound, what)
	require.Contains(t, detail, "nothing found")
	code, detail, _, _ = r.say(documentQuery("RCMR_IN000031UV01", ""))
	require.Equal(t, "AE", code)
	require.Contains(t, detail, "neither document")
	s.err = errors.New("x")
	code, _, what, _ = r.say(documentQuery("RCMR_IN000031UV01", byID))
	require.Equal(t, "AE", code)
	require.Equal(t, Failed, what)
	require.Empty(t, r.refused)
	require.Empty(t, r.taken)
}

func TestPatientQuery(t *testing.T) {
	d, raw := example(t, "C0053")
	s := &shelf{found: []Found{{Document: d, Content: raw}}}
	r := newRig(t, func(c *Config) { c.Registry = s })
	query := func(number string) string {
		return documentQuery("PRPA_IN201305UV02", `<parameterList><id root="2.16.156.10011.2.5.1.4" extension=""/><livingSubjectId><value><item root="2.16.156.10011.1.3" extension="`+
			number+`"/></value></livingSubjectId><livingSubjectName><value><item><part value=""/></item></value></livingSubjectName></parameterList>`)
	}
	code, _, _, reply := r.say(query(d.Patient.PersonIDs[0].Extension))
	require.Equal(t, "AA", code)
	require.Contains(t, reply, "<PRPA_IN201306UV02")
	require.Contains(t, reply, d.Patient.Name)
	code, _, what, _ := r.say(query("0000"))
	require.Equal(t, "AE", code)
	require.Equal(t, NotFound, what)
}

// The ways in which clients write the one call.
var calls = map[string]string{
	"CDATA":             `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><action>Wrong</action><message><![CDATA[%s]]></message></HIPMessageServer></s:Body></s:Envelope>`,
	"unqualified":       `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:u="urn:hl7-org:v3"><s:Body><u:HIPMessageServer><action>x</action><message><![CDATA[%s]]></message></u:HIPMessageServer></s:Body></s:Envelope>`,
	"rpc":               `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Body s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><n:HIPMessageServer xmlns:n="http://esb.example"><action xsi:type="xsd:string">x</action><message xsi:type="xsd:string"><![CDATA[%s]]></message></n:HIPMessageServer></s:Body></s:Envelope>`,
	"positions":         `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><arg0>x</arg0><arg1><![CDATA[%s]]></arg1></HIPMessageServer></s:Body></s:Envelope>`,
	"escaped":           `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><action/><message>%e</message></HIPMessageServer></s:Body></s:Envelope>`,
	"as element":        `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><action/><message>%s</message></HIPMessageServer></s:Body></s:Envelope>`,
	"Message with caps": `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><Action/><Message><![CDATA[%s]]></Message></HIPMessageServer></s:Body></s:Envelope>`,
}

func call(form, message string) string {
	return strings.NewReplacer("%s", message, "%e", escape(message)).Replace(calls[form])
}

// serve starts a server for the test and returns its address.
func serve(t *testing.T, c ServerConfig) string {
	t.Helper()
	s, err := NewServer(c)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return "http://" + l.Addr().String() + "/hip"
}

func post(t *testing.T, url, kind, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Post(url, kind, strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestServerTakesEveryFormOfCall(t *testing.T) {
	d, raw := example(t, "C0002")
	message := register(d, raw)
	r := newRig(t, nil)
	var outcomes []Outcome
	url := serve(t, ServerConfig{Service: r.Service, Observe: func(c Call) { outcomes = append(outcomes, c.Outcome) }})
	for form := range calls {
		kind := "text/xml; charset=utf-8"
		if form == "positions" || form == "escaped" {
			kind = "application/soap+xml"
		}
		status, reply := post(t, url, kind, call(form, message))
		require.Equal(t, http.StatusOK, status, reply)
		x, err := safexml.Parse([]byte(reply), safexml.Encoding{}, safexml.Limits{})
		require.NoError(t, err)
		response := x.Root.Child("Body").Elements()[0]
		require.Equal(t, "HIPMessageServerResponse", response.Name.Local)
		require.Equal(t, "payload", response.Elements()[0].Name.Local)
		require.Contains(t, response.Content(), `typeCode="AA"`, form)
	}
	require.Len(t, r.taken, len(calls))
	for _, s := range r.taken {
		require.Equal(t, raw, s.Raw)
	}
	require.Len(t, outcomes, len(calls))
}

func TestServerRefuses(t *testing.T) {
	r := newRig(t, nil)
	url := serve(t, ServerConfig{Service: r.Service, MaxBody: 10_000})
	for body, want := range map[string]string{
		"": "no element", "<a/>": "not a SOAP", "<!DOCTYPE a><a/>": "document type declaration",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`:                                               "exactly one call",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><other/></s:Body></s:Envelope>`:                               "operation is not",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><HIPMessageServer/></s:Body></s:Envelope>`:                    "no message",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><x s:mustUnderstand="1"/></s:Header><s:Body/></s:Envelope>`: "must be understood",
		strings.Repeat(" ", 10_001): "larger than",
	} {
		status, reply := post(t, url, "text/xml", body)
		require.Equal(t, http.StatusInternalServerError, status)
		require.Contains(t, reply, "<faultcode>soap:Client</faultcode>")
		require.Contains(t, reply, want)
	}
	status, reply := post(t, url, "application/soap+xml", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, reply, "soap:Sender")
	_, reply = post(t, url, "application/json", "{}")
	require.Contains(t, reply, "content type")
	_, reply = post(t, url, "text/xml", call("CDATA", "<broken"))
	require.Contains(t, reply, "UNREADABLE")
	require.NotEmpty(t, r.refused)
	require.Empty(t, r.taken)
}

func TestWSDL(t *testing.T) {
	url := serve(t, ServerConfig{Service: newRig(t, nil).Service})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url + "?wsdl")
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	x, err := safexml.Parse(b, safexml.Encoding{}, safexml.Limits{})
	require.NoError(t, err)
	require.Equal(t, "definitions", x.Root.Name.Local)
	require.Contains(t, string(b), `location="`+url+`"`)
}

func TestPlainHTTPOnlyOnLoopback(t *testing.T) {
	s, err := NewServer(ServerConfig{Service: newRig(t, nil).Service})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(context.Background(), l), ErrNoTLS)
}

func FuzzCall(f *testing.F) {
	small := &cda.Document{ID: cda.ID{Extension: "1"}, Code: cda.Code{Code: "C0039"}, Patient: cda.Patient{
		IDs: []cda.ID{{Root: "2.16.156.10011.1.12", Extension: "1"}}, PersonIDs: []cda.ID{{Root: "2.16.156.10011.1.3", Extension: "2"}}}}
	raw := []byte(`<ClinicalDocument xmlns="urn:hl7-org:v3"><id extension="1"/></ClinicalDocument>`)
	for form := range calls {
		f.Add([]byte(call(form, register(small, raw))))
	}
	f.Add([]byte(call("CDATA", patientMessage("PRPA_IN201304UV02", "registrationEvent", replacement))))
	f.Add([]byte(call("CDATA", documentQuery("RCMR_IN000031UV01", ""))))
	r := newRig(f, func(c *Config) {
		c.Submit = func(context.Context, Submission) error { return nil }
		c.Quarantine = func(context.Context, Refused) error { return nil }
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := readEnvelope(string(body), "", safexml.Limits{Bytes: 1 << 20})
		if err != nil {
			var fl *fault
			require.ErrorAs(t, err, &fl)
			_, err := safexml.Parse(fl.envelope(), safexml.Encoding{}, safexml.Limits{})
			require.NoError(t, err)
			return
		}
		reply, _ := r.Handle(context.Background(), e.message, "p")
		for _, text := range [][]byte{reply, e.answer(reply, "payload")} {
			_, err = safexml.Parse(text, safexml.Encoding{}, safexml.Limits{})
			require.NoError(t, err)
		}
	})
}
