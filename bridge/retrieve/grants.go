package retrieve

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

// issued are the key grants of one delivery. They are wrapped to the requester's key, so
// that this memory gives nothing away.
type issued struct {
	grants   map[evidence.RecordID][]byte
	notAfter int64 // Unix milliseconds
}

// digest is the digest that goes on the ledger.
func (i *issued) digest() evidence.Digest {
	ids := slices.SortedFunc(maps.Keys(i.grants), compareIDs)
	list := make([][]byte, len(ids))
	for n, id := range ids {
		list[n] = i.grants[id]
	}
	return wire.GrantsDigest(list)
}

func compareIDs(a, b evidence.RecordID) int { return bytes.Compare(a[:], b[:]) }

// grantBook keeps the grants of the latest deliveries, because the ledger holds the
// digest of exactly these: a resumed delivery must bring the same bytes. It is safe for
// concurrent use.
type grantBook struct {
	mu    sync.Mutex
	limit int
	order []evidence.Nonce // oldest first
	books map[evidence.Nonce]*issued
}

func newGrantBook(limit int) *grantBook {
	return &grantBook{limit: limit, books: map[evidence.Nonce]*issued{}}
}

func (b *grantBook) get(id evidence.Nonce, now int64) (*issued, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.books[id]
	return i, ok && now <= i.notAfter
}

func (b *grantBook) put(id evidence.Nonce, i *issued) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.books[id]; !ok {
		b.order = append(b.order, id)
	}
	b.books[id] = i
	for len(b.order) > b.limit {
		delete(b.books, b.order[0])
		b.order = b.order[1:]
	}
}
