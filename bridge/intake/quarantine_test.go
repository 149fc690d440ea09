package intake

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func quarantine(t testing.TB, dir string, limits QuarantineLimits) *Quarantine {
	t.Helper()
	key, err := smcrypto.ParseKey([]byte("quarantine key 1"))
	require.NoError(t, err)
	q, err := OpenQuarantine(dir, bus.NewCipher(smcrypto.Default(), key), limits)
	require.NoError(t, err)
	return q
}

func refused() Refused {
	return Refused{Raw: []byte("PID|||secret"), Code: "PARSE", Reason: "no MSH segment", Stage: "intake", Sender: "HIS", ControlID: "7",
		Peer: "10.0.0.1:1", ReceivedAt: time.UnixMilli(1772323200000)}
}

func TestQuarantineKeepsAndShows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q, ctx := quarantine(t, dir, QuarantineLimits{}), t.Context()
	id, err := q.Put(ctx, refused())
	require.NoError(t, err)
	second, err := q.Put(ctx, Refused{Raw: []byte("y"), Code: "OVERSIZE", Truncated: true, Size: 1 << 30})
	require.NoError(t, err)

	again, err := OpenQuarantine(dir, nil, QuarantineLimits{})
	require.NoError(t, err)
	labels, err := again.List(ctx)
	require.NoError(t, err)
	require.Len(t, labels, 2)
	require.Equal(t, id, labels[0].ID, "oldest first")
	require.Equal(t, "PARSE", labels[0].Code)
	require.Equal(t, int64(1<<30), labels[1].Size)
	require.True(t, labels[1].Truncated)
	_, _, err = again.Show(ctx, id)
	require.ErrorContains(t, err, "listing only")

	label, raw, err := q.Show(ctx, id)
	require.NoError(t, err)
	require.Equal(t, refused().Raw, raw)
	require.Equal(t, "no MSH segment", label.Reason)
	info, err := os.Stat(q.path(id))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	file, err := os.ReadFile(q.path(id))
	require.NoError(t, err)
	require.NotContains(t, string(file), "secret")

	require.NoError(t, q.Remove(ctx, second))
	require.ErrorIs(t, q.Remove(ctx, second), ErrNotQuarantined)
}

func TestQuarantineNoticesAlteration(t *testing.T) {
	q, ctx := quarantine(t, filepath.Join(t.TempDir(), "q"), QuarantineLimits{}), t.Context()
	id, err := q.Put(ctx, refused())
	require.NoError(t, err)
	file, err := os.ReadFile(q.path(id))
	require.NoError(t, err)
	for name, change := range map[string]func([]byte) []byte{
		"reason changed": func(b []byte) []byte { return bytes.Replace(b, []byte("no MSH"), []byte("no PID"), 1) },
		"bytes changed":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":            func(b []byte) []byte { return b[:len(b)-5] },
		"cut label":      func(b []byte) []byte { return b[:20] },
		"empty":          func([]byte) []byte { return nil },
	} {
		require.NoError(t, os.WriteFile(q.path(id), change(bytes.Clone(file)), 0o600))
		_, _, err := q.Show(ctx, id)
		require.ErrorIs(t, err, ErrDamaged, name)
	}
	require.NoError(t, os.WriteFile(q.path(id), file[:20], 0o600))
	labels, err := q.List(ctx)
	require.NoError(t, err)
	require.Equal(t, "DAMAGED", labels[0].Code)
}

func TestQuarantineIsBoundedAndStaysInItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q, ctx := quarantine(t, dir, QuarantineLimits{Items: 2}), t.Context()
	var last string
	for range 2 {
		var err error
		last, err = q.Put(ctx, refused())
		require.NoError(t, err)
	}
	_, err := q.Put(ctx, refused())
	require.ErrorIs(t, err, ErrQuarantineFull)
	_, err = quarantine(t, dir, QuarantineLimits{Bytes: 100}).Put(ctx, refused())
	require.ErrorIs(t, err, ErrQuarantineFull, "counted again at start")
	require.NoError(t, q.Remove(ctx, last))
	_, err = q.Put(ctx, refused())
	require.NoError(t, err)
	for _, id := range []string{"", "../../etc/passwd", "..........................", "0000000000000-00000000000/"} {
		_, _, err := q.Show(ctx, id)
		require.ErrorIs(t, err, ErrNotQuarantined, id)
	}
}

func FuzzQuarantineItem(f *testing.F) {
	q := quarantine(f, filepath.Join(f.TempDir(), "q"), QuarantineLimits{})
	id, err := q.Put(f.Context(), refused())
	require.NoError(f, err)
	file, err := os.ReadFile(q.path(id))
	require.NoError(f, err)
	f.Add(file)
	f.Add([]byte(quarantineMagic))
	f.Add([]byte(quarantineMagic + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, head, sealed, err := splitItem(b)
		if err == nil {
			require.Equal(t, b, append(bytes.Clone(head), sealed...))
		}
	})
}
