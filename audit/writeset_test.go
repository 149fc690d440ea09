package audit

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// realWrites are the write sets of batches that the contract anchored.
func realWrites(t testing.TB) (writes [][]Write, entries []evidence.Entry) {
	t.Helper()
	c := chaincodetest.NewConsortium(t, 1)
	entry := func(tail byte, pointer ...byte) evidence.Entry {
		return evidence.Entry{ID: evidence.RecordID{0, 1, 2, 3, 4, 5, 6, 7, tail, tail}, Tag: evidence.Tag{9, tail}, CipherHash: evidence.Digest{tail}, Pointer: pointer}
	}
	// The second and the third share eight bytes of the id with the first: long keys.
	entries = []evidence.Entry{entry(1, 1), entry(2, 1, 0), entry(3)}
	for _, e := range entries {
		_, err := c.Members[0].Anchor(e)
		require.NoError(t, err)
	}
	for _, block := range c.Blocks() {
		for _, tx := range block {
			var w []Write
			for _, kv := range tx.Set.GetWrites() {
				w = append(w, Write{Key: kv.GetKey(), Value: kv.GetValue(), Delete: kv.GetIsDelete()})
			}
			writes = append(writes, w)
		}
	}
	return writes, entries
}

func TestWriteSetsOfTheContractAreRead(t *testing.T) {
	writes, entries := realWrites(t)
	var got []evidence.Entry
	for _, w := range writes {
		b, ok, err := batchOf(w)
		require.NoError(t, err)
		if ok {
			assert.EqualValues(t, 1, b.number)
			assert.Equal(t, b.header.Root, evidence.BatchRoot(b.entries))
			got = append(got, b.entries...)
		}
	}
	require.Len(t, got, len(entries))
	for i := range entries {
		assert.True(t, entries[i].Equal(got[i]), "%v", got[i])
	}
}

func TestSpoiltWriteSetsAreRefused(t *testing.T) {
	writes, _ := realWrites(t)
	var good []Write
	for _, w := range writes {
		if b, ok, _ := batchOf(w); ok && len(b.entries) > 0 {
			good = w
		}
	}
	find := func(w []Write, family byte) *Write {
		for i := range w {
			if w[i].Key[0] == family {
				return &w[i]
			}
		}
		return nil
	}
	for name, spoil := range map[string]func([]Write) []Write{
		"anchor deleted":        func(w []Write) []Write { find(w, 'm').Delete = true; return w },
		"anchor key cut":        func(w []Write) []Write { a := find(w, 'm'); a.Key = a.Key[:len(a.Key)-1]; return w },
		"anchor key not Z85":    func(w []Write) []Write { a := find(w, 'm'); a.Key = "m\"" + a.Key[2:]; return w },
		"anchor value cut":      func(w []Write) []Write { a := find(w, 'm'); a.Value = a.Value[:20]; return w },
		"anchor value long":     func(w []Write) []Write { a := find(w, 'm'); a.Value = append(a.Value, make([]byte, 60)...); return w },
		"header deleted":        func(w []Write) []Write { find(w, 'b').Delete = true; return w },
		"header key":            func(w []Write) []Write { find(w, 'b').Key = "bzzzz"; return w },
		"header value":          func(w []Write) []Write { find(w, 'b').Value = []byte{0x80}; return w },
		"two headers":           func(w []Write) []Write { return append(w, *find(w, 'b')) },
		"anchors and no header": func(w []Write) []Write { return []Write{*find(w, 'm')} },
	} {
		w := make([]Write, len(good))
		for i, kv := range good {
			w[i] = Write{Key: kv.Key, Value: bytes.Clone(kv.Value)}
		}
		_, ok, err := batchOf(spoil(w))
		assert.True(t, ok, name)
		assert.ErrorIs(t, err, errWriteSet, name)
	}
}

func FuzzBatchOf(f *testing.F) {
	writes, _ := realWrites(f)
	for _, w := range writes {
		for _, kv := range w {
			f.Add(kv.Key, kv.Value)
		}
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		b, ok, err := batchOf([]Write{{Key: key, Value: value}})
		if err == nil && ok && len(b.entries) > 0 {
			t.Fatal("anchors without a header")
		}
		_, _ = decodeAnchor(Write{Key: key, Value: value})
	})
}
