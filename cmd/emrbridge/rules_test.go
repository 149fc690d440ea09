package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/config"
)

// TestRulesOfTheConfiguration: files that the configuration names are read, by sender, and
// their faults are found by the check of the configuration.
func TestRulesOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	head := "format: 1\nname: %\nversion: \"1\"\nextends: default\n"
	c := config.Default()
	c.HL7.Mapping = write("all.yaml", head[:16]+"all"+head[17:])
	c.HL7.Mappings = []config.SenderMapping{{Sender: "", File: ""}, {Sender: "LIS|*", File: write("lab.yaml", head[:16]+"lab"+head[17:]+"tables: {gender: {codes: {M: \"\"}}}\n")}}
	var unmapped []mapping.Unmapped
	rules, err := loadRules(&c, func(u mapping.Unmapped) { unmapped = append(unmapped, u) })
	require.NoError(t, err)
	assert.Empty(t, mappingFaults(&c))
	for sender, want := range map[string]string{"LIS|H1": "lab/1", "HIS|H1": "all/1"} {
		assert.Contains(t, rules.For(sender).Document().ID(), want)
	}
	_, err = rules.Map(mapping.Source{Raw: []byte("MSH|^~\\&|HIS|H1|E|H|2026||ADT^A01|1|P|2.5\rPID|1||1||A||1980|X\r"), HospitalNumber: 1, HospitalMSP: "H", ReceivedAt: time.UnixMilli(1)})
	require.NoError(t, err)
	assert.Equal(t, []mapping.Unmapped{{Table: "gender", Path: "PID-8.1", Code: "X"}}, unmapped)

	c.HL7.Mappings[1].File = write("bad.yaml", "format: 1\ncolour: blue\n")
	_, err = loadRules(&c, nil)
	require.ErrorContains(t, err, "hl7.mappings[1]: mapping")
	faults := mappingFaults(&c)
	assert.Contains(t, faults.Error(), "hl7.mappings[1].file: line 2: colour")
	assert.Contains(t, faults.Error(), "hl7.mappings[1].file: name: is missing")
	assert.Nil(t, mappingFaults(nil))
}
