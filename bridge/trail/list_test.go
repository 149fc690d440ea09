package trail_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
)

func TestList(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "trail"))
	for i, upTo := range []int{1, 2, 3, 4} { // received, normalized, stored, anchored
		_, err := x.Add(t.Context(), journey(i)[:upTo])
		require.NoError(t, err)
	}
	later := func(i int, stageName, code string, after time.Duration) {
		e := journey(i)[0]
		e.Stage, e.Code, e.At = stageName, code, e.At.Add(after)
		_, err := x.Add(t.Context(), []trail.Event{e})
		require.NoError(t, err)
	}
	later(1, stage.Parked, "KEYS", time.Minute)
	later(2, stage.Duplicate, "", time.Minute)
	later(3, stage.Parked, "LATE", time.Minute) // another stage's copy, after it was anchored
	states := func(f trail.Filter) (out []string) {
		got, err := x.List(t.Context(), f)
		require.NoError(t, err)
		for _, m := range got {
			out = append(out, m.ControlID+":"+m.State)
		}
		return out
	}
	all := []string{"MSG3:anchored", "MSG2:stored", "MSG1:parked", "MSG0:received"}
	assert.Equal(t, all, states(trail.Filter{}))
	at := journey(1)[0].At
	for name, c := range map[string]struct {
		f    trail.Filter
		want []string
	}{
		"limit":      {trail.Filter{Limit: 2}, all[:2]},
		"since":      {trail.Filter{Since: at}, all[:3]},
		"until":      {trail.Filter{Until: at}, all[3:]},
		"kind":       {trail.Filter{Kind: "ADT^A01"}, all},
		"kinds":      {trail.Filter{Kind: "ADT*"}, all},
		"other kind": {trail.Filter{Kind: "ORU*"}, nil},
		"sender":     {trail.Filter{Sender: "HIS|A"}, all},
		"other":      {trail.Filter{Sender: "x' OR 1=1 --"}, nil},
		"control id": {trail.Filter{ControlID: "MSG2"}, all[1:2]},
		"record":     {trail.Filter{Record: id(2).String()}, all[1:2]},
		"state":      {trail.Filter{State: stage.Parked}, all[2:3]},
		"on its way": {trail.Filter{State: stage.Received}, all[3:]},
	} {
		assert.Equal(t, c.want, states(c.f), name)
	}
	got, err := x.List(t.Context(), trail.Filter{State: stage.Parked})
	require.NoError(t, err)
	assert.Equal(t, "KEYS", got[0].Code)
	assert.Equal(t, at.Add(time.Minute), got[0].At)
	later(1, stage.Released, "", 2*time.Minute)
	assert.Equal(t, []string{"MSG1:received"}, states(trail.Filter{ControlID: "MSG1"}), "on its way again")
}
