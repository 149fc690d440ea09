//go:build corpus

package fhir_test

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
	"github.com/emrbridge/emrbridge/desensitize"
	walker "github.com/emrbridge/emrbridge/desensitize/fhir"
)

// TestCorpusStaysValid de-identifies every published resource under every shipped policy:
// what was valid stays valid, and no name or number of a person in it comes out.
func TestCorpusStaysValid(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds fhir-r4")
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	for _, name := range desensitize.Shipped() {
		t.Run(name, func(t *testing.T) {
			w := newWalker(t, name)
			seen, refused, bytesIn := 0, map[string]int{}, 0
			start := time.Now()
			for _, pattern := range []string{"fhir-r4/*/*.json", "fhir-r4-synthea/*/*.json", "hl7v2-to-fhir/*/*", "cda-to-fhir/*/*/*"} {
				files, err := filepath.Glob(filepath.Join(root, pattern))
				require.NoError(t, err)
				for _, file := range files {
					data, err := os.ReadFile(file)
					if err != nil || !bytes.HasPrefix(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")), []byte("{")) {
						continue
					}
					before, issues := v.Validate(context.Background(), data)
					if before == nil || issues.Failed() {
						continue
					}
					seen++
					bytesIn += len(data)
					out, err := w.Record(context.Background(), data, nil, nil, &desensitize.Report{})
					if err != nil {
						assert.ErrorIs(t, err, walker.ErrRefused, filepath.Base(file))
						refused[before.Type()]++
						continue
					}
					_, issues = v.Validate(context.Background(), out)
					if !assert.False(t, issues.Failed(), "%s: %v", filepath.Base(file), issues) {
						continue
					}
					known := &desensitize.Known{}
					walker.Harvest(before.Root, known)
					for _, list := range [][]string{known.IDNumbers, known.Phones} {
						for _, value := range list {
							if len(value) >= 7 {
								assert.NotContains(t, string(out), value, filepath.Base(file))
							}
						}
					}
				}
			}
			t.Logf("%d resources, %d bytes in %v; refused by type: %v", seen, bytesIn, time.Since(start), refused)
		})
	}
}
