package trail

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/bridge/stage"
)

// Filter chooses messages; only fields that are set must match.
type Filter struct {
	Since, Until time.Time // of receipt, Until excluded
	Kind         string    // as ADT^A01; with a trailing * all that begin so
	Sender       string
	ControlID    string
	Record       string
	State        string // of Message
	// Limit is the most messages listed, the latest first; default 100, at most 10,000.
	Limit int
}

// Message is one record with how far it has come. Its JSON form is stable.
type Message struct {
	ReceivedAt time.Time `json:"received_at"`
	Sender     string    `json:"sender,omitempty"`
	ControlID  string    `json:"control_id,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	Record     string    `json:"record"`
	// State is the last stage that the record has come to: received, normalized, stored,
	// anchored, parked or rejected.
	State string    `json:"state"`
	At    time.Time `json:"at"` // of the state
	Code  string    `json:"code,omitempty"`
}

// states are the stages that count as a state of a record, the furthest last. A released
// or recovered item is on its way again, and counts as received.
var states = []string{stage.Received, stage.Released, stage.Recovered, stage.Normalized, stage.Parked, stage.Rejected, stage.Stored, stage.Anchored}

// List returns messages that were received, the latest first.
func (x *Index) List(ctx context.Context, f Filter) ([]Message, error) {
	where, args := f.where()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 10_000)
	//nolint:gosec // columns and conditions are constants; what is asked for travels as arguments
	rows, err := x.db.QueryContext(ctx, `SELECT r.at, IFNULL(r.sender,''), IFNULL(r.control,''), IFNULL(r.kind,''), r.record, s.stage, s.at, IFNULL(s.code,'')
		FROM event r JOIN event s ON s.seq = (`+currentState+`)
		WHERE r.stage = 'received' AND r.record IS NOT NULL AND r.seq = (SELECT MIN(seq) FROM event WHERE record = r.record AND stage = 'received')`+
		where+` ORDER BY r.at DESC, r.seq DESC LIMIT ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Message
	for rows.Next() {
		var m Message
		var received, at int64
		if err := rows.Scan(&received, &m.Sender, &m.ControlID, &m.Kind, &m.Record, &m.State, &at, &m.Code); err != nil {
			return nil, fmt.Errorf("trail: %w", err)
		}
		m.ReceivedAt, m.At = time.UnixMilli(received).UTC(), time.UnixMilli(at).UTC()
		if m.State == stage.Released || m.State == stage.Recovered {
			m.State = stage.Received
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// currentState finds the last event of a record that is a state. What has come to the
// ledger stays there, whatever is told later. Of one millisecond the furthest counts.
var currentState = `SELECT seq FROM event WHERE record = r.record AND stage IN ('` + strings.Join(states, "','") + `')
	ORDER BY stage = 'anchored' DESC, at DESC, ` + rank + ` DESC, seq DESC LIMIT 1`

// rank orders states in SQL.
var rank = func() string {
	var b strings.Builder
	b.WriteString("CASE stage")
	for i, s := range states {
		fmt.Fprintf(&b, " WHEN '%s' THEN %d", s, i)
	}
	return b.String() + " END"
}()

func (f Filter) where() (string, []any) {
	var b strings.Builder
	var args []any
	add := func(condition string, arg any) {
		b.WriteString(" AND " + condition)
		args = append(args, arg)
	}
	if !f.Since.IsZero() {
		add("r.at >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("r.at < ?", f.Until.UnixMilli())
	}
	if prefix, all := strings.CutSuffix(f.Kind, "*"); all {
		add("substr(r.kind, 1, ?) = ?", len([]rune(prefix)))
		args = append(args, prefix)
	} else if f.Kind != "" {
		add("r.kind = ?", f.Kind)
	}
	for _, c := range []struct{ column, value string }{
		{"r.sender", f.Sender}, {"r.control", f.ControlID}, {"r.record", strings.ToLower(f.Record)},
	} {
		if c.value != "" {
			add(c.column+" = ?", c.value)
		}
	}
	switch f.State {
	case "":
	case stage.Received:
		add("s.stage IN ('received','released',?)", stage.Recovered)
	case stage.Parked, stage.Rejected:
		add("r.record IN (SELECT record FROM event WHERE stage IN ('parked','rejected')) AND s.stage = ?", f.State) // few have ever been
	default:
		add("s.stage = ?", f.State)
	}
	return b.String(), args
}
