package recordstore

import (
	"context"
	"io"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// Limits of every store.
const (
	// MaxPage is the most items that one call lists.
	MaxPage = 10_000
	// MaxGroup is the most records in one PutAll, and the most ids in one MarkAnchored.
	MaxGroup = 10_000
	// MaxGroupBytes is the most data in one PutAll, in bytes.
	MaxGroupBytes = 64 << 20
	// MaxKind is the longest kind, in bytes of UTF-8.
	MaxKind = 64
	// MaxTxID is the longest transaction id of an anchor, in bytes.
	MaxTxID = 128
	// DefaultMaxRecord is the largest sealed record taken unless a store is told
	// otherwise, in bytes.
	DefaultMaxRecord = 257 << 20
)

// Store keeps sealed records. Implementations are safe for concurrent use.
type Store interface {
	// Put stores a sealed record unless its id is taken, and returns what is there and
	// whether this call created it. data must have the SM3 digest d.CipherHash, else
	// ErrMismatch. The store keeps no reference to data.
	Put(ctx context.Context, d Draft, data []byte) (item Item, created bool, err error)
	// PutAll stores a group in one transaction, all of it or, on error, nothing. Results
	// come in the order of the group; the second of two equal ids finds the first.
	PutAll(ctx context.Context, group []Sealed) ([]Result, error)
	// PutStream is Put for records too large for memory: r is read to its end. A zero
	// d.CipherHash asks the store to compute the digest; any other is checked. When the id
	// is taken already, r may be left unread.
	PutStream(ctx context.Context, d Draft, r io.Reader) (item Item, created bool, err error)
	// Open returns a record and its sealed bytes. The bytes may be trusted to be those that
	// were put only once the reader has returned io.EOF; on damage it returns ErrCorrupt in
	// its place. The reader belongs to one goroutine and ends with ctx.
	Open(ctx context.Context, id record.ID) (Item, io.ReadCloser, error)
	// Stat returns what is known about a record, or ErrNotFound.
	Stat(ctx context.Context, id record.ID) (Item, error)
	// List returns up to limit records with a sequence number above after, in store order.
	// Fewer than limit means the end. limit is 1 to MaxPage.
	List(ctx context.Context, after uint64, limit int) ([]Item, error)
	// ListTag is List for the records of one tag.
	ListTag(ctx context.Context, tag evidence.Tag, after uint64, limit int) ([]Item, error)
	// MarkAnchored notes where records were anchored. It is idempotent, and the first
	// reference of a record stays. Known records are marked even if others are unknown;
	// those are named by a *MissingError.
	MarkAnchored(ctx context.Context, ids []record.ID, ref AnchorRef) error
	// Unanchored returns up to limit records without an anchor that were stored before a
	// time, in store order above after. Whoever reconciles pages with after, so that
	// records which cannot be anchored never hide those behind them.
	Unanchored(ctx context.Context, before time.Time, after uint64, limit int) ([]Item, error)
	// Stats returns totals; its cost does not grow with the number of records.
	Stats(ctx context.Context) (Stats, error)
	// Close ends the store after the puts it has accepted. Later calls return ErrClosed;
	// closing again does nothing.
	Close() error
}

// Draft is what a sealed record brings with it: nothing personal, all of it also in the
// clear header of the sealed bytes except Kind.
type Draft struct {
	ID         record.ID
	Tag        evidence.Tag
	Kind       string // event or document type, up to MaxKind bytes, no control characters
	Epoch      uint32 // of the patient key, from 1
	SealedAt   int64  // Unix milliseconds
	CipherHash evidence.Digest
}

// Sealed is a draft with its sealed bytes.
type Sealed struct {
	Draft
	Data []byte
}

// Item is a record in the store.
type Item struct {
	ID         record.ID       `json:"id"`
	Tag        evidence.Tag    `json:"tag"`
	Kind       string          `json:"kind"`
	Epoch      uint32          `json:"epoch"`
	SealedAt   int64           `json:"sealed_at"` // Unix milliseconds, as drafted
	StoredAt   int64           `json:"stored_at"` // Unix milliseconds, clock of the store
	CipherHash evidence.Digest `json:"cipher_hash"`
	Size       int64           `json:"size"`    // of the sealed bytes
	Pointer    []byte          `json:"pointer"` // see PointerOf
	Anchor     *AnchorRef      `json:"anchor,omitempty"`
}

// AnchorRef says where on the ledger a record is anchored.
type AnchorRef struct {
	TxID  string         `json:"tx_id"`
	Block uint64         `json:"block"` // up to 2^63-1
	Batch evidence.Nonce `json:"batch"`
	At    int64          `json:"at"` // Unix milliseconds of the transaction
}

// Result is the outcome of one put of a group.
type Result struct {
	Item    Item
	Created bool
}

// Stats are totals of a store.
type Stats struct {
	Items            int64  `json:"items"`
	Bytes            int64  `json:"bytes"` // sealed bytes
	Anchored         int64  `json:"anchored"`
	LastSequence     uint64 `json:"last_sequence"`
	OldestUnanchored int64  `json:"oldest_unanchored"` // its StoredAt, 0 if all are anchored
	DiskBytes        int64  `json:"disk_bytes"`        // 0 if unknown
}

// Entry returns the ledger entry that anchors the record.
func (it Item) Entry() evidence.Entry {
	return evidence.Entry{ID: evidence.RecordID(it.ID), Tag: it.Tag, CipherHash: it.CipherHash, Pointer: it.Pointer}
}

// Sequence returns the sequence number of the record, 0 if the pointer is not one.
func (it Item) Sequence() uint64 {
	seq, err := SequenceOf(it.Pointer)
	if err != nil {
		return 0
	}
	return seq
}
