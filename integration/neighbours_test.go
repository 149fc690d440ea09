package integration_test

import (
	"bytes"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
)

// TestBusRestarted restarts and kills an external NATS server under load.
func TestBusRestarted(t *testing.T) {
	bus := natsServer(t)
	s := w.up(t, 1, func(c *config.Config) { c.Bus.URLs = []string{"nats://" + bus.addr} })
	l := s.flow(t, "NATS", 50*time.Millisecond)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGKILL} {
		acked := l.acked.Load()
		eventually(t, "messages are acknowledged", func() bool { return l.acked.Load() > acked+20 })
		bus.end(sig)
		eventually(t, "readiness names the bus", func() bool {
			status, report := s.readiness(t)
			return status == http.StatusServiceUnavailable && contains(report.Missing, "bus")
		})
		bus.start()
		eventually(t, "it is ready again", func() bool { return s.Ready(t.Context()) == nil })
	}
	acked := l.acked.Load()
	eventually(t, "the senders go on", func() bool { return l.acked.Load() > acked+20 })
	l.finish(t)
	s.reconcile(t)
	assert.Empty(t, search(t, bus.dir, personal(day("NATS-0-0", 5))...), "the bus keeps nothing that tells a person")
}

// TestRedisAway kills Redis under load, and has it back empty.
func TestRedisAway(t *testing.T) {
	cache := redisServer(t)
	s := w.up(t, 1, func(c *config.Config) { c.Redis.Addr = cache.addr })
	first := day("REDIS1", 12)
	l := s.send(t, first)
	l.wait(t)
	repeat := func(what string) {
		for _, m := range first.Messages[:30] {
			r := s.one(t, m.Raw)
			require.True(t, r.Code.Accepted(), "%s: %s %s", what, r.Code, r.Text)
		}
	}
	repeat("known to Redis")
	assert.GreaterOrEqual(t, s.figure(t, "emrbridge_submitted_total", "outcome", "duplicate"), 30.0)
	client := redis.NewClient(&redis.Options{Addr: cache.addr})
	defer client.Close()
	require.NoError(t, client.Save(t.Context()).Err())
	assert.Empty(t, search(t, cache.dir, personal(first)...), "Redis keeps nothing that tells a person")

	l = s.flow(t, "REDIS2", 50*time.Millisecond)
	eventually(t, "the load is on", func() bool { return l.acked.Load() > 20 })
	cache.end(syscall.SIGKILL)
	eventually(t, "readiness names redis", func() bool {
		status, report := s.readiness(t)
		return status == http.StatusServiceUnavailable && contains(report.Missing, "redis")
	})
	acked := l.acked.Load()
	eventually(t, "messages are acknowledged without Redis", func() bool { return l.acked.Load() > acked+20 })
	repeat("Redis is away")
	cache.start()
	eventually(t, "it is ready again", func() bool { return s.Ready(t.Context()) == nil })
	l.finish(t)
	repeat("Redis has forgotten them")
	l = s.send(t, day("REDIS3", 12))
	l.wait(t)
	s.reconcile(t)
}

// TestControlIDReused: a sender that uses a control id for other bytes loses no record, and
// the incident stands in the trail, with the cache and without.
func TestControlIDReused(t *testing.T) {
	s := w.up(t, 1, nil)
	before := s.figure(t, "emrbridge_incidents_total")
	first, second := adt("REUSED-1", "甲某某"), adt("REUSED-1", "乙某某")
	s.accepted(t, first)
	s.accepted(t, second)
	s.accepted(t, first) // a repetition, no incident
	s.reconcile(t)
	require.NotEqual(t, s.id(t, first), s.id(t, second))
	var events []trail.Event
	eventually(t, "the trail shows both records and the incident", func() bool {
		s.answer(t, 0, &events, "trace", "REUSED-1")
		records, incidents := map[string]bool{}, 0
		for _, e := range events {
			if e.Stage == stage.Anchored {
				records[e.Record] = true
			}
			if e.Stage == stage.Incident && e.Code == stage.CodeReusedID && e.Record == s.id(t, second).String() {
				incidents++
			}
		}
		return len(records) == 2 && incidents == 1
	})
	eventually(t, "the incident is counted", func() bool { return s.figure(t, "emrbridge_incidents_total") == before+1 })
	assert.False(t, bytes.Equal(first, second))
}
