package schema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

func TestResources(t *testing.T) {
	all := schema.Resources()
	assert.Len(t, all, 146, "the concrete resource types of FHIR R4")
	for _, name := range []string{"Patient", "Bundle", "Parameters", "Binary", "DocumentReference"} {
		assert.Contains(t, all, name)
	}
}

func TestElements(t *testing.T) {
	p, ok := schema.FindResource("Patient")
	require.True(t, ok)
	gender, ok := p.Element("gender")
	require.True(t, ok)
	assert.ElementsMatch(t, []string{"male", "female", "other", "unknown"}, gender.Codes)
	death, ok := p.Element("deceasedDateTime")
	require.True(t, ok)
	assert.Equal(t, "deceased", death.Choice)
	link, ok := p.Element("link")
	require.True(t, ok)
	other, ok := link.Type.Element("other")
	require.True(t, ok)
	assert.True(t, other.Required)
	assert.True(t, other.Allows("RelatedPerson"))
	assert.False(t, other.Allows("Organization"))
	_, ok = schema.FindResource("HumanName")
	assert.False(t, ok, "a data type is no resource")
	e, ok := schema.FindResource("Encounter")
	require.True(t, ok)
	class, ok := e.Element("class")
	require.True(t, ok)
	assert.True(t, class.Required)
}
