//go:build corpus

package dropfolder_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/dropfolder"
)

// refusedBatches are the wrapped files of the outside data of which nothing may be taken,
// and why.
var refusedBatches = map[string]string{
	// The manifest names it: the trailer's count is wrong.
	"hl7v2/cosyte+hl7/batch/count-mismatch.hl7": "BTS-1 says",
}

// TestCorpusFiles drops every file of the outside data. Each gets a result; a message is
// taken exactly if the receiver takes it by itself, except in the batches above.
func TestCorpusFiles(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2")
	b := newBench(t, func(c *dropfolder.Config) { c.MaxFile = 1 << 30 })
	var names []string
	for _, dir := range []string{"hl7v2", "hl7v2-derived-encodings", "hl7v2-to-fhir"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || dir == "hl7v2-to-fhir" && filepath.Ext(path) != ".hl7" {
				return err
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			b.put(t, fmt.Sprintf("%05d.hl7", len(names)), string(data))
			name, err := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
			return err
		}))
	}
	require.NoError(t, b.folder.Poll(t.Context()))
	seen, alone := map[string]bool{}, b.receiver()
	files, accepted, refused := 0, 0, 0
	for i, name := range names {
		path := fmt.Sprintf("done/%05d.hl7", i)
		if _, err := os.Stat(filepath.Join(b.dir, path)); err != nil {
			path = strings.Replace(path, "done", "failed", 1)
		}
		r := b.result(t, path)
		files, accepted, refused = files+1, accepted+r.Accepted, refused+r.Refused
		if why, listed := refusedBatches[name]; listed {
			seen[name] = true
			assert.Contains(t, r.Error, why, name)
			assert.Zero(t, r.Accepted, name)
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.dir, path))
		require.NoError(t, err)
		messages := hl7.SplitMessages(data).Messages()
		if !assert.Len(t, r.Items, len(messages), "%s: %s", name, r.Error) {
			continue
		}
		for n, raw := range messages {
			v := alone.Take(t.Context(), hl7.Incoming{Raw: raw})
			assert.Equal(t, string(v.Code), r.Items[n].Code, "%s #%d", name, n+1)
		}
	}
	assert.Len(t, seen, len(refusedBatches), "every listed file is there")
	t.Logf("%d files, %d messages taken, %d refused", files, accepted, refused)
}
