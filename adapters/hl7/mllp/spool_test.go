package mllp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// shelf keeps spooled frames in memory and counts what became of them.
type shelf struct {
	mu                                  sync.Mutex
	bodies                              []*box
	opened, finished, aborted, discards int
	failCreate, failWrite, failFinish   error
	count                               bool // only counts bytes
}

type box struct {
	shelf *shelf
	buf   bytes.Buffer
	size  int64
	done  bool
}

func (s *shelf) open() (mllp.Spool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failCreate != nil {
		return nil, s.failCreate
	}
	s.opened++
	return &box{shelf: s}, nil
}

func (b *box) Write(p []byte) (int, error) {
	b.size += int64(len(p))
	if b.shelf.failWrite != nil && b.size > 2<<20 {
		return 0, b.shelf.failWrite
	}
	if b.shelf.count {
		return len(p), nil
	}
	return b.buf.Write(p)
}

func (b *box) Finish() (hl7.Body, error) {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.done = true
	if b.shelf.failFinish != nil {
		b.shelf.aborted++
		return nil, b.shelf.failFinish
	}
	b.shelf.finished++
	b.shelf.bodies = append(b.shelf.bodies, b)
	return b, nil
}

func (b *box) Abort() {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	if !b.done {
		b.shelf.aborted++
	}
	b.done = true
}

func (b *box) Size() int64 { return b.size }

func (b *box) Reader() (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b.buf.Bytes()), io.NopCloser(nil)}, nil
}

func (b *box) Discard() {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	b.shelf.discards++
}

func (s *shelf) counts() [4]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [4]int{s.opened, s.finished, s.aborted, s.discards}
}

// spooling runs a server whose long frames go to a shelf; it answers with the fault and
// keeps the frames.
func spooling(t *testing.T, s *shelf, change func(*mllp.Config)) (addr string, frames func() []mllp.Frame) {
	t.Helper()
	var mu sync.Mutex
	var got []mllp.Frame
	cfg := mllp.Config{MaxFrame: 8 << 20, Spool: s.open, SpoolFrom: 100_000, ReadTimeout: time.Second,
		Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, f)
			return []byte{'A' + byte(f.Fault)}, nil
		}}
	if change != nil {
		change(&cfg)
	}
	srv, err := mllp.New(cfg)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, mllp.ErrServerClosed)
	})
	return l.Addr().String(), func() []mllp.Frame {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// exchange sends bytes and returns the answers until want of them came.
func exchange(t *testing.T, addr string, want int, parts ...[]byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	go func() {
		for _, p := range parts {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	answer := make([]byte, 4*want)
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, string(answer))
}

func framed(payload []byte) []byte {
	return append(append([]byte{0x0b}, payload...), 0x1c, 0x0d)
}

func TestLongFramesAreSpooledAndShortOnesAreNot(t *testing.T) {
	s := &shelf{}
	addr, frames := spooling(t, s, nil)
	short, long := bytes.Repeat([]byte("s"), 99_000), bytes.Repeat([]byte("long\x1cx"), 500_000)
	edge := append(bytes.Repeat([]byte("e"), 200_000), 0x1c, 'x') // an FS that ends nothing, at the end of a read
	require.Equal(t, "AAAA", exchange(t, addr, 4, framed(long), framed(short), framed(edge), framed(long)))
	got := frames()
	require.Nil(t, got[1].Body)
	require.True(t, bytes.Equal(short, got[1].Payload))
	for i, want := range map[int][]byte{0: long, 2: edge, 3: long} {
		require.Equal(t, int64(len(want)), got[i].Size)
		require.Equal(t, int64(len(want)), got[i].Body.Size())
		require.LessOrEqual(t, len(got[i].Payload), 64<<10)
		require.True(t, bytes.HasPrefix(want, got[i].Payload))
	}
	for i, want := range [][]byte{long, edge, long} {
		require.True(t, bytes.Equal(want, s.bodies[i].buf.Bytes()), i)
	}
	require.Equal(t, [4]int{3, 3, 0, 3}, s.counts(), "each is discarded when its handler has returned")
}

// TestFramesThatDoNotBecomeWholeLeaveNothing: too long, cut off, no room.
func TestFramesThatDoNotBecomeWholeLeaveNothing(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3<<20)
	t.Run("too long", func(t *testing.T) {
		s := &shelf{}
		addr, frames := spooling(t, s, func(c *mllp.Config) { c.MaxFrame = 2 << 20 })
		require.Equal(t, "BA", exchange(t, addr, 2, framed(long), framed([]byte("next"))))
		require.Equal(t, [4]int{1, 0, 1, 0}, s.counts())
		require.Nil(t, frames()[0].Body)
		require.Len(t, frames()[0].Payload, 64<<10)
	})
	t.Run("silent", func(t *testing.T) {
		s := &shelf{}
		addr, _ := spooling(t, s, func(c *mllp.Config) { c.ReadTimeout = 50 * time.Millisecond })
		require.Equal(t, "C", exchange(t, addr, 1, append([]byte{0x0b}, long...)))
		require.Equal(t, [4]int{1, 0, 1, 0}, s.counts())
	})
	t.Run("gone", func(t *testing.T) {
		s := &shelf{}
		addr, frames := spooling(t, s, nil)
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = c.Write(append([]byte{0x0b}, long...))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Eventually(t, func() bool { return len(frames()) == 1 }, 5*time.Second, 5*time.Millisecond)
		require.Equal(t, mllp.Incomplete, frames()[0].Fault)
		require.Equal(t, [4]int{1, 0, 1, 0}, s.counts())
	})
	for name, s := range map[string]*shelf{"no room to begin": {failCreate: errors.New("full")}, "no room to go on": {failWrite: errors.New("full")}, "not durable": {failFinish: errors.New("full")}} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var told error
			addr, _ := spooling(t, s, func(c *mllp.Config) {
				c.Observe = func(e mllp.Event) {
					mu.Lock()
					defer mu.Unlock()
					if e.Kind == mllp.OutOfMemory {
						told = e.Err
					}
				}
			})
			require.Equal(t, "DA", exchange(t, addr, 2, framed(long), framed([]byte("next"))), "the connection lives on")
			got := s.counts()
			require.Equal(t, got[0], got[2], "what was begun was aborted")
			mu.Lock()
			defer mu.Unlock()
			require.ErrorContains(t, told, "full")
		})
	}
}

func TestShutdownGivesUpASpooledFrame(t *testing.T) {
	s := &shelf{}
	srv, err := mllp.New(mllp.Config{Spool: s.open, SpoolFrom: 100_000, Handler: func(context.Context, mllp.Frame) ([]byte, error) { return nil, nil }})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write(append([]byte{0x0b}, make([]byte, 1<<20)...))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.counts()[0] == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, srv.Shutdown(t.Context()))
	require.ErrorIs(t, <-done, mllp.ErrServerClosed)
	require.Equal(t, [4]int{1, 0, 1, 0}, s.counts())
}

// TestALargeFrameTakesItsTime: a sender that keeps up the pace is not cut off for the length
// of its message, a slow one is.
func TestALargeFrameTakesItsTime(t *testing.T) {
	s := &shelf{}
	addr, _ := spooling(t, s, func(c *mllp.Config) { c.FrameTimeout = 300 * time.Millisecond })
	part := bytes.Repeat([]byte("x"), 1<<20)
	var wg sync.WaitGroup
	for want, pause := range map[string]time.Duration{"A": 120 * time.Millisecond, "C": 1300 * time.Millisecond} {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer c.Close()
			_, _ = c.Write([]byte{0x0b})
			for range 4 {
				_, _ = c.Write(part)
				if want == "C" {
					time.Sleep(2 * pause)
					break
				}
				time.Sleep(pause)
			}
			_, _ = c.Write([]byte{0x1c, 0x0d})
			require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
			answer := make([]byte, 4)
			_, err = io.ReadFull(c, answer)
			require.NoError(t, err)
			require.Equal(t, want, string(answer[1:2]))
		})
	}
	wg.Wait()
}

func TestSpooledFramesNeedLittleMemory(t *testing.T) {
	s := &shelf{count: true}
	addr, _ := spooling(t, s, func(c *mllp.Config) { c.MaxFrame, c.SpoolFrom = 64<<20, 1<<20 })
	part := framed(bytes.Repeat([]byte("x"), 50<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.Equal(t, "A", exchange(t, addr, 1, part))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// TestReceiverTakesASpooledMessage: from the wire to the submission.
func TestReceiverTakesASpooledMessage(t *testing.T) {
	var subs []hl7.Submission
	var refused []hl7.Reason
	r := &hl7.Receiver{Charset: hl7.CharsetPolicy{}, Ack: hl7.Ack{Application: "A", Facility: "B"},
		Submit: func(_ context.Context, m hl7.Submission) error { subs = append(subs, m); return nil },
		Quarantine: func(_ context.Context, raw []byte, why hl7.Reason) error {
			require.LessOrEqual(t, len(raw), 64<<10)
			refused = append(refused, why)
			return nil
		}}
	s := &shelf{}
	addr, _ := spooling(t, s, func(c *mllp.Config) { c.Handler = mllp.ForReceiver(r) })
	msg := func(tail string) []byte {
		return []byte("MSH|^~\\&|RIS|H|||20260301||ORU^R01|L1|P|2.5\rPID|1||1\rOBX|1|ED|||^^^Base64^" + strings.Repeat("QUJD", 100_000) + "\r" + tail)
	}
	client, err := mllp.Dial(t.Context(), addr, mllp.ClientConfig{})
	require.NoError(t, err)
	defer client.Close()
	reply, err := client.Send(t.Context(), msg(""))
	require.NoError(t, err)
	require.Equal(t, hl7.AppAccept, reply.Code)
	require.Len(t, subs, 1)
	require.Nil(t, subs[0].Raw)
	require.Equal(t, "L1", subs[0].ControlID)
	require.Equal(t, "ORU^R01", subs[0].Kind)
	require.Equal(t, int64(len(msg(""))), subs[0].Body.Size())
	require.Contains(t, string(subs[0].Skeleton.Text), "Base64^\r")
	require.NotContains(t, subs[0].LogValue().String(), "Base64")

	reply, err = client.Send(t.Context(), msg("not a segment"))
	require.NoError(t, err)
	require.Equal(t, hl7.AppError, reply.Code)
	require.Len(t, refused, 1)
	require.True(t, refused[0].Truncated)
	require.Equal(t, int64(len(msg("not a segment"))), refused[0].Size)

	// A batch is cut in memory.
	batch := append([]byte("BHS|^~\\&|RIS|H\r"), msg("BTS|1\r")...)
	_, err = client.Send(t.Context(), batch)
	_ = err // the answer is a batch, which this client does not match
	require.Len(t, subs, 2)
	require.True(t, bytes.HasPrefix(subs[1].Raw, []byte("MSH|")))
}
