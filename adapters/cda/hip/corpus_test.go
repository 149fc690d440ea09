//go:build corpus

package hip

import (
	"context"
	"encoding/xml"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

func corpusFiles(t *testing.T, kind string) []string {
	t.Helper()
	dir := os.Getenv("CORPUS")
	require.NotEmpty(t, dir, "run: make corpus CORPUS=<folder>")
	var out []string
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, kind), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	require.NotEmpty(t, out)
	return out
}

// Every query is read and answered; over an empty archive with "not found". The copies in
// GBK and GB18030 are read by their declaration.
func TestCorpusMessages(t *testing.T) {
	s := &shelf{}
	r := newRig(t, func(c *Config) { c.Archive, c.Registry = s, s })
	for _, path := range corpusFiles(t, "cn-hip-messages") {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		info, err := Inspect(raw, safexml.Encoding{}, safexml.Limits{})
		if !assert.NoError(t, err, path) {
			continue
		}
		assert.True(t, info.Query, path)
		text, _, err := safexml.Decode(raw, safexml.Encoding{})
		require.NoError(t, err)
		for form := range calls {
			if form == "as element" && strings.HasPrefix(string(text), "<?xml") {
				continue // a declaration cannot stand inside an element
			}
			e, err := readEnvelope(call(form, string(text)), "", safexml.Limits{})
			require.NoError(t, err, path)
			reply, what := r.Handle(context.Background(), e.message, "p")
			assert.Equal(t, NotFound, what, path)
			assert.Contains(t, string(reply), `typeCode="AE"`)
			assert.Contains(t, string(reply), "nothing found", path)
		}
	}
	assert.Empty(t, r.refused)
}

// The root elements of the published schemas are known.
func TestCorpusSchemas(t *testing.T) {
	for _, path := range corpusFiles(t, "cn-service-schema") {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		var schema struct {
			Elements []struct {
				Name string `xml:"name,attr"`
			} `xml:"element"`
		}
		require.NoError(t, xml.Unmarshal(raw, &schema))
		require.NotEmpty(t, schema.Elements, path)
		root := schema.Elements[0].Name
		assert.NotEmpty(t, roots[plainRoot(root)], "%s: %s", filepath.Base(path), root)
		wanted := strings.TrimSuffix(filepath.Base(path), ".xsd")
		found := false
		for _, i := range Interactions() {
			found = found || i.Name == wanted && plainRoot(i.Root) == plainRoot(root)
		}
		assert.True(t, found, "%s has the root %s", wanted, root)
	}
}
