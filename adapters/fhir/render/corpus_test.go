//go:build corpus

package render_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/render"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// TestCorpusDocuments renders everything of the corpus that can be a payload. A document
// whose payload is valid, or is no FHIR, is valid itself.
func TestCorpusDocuments(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "CORPUS names the folder with the outside data; make corpus sets it")
	v := fhir.NewValidator(fhir.ValidatorConfig{Limits: fhir.Limits{MaxBytes: 64 << 20, MaxValues: 5_000_000}})
	for _, kind := range []struct{ folder, suffix, media, name string }{
		{"fhir-r4", ".json", "application/fhir+json", "Resource"},
		{"fhir-r4-invalid", ".json", "application/fhir+json", "Resource"},
		{"fhir-r4-synthea", ".json", "application/fhir+json", "Bundle"},
		{"hl7v2", ".hl7", hl7.MediaType, "ADT^A01"},
		{"cda", ".xml", "application/hl7-cda+xml", "CDA"},
		{"cn-hip-messages", "", "application/xml", "HIP"},
	} {
		n, judged := 0, 0
		require.NoError(t, filepath.WalkDir(filepath.Join(root, kind.folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, kind.suffix) {
				return err
			}
			payload, err := os.ReadFile(path)
			require.NoError(t, err)
			b, err := render.Document(sample(kind.name, kind.media, "", payload), render.Options{})
			require.NoError(t, err, path)
			text, err := json.Marshal(b)
			require.NoError(t, err, path)
			n++
			if strings.HasPrefix(kind.folder, "fhir") {
				if _, issues := v.Validate(t.Context(), payload); issues.Failed() {
					return nil
				}
			}
			judged++
			_, issues := v.Validate(t.Context(), text)
			require.False(t, issues.Failed(), "%s: %v", path, issues)
			return nil
		}))
		t.Logf("%-16s %d rendered, %d judged", kind.folder, n, judged)
		require.NotZero(t, n)
	}
}
