package googlefhir_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/googlefhir"
)

func TestEngine(t *testing.T) {
	e, err := googlefhir.New(time.UTC)
	require.NoError(t, err)
	for _, c := range []struct{ doc, expression, code string }{
		{`{"resourceType":"Patient","name":[{"text":"王小明"}],"gender":"male"}`, "", ""},
		{`{"resourceType":"Observation","code":{"text":"x"}}`, "Observation", "required"},
		{`{"resourceType":"Parameters","parameter":[{"name":"p","resource":{"resourceType":"Bundle","type":"collection"}}]}`, "", ""},
		{`{"resourceType":"Patient","foo":1}`, "Patient", "structure"},
		{`{"resourceType":"Patient","gender":"M"}`, "Patient.gender", "code-invalid"},
		{`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"encounter":{"reference":"Patient/1"}}}]}`, "Bundle.entry[0].resource.encounter", "value"},
		{`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Encounter","status":"planned"}}]}`, "Bundle.entry[0].resource", "required"},
	} {
		issues := e.Check([]byte(c.doc))
		if c.code == "" {
			assert.Empty(t, issues, c.doc)
			continue
		}
		require.NotEmpty(t, issues, c.doc)
		assert.Equal(t, c.expression, issues[0].Expression, c.doc)
		assert.Equal(t, fhir.Code(c.code), issues[0].Code, "%s: %v", c.doc, issues)
	}
}

func TestNothingOfTheContentIsQuoted(t *testing.T) {
	e, err := googlefhir.New(time.UTC)
	require.NoError(t, err)
	for _, doc := range []string{
		`{"resourceType":"Patient","birthDate":"SECRET"}`, `{"resourceType":"Patient","SECRET":1}`, `{"resourceType":"SECRET"}`, `{"resourceType":"Patient","gender":"SECRET"}`,
		`{"resourceType":"Patient","active":"SECRET"}`, `{"resourceType":"Patient","managingOrganization":{"reference":"Patient/SECRET"}}`, `SECRET`,
	} {
		issues := e.Check([]byte(doc))
		require.NotEmpty(t, issues, doc)
		for _, i := range issues {
			assert.NotContains(t, strings.ToUpper(i.String()), "SECRET", doc)
		}
	}
}
