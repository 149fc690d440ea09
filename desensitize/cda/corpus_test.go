//go:build corpus

package cda_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	codec "github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
)

// TestCorpus de-identifies every outside document that is CDA: the result is a document with
// the sections of the original in which the validator finds no new kind of fault, and neither
// the persons of its header nor their numbers are in it.
func TestCorpus(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds cda")
	w := walker(t)
	documents := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "cda"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		name, _ := filepath.Rel(root, path)
		before, err := codec.Parse(raw, codec.ReadOptions{AnyNamespace: true})
		var report desensitize.Report
		out, failure := w.Record(context.Background(), raw, nil, nil, &report)
		if err != nil {
			assert.ErrorIs(t, failure, cda.ErrInput, name)
			return nil
		}
		if !assert.NoError(t, failure, name) {
			return nil
		}
		documents++
		after, err := codec.Parse(out, codec.ReadOptions{AnyNamespace: true})
		if !assert.NoError(t, err, name) {
			return nil
		}
		assert.Len(t, after.Sections, len(before.Sections), name)
		assert.Empty(t, newFaults(before, after), name)
		for _, secret := range secrets(before) {
			if strings.Contains(string(raw), "<softwareName>"+secret) {
				continue // of a device
			}
			assert.False(t, bytes.Contains(out, []byte(secret)), "%s: %s", name, secret)
		}
		return nil
	}))
	require.Greater(t, documents, 25)
	t.Logf("%d documents", documents)
}

// newFaults lists the rules that a result breaks and its original does not.
func newFaults(before, after *codec.Document) []string {
	had := map[string]bool{}
	for _, i := range codec.Validate(before, codec.Partner{}) {
		had[i.Rule] = true
	}
	var out []string
	for _, i := range codec.Validate(after, codec.Partner{}) {
		if i.Rule == "body" && before.NonXML != nil { // an attachment that may not leave
			continue
		}
		if !had[i.Rule] {
			out = append(out, strings.Join([]string{i.Rule, i.Path, i.Text}, " "))
		}
	}
	return out
}
