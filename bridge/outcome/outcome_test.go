package outcome_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/outcome"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const id = "00010203040506070809000000000001"

// world is a hub over a real index.
type world struct {
	index *trail.Index
	hub   *outcome.Hub
	clock time.Time
}

func newWorld(t *testing.T, limit int) *world {
	t.Helper()
	x, err := trail.Open(t.Context(), filepath.Join(t.TempDir(), "trail"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return &world{index: x, hub: outcome.New(x, limit), clock: time.UnixMilli(1772323200000)}
}

// happen puts an event into the index and tells the hub, as the writer of the trail does.
func (w *world) happen(t *testing.T, stageName, code string) {
	t.Helper()
	w.clock = w.clock.Add(time.Second)
	events := []trail.Event{{At: w.clock, Record: id, Stage: stageName, Code: code}}
	_, err := w.index.Add(t.Context(), events)
	require.NoError(t, err)
	w.hub.Told(events)
}

func TestWatch(t *testing.T) {
	type step struct{ stage, code string }
	on := func(s ...string) (out []step) {
		for _, x := range s {
			out = append(out, step{stage: x})
		}
		return out
	}
	for name, c := range map[string]struct {
		steps []step
		until string
		want  outcome.Outcome
	}{
		"sealed":           {on(stage.Received, stage.Normalized, stage.Stored), stage.Stored, outcome.Outcome{Reached: true, Stage: stage.Stored}},
		"anchored is more": {on(stage.Anchored), stage.Stored, outcome.Outcome{Reached: true, Stage: stage.Anchored}},
		"anchored":         {on(stage.Received, stage.Stored, stage.Anchored), stage.Anchored, outcome.Outcome{Reached: true, Stage: stage.Anchored}},
		"rejected":         {[]step{{stage.Received, ""}, {stage.Rejected, "PARSE"}}, stage.Stored, outcome.Outcome{Stage: stage.Rejected, Code: "PARSE"}},
		"parked":           {[]step{{stage.Stored, ""}, {stage.Parked, "KEYS"}}, stage.Anchored, outcome.Outcome{Stage: stage.Parked, Code: "KEYS"}},
	} {
		c.want.Record = id
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			before, err := w.hub.Watch(t.Context(), id, c.until)
			require.NoError(t, err)
			for i, s := range c.steps {
				if i == len(c.steps)-1 {
					assert.Empty(t, before, "not yet")
				}
				w.happen(t, s.stage, s.code)
			}
			assert.Equal(t, c.want, <-before)
			after, err := w.hub.Watch(t.Context(), id, c.until)
			require.NoError(t, err)
			assert.Equal(t, c.want, <-after, "who comes late learns the same")
			assert.Zero(t, w.hub.Watching())
		})
	}
}

func TestReleasedItemsAreWaitedForAgain(t *testing.T) {
	w := newWorld(t, 0)
	w.happen(t, stage.Parked, "KEYS")
	w.happen(t, stage.Released, "")
	got, err := w.hub.Watch(t.Context(), id, stage.Stored)
	require.NoError(t, err)
	w.happen(t, stage.Duplicate, "")
	assert.Empty(t, got)
	w.happen(t, stage.Stored, "")
	assert.True(t, (<-got).Reached)
}

func TestManyWait(t *testing.T) {
	w := newWorld(t, 3)
	var all []<-chan outcome.Outcome
	for range 3 {
		c, err := w.hub.Watch(t.Context(), id, stage.Stored)
		require.NoError(t, err)
		all = append(all, c)
	}
	_, err := w.hub.Watch(t.Context(), id, stage.Stored)
	require.ErrorIs(t, err, outcome.ErrBusy)
	w.happen(t, stage.Stored, "")
	for _, c := range all {
		assert.True(t, (<-c).Reached)
	}
	_, err = w.hub.Watch(t.Context(), id, "normalized")
	require.ErrorIs(t, err, outcome.ErrStage)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := w.hub.Watch(ctx, id, stage.Stored)
	require.NoError(t, err)
	cancel()
	require.Eventually(t, func() bool { return w.hub.Watching() == 0 }, 5*time.Second, time.Millisecond)
	w.happen(t, stage.Stored, "")
	assert.Empty(t, got)
}

type broken struct{}

func (broken) Find(context.Context, trail.Query) ([]trail.Event, error) {
	return nil, errors.New("disk")
}

func TestIndexThatFails(t *testing.T) {
	h := outcome.New(broken{}, 0)
	_, err := h.Watch(t.Context(), id, stage.Stored)
	require.ErrorContains(t, err, "disk")
	assert.Zero(t, h.Watching())
}
