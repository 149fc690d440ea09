package mapping_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

var update = flag.Bool("update", false, "write the golden files")

// TestVersionOfTheEmbeddedDocument: rules that change need a new version, since records
// carry name and version. Raise version in default.yaml, then put the new id here.
func TestVersionOfTheEmbeddedDocument(t *testing.T) {
	assert.Equal(t, "default/2+097a0427", mapping.Default().ID())
}

// TestGoldenRecords pins the envelopes that the embedded document makes of invented messages of
// every family. Write them anew with: go test ./adapters/hl7/mapping -run Golden -update
func TestGoldenRecords(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "events.hl7"))
	require.NoError(t, err)
	m := mapping.NewMapper(nil, mapping.Options{})
	var got []byte
	messages := hl7.SplitMessages(data).Messages()
	require.Greater(t, len(messages), 15)
	for _, raw := range messages {
		r, err := m.Map(mapping.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.UnixMilli(1772323200000)})
		require.NoError(t, err)
		_, err = r.Canonical()
		require.NoError(t, err)
		r.Payload, r.MappingVersion = nil, "" // the version has a test of its own
		line, err := json.MarshalIndent(r, "", " ")
		require.NoError(t, err)
		got = append(append(got, line...), '\n')
	}
	golden := filepath.Join("testdata", "events.golden.json")
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	wanted, made := strings.SplitAfter(string(want), "\n}\n"), strings.SplitAfter(string(got), "\n}\n")
	require.Len(t, made, len(wanted))
	for i := range wanted {
		assert.Equal(t, wanted[i], made[i], "message %d", i+1)
	}
}
