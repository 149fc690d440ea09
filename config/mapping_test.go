package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMappings(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "h.yaml"), []byte("format: 1\n"), 0o600))
	c, err := Parse([]byte("hl7:\n  mapping: h.yaml\n  mappings:\n    - {sender: LIS, file: h.yaml}\n    - {sender: \"LIS|*\", file: none.yaml}\n    - {sender: \"\", file: \"\"}\n"), dir)
	assert.Equal(t, filepath.Join(dir, "h.yaml"), c.HL7.Mapping)
	var faults Faults
	require.ErrorAs(t, err, &faults)
	text := err.Error()
	assert.Contains(t, text, `hl7.mappings[0].sender: "LIS" is not APPLICATION|FACILITY`)
	assert.Contains(t, text, "hl7.mappings[1].file: cannot be read")
	assert.NotContains(t, text, "hl7.mapping:")
	assert.NotContains(t, text, "hl7.mappings[2]")
}
