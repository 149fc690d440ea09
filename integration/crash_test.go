package integration_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/record"
)

// TestKilledAtRandomMoments kills the process again and again while its senders are at
// work, some of the times while it is still starting. Nothing acknowledged may be lost,
// nothing anchored twice.
func TestKilledAtRandomMoments(t *testing.T) {
	s := w.up(t, 1, nil)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	before := s.compare(t).acked
	l := s.flow(t, "KILL", 8*time.Millisecond)
	const rounds = 8
	for round := range rounds {
		// At least one acknowledgement in each round: the senders really got through to it.
		acked := l.acked.Load()
		eventually(t, "messages are acknowledged", func() bool { return l.acked.Load() > acked })
		time.Sleep(time.Duration(r.Int64N(int64(900 * time.Millisecond))))
		s.kill()
		if round%2 == 1 { // and once more, before it has got ready
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(600*time.Millisecond))))
			s.running = true
			if s.Start(ctx) == nil {
				t.Log("it was ready before it could be killed")
			}
			cancel()
			s.kill()
		}
		s.start(t)
	}
	l.finish(t)
	t.Logf("%d acknowledged in %d rounds, %d sent again", l.acked.Load(), rounds, l.again.Load())
	s.reconcile(t)
	s.verify(t)
	require.GreaterOrEqual(t, s.compare(t).acked, before+rounds)
}

// TestGracefulStop stops the process under load: it drains, ends in time with exit status
// 0, and the next start goes on where it was.
func TestGracefulStop(t *testing.T) {
	s := w.up(t, 1, nil)
	l := s.flow(t, "STOP", 2*time.Millisecond)
	eventually(t, "the load is on", func() bool { return l.acked.Load() > 60 })
	begun := time.Now()
	s.stop(t)
	t.Logf("stopped in %.1f s", time.Since(begun).Seconds())
	assert.Less(t, time.Since(begun), 20*time.Second)
	s.start(t)
	acked := l.acked.Load()
	eventually(t, "the senders go on", func() bool { return l.acked.Load() > acked+20 })
	l.finish(t)
	s.reconcile(t)
}

// TestConsortiumRestarted stops the whole consortium under load, without removing it, and
// starts it again: everybody finds everything.
func TestConsortiumRestarted(t *testing.T) {
	s := w.up(t, 1, nil)
	l := s.flow(t, "RESTART", 50*time.Millisecond)
	eventually(t, "the load is on", func() bool { return l.acked.Load() > 30 })
	before := len(w.anchored(t))
	require.NoError(t, w.net.Down(context.Background(), false))
	back := func() (err error) {
		w.net, err = devnet.Up(context.Background(), w.network())
		return err
	}
	t.Cleanup(func() {
		if !w.net.Running() { // for the tests that follow
			assert.NoError(t, back())
		}
	})
	acked := l.acked.Load()
	eventually(t, "messages are acknowledged all the same", func() bool { return l.acked.Load() > acked+30 })
	require.NoError(t, back())
	l.finish(t)
	w.read, w.seen = 0, map[record.ID]int{} // from the first block on
	eventually(t, "the ledger has what it had", func() bool { return len(w.anchored(t)) >= before })
	eventually(t, "the hospital is ready", func() bool { return s.Ready(t.Context()) == nil })
	s.reconcile(t)
}

// TestNothingLeaks: after many connections, messages and restarts of neighbours the process
// holds about as many files and goroutines as before.
func TestNothingLeaks(t *testing.T) {
	s := w.up(t, 1, nil)
	held := func() (files, goroutines float64) {
		return s.figure(t, "process_open_fds"), s.figure(t, "go_goroutines")
	}
	round := func(facility string) {
		d := day(facility, 10)
		l := s.send(t, d)
		l.wait(t)
		for _, m := range d.Messages[:30] {
			s.one(t, m.Raw)
		}
		require.NoError(t, w.net.Kill(t.Context(), s.hospital.PeerProcess))
		require.NoError(t, w.net.Start(t.Context(), s.hospital.PeerProcess))
	}
	round("LEAK0")
	s.reconcile(t)
	files, goroutines := held()
	for _, facility := range []string{"LEAK1", "LEAK2", "LEAK3"} {
		round(facility)
	}
	s.reconcile(t)
	var f, g float64
	eventually(t, "files and goroutines are back where they were", func() bool {
		f, g = held()
		return f <= files+20 && g <= goroutines+40
	})
	t.Logf("files %.0f, then %.0f; goroutines %.0f, then %.0f", files, f, goroutines, g)
}
