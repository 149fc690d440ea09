package anchor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeChain struct {
	mu         sync.Mutex
	anchorErr  error
	submitErr  error
	registered map[evidence.Tag]int
	block      chan struct{} // registration waits for it
}

func (f *fakeChain) Anchor(context.Context, evidence.Entry) (chainclient.Receipt, error) {
	return chainclient.Receipt{TxID: "tx", Block: 3, Batch: evidence.Nonce{1}}, f.anchorErr
}

func (f *fakeChain) Submit(_ context.Context, b evidence.Body) (chainclient.Commit, error) {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.registered == nil {
		f.registered = map[evidence.Tag]int{}
	}
	f.registered[b.(evidence.RegisterPatient).Tag]++
	return chainclient.Commit{}, f.submitErr
}

type fakeStore struct {
	mu      sync.Mutex
	err     error
	calls   int
	marked  map[record.ID]recordstore.AnchorRef
	gate    chan struct{}
	unknown map[record.ID]bool
}

func (f *fakeStore) MarkAnchored(_ context.Context, ids []record.ID, ref recordstore.AnchorRef) error {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return f.err
	}
	missing := &recordstore.MissingError{}
	for _, id := range ids {
		if f.unknown[id] {
			missing.IDs = append(missing.IDs, id)
			continue
		}
		if f.marked == nil {
			f.marked = map[record.ID]recordstore.AnchorRef{}
		}
		f.marked[id] = ref
	}
	if len(missing.IDs) > 0 {
		return missing
	}
	return nil
}

func (f *fakeStore) Stats(context.Context) (recordstore.Stats, error) {
	return recordstore.Stats{}, nil
}

func stored(i byte) (bus.Message, record.ID) {
	id := record.ID{0, 1, i}
	body := seal.Stored{Entry: evidence.Entry{ID: evidence.RecordID(id), Tag: evidence.Tag{7}, CipherHash: evidence.Digest{i}, Pointer: []byte{i}},
		Registration: evidence.Digest{9}}
	return bus.Message{Subject: topology.Stored, Meta: topology.Meta{Record: id}, Body: body.Encode()}, id
}

func TestAnchored(t *testing.T) {
	c, s := &fakeChain{}, &fakeStore{}
	h := New(Deps{Anchorer: c, Registrar: c, Store: s})
	for i := range byte(5) {
		m, id := stored(i)
		out, err := h.Handle(t.Context(), m)
		require.NoError(t, err)
		require.Len(t, out, 1)
		require.Equal(t, topology.Anchored, out[0].Subject)
		require.Equal(t, "tx", out[0].Meta.Tx)
		require.Equal(t, uint64(3), out[0].Meta.Block)
		require.Empty(t, out[0].Body)
		require.Equal(t, "tx", s.marked[id].TxID)
	}
	require.Equal(t, map[evidence.Tag]int{{7}: 1}, c.registered, "a patient is registered once")
}

func TestErrorsAreSorted(t *testing.T) {
	refusal := func(c evidence.Code) error { return &evidence.Refusal{Code: c} }
	for name, c := range map[string]struct {
		anchor, submit, mark error
		want                 any
		code                 string
	}{
		"ledger away":        {anchor: errors.New("away"), want: new(*stage.UnavailableError), code: NeighbourLedger},
		"registration away":  {submit: errors.New("away"), want: new(*stage.UnavailableError), code: NeighbourLedger},
		"not a member yet":   {anchor: refusal(evidence.CodeNotMember), want: new(*stage.UnavailableError), code: NeighbourLedger},
		"refused":            {anchor: refusal(evidence.CodeMalformed), want: new(*stage.RetryError), code: "MALFORMED"},
		"poison":             {anchor: &chainclient.PoisonError{Refusal: &evidence.Refusal{Code: evidence.CodeConflict}}, want: new(*stage.ParkError), code: "CONFLICT"},
		"store away":         {mark: errors.New("io"), want: new(*stage.UnavailableError), code: NeighbourStore},
		"not in store":       {mark: &recordstore.MissingError{}, want: new(*stage.ParkError), code: CodeNotInStore},
		"store refuses mark": {mark: recordstore.ErrInvalid, want: new(*stage.ParkError), code: CodeAnchor},
	} {
		chain := &fakeChain{anchorErr: c.anchor, submitErr: c.submit}
		m, _ := stored(1)
		_, err := New(Deps{Anchorer: chain, Registrar: chain, Store: &fakeStore{err: c.mark}}).Handle(t.Context(), m)
		require.ErrorAs(t, err, c.want, name)
		require.Equal(t, c.code, stage.CodeOf(err), name)
	}
}

func TestMalformedBodiesAreParked(t *testing.T) {
	h := New(Deps{Anchorer: &fakeChain{}, Store: &fakeStore{}})
	m, _ := stored(1)
	m.Meta.Record[9] = 1
	_, err := h.Handle(t.Context(), m)
	require.Equal(t, CodeIDMismatch, stage.CodeOf(err))
	m.Body = []byte{1, 2, 3}
	_, err = h.Handle(t.Context(), m)
	require.Equal(t, CodeMalformed, stage.CodeOf(err))
}

func TestAnotherRegistrationDigestIsToldOnceAndStopsNothing(t *testing.T) {
	c := &fakeChain{submitErr: &evidence.Refusal{Code: evidence.CodeConflict}}
	h := New(Deps{Anchorer: c, Registrar: c, Store: &fakeStore{}})
	told := 0
	for i := range byte(3) {
		m, _ := stored(i)
		out, err := h.Handle(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, topology.Anchored, out[0].Subject)
		told += len(out) - 1
	}
	require.Equal(t, 1, told)
}

func TestOnePatientIsRegisteredByOneWhileOthersWait(t *testing.T) {
	c := &fakeChain{block: make(chan struct{})}
	p := newPatients(c)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := p.ensure(t.Context(), evidence.Tag{1}, evidence.Digest{1})
			assert.NoError(t, err)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wg.Go(func() { // somebody who gives up leaves the others alone
		for {
			if _, err := p.ensure(ctx, evidence.Tag{1}, evidence.Digest{1}); err != nil || ctx.Err() != nil {
				return
			}
		}
	})
	close(c.block)
	wg.Wait()
	require.Equal(t, 1, c.registered[evidence.Tag{1}])
}

func TestMarksOfABatchShareWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{gate: make(chan struct{}), unknown: map[record.ID]bool{{0, 1, 50}: true}}
		m := newMarks(s)
		ref := recordstore.AnchorRef{TxID: "tx", Block: 1}
		var wg sync.WaitGroup
		var failed atomic.Int64
		for i := range byte(100) {
			wg.Go(func() {
				if err := m.mark(t.Context(), record.ID{0, 1, i}, ref); err != nil {
					assert.ErrorIs(t, err, recordstore.ErrNotFound)
					assert.Equal(t, byte(50), i)
					failed.Add(1)
				}
			})
		}
		synctest.Wait() // the first write is on its way, the other marks gather
		close(s.gate)
		wg.Wait()
		require.Equal(t, int64(1), failed.Load(), "only the unknown record suffers")
		require.Len(t, s.marked, 99)
		require.LessOrEqual(t, s.calls, 2)
	})
}
