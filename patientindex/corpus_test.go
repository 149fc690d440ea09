//go:build corpus

package patientindex_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// TestCorpusIsFiled files every message that an endpoint would accept, those of one source as
// those of one hospital. Whatever senders write into PID and MRG: every record has its
// place, merges are carried out or refused with a reason, and the index stays whole.
func TestCorpusIsFiled(t *testing.T) {
	hospitals, mapper := map[string]*clinic{}, mapping.NewMapper(nil, mapping.Options{})
	filed, unnamed, merges, links := 0, 0, 0, 0
	codes := map[patientindex.Code]int{}
	eachMessage(t, func(source string, raw []byte) {
		_, cs, err := hl7.CharsetPolicy{}.Decode(raw)
		if err != nil {
			return
		}
		r, err := mapper.Map(mapping.Source{Raw: raw, Charset: cs.String(), HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.UnixMilli(1)})
		if err != nil {
			return
		}
		c := hospitals[source]
		if c == nil {
			c = newClinic(t)
			hospitals[source] = c
		}
		f, merge, err := c.file(r)
		if err != nil {
			require.ErrorIs(t, err, patientindex.ErrUnnamed, source)
			unnamed++
			return
		}
		require.False(t, f.Tag.IsZero())
		filed++
		links += len(f.Links)
		for _, code := range f.Incidents {
			codes[code]++
		}
		if merge {
			merges++
			assert.True(t, len(f.Links) > 0 || len(f.Incidents) > 0 || c.noted(r.ID), "%s: a merge is carried out or refused", source)
		}
	})
	t.Logf("%d records filed, %d name nobody, %d merges, %d links, incidents %v", filed, unnamed, merges, links, codes)
	assert.Greater(t, filed, 600)
	assert.Positive(t, merges)
}

// file does what package seal does.
func (c *clinic) file(r *record.Record) (patientindex.Filing, bool, error) {
	list, err := patientindex.MergesOf(r)
	require.NoError(c.t, err)
	e := patientindex.Evidence{Record: r.ID, Event: r.Kind, At: r.EventTime.UnixMilli, Identifiers: r.Patient.Identifiers}
	if len(list) == 0 {
		f, err := c.Observe(c.t.Context(), e)
		return f, false, err
	}
	f, err := c.Merge(c.t.Context(), e, list...)
	return f, true, err
}

// noted reports whether a change of a record is in the history.
func (c *clinic) noted(id record.ID) bool {
	list, err := c.Changes(c.t.Context(), 0, patientindex.MaxChanges, false)
	require.NoError(c.t, err)
	for _, change := range list {
		if change.Record == id {
			return true
		}
	}
	return false
}

func eachMessage(t *testing.T, see func(source string, raw []byte)) {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2")
	root = filepath.Join(root, "hl7v2")
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		name, _ := filepath.Rel(root, path)
		source, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		for _, raw := range hl7.SplitMessages(data).Messages() {
			see(source, raw)
		}
		return nil
	}))
}
