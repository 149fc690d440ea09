package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

func notFound(t *testing.T, open Factory) {
	s := New(t, open)
	put(t, s, Record(10))
	_, err := s.Stat(t.Context(), record.ID{1, 2})
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	_, _, err = s.Open(t.Context(), record.ID{1, 2})
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	_, err = s.Stat(t.Context(), record.ID{})
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	listed, err := s.ListTag(t.Context(), evidence.Tag{3}, 0, 10)
	require.NoError(t, err)
	assert.Empty(t, listed)
}

func listing(t *testing.T, open Factory) {
	s := New(t, open)
	shared := evidence.Tag{0xfe, 1}
	var all, tagged []record.ID
	for i := range 25 {
		r := Record(10 + i)
		if i%3 == 0 {
			r.Tag = shared
			tagged = append(tagged, r.ID)
		}
		put(t, s, r)
		all = append(all, r.ID)
	}
	collect := func(page func(after uint64) ([]recordstore.Item, error), limit int) (got []record.ID) {
		for after := uint64(0); ; {
			items, err := page(after)
			require.NoError(t, err)
			require.LessOrEqual(t, len(items), limit)
			for _, it := range items {
				require.Greater(t, it.Sequence(), after)
				after = it.Sequence()
			}
			got = append(got, ids(items)...)
			if len(items) < limit {
				return got
			}
		}
	}
	for _, limit := range []int{1, 5, 7, 25, recordstore.MaxPage} {
		assert.Equal(t, all, collect(func(after uint64) ([]recordstore.Item, error) {
			return s.List(t.Context(), after, limit)
		}, limit))
		assert.Equal(t, tagged, collect(func(after uint64) ([]recordstore.Item, error) {
			return s.ListTag(t.Context(), shared, after, limit)
		}, limit))
	}
	var walked []record.ID
	for item, err := range recordstore.All(t.Context(), s) {
		require.NoError(t, err)
		walked = append(walked, item.ID)
	}
	assert.Equal(t, all, walked)
	refusedPages(t, s)
}

func refusedPages(t *testing.T, s recordstore.Store) {
	for _, page := range []struct {
		after uint64
		limit int
	}{{0, 0}, {0, -1}, {0, recordstore.MaxPage + 1}, {1 << 63, 1}} {
		_, err := s.List(t.Context(), page.after, page.limit)
		require.ErrorIs(t, err, recordstore.ErrInvalid)
		_, err = s.ListTag(t.Context(), evidence.Tag{1}, page.after, page.limit)
		require.ErrorIs(t, err, recordstore.ErrInvalid)
		_, err = s.Unanchored(t.Context(), time.Now(), page.after, page.limit)
		require.ErrorIs(t, err, recordstore.ErrInvalid)
	}
	past, err := s.List(t.Context(), 1<<63-1, 10)
	require.NoError(t, err)
	assert.Empty(t, past)
}

func anchoring(t *testing.T, open Factory) {
	s := New(t, open)
	a, b := Record(10), Record(20)
	put(t, s, a)
	put(t, s, b)
	ref := recordstore.AnchorRef{TxID: "tx1", Block: 1<<63 - 1, Batch: evidence.Nonce{1, 2, 3}, At: 1_700_000_000_123}
	require.NoError(t, s.MarkAnchored(t.Context(), []record.ID{a.ID, a.ID}, ref))
	require.NoError(t, s.MarkAnchored(t.Context(), nil, ref))
	item := requireContent(t, s, a)
	require.Equal(t, &ref, item.Anchor)
	assert.Equal(t, evidence.Entry{ID: evidence.RecordID(a.ID), Tag: a.Tag, CipherHash: a.CipherHash, Pointer: item.Pointer}, item.Entry())
	requireStats(t, s, 2, 30, 1)

	later := recordstore.AnchorRef{TxID: "tx2", Block: 9, At: 2}
	require.NoError(t, s.MarkAnchored(t.Context(), []record.ID{a.ID, b.ID}, later))
	assert.Equal(t, &ref, requireContent(t, s, a).Anchor, "the first anchor stays")
	assert.Equal(t, &later, requireContent(t, s, b).Anchor)
	got, created, err := s.Put(t.Context(), a.Draft, a.Data)
	require.NoError(t, err)
	assert.False(t, created)
	assert.Equal(t, &ref, got.Anchor, "a redelivered record tells that it is anchored")
	requireStats(t, s, 2, 30, 2)

	for _, bad := range []recordstore.AnchorRef{
		{Block: 1}, {TxID: strings.Repeat("x", recordstore.MaxTxID+1)}, {TxID: "a\nb"}, {TxID: "tx", Block: 1 << 63},
	} {
		require.ErrorIs(t, s.MarkAnchored(t.Context(), []record.ID{a.ID}, bad), recordstore.ErrInvalid)
	}
	require.ErrorIs(t, s.MarkAnchored(t.Context(), make([]record.ID, recordstore.MaxGroup+1), ref), recordstore.ErrTooLarge)
}

func anchoringUnknown(t *testing.T, open Factory) {
	s := New(t, open)
	a := Record(10)
	put(t, s, a)
	unknown := record.ID{0, 1, 0xff}
	err := s.MarkAnchored(t.Context(), []record.ID{unknown, a.ID}, recordstore.AnchorRef{TxID: "tx", Block: 1})
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	var missing *recordstore.MissingError
	require.True(t, errors.As(err, &missing))
	assert.Equal(t, []record.ID{unknown}, missing.IDs)
	assert.NotNil(t, requireContent(t, s, a).Anchor, "known records are marked all the same")
}

func unanchored(t *testing.T, open Factory) {
	s := New(t, open)
	var want []record.ID
	for i := range 10 {
		r := Record(10)
		put(t, s, r)
		if i%2 == 0 {
			require.NoError(t, s.MarkAnchored(t.Context(), []record.ID{r.ID}, recordstore.AnchorRef{TxID: "tx", Block: 1}))
			continue
		}
		want = append(want, r.ID)
	}
	future := time.Now().Add(time.Hour)
	items, err := s.Unanchored(t.Context(), future, 0, 100)
	require.NoError(t, err)
	assert.Equal(t, want, ids(items))
	first, err := s.Unanchored(t.Context(), future, 0, 2)
	require.NoError(t, err)
	rest, err := s.Unanchored(t.Context(), future, first[1].Sequence(), 100)
	require.NoError(t, err)
	assert.Equal(t, want, append(ids(first), ids(rest)...))
	none, err := s.Unanchored(t.Context(), time.Now().Add(-time.Hour), 0, 100)
	require.NoError(t, err)
	assert.Empty(t, none)
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, items[0].StoredAt, st.OldestUnanchored)
	assert.Equal(t, items[4].Sequence(), st.LastSequence)
	require.NoError(t, s.MarkAnchored(t.Context(), want, recordstore.AnchorRef{TxID: "tx", Block: 1}))
	st, err = s.Stats(t.Context())
	require.NoError(t, err)
	assert.Zero(t, st.OldestUnanchored)
}
