//go:build corpus

package fhir_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

func corpus(t *testing.T) string {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds fhir-r4 and fhir-r4-invalid")
	return root
}

// refusedExamples are published examples that break what they are examples of.
var refusedExamples = map[string]struct{ expression, why string }{
	"DeviceMetric-example.json":                           {"DeviceMetric.parent.reference", "refers to a DeviceDefinition, only Device is allowed; google/fhir refuses it too"},
	"DeviceUseStatement-example.json":                     {"DeviceUseStatement.reasonReference[0].reference", "refers to a Procedure, which is not allowed there; google/fhir refuses it too"},
	"MedicationRequest-medrx0301.json":                    {"MedicationRequest.dispenseRequest.performer.reference", "refers to a Practitioner, only Organization is allowed; google/fhir refuses it too"},
	"Observation-clinical-gender.json":                    {"Observation.performer[0].reference", "refers to an Encounter as performer; google/fhir refuses it too"},
	"EventDefinition-example.json":                        {"EventDefinition.text.div", "the narrative is empty (txt-2)"},
	"with_contained.json":                                 {"", "no resource: the operand of a patch test, without resourceType"},
	"CCD-Parent-Document-Replace-C-CDAR2.1-expected.json": {"Bundle.entry[2].resource.class", "a converter's output without required elements"},
	"CCD-expected.json":                                   {"Bundle.entry[8].resource.status", "a converter's output without required elements"},
}

// TestCorpusValid takes published resources through: all are accepted, apart from those
// listed above.
func TestCorpusValid(t *testing.T) {
	root, v, seen, refused := corpus(t), fhir.NewValidator(fhir.ValidatorConfig{}), 0, map[string]bool{}
	for _, pattern := range []string{"fhir-r4/*/*.json", "fhir-r4-synthea/*/*.json", "hl7v2-to-fhir/*/*", "cda-to-fhir/*/*/*"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil || !bytes.HasPrefix(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")), []byte("{")) {
				continue // a folder, or the message beside its Bundle
			}
			seen++
			_, issues := v.Validate(context.Background(), data)
			name := filepath.Base(file)
			if want, listed := refusedExamples[name]; listed {
				refused[name] = true
				if assert.True(t, issues.Failed(), "%s is listed as refused", name) {
					assert.Equal(t, want.expression, firstError(issues).Expression, name)
				}
				continue
			}
			assert.False(t, issues.Failed(), "%s: %v", name, issues)
		}
	}
	assert.Len(t, refused, len(refusedExamples), "every listed file is there")
	t.Logf("%d resources, %d refused as listed", seen, len(refused))
}

func firstError(issues fhir.Issues) fhir.Issue {
	for _, i := range issues {
		if i.Severity == fhir.Error || i.Severity == fhir.Fatal {
			return i
		}
	}
	return fhir.Issue{}
}

// otherwise lists the cases of the reference validator that are judged otherwise here.
var otherwise = map[string]string{
	"allergy.json":              "needs a terminology server",
	"bundle-id-collection.json": "needs a terminology server (display names)",
	"cvx.json":                  "needs a terminology server (display names)",
	"medication-atc.json":       "needs a terminology server (display names)",
	"uk-msg.json":               "needs a terminology server",
	"obs-vs-1.json":             "needs profiles (vital signs)",
	"maiden-name.json":          "needs the definitions of extensions",
	"nested-questionnaire-nested-valueset.json": "needs the definitions of extensions",
	"pat-example-ext.json":                      "needs the definitions of extensions",
	"ips-htmlrefs-backwards.json":               "needs the definitions of extensions",
	"bundle-with-contained.json":                "links within narratives and fullUrls of other resources are warnings here: published examples have them",
	"dr-example-org.json":                       "example URLs are a policy of that validator, no rule of FHIR",
	"obs-decimal.json":                          "the bound on digits is of R5; R4 has none, and the digits are kept",
	"list-xhtml-correct1.xml":                   "XML is not taken: refused with the cure",
	"list-xhtml-correct2.xml":                   "XML is not taken: refused with the cure",
	"fhirpath-good.json":                        "R5: CareTeam.participant.onBehalfOf may not be a Practitioner in R4",
	"group-minimal-tiny.json":                   "R5: Group.membership is no element of R4",
	"params-ws.json":                            "strings of R4 hold no control characters (U+000B)",
}

// TestCorpusInvalid holds the verdicts against those of the reference validator.
func TestCorpusInvalid(t *testing.T) {
	root, v := corpus(t), fhir.NewValidator(fhir.ValidatorConfig{})
	f, err := os.Open(filepath.Join(root, "fhir-r4-invalid", "EXPECTED.tsv"))
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	require.NoError(t, err)
	agreed, listed := 0, map[string]bool{}
	for _, row := range rows[1:] {
		data, err := os.ReadFile(filepath.Join(root, "fhir-r4-invalid", row[0]))
		require.NoError(t, err)
		name, want := filepath.Base(row[0]), row[3] != "0"
		_, issues := v.Validate(context.Background(), data)
		if why, is := otherwise[name]; is {
			listed[name] = true
			assert.NotEqual(t, want, issues.Failed(), "%s is listed as judged otherwise: %s", name, why)
			continue
		}
		if assert.Equal(t, want, issues.Failed(), "%s: %s; found %v", name, row[5], issues) {
			agreed++
		}
		assert.True(t, bytes.HasPrefix(fhir.Outcome(issues...), []byte(`{"resourceType":"OperationOutcome"`)))
	}
	assert.Len(t, listed, len(otherwise), "every listed file is there")
	t.Logf("%d cases agree, %d are judged otherwise as listed", agreed, len(listed))
}

// carriers hold one value of a primitive type.
var carriers = map[string]string{
	"boolean": `{"resourceType":"Patient","active":%s}`, "canonical": `{"resourceType":"Patient","meta":{"profile":[%s]}}`,
	"code": `{"resourceType":"Patient","language":%s}`, "date_time": `{"resourceType":"Patient","deceasedDateTime":%s}`,
	"decimal":      `{"resourceType":"Location","position":{"longitude":%s,"latitude":1}}`,
	"integer":      `{"resourceType":"Patient","multipleBirthInteger":%s}`,
	"positive_int": `{"resourceType":"Patient","telecom":[{"rank":%s}]}`, "string": `{"resourceType":"Patient","name":[{"family":%s}]}`,
	"reference": `{"resourceType":"Basic","code":{"text":"x"},"subject":%s}`, "url": `{"resourceType":"Patient","photo":[{"url":%s}]}`,
}

// otherPrimitives are values judged otherwise than in google/fhir's lists.
var otherPrimitives = map[string]string{
	"null":                 "null stands for nothing in those lists; as a property's value FHIR R4 §2.6.2 does not allow it",
	`{"reference": "#p1"}`: "without a contained resource of this id it breaks ref-1",
}

// TestCorpusPrimitives tries google/fhir's lists of values of the primitive types.
func TestCorpusPrimitives(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "fhir-r4-invalid/google+fhir/validation/*.ndjson"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	for _, file := range files {
		kind, valid, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".ndjson"), ".")
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\n")
			if line == "" {
				continue
			}
			_, issues := v.Validate(context.Background(), fmt.Appendf(nil, carriers[kind], line))
			want := valid == "invalid"
			if _, is := otherPrimitives[line]; is {
				want = true
			}
			assert.Equal(t, want, issues.Failed(), "%s %s %s: %v", kind, valid, line, issues)
		}
	}
}
