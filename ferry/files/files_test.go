package files_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/ferry/files"
)

// spool stands for a port: what it has taken is durable.
type spool struct {
	items []ferry.Item
	fail  bool
	late  bool // it takes, and then fails
}

func (s *spool) Send(_ context.Context, _ ferry.Lane, items []ferry.Item) error {
	if s.fail && !s.late {
		return errors.New("full")
	}
	s.items = append(s.items, items...)
	if s.fail {
		return errors.New("stopped")
	}
	return nil
}

func (s *spool) Source(ferry.Lane) uint64 {
	if len(s.items) == 0 {
		return 0
	}
	return s.items[len(s.items)-1].Source
}

func names(s *spool) (out []string) {
	for _, it := range s.items {
		out = append(out, it.Header["Name"][0]+"="+string(it.Data))
	}
	return out
}

func TestFilesAreSentOnceWhateverFails(t *testing.T) {
	for _, late := range []bool{false, true} {
		dir := t.TempDir()
		for i := range 3 {
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.hl7", i)), []byte{byte('a' + i)}, 0o600))
		}
		s := &files.Source{Dir: dir, Lane: ferry.Bulk, Max: 10, Now: time.Now}
		to := &spool{fail: true, late: late}
		_, err := s.Send(t.Context(), to)
		require.Error(t, err)
		to.fail = false
		_, err = s.Send(t.Context(), to)
		require.NoError(t, err)
		_, err = s.Send(t.Context(), to)
		require.NoError(t, err)
		assert.Equal(t, []string{"0.hl7=a", "1.hl7=b", "2.hl7=c"}, names(to))
		assert.Empty(t, visible(t, dir))
	}
}

func TestWhatIsNotReadyStays(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fresh"), nil, 0o600))
	s := &files.Source{Dir: dir, Lane: ferry.Bulk, Max: 10, Settle: time.Hour, Now: time.Now}
	n, err := s.Send(t.Context(), &spool{})
	require.NoError(t, err)
	assert.Zero(t, n)
	s.Settle = 0
	require.NoError(t, os.WriteFile(filepath.Join(dir, "long"), make([]byte, 11), 0o600))
	n, err = s.Send(t.Context(), &spool{})
	require.ErrorContains(t, err, "long has 11 bytes")
	assert.Equal(t, 1, n, "and does not hold up the others")
}

func visible(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name()[0] != '.' {
			out = append(out, e.Name())
		}
	}
	return out
}

func message(id, name, text string) ferry.Message {
	return ferry.Message{ID: id, Subject: files.Subject, Header: map[string][]string{"Name": {name}}, Data: []byte(text)}
}

func TestASinkDeliversOnce(t *testing.T) {
	dir := t.TempDir()
	s := &files.Sink{Dir: dir}
	mark := ferry.Mark{Seq: 1, Digest: ferry.Digest{1}}
	require.NoError(t, s.Deliver(t.Context(), ferry.Bulk, mark, []ferry.Message{message("1", "a", "one"), message("2", "../../etc/passwd", "two"), message("3", ".hidden", "three")}))
	got, err := s.Delivered(t.Context(), ferry.Bulk)
	require.NoError(t, err)
	assert.Equal(t, mark, got)
	got, err = s.Delivered(t.Context(), ferry.Urgent)
	require.NoError(t, err)
	assert.Zero(t, got)
	require.NoError(t, s.Deliver(t.Context(), ferry.Bulk, ferry.Mark{Seq: 2}, []ferry.Message{message("4", "a", "again")}))
	assert.Equal(t, []string{"000000000002-000000-a", "a", "message-2.bin", "message-3.bin"}, visible(t, dir))
}

// TestASinkGoesOnAfterACrash leaves what each step of a delivery would leave.
func TestASinkGoesOnAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := &files.Sink{Dir: dir}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".staging-bulk"), 0o700)) // stopped while writing: nothing counts
	mark, err := s.Delivered(t.Context(), ferry.Bulk)
	require.NoError(t, err)
	assert.Zero(t, mark)
	ready := filepath.Join(dir, ".ready-bulk") // stopped after it counted
	require.NoError(t, os.Mkdir(ready, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(ready, "000000-000000000001-a"), []byte("one"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(ready, "mark.json"), []byte(`{"seq":1,"digest":"`+fmt.Sprintf("%064x", 7)+`"}`), 0o600))
	mark, err = s.Delivered(t.Context(), ferry.Bulk)
	require.NoError(t, err)
	assert.Equal(t, uint64(1), mark.Seq)
	text, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	assert.Equal(t, "one", string(text))
}
