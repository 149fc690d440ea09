package evidence

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm3"
)

// MaxPointer is the largest pointer of an entry, in bytes.
const MaxPointer = 16

// Entry is T_M of the scheme, (medical, h(EMR_en), sig_p, pointer): it anchors one sealed
// record.
type Entry struct {
	ID         RecordID `json:"id"`
	Tag        Tag      `json:"tag"`
	CipherHash Digest   `json:"cipher_hash"` // SM3 over the whole sealed record
	Pointer    []byte   `json:"pointer"`     // where the hospital's store keeps it; opaque
}

// Encoded layout of an entry: id 16, tag 16, hash 32, length of the pointer 1, pointer.
const entryFixed = 16 + 16 + 32 + 1

// Equal reports whether both entries say the same.
func (e Entry) Equal(o Entry) bool {
	return e.ID == o.ID && e.Tag == o.Tag && e.CipherHash.Equal(o.CipherHash) && bytes.Equal(e.Pointer, o.Pointer)
}

// Compare orders entries by tag, then by id: the order of a batch.
func Compare(a, b Entry) int {
	if c := bytes.Compare(a.Tag[:], b.Tag[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// Append appends the canonical bytes of the entry to dst.
func (e Entry) Append(dst []byte) []byte {
	dst = append(dst, e.ID[:]...)
	dst = append(dst, e.Tag[:]...)
	dst = append(dst, e.CipherHash[:]...)
	dst = append(dst, byte(len(e.Pointer)))
	return append(dst, e.Pointer...)
}

// Sort puts entries into the order of a batch.
func Sort(entries []Entry) { slices.SortFunc(entries, Compare) }

// EncodeEntries returns the bytes in which a batch travels: the canonical entries one
// after another, in the order of a batch. Entries out of order or doubled are refused.
func EncodeEntries(entries []Entry) ([]byte, error) {
	out := make([]byte, 0, len(entries)*(entryFixed+4))
	for i, e := range entries {
		if len(e.Pointer) > MaxPointer {
			return nil, fmt.Errorf("%w: entry %d: pointer of %d bytes, the limit is %d", ErrMalformed, i, len(e.Pointer), MaxPointer)
		}
		if i > 0 && Compare(entries[i-1], e) >= 0 {
			return nil, fmt.Errorf("%w: entry %d is doubled or out of order", ErrMalformed, i)
		}
		out = e.Append(out)
	}
	return out, nil
}

// DecodeEntries reads what EncodeEntries wrote and refuses anything else. The pointers
// of the entries share memory with b.
func DecodeEntries(b []byte) ([]Entry, error) {
	entries := make([]Entry, 0, min(len(b)/entryFixed, MaxBatch))
	for len(b) > 0 {
		i := len(entries)
		if i == MaxBatch {
			return nil, fmt.Errorf("%w: more than %d entries", ErrMalformed, MaxBatch)
		}
		if len(b) < entryFixed || int(b[entryFixed-1]) > MaxPointer || len(b) < entryFixed+int(b[entryFixed-1]) {
			return nil, fmt.Errorf("%w: entry %d is cut short", ErrMalformed, i)
		}
		end := entryFixed + int(b[entryFixed-1])
		e := Entry{ID: RecordID(b[0:16]), Tag: Tag(b[16:32]), CipherHash: Digest(b[32:64]), Pointer: b[entryFixed:end:end]}
		if i > 0 && Compare(entries[i-1], e) >= 0 {
			return nil, fmt.Errorf("%w: entry %d is doubled or out of order", ErrMalformed, i)
		}
		entries = append(entries, e)
		b = b[end:]
	}
	return entries, nil
}

// LeafHash returns the Merkle leaf of the entry: SM3(0x00 ‖ canonical bytes).
func (e Entry) LeafHash() Digest {
	var buf [1 + entryFixed + MaxPointer]byte
	return sm3.Sum(e.Append(buf[:1]))
}

// BatchRoot returns the Merkle root over entries in their order.
func BatchRoot(entries []Entry) Digest {
	leaves := make([]Digest, len(entries))
	for i, e := range entries {
		leaves[i] = e.LeafHash()
	}
	return Root(leaves)
}
