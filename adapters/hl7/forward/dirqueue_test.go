package forward_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
)

// mask stands for a cipher: it is no encryption, but it hides, and it binds to the name.
type mask struct{}

func (mask) Seal(aad, plain []byte) ([]byte, error) {
	return append(append([]byte{}, aad...), flip(plain)...), nil
}

func (mask) Open(aad, sealed []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(sealed, aad)
	if !ok {
		return nil, errors.New("altered")
	}
	return flip(body), nil
}

func flip(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0x55
	}
	return out
}

func queue(t *testing.T, dir string, change func(*forward.DirConfig)) *forward.DirQueue {
	t.Helper()
	c := forward.DirConfig{Dir: dir, Cipher: mask{}}
	if change != nil {
		change(&c)
	}
	q, err := forward.OpenDir(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func next(t *testing.T, q *forward.DirQueue) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	m, err := q.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	require.NoError(t, err)
	return m.ID
}

func TestQueueSurvivesACrashAtEachStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q := queue(t, dir, nil)
	for _, id := range []string{"1", "2", "3"} {
		require.NoError(t, q.Put(t.Context(), message(id), false))
	}
	again := func() *forward.DirQueue { return queue(t, dir, nil) } // as after kill -9: nothing was closed
	q = again()
	m, err := q.Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, message("1"), m)
	require.NoError(t, q.Hold(t.Context(), "r-1", forward.Hold{Code: "AR", ErrorCode: "200", Tries: 1}))
	q = again()
	assert.Equal(t, "r-2", next(t, q))
	held, err := q.Held(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
	assert.Equal(t, "AR", held[0].Code)
	require.NoError(t, q.Done(t.Context(), "r-2", forward.Receipt{Code: "AA"}))
	q = again()
	assert.True(t, q.Sent("r-2"))
	assert.Equal(t, "r-3", next(t, q))
	require.NoError(t, q.Release(t.Context(), "r-1"))
	q = again()
	assert.Equal(t, "r-1", next(t, q), "a released message has its old place")
	require.NoError(t, q.Hold(t.Context(), "r-1", forward.Hold{Code: "AR"}))
	require.NoError(t, q.Drop(t.Context(), "r-1"))
	q = again()
	waiting, kept := q.Len()
	assert.Equal(t, []int{1, 0}, []int{waiting, kept})
	require.ErrorIs(t, q.Release(t.Context(), "r-1"), forward.ErrNotHeld)
	require.ErrorIs(t, q.Drop(t.Context(), "../x"), forward.ErrNotHeld)
}

// A crash between noting a message as sent and removing its file must not send it twice.
func TestQueueRemovesWhatWasSent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q := queue(t, dir, nil)
	require.NoError(t, q.Put(t.Context(), message("1"), false))
	require.NoError(t, q.Close())
	line := []byte("1772323200000 AA r-1\n177232")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sent"), line, 0o600))
	q = queue(t, dir, func(c *forward.DirConfig) { c.Now = func() time.Time { return time.UnixMilli(1772323200001) } })
	assert.Empty(t, next(t, q))
	require.ErrorIs(t, q.Put(t.Context(), message("1"), false), forward.ErrSent)
	require.NoError(t, q.Put(t.Context(), message("1"), true), "unless it is meant")
	require.ErrorIs(t, q.Put(t.Context(), message("1"), true), forward.ErrQueued)
	q = queue(t, dir, nil)
	assert.Equal(t, "r-1", next(t, q), "it is not taken for sent")
}

func TestQueueForgetsInTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	now := time.Now()
	clock := func(c *forward.DirConfig) { c.Now, c.KeepSent = func() time.Time { return now }, time.Hour }
	q := queue(t, dir, clock)
	require.NoError(t, q.Put(t.Context(), message("1"), false))
	require.NoError(t, q.Done(t.Context(), "r-1", forward.Receipt{}))
	now = now.Add(2 * time.Hour)
	assert.False(t, queue(t, dir, clock).Sent("r-1"))
}

func TestQueueLimits(t *testing.T) {
	q := queue(t, filepath.Join(t.TempDir(), "q"), func(c *forward.DirConfig) { c.MaxItems = 1 })
	require.NoError(t, q.Put(t.Context(), message("1"), false))
	require.ErrorIs(t, q.Put(t.Context(), message("2"), false), forward.ErrFull)
	q = queue(t, filepath.Join(t.TempDir(), "q"), func(c *forward.DirConfig) { c.MaxBytes = 10 })
	require.ErrorIs(t, q.Put(t.Context(), message("2"), false), forward.ErrFull)
	for _, id := range []string{"", "../x", ".hidden", "a/b", "张三", "x.json"} {
		require.ErrorIs(t, q.Put(t.Context(), forward.Message{ID: id}, false), forward.ErrID, id)
	}
	_, err := forward.OpenDir(forward.DirConfig{Dir: t.TempDir()})
	require.ErrorIs(t, err, forward.ErrConfig)
}

func TestQueueKeepsNothingReadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q := queue(t, dir, nil)
	require.NoError(t, q.Put(t.Context(), message("1"), false))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		text, err := os.ReadFile(path)
		assert.NotContains(t, string(text), "PID|")
		return err
	}))
}

func TestForwarder(t *testing.T) {
	p := newPeer(t, "AA", "AR", "AE", "AA", "silence", "AA")
	dir := filepath.Join(t.TempDir(), "q")
	q := queue(t, dir, nil)
	for _, id := range []string{"1", "2", "3", "4"} {
		require.NoError(t, q.Put(t.Context(), message(id), false))
	}
	run(t, q, p, func() bool { w, _ := q.Len(); return w == 0 })
	assert.Equal(t, []string{"1", "2", "3", "3", "4", "4"}, p.came())
	held, err := q.Held(t.Context())
	require.NoError(t, err)
	require.Len(t, held, 1)
	assert.Equal(t, "r-2", held[0].ID)
	require.NoError(t, q.Release(t.Context(), "r-2"))
	run(t, q, p, func() bool { w, _ := q.Len(); return w == 0 })
	assert.Equal(t, "2", p.came()[6])
}

// run forwards until cond holds.
func run(t *testing.T, q *forward.DirQueue, p *peer, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- forward.New(q, sender(t, p.addr, quick(), nil)).Run(ctx) }()
	assert.Eventually(t, cond, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestForwarderStopsBehindWhatIsHeld(t *testing.T) {
	p := newPeer(t, "AR")
	q := queue(t, filepath.Join(t.TempDir(), "q"), func(c *forward.DirConfig) { c.StopOnHold = true })
	for _, id := range []string{"1", "2"} {
		require.NoError(t, q.Put(t.Context(), message(id), false))
	}
	run(t, q, p, func() bool { _, h := q.Len(); return h == 1 })
	run(t, q, p, func() bool { time.Sleep(20 * time.Millisecond); return true })
	assert.Equal(t, []string{"1"}, p.came(), "what is behind waits")
	require.NoError(t, q.Drop(t.Context(), "r-1"))
	run(t, q, p, func() bool { w, _ := q.Len(); return w == 0 })
	assert.Equal(t, []string{"1", "2"}, p.came())
}

func TestForwarderSetsAsideWhatDoesNotOpen(t *testing.T) {
	p := newPeer(t)
	dir := filepath.Join(t.TempDir(), "q")
	q := queue(t, dir, nil)
	for _, id := range []string{"1", "2"} {
		require.NoError(t, q.Put(t.Context(), message(id), false))
	}
	files, err := filepath.Glob(filepath.Join(dir, "wait", "*.r-1"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files[0], []byte("damaged"), 0o600))
	run(t, q, p, func() bool { w, _ := q.Len(); return w == 0 })
	assert.Equal(t, []string{"2"}, p.came())
	held, err := q.Held(t.Context())
	require.NoError(t, err)
	assert.Equal(t, forward.CodeUnreadable, held[0].Code)
}
