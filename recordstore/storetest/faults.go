package storetest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

func contexts(t *testing.T, open Factory) {
	s := New(t, open)
	stored := Record(3 << 20)
	put(t, s, stored)
	gone, cancel := context.WithCancel(t.Context())
	_, body, err := s.Open(gone, stored.ID)
	require.NoError(t, err)
	_, err = io.ReadFull(body, make([]byte, 10))
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, body)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, body.Close())

	r := Record(10)
	_, _, err = s.Put(gone, r.Draft, r.Data)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.PutAll(gone, []recordstore.Sealed{r})
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = s.PutStream(gone, r.Draft, bytes.NewReader(r.Data))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.MarkAnchored(gone, []record.ID{stored.ID}, recordstore.AnchorRef{TxID: "tx"}), context.Canceled)
	_, err = s.Stat(gone, stored.ID)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.List(gone, 0, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Stats(gone)
	require.ErrorIs(t, err, context.Canceled)
	requireStats(t, s, 1, 3<<20, 0)
	cancelledPutsAreAbsent(t, s)
}

// cancelledPutsAreAbsent cancels puts at random moments: each either succeeded and is
// there, or failed and is not.
func cancelledPutsAreAbsent(t *testing.T, s recordstore.Store) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r := Record(2000)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
			defer cancel()
			_, _, err := s.Put(ctx, r.Draft, r.Data)
			_, statErr := s.Stat(t.Context(), r.ID)
			if err == nil {
				assert.NoError(t, statErr)
				return
			}
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorIs(t, statErr, recordstore.ErrNotFound)
		})
	}
	wg.Wait()
}

func concurrentPuts(t *testing.T, open Factory) {
	s := New(t, open)
	const workers, each = 16, 20
	contested := make([]recordstore.Sealed, each)
	for i := range contested {
		contested[i] = Record(500)
	}
	var created atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				own := Record(500)
				var made bool
				var err error
				if w%4 == 3 {
					_, err = s.PutAll(t.Context(), []recordstore.Sealed{own, contested[i]})
					assert.NoError(t, err)
				} else {
					_, made, err = s.Put(t.Context(), own.Draft, own.Data)
					assert.NoError(t, err)
					assert.True(t, made)
					var item recordstore.Item
					item, made, err = s.Put(t.Context(), contested[i].Draft, contested[i].Data)
					assert.NoError(t, err)
					requireItem(t, contested[i], item)
				}
				if made {
					created.Add(1)
				}
				_, err = s.Stat(t.Context(), own.ID)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, created.Load(), int64(each))
	requireStats(t, s, workers*each+each, (workers*each+each)*500, 0)
	for _, r := range contested {
		requireContent(t, s, r)
	}
}

// orderedVisibility pages through the store while others write: whoever remembers the last
// number seen must never miss a record.
func orderedVisibility(t *testing.T, open Factory) {
	s := New(t, open)
	const writers, each = 8, 30
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				r := Record(200)
				_, _, err := s.Put(t.Context(), r.Draft, r.Data)
				assert.NoError(t, err)
			}
		})
	}
	seen := map[record.ID]bool{}
	deadline := time.Now().Add(time.Minute)
	for after := uint64(0); len(seen) < writers*each; {
		require.True(t, time.Now().Before(deadline), "a record was passed over: %d of %d seen", len(seen), writers*each)
		items, err := s.List(t.Context(), after, 7)
		require.NoError(t, err)
		for _, it := range items {
			seen[it.ID] = true
			after = it.Sequence()
		}
	}
	wg.Wait()
}

func concurrentStreams(t *testing.T, open Factory) {
	s := New(t, open)
	r := Record(2<<20 + 5)
	var created atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			_, made, err := s.PutStream(t.Context(), r.Draft, bytes.NewReader(r.Data))
			assert.NoError(t, err)
			if made {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, created.Load())
	requireContent(t, s, r)
	requireStats(t, s, 1, 2<<20+5, 0)
}

func reopen(t *testing.T, open Factory) {
	place := t.TempDir()
	s := open(t, place)
	small, big := Record(100), Record(3<<20)
	put(t, s, small)
	bigItem := put(t, s, big)
	ref := recordstore.AnchorRef{TxID: "tx", Block: 4, Batch: evidence.Nonce{9}, At: 5}
	require.NoError(t, s.MarkAnchored(t.Context(), []record.ID{big.ID}, ref))
	require.NoError(t, s.Close())

	s = open(t, place)
	requireContent(t, s, small)
	assert.Equal(t, &ref, requireContent(t, s, big).Anchor)
	requireStats(t, s, 2, 100+3<<20, 1)
	next := put(t, s, Record(10))
	assert.Greater(t, next.Sequence(), bigItem.Sequence())
	_, created, err := s.Put(t.Context(), small.Draft, small.Data)
	require.NoError(t, err)
	assert.False(t, created)
}

func closed(t *testing.T, open Factory) {
	s := New(t, open)
	r := Record(3 << 20)
	put(t, s, r)
	_, body, err := s.Open(t.Context(), r.ID)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = io.Copy(io.Discard, body)
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, _, err = s.Put(t.Context(), r.Draft, r.Data)
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, _, err = s.PutStream(t.Context(), r.Draft, bytes.NewReader(r.Data))
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, err = s.PutAll(t.Context(), []recordstore.Sealed{r})
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, err = s.Stat(t.Context(), r.ID)
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, err = s.List(t.Context(), 0, 1)
	require.ErrorIs(t, err, recordstore.ErrClosed)
	_, err = s.Stats(t.Context())
	require.ErrorIs(t, err, recordstore.ErrClosed)
	require.ErrorIs(t, s.MarkAnchored(t.Context(), []record.ID{r.ID}, recordstore.AnchorRef{TxID: "x"}), recordstore.ErrClosed)
}
