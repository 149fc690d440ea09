package claims_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func keys(t testing.TB, current uint32) claims.Keys {
	t.Helper()
	k := claims.Keys{Current: current, Master: map[uint32]smcrypto.Key{}}
	for v := uint32(1); v <= current; v++ {
		key, err := smcrypto.ParseKey([]byte("master key no. " + string(rune('0'+v))))
		require.NoError(t, err)
		k.Master[v] = key
	}
	return k
}

func open(t testing.TB, dir string, o claims.Options) *claims.Store {
	t.Helper()
	if o.Keys.Current == 0 {
		o.Keys = keys(t, 1)
	}
	s, err := claims.Open(dir, o)
	require.NoError(t, err)
	return s
}

func body(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

func take(t testing.TB, s *claims.Store, b []byte) *claims.Claim {
	t.Helper()
	c, err := s.Take(context.Background(), bytes.NewReader(b))
	require.NoError(t, err)
	return c
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWhatIsTakenIsRead(t *testing.T) {
	const chunk = 64 << 10
	dir := filepath.Join(t.TempDir(), "claims")
	s := open(t, dir, claims.Options{})
	for _, n := range []int{1, 15, 16, 17, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 7} {
		b := body(n)
		c := take(t, s, b)
		require.Equal(t, int64(n), c.Size())
		require.Equal(t, sm3.Sum(b), c.Digest())
		again := open(t, dir, claims.Options{Keys: keys(t, 2)}) // after a restart with a new key
		r, err := again.Open(c.ID())
		require.NoError(t, err)
		require.Equal(t, int64(n), r.Size())
		for range 2 {
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, got))
			_, err = r.Seek(0, io.SeekStart)
			require.NoError(t, err)
		}
		at, err := r.Seek(int64(-(n+1)/2), io.SeekEnd)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(b[at:], got))
		_, err = r.Seek(-1, io.SeekStart)
		require.Error(t, err)
		require.NoError(t, r.Close())
		file, err := os.ReadFile(filepath.Join(dir, c.ID()+".claim"))
		require.NoError(t, err)
		if n > 32 {
			require.NotContains(t, string(file), string(b[:32]))
		}
		c.Discard()
		c.Discard()
	}
	require.Empty(t, files(t, dir))
	require.Equal(t, claims.Stats{}, s.Stats())
}

func TestAlterationIsNoticed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "claims")
	s := open(t, dir, claims.Options{})
	c, other := take(t, s, body(150<<10)), take(t, s, body(150<<10+1))
	path := filepath.Join(dir, c.ID()+".claim")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	foreign, err := os.ReadFile(filepath.Join(dir, other.ID()+".claim"))
	require.NoError(t, err)
	const step = 64<<10 + 16
	for name, b := range map[string][]byte{
		"bit": flip(whole, 100_000), "header": flip(whole, 20), "key version": flip(whole, 11), "tag": flip(whole, len(whole)-1),
		"last chunk gone": whole[:32+2*step], "cut": whole[:len(whole)-20], "nothing": nil, "header only": whole[:32],
		"chunks swapped": append(append(append(bytes.Clone(whole[:32]), whole[32+step:32+2*step]...), whole[32:32+step]...), whole[32+2*step:]...),
		"another claim":  foreign, "longer": append(bytes.Clone(whole), 1),
	} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		r, err := s.Open(c.ID())
		if err == nil {
			_, err = io.ReadAll(r)
			require.NoError(t, r.Close())
		}
		require.Error(t, err, name)
		if name != "key version" {
			require.ErrorIs(t, err, claims.ErrDamaged, name)
		} else {
			require.ErrorIs(t, err, claims.ErrKey)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "claims")
	s := open(t, dir, claims.Options{MaxBody: 100_000, MaxBytes: 250_000})
	ctx := t.Context()
	_, err := s.Take(ctx, bytes.NewReader(body(100_001)))
	require.ErrorIs(t, err, claims.ErrTooLarge)
	_, err = s.Take(ctx, strings.NewReader(""))
	require.ErrorIs(t, err, claims.ErrEmpty)
	_, err = s.Take(ctx, io.MultiReader(strings.NewReader("begun"), errReader{}))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Empty(t, files(t, dir))

	first, second := take(t, s, body(100_000)), take(t, s, body(100_000))
	_, err = s.Take(ctx, bytes.NewReader(body(100_000)))
	require.ErrorIs(t, err, claims.ErrFull)
	require.Len(t, files(t, dir), 2)
	first.Discard()
	third := take(t, s, body(100_000))
	require.Equal(t, 2, s.Stats().Files)
	require.Equal(t, s.Stats(), open(t, dir, claims.Options{}).Stats(), "counted again at start")
	second.Discard()
	third.Discard()

	_, err = open(t, dir, claims.Options{Reserve: 1 << 60}).Create(ctx)
	require.ErrorIs(t, err, claims.ErrFull, "the disk's reserve")
	cut, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.Create(cut)
	require.ErrorIs(t, err, context.Canceled)
	for _, id := range []string{"", "../../etc/passwd", strings.Repeat("A", 32), strings.Repeat("0", 31) + "/"} {
		_, err := s.Open(id)
		require.ErrorIs(t, err, claims.ErrMissing)
		require.ErrorIs(t, s.Remove(id), claims.ErrMissing)
	}
	require.NoError(t, s.Remove(strings.Repeat("0", 32)), "gone already")
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestFailureAtEveryStep: whatever step fails, nothing is left and nothing is counted.
func TestFailureAtEveryStep(t *testing.T) {
	for _, step := range []claims.Step{claims.StepCreate, claims.StepWrite, claims.StepSync, claims.StepRename, claims.StepSyncDir, claims.StepFinish} {
		for nth := range 3 {
			dir := filepath.Join(t.TempDir(), "claims")
			left := nth
			s := open(t, dir, claims.Options{Fault: func(at claims.Step) error {
				if at != step {
					return nil
				}
				if left--; left < 0 {
					return syscall.EIO
				}
				return nil
			}})
			c, err := s.Take(t.Context(), bytes.NewReader(body(200<<10)))
			if err == nil {
				require.Positive(t, nth, step)
				c.Discard()
			} else {
				require.ErrorIs(t, err, syscall.EIO)
			}
			require.Empty(t, files(t, dir), step)
			require.Equal(t, claims.Stats{}, s.Stats(), step)
		}
	}
}

func TestUnfinishedBodiesAreRemovedAtStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "claims")
	s := open(t, dir, claims.Options{})
	w, err := s.Create(t.Context())
	require.NoError(t, err)
	_, err = w.Write(body(200 << 10))
	require.NoError(t, err)
	kept := take(t, s, body(10))
	require.Len(t, files(t, dir), 2)
	s = open(t, dir, claims.Options{}) // the process was killed
	require.Equal(t, []string{kept.ID() + ".claim"}, files(t, dir))
	require.Equal(t, 1, s.Stats().Files)
}

func TestCollectRemovesWhatNothingRefersTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "claims")
	now := time.Now()
	s := open(t, dir, claims.Options{Now: func() time.Time { return now }})
	inHand, handed, moved, abandoned, lost := take(t, s, body(1)), take(t, s, body(2)), take(t, s, body(3)), take(t, s, body(4)), take(t, s, body(5))
	for _, c := range []*claims.Claim{handed, moved} {
		c.HandOver()
		c.Discard() // does nothing any more
	}
	abandoned.Abandon()
	abandoned.Discard()
	lost.HandOver()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	looks := 0
	refs := func(context.Context) (map[string]bool, error) {
		looks++
		m := map[string]bool{handed.ID(): true}
		if looks == 1 { // the second look comes when it has left the first stream for another
			m[moved.ID()] = true
		}
		return m, nil
	}
	n, err := s.Collect(t.Context(), refs)
	require.NoError(t, err)
	require.Zero(t, n, "too young")
	now = now.Add(2 * time.Minute)
	_, err = s.Collect(t.Context(), func(context.Context) (map[string]bool, error) { return nil, errors.New("the bus is away") })
	require.Error(t, err)
	require.Equal(t, 5, s.Stats().Files)
	n, err = s.Collect(t.Context(), refs)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, c := range []*claims.Claim{inHand, handed, moved} {
		r, err := c.Reader()
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	for _, c := range []*claims.Claim{abandoned, lost} {
		_, err := c.Reader()
		require.ErrorIs(t, err, claims.ErrMissing)
	}
}

func TestReference(t *testing.T) {
	r := claims.Reference{Claim: strings.Repeat("0a", 16), Size: 50 << 20, Digest: sm3.Sum(nil), Head: []byte("MSH|"), Partial: true}
	b, err := r.Encode()
	require.NoError(t, err)
	back, err := claims.ParseReference(b)
	require.NoError(t, err)
	require.Equal(t, r, back)
	for name, bad := range map[string][]byte{"empty": nil, "cut": b[:40], "version": flip(b, 0), "flags": append([]byte{1, 2}, b[2:]...),
		"no size": append(append(bytes.Clone(b[:18]), make([]byte, 8)...), b[26:]...)} {
		_, err := claims.ParseReference(bad)
		require.ErrorIs(t, err, claims.ErrReference, name)
	}
	_, err = claims.Reference{Claim: "x", Size: 1}.Encode()
	require.ErrorIs(t, err, claims.ErrReference)
	require.NotContains(t, r.LogValue().String(), "MSH")
	require.Equal(t, "[redacted]", keys(t, 1).String())
}

// FuzzClaimFile: no content of a file makes the reader panic or give other bytes than were taken.
func FuzzClaimFile(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "claims")
	s := open(f, dir, claims.Options{})
	b := body(70_000)
	c := take(f, s, b)
	path := filepath.Join(dir, c.ID()+".claim")
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:100])
	f.Add([]byte("EMRCLM\x00\x01"))
	f.Fuzz(func(t *testing.T, file []byte) {
		require.NoError(t, os.WriteFile(path, file, 0o600))
		r, err := s.Open(c.ID())
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }()
		if got, err := io.ReadAll(r); err == nil {
			require.True(t, bytes.Equal(b, got))
		}
	})
}

func FuzzReference(f *testing.F) {
	b, err := claims.Reference{Claim: strings.Repeat("0a", 16), Size: 5, Head: []byte("x")}.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := claims.ParseReference(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func BenchmarkTake(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "claims"), claims.Options{})
	data := body(16 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		take(b, s, data).Discard()
	}
}
