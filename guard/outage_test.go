package guard_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/guard"
)

// patience is the promise of 200 ms with room for a busy test machine.
const patience = 450 * time.Millisecond

// within runs a call and checks that it kept nobody waiting.
func within(t testing.TB, call func()) {
	t.Helper()
	start := time.Now()
	call()
	assert.Less(t, time.Since(start), patience)
}

func TestStartsWithoutRedisAndFindsItLater(t *testing.T) {
	s := reserve(t)
	var states []bool
	var mu sync.Mutex
	cfg := s.config()
	cfg.OnState = func(healthy bool, _ error) { mu.Lock(); states = append(states, healthy); mu.Unlock() }
	g := open(t, cfg)
	err := g.Healthy()
	require.ErrorIs(t, err, guard.ErrDegraded)
	require.ErrorContains(t, err, "connection refused")

	assert.True(t, use(t, g, "s", "before-redis"))
	remember(t, g, guard.New, message("S", "before", "x"))
	assert.Equal(t, 1, g.Stats().PendingNonces)
	s.start()
	healthy(t, g)
	assert.Zero(t, g.Stats().PendingNonces)
	assert.Zero(t, g.Stats().PendingLedger)

	other := open(t, s.config())
	assert.False(t, use(t, other, "s", "before-redis"), "what was used without Redis is refused everywhere after it")
	got, err := other.Control(t.Context(), message("S", "before", "x"))
	require.NoError(t, err)
	assert.Equal(t, guard.Duplicate, got)
	eventually(t, "nobody was told", func() bool { mu.Lock(); defer mu.Unlock(); return len(states) == 1 && states[0] })
}

// TestKilledUnderLoad kills Redis in the midst of load and starts it again, empty: no call
// waits long, and whatever one process accepted is refused there, always, and at the
// other process once it is back.
func TestKilledUnderLoad(t *testing.T) {
	s := startRedis(t)
	a, b := open(t, s.config()), open(t, s.config())
	var used sync.Map
	var slowest atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				nonce := fmt.Sprintf("nonce-%d-%06d", w, i)
				start := time.Now()
				assert.True(t, use(t, a, "load", nonce))
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
				used.Store(nonce, true)
				assert.False(t, use(t, a, "load", nonce), "replay of %s", nonce)
				got, err := a.Remember(t.Context(), message("S", nonce, "x"))
				assert.NoError(t, err)
				assert.Equal(t, guard.New, got[0])
				_, _, err = a.Allow(t.Context(), "caller", guard.Limit{Events: 100, Per: time.Second, Burst: 10})
				assert.NoError(t, err)
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		s.kill()
		eventually(t, "the loss goes unnoticed", func() bool { return a.Healthy() != nil })
		time.Sleep(200 * time.Millisecond)
		s.start()
		healthy(t, a)
	}
	stop()
	wg.Wait()
	healthy(t, b)
	assert.Less(t, time.Duration(slowest.Load()), patience)
	eventually(t, "memory is not sent", func() bool { return a.Stats().PendingNonces == 0 })
	n := 0
	used.Range(func(nonce, _ any) bool {
		n++
		assert.False(t, use(t, a, "load", nonce.(string)))
		return assert.False(t, use(t, b, "load", nonce.(string)), "replay of %s at the other process", nonce)
	})
	t.Logf("%d nonces, slowest call %v, %+v", n, time.Duration(slowest.Load()), a.Stats())
	assert.Positive(t, n)
	assert.GreaterOrEqual(t, a.Stats().Outages, uint64(2))
}

func TestFrozenRedisKeepsNobodyWaiting(t *testing.T) {
	s := startRedis(t)
	g := open(t, s.config())
	require.True(t, use(t, g, "s", "nonce-before"))
	wake := s.freeze()
	limit := guard.Limit{Events: 10, Per: time.Second, Burst: 2}
	for i := range 6 {
		within(t, func() { assert.True(t, use(t, g, "s", fmt.Sprintf("frozen-%02d", i))) })
		within(t, func() { assert.False(t, use(t, g, "s", "nonce-before")) })
		within(t, func() { remember(t, g, guard.New, message("S", fmt.Sprint(i), "x")) })
		within(t, func() { _, _, err := g.Allow(t.Context(), "k", limit); assert.NoError(t, err) })
	}
	require.ErrorIs(t, g.Healthy(), guard.ErrDegraded)
	wake()
	healthy(t, g)
	other := open(t, s.config())
	for i := range 6 {
		assert.False(t, use(t, other, "s", fmt.Sprintf("frozen-%02d", i)))
	}
}

func TestServerThatNeverAnswers(t *testing.T) {
	start := time.Now()
	g := open(t, guard.Config{Addrs: []string{blackHole(t)}, Key: testKey})
	assert.Less(t, time.Since(start), 3*time.Second, "opening is bounded")
	for i := range 5 {
		within(t, func() { assert.True(t, use(t, g, "s", fmt.Sprintf("nonce-%02d", i))) })
	}
	require.ErrorIs(t, g.Healthy(), guard.ErrDegraded)
}

// A Redis that lost its memory without ever failing gets it back.
func TestFlushedRedisIsFilledAgain(t *testing.T) {
	s := startRedis(t)
	g := open(t, s.config())
	require.True(t, use(t, g, "s", "nonce-flushed"))
	remember(t, g, guard.New, message("S", "1", "x"))
	require.NoError(t, s.client().FlushAll(t.Context()).Err())
	eventually(t, "the loss goes unnoticed", func() bool { return g.Stats().RepeatedUpload > 0 })
	other := open(t, s.config())
	eventually(t, "memory is not sent", func() bool {
		got, err := other.Control(t.Context(), message("S", "1", "x"))
		return err == nil && got == guard.Duplicate
	})
	assert.False(t, use(t, other, "s", "nonce-flushed"))
	assert.NoError(t, g.Healthy())
	assert.Zero(t, g.Stats().Outages)
}

func TestStrictNonces(t *testing.T) {
	s := reserve(t)
	cfg := s.config()
	cfg.StrictNonces = true
	g := open(t, cfg)
	_, err := g.UseNonce(t.Context(), "s", []byte("nonce-01"), time.Minute)
	require.ErrorIs(t, err, guard.ErrUnavailable)
	assert.False(t, use(t, g, "s", "nonce-01"), "a refused nonce is used up")
	s.start()
	healthy(t, g)
	assert.True(t, use(t, g, "s", "nonce-02"))
	assert.False(t, use(t, g, "s", "nonce-01"))
}

func TestNoncesAreNeverForgottenForWantOfRoom(t *testing.T) {
	cfg := reserve(t).config()
	cfg.MaxMemory = 10
	g := open(t, cfg)
	for i := range 10 {
		require.True(t, use(t, g, "s", fmt.Sprintf("nonce-%02d", i)))
	}
	_, err := g.UseNonce(t.Context(), "s", []byte("nonce-10"), time.Minute)
	require.ErrorIs(t, err, guard.ErrSaturated)
	for i := range 10 {
		require.False(t, use(t, g, "s", fmt.Sprintf("nonce-%02d", i)))
	}
	for i := range 30 { // the ledger forgets instead
		remember(t, g, guard.New, message("S", fmt.Sprint(i), "x"))
	}
	got, err := g.ControlAll(t.Context(), []guard.Control{message("S", "0", "x"), message("S", "29", "x"), message("S", "29", "y")})
	require.NoError(t, err)
	assert.Equal(t, []guard.Outcome{guard.New, guard.Duplicate, guard.Conflict}, got)
	limit := guard.Limit{Events: 1, Per: time.Minute, Burst: 1}
	for i := range 12 { // callers beyond the room are refused
		ok, retry, err := g.Allow(t.Context(), fmt.Sprint(i), limit)
		require.NoError(t, err)
		assert.Equal(t, i < 10, ok)
		assert.Equal(t, !ok, retry > 0)
	}
	assert.Positive(t, g.Stats().Saturated)
}

// An outage must not hand out a second burst, nor must its end.
func TestOutageGivesNoFreshBudget(t *testing.T) {
	s := startRedis(t)
	g := open(t, s.config())
	limit := guard.Limit{Events: 2, Per: time.Hour, Burst: 4}
	take := func(key string, n int) (allowed int) {
		for range n {
			ok, _, err := g.Allow(t.Context(), key, limit)
			require.NoError(t, err)
			if ok {
				allowed++
			}
		}
		return allowed
	}
	assert.Equal(t, 4, take("a", 6))
	s.kill()
	assert.Zero(t, take("a", 6), "spent before the outage")
	eventually(t, "the loss goes unnoticed", func() bool { take("x", 1); return g.Healthy() != nil })
	assert.Equal(t, 4, take("b", 6))
	s.start()
	healthy(t, g)
	assert.Zero(t, take("b", 6), "spent during the outage")
}

func TestLocalRateIsTheShareOfOneProcess(t *testing.T) {
	cfg := reserve(t).config()
	cfg.Instances = 4
	g := open(t, cfg)
	allowed := 0
	for range 20 {
		ok, _, err := g.Allow(t.Context(), "k", guard.Limit{Events: 1, Per: time.Hour, Burst: 8})
		require.NoError(t, err)
		if ok {
			allowed++
		}
	}
	assert.Equal(t, 2, allowed)
}
