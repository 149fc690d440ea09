//go:build corpus

package googlefhir_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/googlefhir"
)

// TestCorpusAgrees holds the engine against the rules of package fhir: what the rules let pass
// of published resources, the engine lets pass too, so that neither refuses alone what is good.
func TestCorpusAgrees(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds fhir-r4 and fhir-r4-invalid")
	e, err := googlefhir.New(time.UTC)
	require.NoError(t, err)
	own := fhir.NewValidator(fhir.ValidatorConfig{})
	both := 0
	for _, pattern := range []string{"fhir-r4/*/*.json", "fhir-r4-synthea/*/*.json", "hl7v2-to-fhir/*/*", "fhir-r4-invalid/*/validator/*.json"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil || !bytes.HasPrefix(data, []byte("{")) {
				continue
			}
			if _, issues := own.Validate(context.Background(), data); issues.Failed() {
				continue
			}
			both++
			issues := e.Check(data)
			assert.False(t, issues.Failed(), "%s: %v", filepath.Base(file), issues)
		}
	}
	t.Logf("%d resources pass both", both)
}
