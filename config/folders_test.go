package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/config"
)

func TestFoldersAndAcknowledgements(t *testing.T) {
	replace := func(pairs ...string) func(string) string {
		return func(s string) string {
			for i := 0; i < len(pairs); i += 2 {
				require.Contains(t, s, pairs[i])
				s = strings.Replace(s, pairs[i], pairs[i+1], 1)
			}
			return s
		}
	}
	path := site(t, replace(`dir: ""
      # Charset`, `dir: drop
      # Charset`, "application_ack: received", "application_ack: sealed", `return_address: ""`, "return_address: mllp://his:6661"))
	require.NoError(t, os.Mkdir(filepath.Join(filepath.Dir(path), "drop"), 0o700))
	c, err := config.Load(path)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(filepath.Dir(path), "drop"), c.HL7.Folders[0].Dir)

	_, err = config.Load(site(t, replace(`dir: ""
      # Charset`, `dir: drop
      # Charset`, "name: lab", "name: 检验/..", "suffixes: [.hl7]", "suffixes: [hl7]", "poll: 2s", "poll: 1ms",
		"application_ack: received", "application_ack: soon", `return_address: ""`, "return_address: http://x", "max_file: 64MiB", "max_file: 4GiB")))
	var faults config.Faults
	require.ErrorAs(t, err, &faults)
	for _, want := range []string{"folders[0].name", "folders[0].dir", "folders[0].suffixes", "folders[0].poll", "folders[0].max_file",
		"listeners[0].application_ack", "listeners[0].return_address"} {
		assert.Contains(t, faults.Error(), want)
	}
}
