package integration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/record"
)

// anchored reads what blocks the witness's peer has got since the last call, and returns
// how often each record is anchored in all blocks. The peer may have been away.
func (w *world) anchored(t testing.TB) map[record.ID]int {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = w.readBlocks(t.Context()); err == nil {
			return w.seen
		}
	}
	require.NoError(t, err)
	return nil
}

func (w *world) readBlocks(ctx context.Context) error {
	height, err := w.witness.Height(ctx)
	if err != nil {
		return err
	}
	l, err := devsite.ReadLedger(ctx, w.witness, w.read, height)
	if err != nil {
		return err
	}
	w.read = height
	for id, n := range l.Times {
		w.seen[id] += n
	}
	return nil
}

// count is what a comparison of sender and ledger finds.
type count struct{ acked, lost, doubled, foreign int }

// compare counts from the sender to the ledger.
func (s *site) compare(t testing.TB) count {
	t.Helper()
	anchored := w.anchored(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := count{acked: len(s.acked)}
	for id := range s.acked {
		if anchored[id] == 0 {
			c.lost++
		}
	}
	for id, n := range anchored {
		if id.HospitalNumber() != uint16(s.hospital.Number) {
			continue
		}
		if n > 1 {
			c.doubled++
		}
		if !s.tried[id] {
			c.foreign++
		}
	}
	return c
}

// reconcile waits until everything acknowledged is on the ledger and the hospital has
// nothing more under way, and then requires that each record is there exactly once, and
// that nothing is there that nobody sent.
func (s *site) reconcile(t *testing.T) {
	t.Helper()
	var c count
	begun := time.Now()
	for ; ; time.Sleep(100 * time.Millisecond) {
		if c = s.compare(t); c.lost == 0 || c.doubled > 0 || c.foreign > 0 || time.Since(begun) > 2*patience {
			break
		}
	}
	eventually(t, "the hospital has nothing under way", func() bool { return s.idle(t) })
	c = s.compare(t) // with what was not acknowledged and came through all the same
	t.Logf("%s: %d acknowledged since the beginning, %d lost, %d doubled, %d nobody sent (settled in %.1f s)",
		s.hospital.MSPID, c.acked, c.lost, c.doubled, c.foreign, time.Since(begun).Seconds())
	if c.foreign > 0 {
		s.explainForeign(t)
	}
	require.Equal(t, count{acked: c.acked}, c)
	require.NotZero(t, c.acked)
}

// explainForeign shows where records that nobody sent came from, as far as the trail knows.
func (s *site) explainForeign(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range w.seen {
		if id.HospitalNumber() == uint16(s.hospital.Number) && !s.tried[id] {
			out, _, err := s.Run(t.Context(), "trace", id.String())
			t.Logf("nobody sent %s: %s %v", id, out, err)
		}
	}
}

// idle says whether bus and store have nothing that is not anchored.
func (s *site) idle(t testing.TB) bool {
	m, err := s.metrics(t.Context())
	if err != nil {
		return false
	}
	for _, stage := range []string{"normalize", "seal", "anchor"} {
		for _, name := range []string{"emrbridge_queue_waiting", "emrbridge_queue_in_flight"} {
			if v, ok := m.of(name, "consumer", stage); !ok || v > 0 {
				return false
			}
		}
	}
	stats, err := s.Stats(t.Context())
	return err == nil && stats.Items == stats.Anchored
}

// verify runs the independent verifier over the whole store.
func (s *site) verify(t *testing.T) {
	t.Helper()
	var report struct {
		Outcome string `json:"outcome"`
		Records struct {
			Total  int `json:"total"`
			OK     int `json:"ok"`
			Failed int `json:"failed"`
		} `json:"records"`
		Found json.RawMessage `json:"found"`
	}
	out, code, err := s.Run(t.Context(), "verify", "--json")
	require.NoError(t, err, "%s", out)
	require.NoError(t, json.Unmarshal(out, &report), "%s", out)
	require.Zero(t, code, "verify: %s", out)
	require.Equal(t, report.Records.Total, report.Records.OK, "%s", out)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, stats.Items, report.Records.Total)
	require.NotZero(t, report.Records.Total, string(out))
}
