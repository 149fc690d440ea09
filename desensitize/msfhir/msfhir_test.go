package msfhir_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/msfhir"
)

var asOf = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func project(t testing.TB) *desensitize.Project {
	t.Helper()
	p, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P2026-001", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	return p
}

// cipher stands in for SM4.
type cipher struct{}

func (cipher) Encrypt(plain []byte) (string, error) {
	return "c" + string(rune('0'+len(plain)%10)), nil
}

func run(t *testing.T, config, in string) (string, error) {
	t.Helper()
	c, err := msfhir.Parse([]byte(config))
	require.NoError(t, err)
	require.NoError(t, c.Check())
	w, err := msfhir.New(c, msfhir.Options{Project: project(t), AsOf: asOf, Cipher: cipher{}})
	require.NoError(t, err)
	out, err := w.Record(context.Background(), []byte(in), nil, nil, &desensitize.Report{})
	return string(out), err
}

const parameters = `"parameters": {"dateShiftKey": "k", "cryptoHashKey": "123", "enablePartialAgesForRedact": true, "enablePartialDatesForRedact": true,
	"enablePartialZipCodesForRedact": true, "restrictedZipCodeTabulationAreas": ["036"]}`

func TestMethods(t *testing.T) {
	for _, c := range []struct{ rule, in, want string }{
		{`"path": "Patient.birthDate", "method": "redact"`, `"birthDate":"1950-03-04"`, `"birthDate":"1950"`},
		{`"path": "Patient.birthDate", "method": "redact"`, `"birthDate":"1930-03-04"`, ``},
		{`"path": "Patient.address", "method": "redact"`, `"address":[{"postalCode":"98052","city":"x"}]`, `"address":[{"postalCode":"98000"}]`},
		{`"path": "Patient.address", "method": "redact"`, `"address":[{"postalCode":"03601-12"}]`, `"address":[{"postalCode":"00000*00"}]`},
		{`"path": "Patient.id", "method": "cryptoHash"`, `"id":"1"`, `"id":"ccc8c71905806db18c0241b58a8e36e949ab8a45961041b4226b2a4284568e69"`},
		{`"path": "Patient.id", "method": "cryptoHash", "truncateToMaxLength": 8`, `"id":"1"`, `"id":"ccc8c719"`},
		{`"path": "Patient.managingOrganization", "method": "cryptoHash", "truncateToMaxLength": 8`, `"managingOrganization":{"reference":"http://h/fhir/Organization/1"}`, `"managingOrganization":{"reference":"http://h/fhir/Organization/ccc8c719"}`},
		{`"path": "Patient.name.family", "method": "encrypt"`, `"name":[{"family":"abc"}]`, `"name":[{"family":"c3"}]`},
		{`"path": "Patient.name.given", "method": "substitute", "replaceWith": "x"`, `"name":[{"given":["a","b"]}]`, `"name":[{"given":["x","x"]}]`},
		{`"path": "Patient.name", "method": "remove"`, `"active":true,"name":[{"given":["a"]}]`, `"active":true`},
		{`"path": "Patient.active", "method": "dateShift"`, `"active":true`, `"active":true`},
		{`"path": "Patient.multipleBirth", "method": "generalize", "cases": {"$this > 1": "9"}, "otherValues": "keep"`, `"multipleBirthInteger":1`, `"multipleBirthInteger":1`},
		{`"path": "Patient.multipleBirth", "method": "generalize", "cases": {"$this > 1": "9"}`, `"multipleBirthInteger":1`, ``},
		{`"path": "Patient.multipleBirth", "method": "generalize", "cases": {"$this > 1": "$this + 6"}`, `"multipleBirthInteger":3`, `"multipleBirthInteger":9`},
		{`"path": "Patient.multipleBirth", "method": "perturb", "span": 0`, `"multipleBirthInteger":3`, `"multipleBirthInteger":3`},
	} {
		out, err := run(t, `{"fhirPathRules": [{`+c.rule+`}], `+parameters+`}`, `{"resourceType":"Patient",`+c.in+`}`)
		require.NoError(t, err, c.rule)
		if i := strings.Index(out, `,"meta":`); i >= 0 {
			out = out[:i] + "}"
		}
		want := `{"resourceType":"Patient"}`
		if c.want != "" {
			want = `{"resourceType":"Patient",` + c.want + `}`
		}
		require.JSONEq(t, want, out, c.rule)
	}
}

// TestDateShift keeps intervals, takes the time of day off and never leaves a date where it
// was; a fixed offset is taken as given.
func TestDateShift(t *testing.T) {
	in := `{"resourceType":"Encounter","id":"1","period":{"start":"2024-05-01T08:00:00Z","end":"2024-05-11"}}`
	out, err := run(t, `{"fhirPathRules": [{"path": "nodesByType('dateTime')", "method": "dateShift"}], `+parameters+`}`, in)
	require.NoError(t, err)
	m := regexp.MustCompile(`"start":"(\d{4}-\d\d-\d\d)T00:00:00\+00:00","end":"(\d{4}-\d\d-\d\d)"`).FindStringSubmatch(out)
	require.Len(t, m, 3, out)
	start, _ := time.Parse("2006-01-02", m[1])
	end, _ := time.Parse("2006-01-02", m[2])
	require.Equal(t, 240*time.Hour, end.Sub(start))
	require.NotEqual(t, "2024-05-01", m[1])
	out, err = run(t, `{"fhirPathRules": [{"path": "nodesByType('dateTime')", "method": "dateShift"}], "parameters": {"dateShiftFixedOffsetInDays": 3}}`, in)
	require.NoError(t, err)
	require.Contains(t, out, `"end":"2024-05-14"`)
}

func TestProcessingErrors(t *testing.T) {
	rule := `"fhirPathRules": [{"path": "Patient.gender", "method": "generalize", "cases": {"$this >= 0": "1"}}]`
	in := `{"resourceType":"Patient","gender":"male"}`
	_, err := run(t, `{`+rule+`}`, in)
	require.ErrorIs(t, err, msfhir.ErrProcessing)
	require.NotContains(t, err.Error(), "male")
	out, err := run(t, `{"processingErrors": "skip", `+rule+`}`, in)
	require.NoError(t, err)
	require.JSONEq(t, `{"resourceType":"Patient","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED","display":"redacted"}]}}`, out)
}

// TestFaults: all are named at once, with their rules.
func TestFaults(t *testing.T) {
	_, err := msfhir.Parse([]byte(`{"fhirVersion":"STU3","processingErrors":"x","fhirPathRules":[{"method":"redact"},{"path":"a","method":"b"},1],"parameters":{"encryptKey":"x","dateShiftScope":"y","restrictedZipCodeTabulationAreas":[1]}}`))
	for _, want := range []string{"fhirVersion", "processingErrors", "fhirPathRules[0]: path is missing", `fhirPathRules[1]: method "b"`, "fhirPathRules[2]: a rule is an object", "encryptKey", "dateShiftScope", "three digits"} {
		require.ErrorContains(t, err, want)
	}
	for _, in := range []string{"", "[", "{", "a", "- a", strings.Repeat("x", msfhir.MaxBytes+1)} {
		_, err := msfhir.Parse([]byte(in))
		require.Error(t, err)
	}
	c, err := msfhir.Parse([]byte(`{"fhirPathRules":[{"path":"Patient.name","method":"encrypt"},]}`))
	require.NoError(t, err)
	_, err = msfhir.New(c, msfhir.Options{Project: project(t)})
	require.ErrorContains(t, err, "no key to encrypt with")
	_, err = msfhir.New(c, msfhir.Options{})
	require.ErrorContains(t, err, "a project")
	_, err = msfhir.Read(strings.NewReader("fhirPathRules:\n  - {path: Patient.a b, method: redact}\n"))
	require.NoError(t, err)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"fhirPathRules": [{"path": "Patient.name", "method": "perturb", "span": "1"},], ` + parameters + `}`))
	f.Add([]byte("fhirPathRules:\n  - path: Patient.birthDate\n    method: generalize\n    cases: {\"$this\": \"$this\"}\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if c, err := msfhir.Parse(data); err == nil {
			_ = c.Check()
		}
	})
}
