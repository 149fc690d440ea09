// Package index is the vocabulary between the FHIR REST surface and the hospital's own view
// of what it received: which versions of which resources there are, and how to find them.
// It holds types only; package rest asks, package bridge/view keeps.
package index

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// Errors of a Store; test with errors.Is.
var (
	// ErrNotFound: no such resource or version.
	ErrNotFound = errors.New("fhir index: not found")
	// ErrGone: the content was erased by destroying its key.
	ErrGone = errors.New("fhir index: content was erased")
	// ErrConflict: another version was written meanwhile.
	ErrConflict = errors.New("fhir index: version exists already")
	// ErrQuery: a query that the store does not answer.
	ErrQuery = errors.New("fhir index: query not supported")
)

// Entry is one version of one resource.
type Entry struct {
	Type, ID string
	Version  int // from 1
	Updated  time.Time
	Deleted  bool
	// Method is how the version came about: POST, PUT or DELETE.
	Method string
	// Record is the sealed record that holds the content, Part the entry of the Bundle in it,
	// -1 for the whole payload.
	Record record.ID
	Part   int
	// Links are references that the server resolved when it took the content: what stands in
	// it, and what is meant (urn:uuid:… → Patient/1).
	Links map[string]string
	// Tokens are what the resource can be found by.
	Tokens []Token
	// From and To bound the time of the event; zero where it is not known or open.
	From, To time.Time
}

// LogValue implements slog.LogValuer: ids and tokens may be numbers of patients.
func (e Entry) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", e.Type), slog.Int("version", e.Version), slog.String("record", e.Record.String()))
}

// Token is a value of a search parameter. A query with an empty System asks for the value
// in any system.
type Token struct{ Parameter, System, Value string }

// Submission is content on its way to the bus, kept until it is durable there, so that a
// crash in between can be healed by submitting it again.
type Submission struct {
	Record record.ID
	Raw    []byte
	// Body holds the content where it is too long for memory, and Raw is empty. It is not kept
	// with the submission; Claim names it, and Skeleton is what is read of it.
	Body                    Body   `json:"-"`
	Claim                   string `json:",omitempty"`
	Skeleton                []byte `json:",omitempty"`
	Sender, ControlID, Kind string
	RoutingHint             string
	ReceivedAt              time.Time
}

// LogValue implements slog.LogValuer.
func (s Submission) LogValue() slog.Value {
	return slog.GroupValue(slog.String("record", s.Record.String()), slog.String("kind", s.Kind), slog.Int("bytes", len(s.Raw)), slog.String("claim", s.Claim))
}

// Body is content on disk.
type Body interface {
	// ID names it for as long as it is there.
	ID() string
	// Size is its length in bytes, Digest its SM3 digest.
	Size() int64
	Digest() [32]byte
	// Reader reads it from the beginning.
	Reader() (io.ReadSeekCloser, error)
	// Discard removes it, unless it was handed over.
	Discard()
}

// Range is an interval of time, To exclusive. Zero ends are open.
type Range struct{ From, To time.Time }

// Query asks for the current versions of one type that are not deleted. All conditions must
// hold; of the tokens in one list one must.
type Query struct {
	Type    string
	IDs     []string
	Tokens  [][]Token
	Dates   []Range // each must overlap the time of the event
	Updated []Range
	// Sort is "date", "-date", "_lastUpdated" or "-_lastUpdated"; "" is "-_lastUpdated".
	Sort  string
	After string // cursor of the page before
	Limit int    // 1 to 1000
	Count bool   // count all matches too
}

// LogValue implements slog.LogValuer.
func (q Query) LogValue() slog.Value { return slog.StringValue(q.Type) }

// Page is a page of matches. Next is the cursor of the page that follows, "" if there is none.
type Page struct {
	Entries []Entry
	Next    string
	Total   int // -1 where it was not asked for
}

// Store keeps the view. Implementations are safe for concurrent use. What a method has
// returned from is on disk.
type Store interface {
	// Reserve writes versions that nobody sees yet, with the content that is about to be
	// submitted. ErrConflict: one of the versions exists.
	Reserve(ctx context.Context, s Submission, entries []Entry) error
	// Commit makes the versions of a reserved record visible.
	Commit(ctx context.Context, id record.ID) error
	// Abandon forgets a reserved record that was not submitted.
	Abandon(ctx context.Context, id record.ID) error
	// Current returns the newest version, deleted or not.
	Current(ctx context.Context, kind, id string) (Entry, error)
	Version(ctx context.Context, kind, id string, version int) (Entry, error)
	// History returns versions of a resource, the newest first, older than before (0: all).
	History(ctx context.Context, kind, id string, before, limit int) ([]Entry, error)
	Search(ctx context.Context, q Query) (Page, error)
	// Payload returns the content of a record: from the store of sealed records, or the
	// encrypted copy until it is there. ErrGone: it was erased.
	Payload(ctx context.Context, id record.ID) ([]byte, error)
}
