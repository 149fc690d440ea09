package integration_test

import (
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/record"
)

// platformHead begins every message of these tests; the root element and the id vary.
const platformHead = `<%[1]s xmlns="urn:hl7-org:v3"><id root="2.16.156.10011.2.5.1.1" extension="%[2]s"/><creationTime value="20260302101500"/>` +
	`<interactionId root="2.16.156.10011.2.5.1.2" extension="%[1]s"/><receiver><device><id><item extension="BRIDGE"/></id></device></receiver>` +
	`<sender><device><id><item root="2.16.156.10011.2.5.1.3" extension="EMR-IT"/></id></device></sender>`

// registration wraps a document as the platform's DocumentRegister does.
func registration(d *cda.Document, raw []byte, patient string) string {
	return fmt.Sprintf(platformHead, "RCMR_IN000002UV02", d.ID.Extension) + `<controlActProcess><subject><clinicalDocument><id><item extension="` + d.ID.Extension +
		`"/></id><code code="` + d.Code.Code + `"/><effectiveTime value="` + d.Time + `"/><storageCode><originalText value="` + base64.StdEncoding.EncodeToString(raw) +
		`"/></storageCode><recordTarget><patient><id/><patientPerson><id><item root="2.16.156.10011.1.3" extension="` + patient +
		`"/></id></patientPerson></patient></recordTarget></clinicalDocument></subject></controlActProcess></RCMR_IN000002UV02>`
}

// callPlatform sends a message and returns what the platform's service answers.
func (s *site) callPlatform(t *testing.T, message string) (status int, answer string) {
	t.Helper()
	body := `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><action>any</action><message><![CDATA[` +
		message + `]]></message></HIPMessageServer></s:Body></s:Envelope>`
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Config.CDA.Addr+s.Config.CDA.Path, strings.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", "text/xml; charset=utf-8")
	a, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a.StatusCode, string(b)
}

// owe remembers a record that must be on the ledger.
func (s *site) owe(id record.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[id], s.acked[id] = true, true
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestPlatformService takes documents and patient messages in over SOAP, all the way to the
// ledger, and refuses what contradicts itself.
func TestPlatformService(t *testing.T) {
	addr := freeAddress(t)
	s := w.up(t, 1, func(c *config.Config) {
		c.CDA.Addr = addr
		c.CDA.Partners = []config.CDAPartner{{Sender: "EMR-IT", Encoding: "GB18030"}}
	})
	before := s.quarantined(t)
	origin := record.Origin{HospitalNumber: uint16(s.hospital.Number), HospitalMSP: s.hospital.MSPID, Sender: "EMR-IT"}
	gb, _ := hl7.CharsetByName("GB18030")
	kinds := map[record.ID]string{}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for i, code := range []string{"C0002", "C0007", "C0032", "C0039", "C0053"} {
		typ, _ := cda.TypeByCode(code)
		d := cdaexample.Document(typ, 4711)
		raw, err := cda.Render(d, cda.Roots{})
		require.NoError(t, err)
		if i%2 == 1 { // declared nowhere: the partner's encoding counts
			raw, err = gb.Encode([]byte(strings.Replace(string(raw), ` encoding="UTF-8"`, "", 1)))
			require.NoError(t, err)
		}
		if code == "C0053" { // longer than what the bus carries
			raw = []byte(strings.Replace(string(raw), "</text>", strings.Repeat("医", 4<<20)+"</text>", 1))
		}
		for range 2 { // the second time it is known
			status, answer := s.callPlatform(t, registration(d, raw, d.Patient.PersonIDs[0].Extension))
			require.Equal(t, http.StatusOK, status, answer)
			require.Contains(t, answer, "AA", answer)
		}
		o := origin
		o.ControlID, o.Payload = d.ID.String()+"/1", raw
		id := record.NewID(o)
		s.owe(id)
		kinds[id] = code
		status, answer := s.callPlatform(t, registration(d, raw, "990000194001010018"))
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, answer, "MISMATCH", "another patient's number")
		require.NotContains(t, answer, d.Patient.Name)
	}
	s.findsDocuments(t, kinds)
	merge := fmt.Sprintf(platformHead, "PRPA_IN201304UV02", "merge-it-1") + `<controlActProcess><subject><registrationEvent><subject1><patient><id>` +
		`<item root="2.16.156.10011.2.5.1.4" extension="IT-P2"/></id></patient></subject1><replacementOf><priorRegistration><subject1><priorRegisteredRole><id>` +
		`<item root="2.16.156.10011.2.5.1.4" extension="IT-P1"/></id></priorRegisteredRole></subject1></priorRegistration></replacementOf></registrationEvent></subject></controlActProcess></PRPA_IN201304UV02>`
	_, answer := s.callPlatform(t, merge)
	require.Contains(t, answer, "AA", answer)
	o := origin
	o.ControlID, o.Payload = "merge-it-1", []byte(merge)
	s.owe(record.NewID(o))
	_, answer = s.callPlatform(t, "<broken")
	require.Contains(t, answer, "UNREADABLE")

	assert.Len(t, newItems(before, s.quarantined(t)), 6, "five of other patients, one that is no XML")
	s.reconcile(t)
	for id, code := range kinds {
		var events []trail.Event
		eventually(t, "the trail ends with anchored", func() bool {
			s.answer(t, 0, &events, "trace", id.String())
			return events[len(events)-1].Stage == stage.Anchored
		})
		assert.Equal(t, code, events[0].Kind)
	}
}

// findsDocuments asks for what was registered: by number with content, by patient without,
// and for what is not there.
func (s *site) findsDocuments(t *testing.T, kinds map[record.ID]string) {
	t.Helper()
	ask := func(root, parameters string) string {
		_, answer := s.callPlatform(t, fmt.Sprintf(platformHead, root, "query-it")+`<controlActProcess><queryByParameter>`+parameters+`</queryByParameter></controlActProcess></`+root+`>`)
		return html.UnescapeString(answer)
	}
	for _, code := range kinds {
		typ, _ := cda.TypeByCode(code)
		d := cdaexample.Document(typ, 4711)
		byID := ask("RCMR_IN000031UV01", `<clinicalDocument.id><value extension="`+d.ID.Extension+`"/></clinicalDocument.id>`)
		require.Contains(t, byID, `typeCode="AA"`)
		require.Contains(t, byID, "originalText")
		byPatient := ask("RCMR_IN000029UV01", `<patient.id><value><item root="2.16.156.10011.1.3" extension="`+d.Patient.PersonIDs[0].Extension+`"/></value></patient.id>`)
		require.Contains(t, byPatient, `typeCode="AA"`)
		require.Contains(t, byPatient, d.ID.Extension)
		require.NotContains(t, byPatient, "originalText")
	}
	require.Contains(t, ask("RCMR_IN000031UV01", `<clinicalDocument.id><value extension="0000"/></clinicalDocument.id>`), "nothing found")
}
