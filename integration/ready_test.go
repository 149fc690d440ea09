package integration_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLedgerAway stops all peers. Readiness names the ledger, messages are acknowledged
// and kept, encrypted, also over a restart, and all is anchored when the peers are back.
func TestLedgerAway(t *testing.T) {
	s := w.up(t, 1, nil)
	status, report := s.readiness(t)
	require.Equal(t, http.StatusOK, status, "%+v", report)
	for _, h := range w.net.Hospitals() {
		require.NoError(t, w.net.Kill(t.Context(), h.PeerProcess))
	}
	back := func() {
		for _, h := range w.net.Hospitals() {
			require.NoError(t, w.net.Start(context.Background(), h.PeerProcess))
		}
	}
	t.Cleanup(back)
	eventually(t, "readiness answers 503 and names the ledger", func() bool {
		status, report = s.readiness(t)
		return status == http.StatusServiceUnavailable && contains(report.Missing, "chain")
	})
	t.Logf("missing: %v", report.Missing)
	d := day("AWAY", 30)
	l := s.send(t, d)
	l.wait(t)
	assert.Empty(t, search(t, s.Dir(), personal(d)...), "what waits is not readable")

	s.kill() // a restart while the ledger is away
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s.running = true
	require.Error(t, s.Start(ctx), "it cannot be ready")
	d2 := day("AWAY2", 10)
	l = s.send(t, d2)
	l.wait(t)

	back()
	eventually(t, "it is ready again", func() bool { return s.Ready(t.Context()) == nil })
	s.reconcile(t)
}

// TestMetrics reads the figures that an operator needs.
func TestMetrics(t *testing.T) {
	s := w.up(t, 1, nil)
	d := day("METRICS", 6)
	l := s.send(t, d)
	l.wait(t)
	s.reconcile(t)
	n := float64(len(d.Messages))
	assert.GreaterOrEqual(t, s.figure(t, "emrbridge_submitted_total", "outcome", "received"), n)
	for _, stage := range []string{"normalize", "seal", "anchor"} {
		assert.GreaterOrEqual(t, s.figure(t, "emrbridge_stage_seconds_count", "stage", stage), n, stage)
	}
	assert.GreaterOrEqual(t, s.figure(t, "emrbridge_mllp_events_total", "event", "received"), n)
	for _, name := range []string{
		"emrbridge_accept_seconds_count", "emrbridge_queue_waiting", "emrbridge_queue_in_flight", "emrbridge_queue_bytes",
		"emrbridge_queue_limit_bytes", "emrbridge_incidents_total", "emrbridge_submit_refused_total", "process_open_fds", "go_goroutines",
	} {
		s.figure(t, name)
	}
	status, _, err := s.get(t.Context(), "/healthz")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
