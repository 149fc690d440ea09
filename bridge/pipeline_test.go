package bridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func TestEveryMessageIsAnchoredExactlyOnceInOrder(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{})
	const patients, each = 20, 15
	submitAll(t, r, patients, each, nil)
	settled(t, r, patients*each)
	records, twice := l.counts()
	require.Equal(t, patients*each, records)
	require.Zero(t, twice)

	byTag := inStoreOrder(t, r)
	require.Len(t, byTag, patients)
	want := map[string]bool{}
	for p := range patients {
		order := ""
		for i := range each {
			order += idOf(testMessage(p, i, "ok")).String()
		}
		want[order] = true
	}
	for tag, ids := range byTag {
		order := ""
		for _, id := range ids {
			order += id.String()
		}
		require.True(t, want[order], "records of tag %s are out of order", tag)
		require.Len(t, l.anchorsOf(t, consortium(l), tag), each)
	}
	require.Len(t, l.registered, patients, "each patient is registered")
	require.Empty(t, r.pipeline.Ready())
	requireDrained(t, r)
}

// requireDrained waits until nothing is left on the hops.
func requireDrained(t *testing.T, r *rig) {
	t.Helper()
	require.Eventually(t, func() bool {
		depths, err := r.bus.Depths(t.Context())
		if err != nil {
			return false
		}
		for _, d := range depths {
			if d.Waiting > 0 || d.InFlight > 0 {
				return false
			}
		}
		return true
	}, 10*time.Second, 20*time.Millisecond)
}

func TestDuplicatesAreQuiet(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{}) // no ledger of control ids: the worst case
	for range 3 {
		submitAll(t, r, 5, 5, nil)
	}
	settled(t, r, 25)
	requireDrained(t, r)
	records, twice := l.counts()
	require.Equal(t, 25, records)
	require.Zero(t, twice)
	events, err := r.trail.Find(t.Context(), trail.Query{ControlID: "3-3"})
	require.NoError(t, err)
	require.Len(t, events, 4)
}

func TestPoisonIsSetAsideAloneAndReleased(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{})
	submitAll(t, r, 4, 10, func(p, i int) string {
		if p == 1 && i == 3 {
			return "panic"
		}
		return "ok"
	})
	settled(t, r, 39)
	parked, err := r.pipeline.Aside.List(t.Context())
	require.NoError(t, err)
	require.Len(t, parked, 1)
	require.Equal(t, "PANIC", parked[0].Code)
	require.Equal(t, "normalize", parked[0].Stage)
	require.Equal(t, "1-3", parked[0].ControlID)
	events := eventsOf(t, r, idOf(testMessage(1, 3, "panic")).String(), 2)
	require.Equal(t, stage.Parked, events[1].Stage)

	require.NoError(t, r.pipeline.Aside.Release(t.Context(), parked[0].ID))
	require.Eventually(t, func() bool { // it fails again and comes back, with both times on the trail
		events, err := r.trail.Find(t.Context(), trail.Query{ControlID: "1-3"})
		return err == nil && len(events) == 4
	}, 10*time.Second, 20*time.Millisecond)
	parked, err = r.pipeline.Aside.List(t.Context())
	require.NoError(t, err)
	require.Len(t, parked, 1)
	require.NoError(t, r.pipeline.Aside.Drop(t.Context(), parked[0].ID))
	require.ErrorIs(t, r.pipeline.Aside.Drop(t.Context(), parked[0].ID), ErrNotAside)
	require.ErrorIs(t, r.pipeline.Aside.Release(t.Context(), "*.>"), ErrNotAside)
}

func eventsOf(t *testing.T, r *rig, id string, n int) []trail.Event {
	t.Helper()
	var events []trail.Event
	require.Eventually(t, func() bool {
		var err error
		events, err = r.trail.Find(t.Context(), trail.Query{Record: id})
		return err == nil && len(events) >= n
	}, 10*time.Second, 20*time.Millisecond)
	return events
}

func TestUnparseableGoesToTheQuarantine(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{})
	bad := testMessage(1, 1, "ok")
	bad.Raw, bad.ControlID = []byte("no such thing"), "bad"
	_, err := r.pipeline.Intake.Submit(t.Context(), bad)
	require.NoError(t, err)
	submitAll(t, r, 1, 5, nil)
	settled(t, r, 5)
	events := eventsOf(t, r, idOf(bad).String(), 2)
	require.Equal(t, stage.Rejected, events[1].Stage)
	require.Equal(t, "UNPARSEABLE", events[1].Code)
	label, raw, err := r.quarantine.Show(t.Context(), events[1].Quarantine)
	require.NoError(t, err)
	require.Equal(t, bad.Raw, raw)
	require.Equal(t, "not a test message", label.Reason)
}

func TestLedgerOutageIsNotNoticedByTheSender(t *testing.T) {
	l := newLedger(t)
	l.setAway(true)
	r := newRig(t, l, options{})
	submitAll(t, r, 10, 5, nil)
	require.Eventually(t, func() bool {
		s, err := r.store.Stats(t.Context())
		return err == nil && s.Items == 50
	}, 30*time.Second, 20*time.Millisecond, "sealing goes on without the ledger")
	require.Eventually(t, func() bool {
		m := r.pipeline.Ready()
		return len(m) == 1 && m[0].Neighbour == "ledger" && m[0].Stage == "anchor"
	}, 10*time.Second, 10*time.Millisecond)
	parked, err := r.pipeline.Aside.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, parked, "an outage is nobody's failure")
	l.setAway(false)
	settled(t, r, 50)
	require.Empty(t, r.pipeline.Ready())
}

func TestFullStoreHoldsUpAndHeals(t *testing.T) {
	l := newLedger(t)
	dir := t.TempDir()
	small := options{storeOpts: embedded.Options{MaxPages: 40}}
	r, err := openRig(t.Context(), dir, l, small)
	require.NoError(t, err)
	require.NoError(t, r.pipeline.Start(t.Context()))
	const patients, each = 16, 30
	submitAll(t, r, patients, each, nil)
	require.Eventually(t, func() bool {
		for _, m := range r.pipeline.Ready() {
			if m.Neighbour == "record store" {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond)
	parked, err := r.pipeline.Aside.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, parked)
	require.NoError(t, r.close())

	r, err = openRig(t.Context(), dir, l, options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.close()) }()
	require.NoError(t, r.pipeline.Start(t.Context()))
	settled(t, r, patients*each)
	records, twice := l.counts()
	require.Equal(t, patients*each, records)
	require.Zero(t, twice)
}

func TestConflictIsParkedLoudly(t *testing.T) {
	l := newLedger(t)
	victim := idOf(testMessage(2, 2, "ok"))
	var hash evidence.Digest
	hash[0] = 1
	_, err := l.member.Anchor(evidence.Entry{ID: evidence.RecordID(victim), Tag: evidence.Tag{9}, CipherHash: hash, Pointer: []byte{1}})
	require.NoError(t, err)
	r := newRig(t, l, options{})
	submitAll(t, r, 4, 4, nil)
	events := eventsOf(t, r, victim.String(), 4)
	require.Equal(t, stage.Parked, events[3].Stage)
	require.Equal(t, "CONFLICT", events[3].Code)
	require.Eventually(t, func() bool {
		n, err := r.trail.Count(t.Context(), stage.Anchored)
		return err == nil && n == 15
	}, 30*time.Second, 20*time.Millisecond)
}

func TestReconcileBringsBackWhatTheBusLost(t *testing.T) {
	l := newLedger(t)
	l.setAway(true)
	dir := t.TempDir()
	r, err := openRig(t.Context(), dir, l, options{})
	require.NoError(t, err)
	require.NoError(t, r.pipeline.Start(t.Context()))
	submitAll(t, r, 5, 4, nil)
	require.Eventually(t, func() bool {
		s, err := r.store.Stats(t.Context())
		return err == nil && s.Items == 20
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, r.close())

	lost := t.TempDir()
	moveAllBut(t, dir, lost, "bus")
	l.setAway(false)
	r, err = openRig(t.Context(), lost, l, options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.close()) }()
	require.NoError(t, r.pipeline.Start(t.Context()))
	settled(t, r, 20)
	records, twice := l.counts()
	require.Equal(t, 20, records)
	require.Zero(t, twice)
	require.Len(t, l.registered, 5, "patients are registered from what was sealed")
}

func TestRestartKeepsEverything(t *testing.T) {
	l := newLedger(t)
	dir := t.TempDir()
	const patients, each = 12, 10
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for round := range 3 {
		r, err := openRig(ctx, dir, l, options{})
		require.NoError(t, err)
		require.NoError(t, r.pipeline.Start(ctx))
		for i := round * each; i < (round+1)*each; i++ {
			for p := range patients {
				_, err := r.pipeline.Intake.Submit(ctx, testMessage(p, i, "ok"))
				require.NoError(t, err)
			}
		}
		if round == 2 {
			settled(t, r, 3*patients*each)
		}
		require.NoError(t, r.close()) // in the midst of its work
	}
	records, twice := l.counts()
	require.Equal(t, 3*patients*each, records)
	require.Zero(t, twice)
}

func TestControlIDsThroughTheGuard(t *testing.T) {
	l, g := newLedger(t), newGuard(t)
	incidents := make(chan trail.Event, 10)
	m := &countingMetrics{incidents: incidents}
	r := newRig(t, l, options{change: func(d *Deps) { d.ControlIDs, d.Metrics = g, m }})
	s := testMessage(1, 1, "ok")
	for i, want := range []intake.Outcome{intake.Accepted, intake.Duplicate} {
		got, err := r.pipeline.Intake.Submit(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want, got.Outcome, "submission %d", i)
	}
	other := s
	other.Raw = append([]byte{}, s.Raw...)
	other.Raw[len(other.Raw)-1] = 'y'
	got, err := r.pipeline.Intake.Submit(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, intake.Incident, got.Outcome)
	settled(t, r, 2)
	select {
	case e := <-incidents:
		require.Equal(t, "1-1", e.ControlID)
	case <-time.After(10 * time.Second):
		t.Fatal("the incident is not on the trail")
	}
}

func TestAssembleNamesWhatIsMissing(t *testing.T) {
	_, err := Assemble(Deps{})
	for _, what := range []string{"hospital", "bus", "quarantine", "trail", "route key", "parsers", "custody", "anchorer"} {
		require.ErrorContains(t, err, what)
	}
}

func TestCollectorsRegister(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := NewCollectors(reg)
	require.NoError(t, err)
	l := newLedger(t)
	r := newRig(t, l, options{change: func(d *Deps) { d.Metrics = c }})
	require.NoError(t, RegisterDepths(reg, r.bus))
	submitAll(t, r, 2, 2, nil)
	settled(t, r, 4)
	families, err := reg.Gather()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"emrbridge_submitted_total", "emrbridge_stage_seconds", "emrbridge_queue_waiting", "emrbridge_queue_bytes"} {
		assert.True(t, names[want], want)
	}
	_, err = NewCollectors(reg)
	require.Error(t, err)
}

func TestStopCutsShortWhatHangs(t *testing.T) {
	hang := hanging{begun: make(chan struct{}, 100)}
	r, err := openRig(t.Context(), t.TempDir(), hang, options{})
	require.NoError(t, err)
	require.NoError(t, r.pipeline.Start(t.Context()))
	require.Error(t, r.pipeline.Start(t.Context()), "started once")
	submitAll(t, r, 1, 1, nil)
	<-hang.begun
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = r.pipeline.Stop(ctx)
	require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	require.NoError(t, r.close())
}

func TestKeysRedact(t *testing.T) {
	k := Keys{File: []byte("secret"), Route: []byte("secret")}
	require.NotContains(t, fmt.Sprint(k), "secret")
}
