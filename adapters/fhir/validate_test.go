package fhir_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

func validate(t *testing.T, doc string) fhir.Issues {
	t.Helper()
	_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(context.Background(), []byte(doc))
	return issues
}

const patient = `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"110101199003070074"}],
 "name":[{"text":"王小明","family":"王","given":["小明"]}],"gender":"male","birthDate":"1990-03-07","_birthDate":{"extension":[{"url":"http://example.org/x","valueString":"y"}]}}`

func TestValid(t *testing.T) {
	for name, doc := range map[string]string{
		"patient":               patient,
		"byte order mark":       "\xEF\xBB\xBF" + patient,
		"value or extension":    `{"resourceType":"Observation","_status":{"extension":[{"url":"http://example.org/x","valueCode":"unknown"}]},"code":{"text":"x"}}`,
		"null beside extension": `{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"x"}]}]}`,
		"contained, referred":   `{"resourceType":"Observation","status":"final","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"a"}],"subject":{"reference":"#a"}}`,
		"contained refers back": `{"resourceType":"Patient","contained":[{"resourceType":"Provenance","id":"a","target":[{"reference":"#"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}]}`,
		"long decimal":          `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00000000000000000000000000000000000010}}`,
		"narrative":             `{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>&#160;王 <b>x</b></p></div>"}}`,
	} {
		issues := validate(t, doc)
		assert.False(t, issues.Failed(), "%s: %v", name, issues)
	}
}

// Each row: a fault, the FHIRPath at which it is told, and its code or rule.
var faults = []struct{ name, doc, expression, code string }{
	{"no type", `{"id":"x"}`, "", "required"},
	{"not an object", `[]`, "", "structure"},
	{"unknown type", `{"resourceType":"Patience"}`, "Patience", "structure"},
	{"unknown property", `{"resourceType":"Patient","foo":1}`, "Patient", "structure"},
	{"case of a property", `{"resourceType":"Patient","Gender":"male"}`, "Patient", "structure"},
	{"choice without type", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"value":1}`, "Observation", "structure"},
	{"required", `{"resourceType":"Observation","code":{"text":"x"}}`, "Observation.status", "required"},
	{"required choice", `{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"display":"x"}}`, "MedicationRequest.medication", "required"},
	{"two types of a choice", `{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2026"}`, "Patient.deceased", "structure"},
	{"array wanted", `{"resourceType":"Patient","name":{"text":"x"}}`, "Patient.name", "structure"},
	{"array not wanted", `{"resourceType":"Patient","gender":["male"]}`, "Patient.gender", "structure"},
	{"empty array", `{"resourceType":"Patient","name":[]}`, "Patient.name", "ele-1"},
	{"empty object", `{"resourceType":"Patient","name":[{}]}`, "Patient.name[0]", "ele-1"},
	{"empty string", `{"resourceType":"Patient","name":[{"text":""}]}`, "Patient.name[0].text", "value"},
	{"null", `{"resourceType":"Patient","active":null}`, "Patient.active", "structure"},
	{"null in array", `{"resourceType":"Patient","name":[{"given":[null]}]}`, "Patient.name[0].given[0]", "structure"},
	{"boolean as text", `{"resourceType":"Patient","active":"true"}`, "Patient.active", "value"},
	{"code", `{"resourceType":"Patient","gender":"M"}`, "Patient.gender", "code-invalid"},
	{"date", `{"resourceType":"Patient","birthDate":"1990-02-30"}`, "Patient.birthDate", "value"},
	{"time without zone", `{"resourceType":"Patient","deceasedDateTime":"2026-01-01T10:00:00"}`, "Patient.deceased.ofType(dateTime)", "value"},
	{"id", `{"resourceType":"Patient","id":"a b"}`, "Patient.id", "value"},
	{"integer", `{"resourceType":"Patient","multipleBirthInteger":1.0}`, "Patient.multipleBirth.ofType(integer)", "value"},
	{"control character", `{"resourceType":"Patient","name":[{"text":"a\u0000b"}]}`, "Patient.name[0].text", "value"},
	{"reference type", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"encounter":{"reference":"Patient/1"}}`, "Observation.encounter.reference", "structure"},
	{"reference without type", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"1234"}}`, "Observation.subject.reference", "value"},
	{"contained missing", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"#a"}}`, "Observation.subject.reference", "ref-1"},
	{"contained unused", `{"resourceType":"Patient","contained":[{"resourceType":"Basic","id":"a","code":{"text":"x"}}]}`, "Patient.contained[0]", "dom-3"},
	{"period", `{"resourceType":"Patient","name":[{"text":"x","period":{"start":"2026-02","end":"2026-01"}}]}`, "Patient.name[0].period", "per-1"},
	{"extension", `{"resourceType":"Patient","extension":[{"url":"http://x.org/y"}]}`, "Patient.extension[0]", "ext-1"},
	{"component", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueBoolean":true,"dataAbsentReason":{"text":"x"}}`, "Observation", "obs-6"},
	{"attachment size", `{"resourceType":"Patient","photo":[{"contentType":"a/b","data":"AAAA","size":4}]}`, "Patient.photo[0].size", "value"},
	{"attachment base64", `{"resourceType":"Patient","photo":[{"contentType":"a/b","data":"AAA"}]}`, "Patient.photo[0].data", "value"},
	{"document", `{"resourceType":"Bundle","type":"document","identifier":{"system":"urn:x:y","value":"1"},"timestamp":"2026-01-01T00:00:00Z","entry":[{"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":` + patient + `}]}`, "Bundle", "bdl-11"},
	{"entry without request", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":` + patient + `}]}`, "Bundle.entry[0]", "bdl-3"},
	{"fault in a Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","name":[{"given":["a",1]}]}}]}`, "Bundle.entry[0].resource.name[0].given[1]", "value"},
	{"script", `{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"}}`, "Basic.text.div", "txt-1"},
	{"STU3 type", `{"resourceType":"ProcedureRequest"}`, "ProcedureRequest", "not-supported"},
	{"R5 type", `{"resourceType":"SubscriptionTopic"}`, "SubscriptionTopic", "not-supported"},
	{"R5 element", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"actualPeriod":{}}`, "Encounter", "not-supported"},
	{"STU3 profile", `{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/3.0/StructureDefinition/Patient"]}}`, "Patient.meta.profile[0]", "not-supported"},
	{"R5 profile", `{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient|5.0.0"]}}`, "Patient.meta.profile[0]", "not-supported"},
	{"property twice", `{"resourceType":"Patient","active":true,"active":false}`, "active", "structure"},
	{"number", `{"resourceType":"Patient","multipleBirthInteger":01}`, "multipleBirthInteger", "structure"},
	{"XML", `<Patient/>`, "", "structure"},
	{"trailing", patient + `x`, "", "structure"},
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		issues := validate(t, f.doc)
		if !assert.True(t, issues.Failed(), f.name) {
			continue
		}
		first := issues[0]
		assert.Equal(t, f.expression, first.Expression, "%s: %v", f.name, issues)
		assert.Contains(t, []string{string(first.Code), first.Rule}, f.code, "%s: %v", f.name, issues)
	}
}

func TestNothingOfTheContentIsQuoted(t *testing.T) {
	for _, f := range faults {
		doc := strings.ReplaceAll(f.doc, "小明", "SECRETNAME")
		out := string(fhir.Outcome(validate(t, doc)...)) + validate(t, doc).Error()
		for _, content := range []string{"SECRETNAME", "110101199003070074", "1990-02-30", "王"} {
			assert.NotContains(t, out, content, f.name)
		}
	}
	out := string(fhir.Outcome(validate(t, `{"resourceType":"Patient","张三 110101199003070074":1}`)...))
	assert.NotContains(t, out, "1101", "a property's name may be content too")
}

func TestLimits(t *testing.T) {
	v := fhir.NewValidator(fhir.ValidatorConfig{Limits: fhir.Limits{MaxBytes: 100, MaxDepth: 4, MaxValues: 8}})
	for name, doc := range map[string]string{
		"size": `{"resourceType":"Patient","id":"` + strings.Repeat("x", 100) + `"}`, "depth": `{"a":[[[[1]]]]}`, "values": `[1,2,3,4,5,6,7,8,9]`,
	} {
		_, issues := v.Validate(context.Background(), []byte(doc))
		require.Len(t, issues, 1, name)
		assert.Equal(t, fhir.CodeTooLong, issues[0].Code, name)
	}
	many := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"x":1},`, 500) + `{"x":1}]}`
	assert.LessOrEqual(t, len(validate(t, many)), 101, "issues are bounded")
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	doc := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"text":"a"},`, 5000) + `{"text":"a"}]}`
	_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(ctx, []byte(doc))
	require.NotEmpty(t, issues)
	assert.Equal(t, fhir.CodeTimeout, issues[len(issues)-1].Code)
}

func TestOutcomeIsValid(t *testing.T) {
	for _, f := range faults {
		out := fhir.Outcome(validate(t, f.doc)...)
		require.True(t, json.Valid(out))
		assert.False(t, validate(t, string(out)).Failed(), "%s: %s", f.name, out)
	}
	assert.False(t, validate(t, string(fhir.Outcome())).Failed())
}

func TestNodesKeepText(t *testing.T) {
	n, err := fhir.Parse([]byte(` {"a" : [1.10, "\ud83d\ude00\n", true]} `), fhir.Limits{})
	require.NoError(t, err)
	items := n.Get("a").Items
	assert.Equal(t, "1.10", items[0].Text)
	assert.Equal(t, "😀\n", items[1].Str())
	assert.True(t, items[2].IsTrue())
	assert.Nil(t, n.Get("b").Get("c"))
	var syntax *fhir.SyntaxError
	_, err = fhir.Parse([]byte("{\n \"a\":}"), fhir.Limits{})
	require.True(t, errors.As(err, &syntax))
	assert.Equal(t, 2, syntax.Line)
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(patient))
	for _, one := range faults {
		f.Add([]byte(one.doc))
	}
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, issues := v.Validate(context.Background(), data)
		if !json.Valid(fhir.Outcome(issues...)) {
			t.Fatal("the outcome is no JSON")
		}
		if r != nil && !json.Valid([]byte(strings.TrimPrefix(string(data), "\xEF\xBB\xBF"))) {
			t.Fatal("what is no JSON was read")
		}
		if r == nil && !issues.Failed() {
			t.Fatal("nothing was read and nothing is wrong")
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	entry := `{"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":` + patient + `}`
	doc := []byte(`{"resourceType":"Bundle","type":"history","entry":[` + strings.Repeat(entry+",", 500) + entry + `]}`)
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		v.Validate(context.Background(), doc)
	}
}
