// Package storetest is the conformance suite of record stores: what package recordstore
// promises, as tests that any implementation runs.
package storetest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// MaxRecord is the largest record that a store under test is to be opened for, in bytes.
const MaxRecord = 56 << 20

// Factory opens the store at a place: an empty folder of the test, which a store on a
// server may use as a name. Opened again at the same place, after Close or without it, it
// gives a store with the same content. Whether the first was closed or not, the factory
// sees to it that everything is released when the test ends.
type Factory func(t testing.TB, place string) recordstore.Store

// Run runs the suite. Each test gets a place of its own.
func Run(t *testing.T, open Factory) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Factory)
	}{
		{"put and read back", putAndReadBack},
		{"first put wins", firstPutWins},
		{"groups", groups},
		{"refused drafts", refusedDrafts},
		{"hostile ids and kinds", hostileIDs},
		{"sizes around the chunk", sizes},
		{"streams", streams},
		{"failing streams", failingStreams},
		{"large record at flat memory", largeRecord},
		{"not found", notFound},
		{"listing", listing},
		{"anchoring", anchoring},
		{"unanchored", unanchored},
		{"anchoring unknown records", anchoringUnknown},
		{"contexts", contexts},
		{"concurrent puts", concurrentPuts},
		{"readers see every record in order", orderedVisibility},
		{"concurrent streams of one id", concurrentStreams},
		{"reopen", reopen},
		{"closed", closed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// New opens a store at a fresh place.
func New(t testing.TB, open Factory) recordstore.Store {
	t.Helper()
	return open(t, t.TempDir())
}

// Record makes a sealed record of n pseudo-random bytes under a random id of hospital 1.
func Record(n int) recordstore.Sealed {
	var id record.ID
	var tag evidence.Tag
	_, _ = rand.Read(id[:]) // never fails
	_, _ = rand.Read(tag[:])
	binary.BigEndian.PutUint16(id[:2], 1)
	return With(id, tag, Bytes(id, n))
}

// With makes a sealed record with the digest of data.
func With(id record.ID, tag evidence.Tag, data []byte) recordstore.Sealed {
	return recordstore.Sealed{Data: data, Draft: recordstore.Draft{
		ID: id, Tag: tag, Kind: "ORU^R01", Epoch: 1, SealedAt: 1_700_000_000_000, CipherHash: sm3.Sum(data),
	}}
}

// Bytes returns n bytes that depend on id only.
func Bytes(id record.ID, n int) []byte {
	data := make([]byte, n)
	_, _ = stream(id).Read(data)
	return data
}

// stream is an endless source of the bytes that Bytes returns.
func stream(id record.ID) io.Reader {
	var seed [32]byte
	copy(seed[:], id[:])
	return mathrand.NewChaCha8(seed)
}

// put stores a record that must be new.
func put(t testing.TB, s recordstore.Store, r recordstore.Sealed) recordstore.Item {
	t.Helper()
	item, created, err := s.Put(t.Context(), r.Draft, r.Data)
	require.NoError(t, err)
	require.True(t, created)
	return item
}

// requireContent checks that the store gives out a record as it was put.
func requireContent(t testing.TB, s recordstore.Store, want recordstore.Sealed) recordstore.Item {
	t.Helper()
	item, data, err := recordstore.ReadAll(t.Context(), s, want.ID, MaxRecord)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.Data, data), "content of %s differs", want.ID)
	requireItem(t, want, item)
	return item
}

// requireItem checks what the store says about a record.
func requireItem(t testing.TB, want recordstore.Sealed, item recordstore.Item) {
	t.Helper()
	require.Equal(t, want.Draft, recordstore.Draft{ID: item.ID, Tag: item.Tag, Kind: item.Kind,
		Epoch: item.Epoch, SealedAt: item.SealedAt, CipherHash: item.CipherHash})
	require.EqualValues(t, len(want.Data), item.Size)
	require.Positive(t, item.StoredAt)
	require.NotZero(t, item.Sequence())
	require.Equal(t, recordstore.PointerOf(item.Sequence()), item.Pointer)
}

// requireStats checks the totals that every store keeps.
func requireStats(t testing.TB, s recordstore.Store, items, bytes, anchored int64) {
	t.Helper()
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, [3]int64{items, bytes, anchored}, [3]int64{st.Items, st.Bytes, st.Anchored})
}

// ids returns the ids of items in their order.
func ids(items []recordstore.Item) []record.ID {
	out := make([]record.ID, len(items))
	for i, it := range items {
		out[i] = it.ID
	}
	return out
}
