package local_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/gateway/local"
)

// shelf answers as what is set aside, and as a replayer.
type shelf struct {
	done []string
	err  error
}

func (s *shelf) List(context.Context) ([]bridge.AsideItem, error) {
	return []bridge.AsideItem{{ID: "seal.01", Stage: "seal", Code: "KEYS", At: time.UnixMilli(5).UTC()}}, s.err
}
func (s *shelf) Release(_ context.Context, id string) error {
	s.done = append(s.done, "release "+id)
	return s.err
}
func (s *shelf) Drop(_ context.Context, id string) error {
	s.done = append(s.done, "drop "+id)
	return s.err
}
func (s *shelf) Replay(_ context.Context, id string, r local.ReplayRequest) (local.ReplayResponse, error) {
	s.done = append(s.done, "replay "+id+" "+r.Charset)
	return local.ReplayResponse{Code: "AE", ErrorCode: 102, Error: "no"}, s.err
}

func TestOperations(t *testing.T) {
	s := &shelf{}
	c, _ := serve(t, &house{}, func(c *local.Config) { c.Parked, c.Replayer = s, s })
	items, err := c.Parked(ctx)
	require.NoError(t, err)
	require.Len(t, items, 1)
	assert.Equal(t, "seal.01", items[0].ID)
	require.NoError(t, c.Release(ctx, "seal.01"))
	require.NoError(t, c.Drop(ctx, "seal/../01"))
	out, err := c.Replay(ctx, "0abc-1", local.ReplayRequest{Charset: "GB18030"})
	require.NoError(t, err)
	assert.Equal(t, local.ReplayResponse{Code: "AE", ErrorCode: 102, Error: "no"}, out)
	assert.Equal(t, []string{"release seal.01", "drop seal/../01", "replay 0abc-1 GB18030"}, s.done)
	for cause, want := range map[error]int{
		bridge.ErrNotAside: http.StatusNotFound, intake.ErrNotQuarantined: http.StatusNotFound,
		local.ErrNotWhole: http.StatusConflict, errors.New("bus"): http.StatusInternalServerError,
	} {
		s.err = cause
		var status *local.StatusError
		require.ErrorAs(t, c.Release(ctx, "x"), &status)
		assert.Equal(t, want, status.Status)
		_, err = c.Replay(ctx, "x", local.ReplayRequest{})
		require.ErrorAs(t, err, &status)
		assert.Equal(t, want, status.Status)
	}
}

func TestWhatThisProcessDoesNotDo(t *testing.T) {
	c, _ := serve(t, &house{}, func(c *local.Config) { c.Retriever, c.Desk, c.Parked = nil, nil, &shelf{} })
	_, err := c.Emergencies(ctx, 1, "")
	var status *local.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, local.CodeAbsent, status.Code)
	_, err = c.Replay(ctx, "x", local.ReplayRequest{})
	require.ErrorAs(t, err, &status)
	assert.Equal(t, local.CodeAbsent, status.Code)
	_, err = c.Parked(ctx)
	require.NoError(t, err)
	_, err = local.NewServer(local.Config{})
	require.Error(t, err)
}
