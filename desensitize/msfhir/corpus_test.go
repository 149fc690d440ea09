//go:build corpus

package msfhir_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/msfhir"
)

func corpus(t *testing.T) string {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds deid")
	return root
}

// find returns the one file of a name below a folder.
func find(t *testing.T, root, name string) string {
	t.Helper()
	var found string
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) == name && (found == "" || !strings.Contains(path, "TestConfigurations")) {
			found = path
		}
		return err
	}))
	require.NotEmpty(t, found, name)
	return found
}

// differs lists the cases whose output is another one here, and why.
var differs = map[string]string{
	"blake3-crypto-hash.yaml": "hashes with BLAKE3, which is not offered; the configuration is refused by that name",
}

var date = regexp.MustCompile(`"(\d{4}-\d\d-\d\d)(T[^"]*)?"`)

// TestCorpusCases gives the published inputs through the published configurations. Dates are
// compared by their form alone, since the published shift is the linear one.
func TestCorpusCases(t *testing.T) {
	root := corpus(t)
	table, err := os.ReadFile(filepath.Join(root, "deid/CASES.tsv"))
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 || f[0] == "input" {
			continue
		}
		t.Run(f[1]+" "+filepath.Base(f[2]), func(t *testing.T) {
			in := filepath.Join(root, f[0])
			if !strings.Contains(f[0], "/") {
				in = find(t, filepath.Join(root, "deid/miracum+fhir-pseudonymizer"), f[0])
			}
			cfg, err := os.ReadFile(find(t, filepath.Join(root, "deid"), f[1]))
			require.NoError(t, err)
			c, err := msfhir.Parse(cfg)
			if why, listed := differs[f[1]]; listed {
				seen[f[1]] = true
				assert.ErrorContains(t, err, "cryptoHashAlgorithm", why)
				return
			}
			require.NoError(t, err)
			w, err := msfhir.New(c, msfhir.Options{Project: project(t), AsOf: asOf, Pseudonym: func(domain, value string) string {
				return "pseuded-" + value + "@" + domain // what the published service answers
			}})
			require.NoError(t, err)
			data, err := os.ReadFile(in)
			require.NoError(t, err)
			got, err := w.Record(context.Background(), data, nil, nil, &desensitize.Report{})
			require.NoError(t, err)
			want, err := os.ReadFile(filepath.Join(root, f[2]))
			require.NoError(t, err)
			want = bytes.TrimPrefix(want, []byte("\xEF\xBB\xBF"))
			require.Len(t, date.FindAll(got, -1), len(date.FindAll(compact(t, want), -1)), "as many dates")
			if strings.Contains(string(cfg), "hift") {
				got, want = date.ReplaceAll(got, []byte(`"date"`)), date.ReplaceAll(compact(t, want), []byte(`"date"`))
			}
			assert.JSONEq(t, string(want), string(got))
		})
	}
	assert.Len(t, seen, len(differs), "every listed case is there")
}

func compact(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Compact(&out, b))
	return out.Bytes()
}

// refused lists the configurations that are refused when they are loaded, with the reason.
var refused = map[string]string{
	"configuration-generalize-fail-compiled-expression.json": "a value is missing",
	"configuration-generalize-invalid-othervalues.json":      "otherValues",
	"configuration-generalize-miss-cases.json":               "generalize needs cases",
	"configuration-invalid-encryptkey.json":                  "encryptKey must have 16, 24 or 32 bytes",
	"configuration-invalid-fhirpath.json":                    "invalid() cannot stand in a selector",
	"configuration-invalid-version.json":                     "fhirVersion",
	"configuration-miss-replacement.json":                    "substitute needs replaceWith",
	"configuration-miss-rules.json":                          "fhirPathRules are missing",
	"configuration-perturb-exceed-28-roundTo.json":           "roundTo must be a whole number from 0 to 28",
	"configuration-perturb-miss-span.json":                   "perturb needs a number as span",
	"configuration-perturb-negative-roundTo.json":            "roundTo must be a whole number from 0 to 28",
	"configuration-perturb-negative-span.json":               "span must be 0 or more",
	"configuration-perturb-wrong-rangetype.json":             "rangeType",
	"configuration-perturb-wrong-roundTo.json":               "roundTo must be a whole number from 0 to 28",
	"configuration-unsupported-method.json":                  `method "skip" is not supported`,
	// Needs code of its own beside the configuration.
	"configuration-custom-processor.json": `method "mask" is not supported`,
	// Hash with BLAKE3.
	"blake3-crypto-hash.yaml":                   "cryptoHashAlgorithm",
	"truncate-blake3-crypto-hashed-values.yaml": "cryptoHashAlgorithm",
}

// TestCorpusConfigurations loads every published configuration.
func TestCorpusConfigurations(t *testing.T) {
	root, seen := filepath.Join(corpus(t), "deid"), map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(strings.ToLower(path), "config") && filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		name := filepath.Base(path)
		c, err := msfhir.Parse(data)
		if err == nil {
			err = c.Check()
		}
		if err == nil {
			_, err = msfhir.New(c, msfhir.Options{Project: project(t), AsOf: asOf, Cipher: cipher{}})
		}
		if want, listed := refused[name]; listed {
			seen[name] = true
			assert.ErrorContains(t, err, want, name)
		} else {
			assert.NoError(t, err, name)
		}
		return nil
	}))
	assert.Len(t, seen, len(refused), "every listed configuration is there")
}
