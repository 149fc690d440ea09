package resources_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/release/resources"
	"github.com/emrbridge/emrbridge/record"
)

func rec(media, payload string) *record.Record {
	return &record.Record{MediaType: media, Charset: "UTF-8", Payload: []byte(payload)}
}

const message = "MSH|^~\\&|HIS|H1|X|H1|20260301080000||ADT^A01^ADT_A01|1|P|2.5||||||UNICODE UTF-8\r" +
	"PID|1||77^^^H1^PI||李^明||19700101|M|||松岚路1号^^成都市^四川省^^CHN^H^^武侯区\rPV1|1|I|内科\rDG1|1||I10.x00^高血压病^I10||20260301|A\r"

func TestMessagesBecomeResourcesThatPointAtEachOther(t *testing.T) {
	list, err := resources.Read(rec(hl7.MediaType, message), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"I10.x00"}, list.Diagnoses())
	assert.Contains(t, list.Region(), "四川省成都市")
	ids := map[string]bool{}
	for _, r := range list {
		ids[r["resourceType"].(string)+"/"+r["id"].(string)] = true
	}
	for _, r := range list {
		if s, ok := r["subject"].(map[string]any); ok {
			assert.True(t, ids[s["reference"].(string)], s)
		}
	}
	b, err := list.Without("MessageHeader").Bundle()
	require.NoError(t, err)
	again, err := resources.Parse(b)
	require.NoError(t, err)
	assert.Len(t, again, len(list)-1)
	raw, err := again.Raw()
	require.NoError(t, err)
	assert.Len(t, raw, len(again))
}

func TestFHIRIsTakenApart(t *testing.T) {
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"urn:uuid:5f1e0b3a-0000-4000-8000-000000000001","resource":{"resourceType":"Patient","address":[{"text":"x"},{"state":"四川省","city":"成都市"}]}},
{"resource":{"resourceType":"Condition","subject":{"reference":"urn:uuid:5f1e0b3a-0000-4000-8000-000000000001"},"code":{"coding":[
{"system":"http://hl7.org/fhir/sid/icd-10","code":"E11.9"},{"code":"I10"},{"system":"http://snomed.info/sct","code":"44054006"}]}}},
{"resource":{"resourceType":"Encounter","id":"e","reasonCode":[{"coding":[{"system":"urn:oid:2.16.156.10011.2.3.3.11","code":"J18.9"}]}]}},
{"search":{}}]}`
	list, err := resources.Read(rec(fhir.MediaType, bundle), nil)
	require.NoError(t, err)
	require.Len(t, list, 3)
	assert.Equal(t, []string{"E11.9", "I10", "J18.9"}, list.Diagnoses())
	assert.Equal(t, "四川省成都市", list.Region())
	assert.Equal(t, "Patient/5f1e0b3a-0000-4000-8000-000000000001", list[1]["subject"].(map[string]any)["reference"])
	one, err := resources.Read(rec(fhir.MediaType, `{"resourceType":"Observation","id":"o","valueQuantity":{"value":5.10}}`), nil)
	require.NoError(t, err)
	b, err := json.Marshal(one[0])
	require.NoError(t, err)
	assert.Contains(t, string(b), "5.10")
}

func TestDocuments(t *testing.T) {
	doc := `<ClinicalDocument><value xsi:type="CD" code="I21.900" codeSystem="2.16.156.10011.2.3.3.11" displayName="x"/>` +
		`<code codeSystem='2.16.156.10011.2.3.3.11' code='E11.9'/><code code="A" codeSystem="1.2"/></ClinicalDocument>`
	_, err := resources.Read(rec(cda.MediaType, doc), nil)
	require.ErrorIs(t, err, resources.ErrFormat)
	assert.Equal(t, []string{"I21.900", "E11.9"}, resources.DocumentDiagnoses([]byte(doc)))
	assert.Len(t, resources.DocumentDiagnoses([]byte(strings.Repeat(doc, 1000))), 256)
	assert.Equal(t, "990101", resources.Birthplace(record.Patient{Identifiers: []record.Identifier{{Type: record.ResidentID, Value: "990101199003071237"}}}))
	assert.Empty(t, resources.Birthplace(record.Patient{}))
}

func TestRefused(t *testing.T) {
	for media, payloads := range map[string][]string{
		hl7.MediaType:  {"", "PID|1", "\xff\xfe"},
		fhir.MediaType: {"", "{", `{"a":1}`, `[]`, `{"resourceType":"Patient"}{}`},
	} {
		for _, p := range payloads {
			_, err := resources.Read(rec(media, p), nil)
			require.ErrorIs(t, err, resources.ErrMalformed, "%s %q", media, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}`))
	f.Add([]byte(`{"resourceType":"Patient","a":[[{"reference":"x"}]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := resources.Parse(b)
		if err != nil {
			require.ErrorIs(t, err, resources.ErrMalformed)
			return
		}
		list.Diagnoses()
		list.Region()
		_, err = list.Bundle()
		require.NoError(t, err)
	})
}
