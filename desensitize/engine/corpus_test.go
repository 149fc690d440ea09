//go:build corpus

package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
	"github.com/emrbridge/emrbridge/desensitize/engine"
	"github.com/emrbridge/emrbridge/desensitize/fhir"
	"github.com/emrbridge/emrbridge/desensitize/leak"
	"github.com/emrbridge/emrbridge/desensitize/v2"
)

// stopped are the files that the gate stops, each for a reason.
var stopped = map[string]string{
	"safe-harbor kardianos+hl7/roundtrip/all_elements.hl7": "RTF source as plain text in OBX-5, with dates such as 20Jun2011 right behind a control word",
}

// Every record of the corpus goes through every policy: it comes out through the gate, or it
// is refused because it is no record of its format, or because the policy lets nothing of it
// out. What comes out can be de-identified again, so it is a record of its format.
func TestCorpus(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder with the test data (make corpus)")
	for _, policy := range desensitize.Shipped() {
		e := newEngine(t, policy)
		for folder, format := range map[string]desensitize.Format{
			"hl7v2": desensitize.HL7v2, "hl7v2-derived-encodings": desensitize.HL7v2, "fhir-r4": desensitize.FHIR, "fhir-r4-synthea": desensitize.FHIR, "cda": desensitize.CDA,
		} {
			released, refused := 0, 0
			require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				var out bytes.Buffer
				_, err = e.Run(context.Background(), format, bytes.NewReader(data), &out, engine.Input{})
				name := policy + " " + strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(filepath.Join(root, folder))+"/")
				var found *leak.Found
				switch {
				case err == nil:
					released++
					_, err = e.Run(context.Background(), format, bytes.NewReader(out.Bytes()), &bytes.Buffer{}, engine.Input{})
					require.False(t, unreadable(err), "%s: the result: %v", name, err)
				case errors.As(err, &found):
					require.Contains(t, stopped, name, "%v %+v", err, found.Findings)
				default:
					require.True(t, unreadable(err), "%s: %v", name, err)
					refused++
				}
				return nil
			}))
			t.Logf("%s, %s: %d released, %d unreadable or empty", policy, folder, released, refused)
		}
	}
}

func unreadable(err error) bool {
	return errors.Is(err, v2.ErrInput) || errors.Is(err, cda.ErrInput) || errors.Is(err, fhir.ErrRefused) || errors.Is(err, engine.ErrEmpty)
}
