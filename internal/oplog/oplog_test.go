package oplog_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/oplog"
)

func entry(subject string) oplog.Entry {
	return oplog.Entry{At: time.UnixMilli(1772323200123), By: "operator", Action: "replay", Subject: subject, To: "mllp://his:1", Reason: "测试 reason", Result: "AA"}
}

func open(t *testing.T) (*oplog.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log", "operations.jsonl")
	l, err := oplog.Open(path)
	require.NoError(t, err)
	return l, path
}

func all(t *testing.T, l *oplog.Log) (out []oplog.Entry) {
	t.Helper()
	require.NoError(t, l.Each(func(e oplog.Entry) error { out = append(out, e); return nil }))
	return out
}

func TestAppendAndRead(t *testing.T) {
	l, path := open(t)
	assert.Empty(t, all(t, l))
	for _, s := range []string{"a", "b", "c"} {
		require.NoError(t, l.Append(entry(s)))
	}
	got := all(t, l)
	require.Len(t, got, 3)
	assert.Empty(t, got[0].Prev)
	assert.Len(t, got[1].Prev, 64)
	got[1].Prev = ""
	want := entry("b")
	want.At = want.At.UTC()
	assert.Equal(t, want, got[1])
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestChangesShow(t *testing.T) {
	for name, change := range map[string]func([]string) []string{
		"altered":  func(s []string) []string { s[0] = strings.Replace(s[0], `"a"`, `"x"`, 1); return s },
		"removed":  func(s []string) []string { return append(s[:1], s[2:]...) },
		"swapped":  func(s []string) []string { s[0], s[1] = s[1], s[0]; return s },
		"begun":    func(s []string) []string { return s[1:] },
		"not JSON": func(s []string) []string { s[1] = "{}x\n"; return s },
		"too long": func(s []string) []string { s[1] = strings.Repeat("x", 9000) + "\n"; return s },
	} {
		t.Run(name, func(t *testing.T) {
			l, path := open(t)
			for _, s := range []string{"a", "b", "c"} {
				require.NoError(t, l.Append(entry(s)))
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(strings.Join(change(strings.SplitAfter(string(text), "\n")), "")), 0o600))
			require.ErrorIs(t, l.Each(func(oplog.Entry) error { return nil }), oplog.ErrBroken)
		})
	}
}

func TestLineThatWasCutOff(t *testing.T) {
	l, path := open(t)
	require.NoError(t, l.Append(entry("a")))
	require.NoError(t, os.WriteFile(path, []byte(`{"at":`), 0o600))
	require.ErrorIs(t, l.Append(entry("b")), oplog.ErrBroken, "nothing is added to what cannot be read")
}

func TestReasonIsRequired(t *testing.T) {
	l, _ := open(t)
	for _, r := range []string{"", strings.Repeat("x", 501)} {
		e := entry("a")
		e.Reason = r
		require.ErrorIs(t, l.Append(e), oplog.ErrReason)
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	_, path := open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l, err := oplog.Open(path)
			assert.NoError(t, err)
			for range 10 {
				assert.NoError(t, l.Append(entry("a")))
			}
		})
	}
	wg.Wait()
	l, err := oplog.Open(path)
	require.NoError(t, err)
	assert.Len(t, all(t, l), 80)
}
