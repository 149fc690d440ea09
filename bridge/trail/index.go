package trail

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	_ "modernc.org/sqlite" // database/sql driver "sqlite"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// FileName is the name of the index within its folder.
const FileName = "trail.db"

// ErrQuery reports a question that names nothing to look for.
var ErrQuery = errors.New("trail: nothing to look for")

// Event is one step on the way of a record. Its JSON form is stable.
type Event struct {
	At         time.Time `json:"at"`
	Stage      string    `json:"stage"`
	Sender     string    `json:"sender,omitempty"`
	ControlID  string    `json:"control_id,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	Record     string    `json:"record,omitempty"`
	Tag        string    `json:"tag,omitempty"`
	Batch      string    `json:"batch,omitempty"`
	Tx         string    `json:"tx,omitempty"`
	Block      uint64    `json:"block,omitempty"`
	Code       string    `json:"code,omitempty"`
	Quarantine string    `json:"quarantine,omitempty"`
}

// EventOf returns the event that the headers of a message tell.
func EventOf(m topology.Meta) Event {
	e := Event{At: m.At.UTC(), Stage: m.Stage, Sender: m.Sender, ControlID: m.ControlID, Kind: m.Kind, Tag: m.Tag,
		Batch: m.Batch, Tx: m.Tx, Block: m.Block, Code: m.Code, Quarantine: m.Quarantine}
	if !m.Record.IsZero() {
		e.Record = m.Record.String()
	}
	return e
}

// Query asks for events; exactly the fields that are set must match. A question by tag,
// transaction or batch also returns the earlier events of the records found.
type Query struct {
	ControlID string
	Sender    string // only together with ControlID
	Record    string
	Tag       string
	Tx        string
	Batch     string
	// Limit is the largest number of events returned; default and maximum 10,000.
	Limit int
}

// Index is the trail on disk. It is safe for concurrent use.
type Index struct{ db *sql.DB }

// Absent names are NULL: a partial index serves a comparison only if it is over NOT NULL.
const schema = `
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
  at INTEGER NOT NULL, stage TEXT NOT NULL, sender TEXT, control TEXT, kind TEXT, record TEXT,
  tag TEXT, batch TEXT, tx TEXT, block INTEGER NOT NULL, code TEXT, quarantine TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS event_record ON event(record) WHERE record IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_control ON event(control, sender) WHERE control IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_tag ON event(tag) WHERE tag IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_tx ON event(tx) WHERE tx IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_batch ON event(batch) WHERE batch IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_received ON event(at DESC, seq DESC) WHERE stage = 'received';
CREATE INDEX IF NOT EXISTS event_aside ON event(record) WHERE stage IN ('parked','rejected');
PRAGMA user_version = 1;`

const columns = "at, stage, sender, control, kind, record, tag, batch, tx, block, code, quarantine"

const selected = "at, stage, IFNULL(sender,''), IFNULL(control,''), IFNULL(kind,''), IFNULL(record,''), IFNULL(tag,''), " +
	"IFNULL(batch,''), IFNULL(tx,''), block, IFNULL(code,''), IFNULL(quarantine,'')"

// Open opens the index in dir for writing; folder and file are made private.
func Open(ctx context.Context, dir string) (*Index, error) {
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	if err := errors.Join(f.Close(), fsatomic.CheckPrivate(path)); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	// Events are acknowledged on the bus after the commit, so a commit has to be on disk.
	x, err := open(ctx, path, "rw", "journal_mode(wal)", "synchronous(full)", "busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	if _, err := x.db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("trail: schema: %w", err), x.Close())
	}
	return x, nil
}

// OpenReader opens the index in dir for reading, also while a pipeline writes it.
func OpenReader(ctx context.Context, dir string) (*Index, error) {
	path := filepath.Join(dir, FileName)
	if err := fsatomic.CheckPrivate(path); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	return open(ctx, path, "ro", "busy_timeout(5000)", "query_only(true)")
}

func open(ctx context.Context, path, mode string, pragmas ...string) (*Index, error) {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	db.SetMaxOpenConns(4)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("trail: open %s: %w", path, err), db.Close())
	}
	return &Index{db: db}, nil
}

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// repeats lists what may happen to a record more than once.
var repeats = map[string]bool{stage.Parked: true, stage.Released: true, stage.Rejected: true, stage.Duplicate: true, stage.Recovered: true,
	stage.Unanswered: true}

// key is what makes an event the same event.
func (e Event) key() []byte {
	at := int64(0)
	if e.Record == "" || repeats[e.Stage] {
		at = e.At.UnixMilli()
	}
	b, err := json.Marshal([]any{e.Record, e.Stage, e.Code, e.Sender, e.ControlID, e.Quarantine, at})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	sum := sm3.Sum(b)
	return sum[:16]
}

// Add stores events in one transaction; known ones are passed over. It returns the
// incidents it found: control ids that now stand for more than one record.
func (x *Index) Add(ctx context.Context, events []Event) (incidents []Event, err error) {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	//nolint:gosec // put together from constants
	insert, err := tx.PrepareContext(ctx, "INSERT OR IGNORE INTO event (key, "+columns+") VALUES (?,?,?,"+strings.Repeat("NULLIF(?,''),", 7)+"?,NULLIF(?,''),NULLIF(?,''))")
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	defer func() { _ = insert.Close() }()
	for _, e := range events {
		fresh, err := add(ctx, insert, e)
		if err != nil {
			return nil, err
		}
		if !fresh || e.Stage != stage.Received || e.ControlID == "" {
			continue
		}
		other, err := otherRecord(ctx, tx, e)
		if err != nil {
			return nil, err
		}
		if other || e.Code == stage.CodeReusedID {
			e.Stage, e.Code = stage.Incident, stage.CodeReusedID
			if _, err := add(ctx, insert, e); err != nil {
				return nil, err
			}
			incidents = append(incidents, e)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	return incidents, nil
}

func add(ctx context.Context, insert *sql.Stmt, e Event) (bool, error) {
	res, err := insert.ExecContext(ctx, e.key(), e.At.UnixMilli(), e.Stage, e.Sender, e.ControlID, e.Kind, e.Record, e.Tag,
		e.Batch, e.Tx, int64(e.Block), e.Code, e.Quarantine)
	if err != nil {
		return false, fmt.Errorf("trail: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

func otherRecord(ctx context.Context, tx *sql.Tx, e Event) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM event WHERE control = ? AND sender = ? AND record <> ? AND stage = ?)",
		e.ControlID, e.Sender, e.Record, stage.Received).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("trail: %w", err)
	}
	return n > 0, nil
}

// Find returns events in order of time. Nothing found is an empty answer.
func (x *Index) Find(ctx context.Context, q Query) ([]Event, error) {
	where, args, err := q.where()
	if err != nil {
		return nil, err
	}
	if q.Limit <= 0 || q.Limit > 10_000 {
		q.Limit = 10_000
	}
	// The records found by tag, transaction or batch are shown with all their events.
	//nolint:gosec // columns and conditions are constants; what is asked for travels as arguments
	rows, err := x.db.QueryContext(ctx, `SELECT `+selected+` FROM event WHERE seq IN (SELECT seq FROM event WHERE `+where+`)
		OR record IN (SELECT record FROM event WHERE `+where+`) ORDER BY at, seq LIMIT ?`,
		append(append(append([]any{}, args...), args...), q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Event
	for rows.Next() {
		var e Event
		var at, block int64
		if err := rows.Scan(&at, &e.Stage, &e.Sender, &e.ControlID, &e.Kind, &e.Record, &e.Tag, &e.Batch, &e.Tx, &block,
			&e.Code, &e.Quarantine); err != nil {
			return nil, fmt.Errorf("trail: %w", err)
		}
		e.At, e.Block = time.UnixMilli(at).UTC(), uint64(block)
		out = append(out, e)
	}
	slices.SortStableFunc(out, before)
	return out, rows.Err()
}

// before orders events of the same millisecond by where they stand on the way.
func before(a, b Event) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return slices.Index(way, a.Stage) - slices.Index(way, b.Stage)
}

var way = []string{stage.Received, stage.Incident, stage.Duplicate, stage.Normalized, stage.Stored, stage.Recovered, stage.Parked,
	stage.Released, stage.Anchored, stage.Rejected, stage.Unanswered}

func (q Query) where() (string, []any, error) {
	var parts []string
	var args []any
	for _, f := range []struct{ column, value string }{
		{"control", q.ControlID}, {"sender", q.Sender}, {"record", strings.ToLower(q.Record)}, {"tag", strings.ToLower(q.Tag)},
		{"tx", q.Tx}, {"batch", strings.ToLower(q.Batch)},
	} {
		if f.value != "" {
			parts, args = append(parts, f.column+" = ?"), append(args, f.value)
		}
	}
	if len(parts) == 0 || (len(parts) == 1 && q.Sender != "") {
		return "", nil, ErrQuery
	}
	return strings.Join(parts, " AND "), args, nil
}

// Lookup finds what id names, whatever kind of id it is: a record id, tag, transaction,
// batch or control id, in this order of preference by its form.
func (x *Index) Lookup(ctx context.Context, id string) ([]Event, error) {
	if id == "" {
		return nil, ErrQuery
	}
	for _, q := range []Query{{Record: id}, {Tx: id}, {Batch: id}, {Tag: id}, {ControlID: id}} {
		events, err := x.Find(ctx, q)
		if err != nil || len(events) > 0 {
			return events, err
		}
	}
	return nil, nil
}

// Count returns how many records have reached a stage.
func (x *Index) Count(ctx context.Context, stageName string) (n int, err error) {
	err = x.db.QueryRowContext(ctx, "SELECT COUNT(DISTINCT record) FROM event WHERE stage = ?", stageName).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("trail: %w", err)
	}
	return n, nil
}
