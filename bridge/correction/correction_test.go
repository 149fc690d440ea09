package correction_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/correction"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

var now = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func ids(v string) []record.Identifier {
	return []record.Identifier{{Authority: "H1", Type: record.LocalPatient, Value: v}}
}

func TestACorrectionBecomesARecord(t *testing.T) {
	for kind, c := range map[string]correction.Correction{
		correction.KindMerge:   {Survivor: ids("P1"), Prior: ids("P2"), Reason: "registered twice", Operator: "D-017"},
		correction.KindUnmerge: {Of: record.ID{0, 1, 2}, Reason: "wrong patient", Operator: "D-017"},
	} {
		s, err := c.Submission(now)
		require.NoError(t, err)
		assert.Equal(t, kind, s.Kind)
		r, err := correction.Parser(1, "H1MSP")(context.Background(), normalize.Input{Raw: s.Raw, MediaType: s.MediaType, Charset: s.Charset,
			Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind, ReceivedAt: now})
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		assert.Equal(t, kind, r.Kind)
		assert.Equal(t, record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID, Payload: s.Raw}), r.ID)
		merges, err := patientindex.MergesOf(r)
		require.NoError(t, err)
		require.Len(t, merges, 1)
		assert.Equal(t, c.Of, merges[0].Of)
		assert.Equal(t, !c.Of.IsZero(), merges[0].Undo)
		assert.Equal(t, c.Prior, merges[0].Prior)
		assert.True(t, patientindex.HasMerge(r))
	}
}

func TestIncompleteCorrectionsAreRefused(t *testing.T) {
	for name, c := range map[string]correction.Correction{
		"no reason":   {Of: record.ID{1}, Operator: "o"},
		"no operator": {Of: record.ID{1}, Reason: "r"},
		"nothing":     {Reason: "r", Operator: "o"},
		"both":        {Of: record.ID{1}, Survivor: ids("a"), Prior: ids("b"), Reason: "r", Operator: "o"},
		"no prior":    {Survivor: ids("a"), Reason: "r", Operator: "o"},
		"too long":    {Of: record.ID{1}, Reason: string(make([]byte, 1000)), Operator: "o"},
	} {
		_, err := c.Submission(now)
		require.ErrorIs(t, err, correction.ErrInvalid, name)
	}
}

func FuzzParse(f *testing.F) {
	s, err := correction.Correction{Survivor: ids("P1"), Prior: ids("P2"), Reason: "r", Operator: "o"}.Submission(now)
	require.NoError(f, err)
	f.Add(s.Raw)
	f.Add([]byte(`{"version":1,"merge":{"event":"x","of":"00"},"reason":"","operator":"","at":0}`))
	f.Add([]byte(`{"version":9}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := correction.Parser(1, "H1MSP")(context.Background(), normalize.Input{Raw: raw, MediaType: correction.MediaType, ReceivedAt: now})
		if err == nil {
			_, err := patientindex.MergesOf(r)
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, correction.ErrInvalid)
	})
}
