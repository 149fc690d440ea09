//go:build corpus

package cda_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
)

// refused lists the documents of the corpus that are not taken, each with the reason that
// the error names.
var refused = map[string]string{
	// Wrong on purpose, after the manifest.
	"oehf+ipf/resources/IHE_LabReport_20070816_Errored.xml": "not under the template", // its comments say which entries are wrong
	"oehf+ipf/resources/SampleCCRDocument.xml":              "this is a CCR",
	// Not documents: settings of a logger, a form with REPLACE_ME and times 0000, a header
	// with one field for a test of zones.
	"oehf+ipf/resources/log4j2.xml":                             "not ClinicalDocument",
	"oehf+ipf/resources/cdar2Template.xml":                      "effectiveTime",
	"microsoft+FHIR-Converter/Input/CcdaTestTimezoneInput.ccda": "no id",
	"FHIR+fhir-test-cases/cda/example.xml":                      "no effectiveTime", // nor author, custodian, body
	// Parts of documents, in no namespace: "required content like the document header has been omitted".
	"HL7+C-CDA-Examples/Entry Reference_2.16.840.1.113883.10.20.22.4.122/Diagnosis Reference Example.xml":                                                     "not in the namespace",
	"HL7+C-CDA-Examples/US Realm Header (V3)_2.16.840.1.113883.10.20.22.1.1/Supporting Person participant Example.xml":                                        "not in the namespace",
	"HL7+C-CDA-Examples/US Realm Header for Patient Generated Document (V2)_2.16.840.1.113883.10.20.29.1/Patient Generated Document informationRecipient.xml": "not in the namespace",
	// Parts of documents whose prefix xsi is not declared: no XML with namespaces.
	"HL7+C-CDA-Examples/Health Concerns Link to Problems Section/Health Concerns Link to Problems Section(C-CDA2.1).xml":                             "prefix that is not declared",
	"HL7+C-CDA-Examples/Health Concerns Link to Problems Section with linkHTML/Health Concerns Link to Problems Section with linkHTML(C-CDA2.1).xml": "prefix that is not declared",
	"HL7+C-CDA-Examples/Planned Encounter - Referral/Planned Encounter - Reason for Referral(C-CDAR2.1).xml":                                         "prefix that is not declared",
}

// corpus returns a folder of the outside data; a run without it is a failure.
func corpus(t *testing.T, kind string) string {
	t.Helper()
	dir := os.Getenv("CORPUS")
	require.NotEmpty(t, dir, "run: make corpus CORPUS=<folder>")
	return filepath.Join(dir, kind)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	require.NotEmpty(t, out)
	return out
}

func read(raw []byte) (*cda.Document, error) {
	d, err := cda.Parse(raw, cda.ReadOptions{})
	if err == nil {
		err = cda.Check(d, cda.Partner{})
	}
	return d, err
}

func TestCorpusDocuments(t *testing.T) {
	dir, taken, listed := corpus(t, "cda"), 0, 0
	for _, path := range files(t, dir) {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		name, _ := filepath.Rel(dir, path)
		_, err = read(raw)
		if why, ok := refused[filepath.ToSlash(name)]; ok {
			listed++
			assert.ErrorContains(t, err, why, name)
			continue
		}
		if !assert.NoError(t, err, name) {
			continue
		}
		taken++
		r, err := cda.NewMapper(cda.MapperConfig{}).Map(cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP",
			Sender: "s", ControlID: "c", ReceivedAt: time.UnixMilli(1)})
		require.NoError(t, err, name)
		require.NoError(t, r.Validate(), name)
		assert.True(t, bytes.Equal(raw, r.Payload), name)
		assert.NotEmpty(t, r.Patient.Identifiers, name)
		assert.False(t, r.EventTime.IsZero(), name)
		assert.True(t, strings.HasPrefix(r.Kind, "CDA/"), name)
	}
	assert.Equal(t, len(refused), listed, "every listed file is there")
	t.Logf("%d documents taken, %d refused as listed", taken, listed)
}

// Template fragments are no documents.
func TestCorpusFragments(t *testing.T) {
	for _, path := range files(t, corpus(t, "cda-fragments")) {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = read(raw)
		assert.Error(t, err, path)
	}
}

// The examples hold against the schemas that others published.
func TestCorpusSchemas(t *testing.T) {
	lint, err := exec.LookPath("xmllint")
	require.NoError(t, err, "apt-get install libxml2-utils")
	for _, schema := range files(t, corpus(t, "cn-cda-schema")) {
		code := strings.TrimSuffix(filepath.Base(schema), ".xsd")
		typ, ok := cda.TypeByCode(code)
		require.True(t, ok, code)
		for seed := range uint64(3) {
			d := cdaexample.Document(typ, seed)
			// These two schemas fix another title than the standard.
			if title := map[string]string{"C0026": "手术知情同意书", "C0031": "其他知情告知同意书"}[code]; title != "" {
				d.Title = title
			}
			raw, err := cda.Render(d, cda.Roots{})
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), lint, "--noout", "--nonet", "--schema", schema, "-")
			cmd.Stdin = bytes.NewReader(raw)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s: %.1000s", code, out)
		}
	}
}
