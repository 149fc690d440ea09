package hl7_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// body is a message in memory that behaves like one on a disk.
type body struct {
	raw  []byte
	fail error
}

func (b body) Size() int64 { return int64(len(b.raw)) }

func (b body) Discard() {}

func (b body) Reader() (io.ReadSeekCloser, error) {
	if b.fail != nil {
		return nil, b.fail
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b.raw), io.NopCloser(nil)}, nil
}

func inBody(raw []byte) hl7.Incoming {
	return hl7.Incoming{Raw: raw[:min(len(raw), 64<<10)], Body: body{raw: raw}, Size: int64(len(raw))}
}

func TestLargeMessageGivesTheSameSubmission(t *testing.T) {
	var got []hl7.Submission
	r := &hl7.Receiver{
		Submit: func(_ context.Context, s hl7.Submission) error { got = append(got, s); return nil }}
	raw := document(300_000)
	small := r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw, Peer: "p"})
	large := inBody(raw)
	large.Peer = "p"
	require.Contains(t, string(r.HandleFrame(t.Context(), large)), "MSA|AA|L1")
	require.Contains(t, string(small), "MSA|AA|L1")
	require.Len(t, got, 2)
	require.True(t, bytes.Equal(raw, got[0].Raw))
	require.NotNil(t, got[1].Body)
	require.NotNil(t, got[1].Skeleton)
	got[0].Raw, got[1].Body, got[1].Skeleton = nil, nil, nil
	require.Equal(t, got[0], got[1])
}

func TestLargeMessageThatCannotBeReadBackMayComeAgain(t *testing.T) {
	r := &hl7.Receiver{Submit: func(context.Context, hl7.Submission) error { return errors.New("not reached") },
		Quarantine: func(context.Context, []byte, hl7.Reason) error { t.Error("nothing is wrong with it"); return nil }}
	in := inBody(document(300_000))
	in.Body = body{raw: document(300_000), fail: io.ErrClosedPipe}
	v := r.Take(t.Context(), in)
	require.Equal(t, hl7.AppError, v.Code)
	require.True(t, v.Again)
	require.Equal(t, "L1", v.Header.ControlID)
}

func TestLargeBatches(t *testing.T) {
	var n atomic.Int64
	var refused []hl7.Reason
	r := &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		n.Add(1)
		require.Nil(t, s.Body)
		return nil
	}, Quarantine: func(_ context.Context, _ []byte, why hl7.Reason) error { refused = append(refused, why); return nil }}
	batch := append(append([]byte("BHS|^~\\&|A\r"), document(300_000)...), "BTS|1\r"...)
	require.Contains(t, string(r.HandleFrame(t.Context(), inBody(batch))), "MSA|AA|L1")
	require.EqualValues(t, 1, n.Load())
	long := append(append([]byte("BHS|^~\\&|A\r"), document(9<<20)...), "BTS|1\r"...)
	answer := string(r.HandleFrame(t.Context(), inBody(long)))
	require.Contains(t, answer, "MSA|AR|")
	require.Contains(t, answer, "send smaller ones")
	require.Len(t, refused, 1)
	require.True(t, refused[0].Truncated)
}

// TestLargeMessagesTakeTurns: however many come at once, few are in hand; a small one does
// not wait for them.
func TestLargeMessagesTakeTurns(t *testing.T) {
	var now, most atomic.Int64
	hold := make(chan struct{})
	r := &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		if s.Body == nil {
			return nil
		}
		most.Store(max(most.Load(), now.Add(1)))
		<-hold
		now.Add(-1)
		return nil
	}}
	raw := document(100_000)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { assert.Equal(t, hl7.AppAccept, r.Take(context.Background(), inBody(raw)).Code) })
	}
	require.Eventually(t, func() bool { return now.Load() == 8 }, 5*time.Second, time.Millisecond)
	require.Equal(t, hl7.AppAccept, r.Take(t.Context(), hl7.Incoming{Raw: document(1000)}).Code)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	v := r.Take(ctx, inBody(raw))
	require.Equal(t, hl7.AppError, v.Code)
	require.True(t, v.Again)
	close(hold)
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int64(8))
}
