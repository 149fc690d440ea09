package guard_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance runs the same suite on everything a guard can work with. In all of them
// but the first two guards share the state.
func TestConformance(t *testing.T) {
	for name, config := range map[string]func(t *testing.T) guard.Config{
		"embedded": func(*testing.T) guard.Config { return guard.Config{Embedded: true} },
		"miniredis": func(t *testing.T) guard.Config {
			m := miniredis.RunT(t)
			m.RequireUserAuth("front", "secret")
			return guard.Config{Addrs: []string{m.Addr()}, Username: "front", Password: "secret", Key: testKey}
		},
		"redis-server": func(t *testing.T) guard.Config { return startRedis(t).config() },
		"no Redis":     func(t *testing.T) guard.Config { return reserve(t).config() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			a := open(t, cfg)
			b := a
			if shared := !cfg.Embedded && name != "no Redis"; shared {
				b = open(t, cfg)
			}
			if name != "no Redis" {
				require.NoError(t, a.Healthy())
			}
			t.Run("ledger", func(t *testing.T) { ledger(t, a, b) })
			t.Run("ledger races", func(t *testing.T) { ledgerRaces(t, a, b) })
			t.Run("nonces", func(t *testing.T) { nonces(t, a, b) })
			t.Run("nonce races", func(t *testing.T) { nonceRaces(t, a, b) })
			t.Run("rates", func(t *testing.T) { rates(t, a, b) })
			t.Run("refused arguments", func(t *testing.T) { refusedArguments(t, a) })
			t.Run("contexts", func(t *testing.T) { contexts(t, a) })
		})
	}
}

func message(sender, id, content string) guard.Control {
	c := guard.Control{Sender: sender, ControlID: id}
	copy(c.Digest[:], content)
	return c
}

func remember(t testing.TB, g *guard.Guard, want guard.Outcome, c guard.Control) {
	t.Helper()
	got, err := g.Remember(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, []guard.Outcome{want}, got)
}

func ledger(t *testing.T, a, b *guard.Guard) {
	m := message("LIS", "MSG-1", "content")
	for _, g := range []*guard.Guard{a, b} {
		got, err := g.Control(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, guard.New, got, "looking up enters nothing")
	}
	remember(t, a, guard.New, m)
	other := message("LIS", "MSG-1", "other content")
	for _, g := range []*guard.Guard{a, b} {
		got, err := g.ControlAll(t.Context(), []guard.Control{
			m, other, message("HIS", "MSG-1", "content"), message("LIS", "MSG-2", "content"),
			// Sender and control id must not run into each other.
			message("LISM", "SG-1", "content"), message("", "LISMSG-1", "content"),
		})
		require.NoError(t, err)
		assert.Equal(t, []guard.Outcome{guard.Duplicate, guard.Conflict, guard.New, guard.New, guard.New, guard.New}, got)
		remember(t, g, guard.Duplicate, m)
		remember(t, g, guard.Conflict, other)
		one, err := g.Control(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, guard.Duplicate, one, "the first entry stays")
	}
	none, err := a.ControlAll(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, none)
	many := make([]guard.Control, 3000) // a pipeline larger than any buffer on the way
	for i := range many {
		many[i] = message("PACS", fmt.Sprint(i), "x")
	}
	for _, want := range []guard.Outcome{guard.New, guard.Duplicate} {
		got, err := a.Remember(t.Context(), many...)
		require.NoError(t, err)
		require.Len(t, got, len(many))
		for i, o := range got {
			require.Equal(t, want, o, "message %d", i)
		}
	}
}

// ledgerRaces enters one control id with many contents at once: exactly one is New.
func ledgerRaces(t *testing.T, a, b *guard.Guard) {
	var fresh, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			got, err := []*guard.Guard{a, b}[i%2].Remember(t.Context(), message("S", "raced", fmt.Sprint(i)))
			assert.NoError(t, err)
			switch got[0] {
			case guard.New:
				fresh.Add(1)
			case guard.Conflict:
				conflicts.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, fresh.Load())
	assert.EqualValues(t, 19, conflicts.Load())
}

func use(t testing.TB, g *guard.Guard, scope, nonce string) bool {
	t.Helper()
	fresh, err := g.UseNonce(t.Context(), scope, []byte(nonce), time.Minute)
	require.NoError(t, err)
	return fresh
}

func nonces(t *testing.T, a, b *guard.Guard) {
	assert.True(t, use(t, a, "gateway", "nonce-01"))
	assert.False(t, use(t, a, "gateway", "nonce-01"))
	assert.False(t, use(t, b, "gateway", "nonce-01"), "used at another process")
	assert.True(t, use(t, b, "gateway", "nonce-02"))
	assert.False(t, use(t, a, "gateway", "nonce-02"))
	assert.True(t, use(t, b, "other scope", "nonce-01"))
	assert.True(t, use(t, a, "gatewaynonce", "nonce-01"), "scope and nonce must not run into each other")
	assert.True(t, use(t, a, "x", "\x00\x00\x00\x00\x00\x00\x00\x00"))
	assert.True(t, use(t, a, "x", "\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
}

func nonceRaces(t *testing.T, a, b *guard.Guard) {
	for round := range 20 {
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if use(t, []*guard.Guard{a, b}[i%2], "race", fmt.Sprintf("nonce-%03d", round)) {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, fresh.Load(), "round %d", round)
	}
}

func rates(t *testing.T, a, b *guard.Guard) {
	limit := guard.Limit{Events: 10, Per: time.Second, Burst: 5}
	both := []*guard.Guard{a, b}
	allowed, start := 0, time.Now()
	for i := range 20 {
		ok, retry, err := both[i%2].Allow(t.Context(), "H2MSP", limit)
		require.NoError(t, err)
		if ok {
			allowed++
			assert.Zero(t, retry)
			continue
		}
		assert.Positive(t, retry)
		assert.LessOrEqual(t, retry, 100*time.Millisecond)
	}
	assert.GreaterOrEqual(t, allowed, 5)
	assert.LessOrEqual(t, allowed, 5+int(time.Since(start)/(100*time.Millisecond)))
	ok, _, err := b.Allow(t.Context(), "H3MSP", limit)
	require.NoError(t, err)
	assert.True(t, ok, "each key has a budget of its own")

	start = time.Now()
	allowed = 0
	for time.Since(start) < 700*time.Millisecond {
		ok, retry, err := both[allowed%2].Allow(t.Context(), "H2MSP", limit)
		require.NoError(t, err)
		if ok {
			allowed++
			continue
		}
		time.Sleep(retry)
	}
	assert.GreaterOrEqual(t, allowed, 4, "who waits as told gets the rate")
	assert.LessOrEqual(t, allowed, 13)
}

func refusedArguments(t *testing.T, g *guard.Guard) {
	long := string(make([]byte, 1025))
	for _, c := range []guard.Control{{ControlID: ""}, {ControlID: long}, {Sender: long, ControlID: "1"}} {
		_, err := g.Control(t.Context(), c)
		require.ErrorIs(t, err, guard.ErrInvalid)
		_, err = g.Remember(t.Context(), c)
		require.ErrorIs(t, err, guard.ErrInvalid)
	}
	_, err := g.ControlAll(t.Context(), make([]guard.Control, 10_001))
	require.ErrorIs(t, err, guard.ErrInvalid)
	for _, n := range []struct {
		nonce int
		ttl   time.Duration
	}{{7, time.Second}, {65, time.Second}, {16, 0}, {16, -1}, {16, 31 * 24 * time.Hour}} {
		_, err := g.UseNonce(t.Context(), "s", make([]byte, n.nonce), n.ttl)
		require.ErrorIs(t, err, guard.ErrInvalid)
	}
	for _, l := range []guard.Limit{{}, {Events: 1, Per: time.Second}, {Events: 1, Burst: 1}, {Events: -1, Per: time.Second, Burst: 1},
		{Events: 1_000_000, Per: time.Millisecond, Burst: 1}, {Events: 1, Per: 25 * time.Hour, Burst: 1}, {Events: 1, Per: time.Second, Burst: 1 << 30}} {
		_, _, err := g.Allow(t.Context(), "k", l)
		require.ErrorIs(t, err, guard.ErrInvalid)
	}
	_, _, err = g.Allow(t.Context(), long, guard.Limit{Events: 1, Per: time.Second, Burst: 1})
	require.ErrorIs(t, err, guard.ErrInvalid)
}

func contexts(t *testing.T, g *guard.Guard) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Control(gone, message("a", "b", "c"))
	require.ErrorIs(t, err, context.Canceled)
	fresh, err := g.UseNonce(gone, "ctx", []byte("nonce-ctx"), time.Minute)
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, fresh)
	_, _, err = g.Allow(gone, "k", guard.Limit{Events: 1, Per: time.Second, Burst: 1})
	require.ErrorIs(t, err, context.Canceled)
}

func TestClosed(t *testing.T) {
	g, err := guard.Open(t.Context(), guard.Config{Embedded: true})
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	_, err = g.Control(t.Context(), message("a", "b", "c"))
	require.ErrorIs(t, err, guard.ErrClosed)
	_, err = g.UseNonce(t.Context(), "s", make([]byte, 16), time.Second)
	require.ErrorIs(t, err, guard.ErrClosed)
	_, _, err = g.Allow(t.Context(), "k", guard.Limit{Events: 1, Per: time.Second, Burst: 1})
	require.ErrorIs(t, err, guard.ErrClosed)
	require.ErrorIs(t, g.Healthy(), guard.ErrClosed)
}

func TestConfigFaultsAreAllReported(t *testing.T) {
	for want, cfg := range map[string]guard.Config{
		"no address":          {Key: testKey},
		"key has 0 bytes":     {Addrs: []string{"127.0.0.1:1"}},
		"key has 5 bytes":     {Embedded: true, Key: []byte("short")},
		"on another machine":  {Addrs: []string{"10.0.0.1:6379"}, Key: testKey},
		"without checking":    {Addrs: []string{"10.0.0.1:6379"}, Key: testKey, TLS: &tls.Config{InsecureSkipVerify: true}},
		"instances":           {Embedded: true, Instances: -1},
		"ledger TTL":          {Embedded: true, LedgerTTL: time.Second},
		"operation timeout":   {Embedded: true, OpTimeout: time.Second},
		"max memory":          {Embedded: true, MaxMemory: -1},
		"max ledger":          {Embedded: true, MaxLedger: -1},
		"database number":     {Addrs: []string{"localhost:1"}, Key: testKey, DB: -1},
		"redis.invalid:6379 ": {Addrs: []string{"localhost:1", "redis.invalid:6379"}, Key: testKey},
	} {
		_, err := guard.Open(t.Context(), cfg)
		require.ErrorIs(t, err, guard.ErrConfig)
		require.ErrorContains(t, err, want)
	}
	err := guard.Config{Instances: -1, OpTimeout: time.Hour}.Validate()
	for _, part := range []string{"instances", "timeout", "no address", "key"} {
		require.ErrorContains(t, err, part)
	}
	require.NoError(t, guard.Config{Addrs: []string{"/run/redis.sock", "[::1]:1", "localhost:2"}, Key: testKey}.Validate())
}

func TestConfigIsRedactedInLogs(t *testing.T) {
	var out bytes.Buffer
	cfg := guard.Config{Addrs: []string{"127.0.0.1:6379"}, Username: "hidden-user", Password: "hidden-password", Key: []byte("hidden-key")}
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "redis", cfg)
	assert.Contains(t, out.String(), "127.0.0.1:6379")
	assert.NotContains(t, out.String(), "hidden")
}
