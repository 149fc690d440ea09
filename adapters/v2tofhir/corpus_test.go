//go:build corpus

package v2tofhir_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

func corpus(t *testing.T, kind string) string {
	t.Helper()
	dir := os.Getenv("CORPUS")
	require.NotEmpty(t, dir, "CORPUS names the folder with the outside data; make corpus sets it")
	return filepath.Join(dir, kind)
}

// TestCorpusConverts converts every message of the corpus that parses, and lets the
// validator judge each Bundle.
func TestCorpusConverts(t *testing.T) {
	n, resources, types := 0, 0, map[string]int{}
	for _, kind := range []string{"hl7v2", "hl7v2-to-fhir"} {
		require.NoError(t, filepath.Walk(corpus(t, kind), func(path string, info os.FileInfo, err error) error {
			if err != nil || info.IsDir() || strings.HasSuffix(path, "json") || strings.HasSuffix(path, ".fhir") {
				return err
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, raw := range hl7.SplitMessages(data).Messages() {
				text, _, err := (hl7.CharsetPolicy{}).Decode(raw)
				if err != nil {
					continue
				}
				if _, err := hl7.Parse(text); err != nil {
					continue
				}
				n++
				r, _, err := convert(string(text), v2tofhir.Options{})
				require.NoError(t, err, path)
				b, err := json.Marshal(r.Bundle)
				require.NoError(t, err)
				_, issues := judge.Validate(t.Context(), b)
				require.False(t, issues.Failed(), "%s: %v", path, issues)
				for _, x := range r.Bundle.Resources {
					resources++
					types[x.Type]++
				}
			}
			return nil
		}))
	}
	t.Logf("%d messages, %d resources: %v", n, resources, types)
	require.Greater(t, n, 800)
}
