package bridge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGateLetsOneProbeAtATimeAndAllWhenItOpens(t *testing.T) {
	g := newGate(time.Millisecond, 5*time.Millisecond)
	open, err := g.pass(t.Context())
	require.NoError(t, err)
	require.True(t, g.shut(open, "ledger", errors.New("away")))
	require.False(t, g.shut(open, "ledger", errors.New("away")), "told once")
	neighbour, since, why := g.state()
	require.Equal(t, "ledger", neighbour)
	require.NotZero(t, since)
	require.EqualError(t, why, "away")

	var probing, most, probes, through atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for {
				ticket, err := g.pass(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				if !ticket.probe {
					through.Add(1)
					return
				}
				if n := probing.Add(1); n > most.Load() {
					most.Store(n)
				}
				if probes.Add(1) < 10 {
					g.shut(ticket, "ledger", errors.New("away"))
				} else {
					g.open()
				}
				probing.Add(-1)
				g.leave(ticket)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), most.Load())
	require.GreaterOrEqual(t, probes.Load(), int64(10))
	require.Equal(t, int64(100), through.Load())
}

func TestGateEndsWithItsContext(t *testing.T) {
	g := newGate(time.Hour, time.Hour)
	g.shut(ticket{}, "ledger", errors.New("away"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	for range 2 { // the turn is given back
		_, err := g.pass(ctx)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Len(t, g.turn, 1)
}

func TestHeldRecognisesWhatIsInHandAndDone(t *testing.T) {
	var h held
	h.init(100 << 10)
	at := time.Now()
	a := &item{seq: 5, at: at, size: 60 << 10}
	require.Equal(t, takenNew, h.take(a))
	require.Equal(t, takenHeld, h.take(&item{seq: 5, at: at}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.wait(ctx, 30<<10), context.DeadlineExceeded, "the budget is used up")
	h.done(a)
	require.NoError(t, h.wait(t.Context(), 1<<30), "with nothing in hand any message passes")
	require.Equal(t, takenDone, h.take(&item{seq: 5, at: at}))
	require.Equal(t, takenNew, h.take(&item{seq: 5, at: at.Add(time.Second)}), "another stream that counts from one again")
	for i := range uint64(3 * remember) {
		it := &item{seq: 100 + i, at: at}
		require.Equal(t, takenNew, h.take(it))
		h.done(it)
	}
	require.Len(t, h.finished, remember)
}
