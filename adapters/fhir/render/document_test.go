package render_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/render"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	received = time.Date(2026, 3, 2, 8, 15, 0, 0, hl7.ChinaStandardTime)
	sealedAt = received.Add(3 * time.Second)
)

// sample is a sealed record of a payload.
func sample(kind, media, charset string, payload []byte) render.Sealed {
	r := &record.Record{
		ModelVersion: record.ModelVersion, HospitalMSP: "H1MSP", Sender: "HIS|H1", ControlID: "C-1", Kind: kind,
		Patient: record.Patient{
			Identifiers: []record.Identifier{{Type: record.ResidentID, Value: "99010619411003553X"}, {Authority: "H1", Type: record.InpatientNo, Value: "ZY1"}},
			Name:        "诸葛珅涛", BirthDate: "19411003", Gender: "1",
		},
		Encounter: "ZY0001", Author: "陆清和", EventTime: record.NewTime(received, record.Minute, true), ReceivedAt: received.UnixMilli(),
		MediaType: media, Charset: charset, Confidentiality: record.Normal, Payload: payload,
	}
	r.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: r.HospitalMSP, Sender: r.Sender, ControlID: r.ControlID, Payload: payload})
	return render.Sealed{Record: r, Owner: "示范医院", Proof: ledger.Anchor{
		EMR: [32]byte{1, 2, 3}, Cipher: [32]byte{4, 5, 6}, Signature: []byte("signature in DER"), Signed: []byte("emrbridge/seal/v1\n…"), SealedAt: sealedAt,
		Tx: strings.Repeat("ab", 32), Block: 1 << 40, Batch: strings.Repeat("cd", 16), At: sealedAt.Add(time.Second),
	}}
}

const message = "MSH|^~\\&|HIS|H1|B|H2|20260302081500||ADT^A01|C-1|P|2.4\rPID|1||10000001^^^H1^PI||诸葛^珅涛||19411003|M\rPV1|1|I|呼吸内科^12^03\rZPI|1|医保\r"

func samples(t *testing.T) map[string]render.Sealed {
	gb, err := hl7.GB18030.Encode([]byte(message))
	require.NoError(t, err)
	patient := []byte(`{"resourceType":"Patient","id":"p1","name":[{"text":"诸葛珅涛"}],"gender":"male"}`)
	bundle := []byte(`{"resourceType":"Bundle","type":"collection","entry":[` +
		`{"fullUrl":"http://h1.example.org/fhir/Patient/p1","resource":` + string(patient) + `},` +
		`{"fullUrl":"http://h1.example.org/fhir/Observation/o1","resource":{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"血糖"},"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":5.60,"unit":"mmol/L"}}}]}`)
	broken := sample("ADT^A01", hl7.MediaType, "UNICODE UTF-8", []byte("not a message"))
	corrected := sample("C0053", "application/hl7-cda+xml", "", []byte("<ClinicalDocument/>"))
	corrected.Record.Version, corrected.Record.Replaces = "2", "DOC-1"
	corrected.Record.Metadata = map[string]string{"title": "出院小结", "document-id": "1.2.3^DOC-2", "legal-authenticator": "D105 孙思邈", "sections": "7"}
	bare := sample("C0001", "application/hl7-cda+xml", "", []byte("<ClinicalDocument/>"))
	bare.Record.Patient, bare.Record.EventTime, bare.Record.Encounter, bare.Record.Author = record.Patient{}, record.Time{}, "", ""
	bare.Proof = ledger.Anchor{}
	return map[string]render.Sealed{
		"hl7v2":       sample("ADT^A01", hl7.MediaType, "GB 18030-2000", gb),
		"fhir":        sample("Patient", "application/fhir+json", "", patient),
		"fhir-bundle": sample("Bundle/collection", "application/fhir+json; charset=utf-8", "", bundle),
		"cda":         corrected,
		"bare":        bare,
		"unreadable":  broken,
	}
}

// TestGoldens renders each sample, compares it with testdata and lets the validator judge it.
func TestGoldens(t *testing.T) {
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			b, err := render.Document(s, render.Options{At: received.Add(time.Hour)})
			require.NoError(t, err)
			text, err := json.Marshal(b)
			require.NoError(t, err)
			_, issues := v.Validate(t.Context(), text)
			require.False(t, issues.Failed(), "%v", issues)

			var got bytes.Buffer
			require.NoError(t, json.Indent(&got, text, "", " "))
			got.WriteByte('\n')
			golden := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String(), "go test ./adapters/fhir/render -update writes it anew")
		})
	}
}

// TestOriginalAlwaysComesAlong finds the payload, byte for byte, in every document.
func TestOriginalAlwaysComesAlong(t *testing.T) {
	for name, s := range samples(t) {
		b, err := render.Document(s, render.Options{})
		require.NoError(t, err, name)
		text, err := json.Marshal(b)
		require.NoError(t, err)
		var doc struct {
			Entry []struct {
				Resource struct {
					ResourceType string
					Data         []byte
				}
			}
		}
		require.NoError(t, json.Unmarshal(text, &doc))
		require.Equal(t, "Composition", doc.Entry[0].Resource.ResourceType, "a document begins with its Composition")
		found := false
		for _, e := range doc.Entry {
			found = found || e.Resource.ResourceType == "Binary" && bytes.Equal(e.Resource.Data, s.Record.Payload)
		}
		require.True(t, found, name)
	}
}

func TestNoRecord(t *testing.T) {
	_, err := render.Document(render.Sealed{}, render.Options{})
	require.ErrorIs(t, err, render.ErrNoRecord)
}

// FuzzDocument renders any payload of any media type: never a panic, always JSON.
func FuzzDocument(f *testing.F) {
	f.Add("application/fhir+json", []byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"X"}},{"fullUrl":"a","resource":1},{}]}`))
	f.Add(hl7.MediaType, []byte(message))
	f.Add("application/fhir+json", []byte(`[]`))
	f.Fuzz(func(t *testing.T, media string, payload []byte) {
		b, err := render.Document(sample("K", media, "", payload), render.Options{})
		require.NoError(t, err)
		text, err := json.Marshal(b)
		require.NoError(t, err)
		require.True(t, json.Valid(text))
	})
}
