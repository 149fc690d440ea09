package patientindex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// readStatements are prepared on the reading connections.
type readStatements struct {
	outcomeOf, placeOf, sameRoot, registrationOf *sql.Stmt
}

// upward is the query part of all nodes from one up to its root, with their distance.
//
//nolint:gosec // SQL, no secret
const upward = `WITH RECURSIVE a(id, d) AS (VALUES (?, 0) UNION SELECT node.parent, a.d + 1 FROM node JOIN a ON node.id = a.id
	WHERE node.parent IS NOT NULL AND a.d < 1000) `

func prepareReads(ctx context.Context, db *sql.DB) (s readStatements, err error) {
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&s.outcomeOf, "SELECT node.tag, node.registration, outcome.told FROM outcome JOIN node ON node.id = outcome.node WHERE record = ?"},
		{&s.placeOf, `SELECT i.node, i.doubt, node.tag, node.registration FROM identifier i JOIN node ON node.id = i.node WHERE i.token = ?`},
		{&s.registrationOf, "SELECT registration FROM node WHERE tag = ?"},
		{&s.sameRoot, upward + `, b(id, d) AS (VALUES (?, 0) UNION SELECT node.parent, b.d + 1 FROM node JOIN b ON node.id = b.id
			WHERE node.parent IS NOT NULL AND b.d < 1000) SELECT count(*) FROM a JOIN b ON a.id = b.id`},
	} {
		if *p.into, err = db.PrepareContext(ctx, p.text); err != nil { //nolint:sqlclosecheck // closed with the set
			return s, fmt.Errorf("patientindex: open: %w", mapError(err))
		}
	}
	return s, nil
}

func (s readStatements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.outcomeOf, s.placeOf, s.sameRoot, s.registrationOf} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

// placed is where an identifier belongs, as it is committed.
type placed struct {
	place
	naming
}

func (s readStatements) outcome(ctx context.Context, by record.ID) (f Filing, known bool, err error) {
	var tag, registration []byte
	var text string
	err = s.outcomeOf.QueryRowContext(ctx, by[:]).Scan(&tag, &registration, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return f, false, nil
	}
	if err != nil {
		return f, false, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	copy(f.Tag[:], tag)
	copy(f.Registration[:], registration)
	return f, true, decodeTold(text, &f)
}

func (s readStatements) place(ctx context.Context, token keystore.Token) (p placed, known bool, err error) {
	var tag, registration []byte
	err = s.placeOf.QueryRowContext(ctx, token[:]).Scan(&p.node, &p.doubt, &tag, &registration)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	copy(p.tag[:], tag)
	copy(p.registration[:], registration)
	return p, true, nil
}

// registration returns the digest of T_R of a tag, zero if the index does not know it.
func (s readStatements) registration(ctx context.Context, tag evidence.Tag) (d evidence.Digest, err error) {
	var b []byte
	err = s.registrationOf.QueryRowContext(ctx, tag[:]).Scan(&b)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return d, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	copy(d[:], b)
	return d, nil
}

// samePerson reports whether two nodes have an ancestor in common.
func (s readStatements) samePerson(ctx context.Context, a, b int64) (bool, error) {
	var n int
	if err := s.sameRoot.QueryRowContext(ctx, a, b).Scan(&n); err != nil {
		return false, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	return n > 0, nil
}

// Person is what the index knows of one person, in values that may be shown.
type Person struct {
	// Tag stands for the person: that of the resident number if it is known.
	Tag evidence.Tag
	// Tags are all under which records of the person may be sealed, the first is Tag.
	Tags []PersonTag
}

// PersonTag is one tag of a person.
type PersonTag struct {
	Tag         evidence.Tag  `json:"tag"`
	LinkedTo    *evidence.Tag `json:"linked_to,omitempty"`
	Resident    bool          `json:"resident"` // made from a resident number
	Identifiers []Known       `json:"identifiers"`
}

// Known is an identifier without its value.
type Known struct {
	Kind    record.IdentifierType `json:"type"`
	InDoubt bool                  `json:"in_doubt,omitempty"`
	Record  record.ID             `json:"record"` // that brought it
}

// Resolve returns the person whom the leading one of some identifiers names. ErrUnnamed:
// none of them is an identity; ErrUnknown: the index has not met it.
func (x *Index) Resolve(ctx context.Context, identifiers []record.Identifier) (Person, error) {
	if err := x.enter(ctx); err != nil {
		return Person{}, err
	}
	defer x.leave()
	ids, err := x.namer.identities(ctx, identifiers)
	if err != nil {
		return Person{}, fmt.Errorf("patientindex: %w", err)
	}
	if len(ids) == 0 {
		return Person{}, ErrUnnamed
	}
	p, known, err := x.reads.place(ctx, ids[0].token)
	if err != nil {
		return Person{}, err
	}
	if !known {
		return Person{}, ErrUnknown
	}
	return x.person(ctx, p.node)
}

// ByTag returns the person to whom a tag belongs, or ErrUnknown.
func (x *Index) ByTag(ctx context.Context, tag evidence.Tag) (Person, error) {
	if err := x.enter(ctx); err != nil {
		return Person{}, err
	}
	defer x.leave()
	var id int64
	err := x.readers.QueryRowContext(ctx, "SELECT id FROM node WHERE tag = ?", tag[:]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return Person{}, ErrUnknown
	}
	if err != nil {
		return Person{}, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	return x.person(ctx, id)
}

func (x *Index) person(ctx context.Context, id int64) (p Person, err error) {
	var root int64
	err = x.readers.QueryRowContext(ctx, upward+"SELECT id FROM a ORDER BY d DESC LIMIT 1", id).Scan(&root)
	if err != nil {
		return p, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	rows, err := x.readers.QueryContext(ctx, below+`SELECT node.id, node.tag, node.resident, up.tag FROM t JOIN node ON node.id = t.id
		LEFT JOIN node up ON up.id = node.parent ORDER BY t.d, node.id`, root)
	if err != nil {
		return p, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	defer rows.Close()
	var nodes []int64
	for rows.Next() {
		var node int64
		var tag, up []byte
		var t PersonTag
		if err := rows.Scan(&node, &tag, &t.Resident, &up); err != nil {
			return p, fmt.Errorf("patientindex: read: %w", mapError(err))
		}
		copy(t.Tag[:], tag)
		if len(up) > 0 {
			t.LinkedTo = new(evidence.Tag)
			copy(t.LinkedTo[:], up)
		}
		p.Tags, nodes = append(p.Tags, t), append(nodes, node)
	}
	if err := rows.Err(); err != nil {
		return p, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	for i, node := range nodes {
		if p.Tags[i].Identifiers, err = x.identifiers(ctx, node); err != nil {
			return p, err
		}
	}
	p.Tag = p.Tags[0].Tag
	return p, nil
}

func (x *Index) identifiers(ctx context.Context, node int64) ([]Known, error) {
	rows, err := x.readers.QueryContext(ctx, "SELECT kind, doubt, record FROM identifier WHERE node = ? ORDER BY kind, record", node)
	if err != nil {
		return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	defer rows.Close()
	out := []Known{}
	for rows.Next() {
		var k Known
		var by []byte
		if err := rows.Scan(&k.Kind, &k.InDoubt, &by); err != nil {
			return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
		}
		copy(k.Record[:], by)
		out = append(out, k)
	}
	return out, rows.Err()
}

// Change is a join or merge in the history.
type Change struct {
	Seq    int64     `json:"seq"`
	Kind   string    `json:"kind"`  // join: by the numbers of a message; merge: by a merge message
	Event  string    `json:"event"` // kind of the record, or the event of the merge
	Record record.ID `json:"record"`
	At     int64     `json:"at"` // Unix ms
	// From is linked to To; both are zero if the two numbers were of one person already.
	From  evidence.Tag `json:"from"`
	To    evidence.Tag `json:"to"`
	Order uint64       `json:"order,omitempty"`
	// UndoneBy is the record that undid it, zero while it stands.
	UndoneBy    record.ID `json:"undone_by,omitzero"`
	UndoneEvent string    `json:"undone_event,omitempty"`
	UndoneAt    int64     `json:"undone_at,omitempty"`
}

// Incident is evidence that was not believed, or a merge that was refused or stands out.
type Incident struct {
	Record record.ID    `json:"record"`
	Event  string       `json:"event"`
	At     int64        `json:"at"` // Unix ms, of the event
	Tag    evidence.Tag `json:"tag"`
	Codes  []Code       `json:"codes"`
}

// Incidents returns the incidents of the index, the latest event first, at most limit.
func (x *Index) Incidents(ctx context.Context, limit int) ([]Incident, error) {
	if err := x.enter(ctx); err != nil {
		return nil, err
	}
	defer x.leave()
	rows, err := x.readers.QueryContext(ctx, `SELECT record, event, at, node.tag, told FROM outcome JOIN node ON node.id = outcome.node
		WHERE told LIKE '%"incidents"%' ORDER BY at DESC, record LIMIT ?`, min(max(limit, 1), MaxChanges))
	if err != nil {
		return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	defer rows.Close()
	out := []Incident{}
	for rows.Next() {
		var i Incident
		var by, tag []byte
		var text string
		if err := rows.Scan(&by, &i.Event, &i.At, &tag, &text); err != nil {
			return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
		}
		copy(i.Record[:], by)
		copy(i.Tag[:], tag)
		var f Filing
		if err := decodeTold(text, &f); err != nil {
			return nil, err
		}
		i.Codes = f.Incidents
		out = append(out, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	return out, nil
}

const changeColumns = `SELECT seq, kind, event, record, at, c.tag, p.tag, ord, undone_by, IFNULL(undone_event, ''), IFNULL(undone_at, 0)
	FROM change LEFT JOIN node c ON c.id = change.child LEFT JOIN node p ON p.id = change.parent `

// MaxChanges is the most that Changes returns at once.
const MaxChanges = 1000

// Changes returns joins and merges after a sequence number, in their order, at most limit.
// standing leaves out those that were undone.
func (x *Index) Changes(ctx context.Context, after int64, limit int, standing bool) ([]Change, error) {
	if err := x.enter(ctx); err != nil {
		return nil, err
	}
	defer x.leave()
	return x.changes(ctx, changeColumns+"WHERE seq > ? AND (NOT ? OR undone_by IS NULL) ORDER BY seq LIMIT ?",
		after, standing, min(max(limit, 1), MaxChanges))
}

// History returns all joins and merges of the person to whom a tag belongs, undone ones
// included, in their order, at most MaxChanges. A person whose merge was undone keeps it
// in its history.
func (x *Index) History(ctx context.Context, tag evidence.Tag) ([]Change, error) {
	p, err := x.ByTag(ctx, tag)
	if err != nil {
		return nil, err
	}
	if err := x.enter(ctx); err != nil {
		return nil, err
	}
	defer x.leave()
	seen := map[int64]bool{}
	var out []Change
	for _, t := range p.Tags {
		found, err := x.changes(ctx, changeColumns+"WHERE c.tag = ? OR p.tag = ? ORDER BY seq LIMIT ?", t.Tag[:], t.Tag[:], MaxChanges)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			if !seen[c.Seq] {
				seen[c.Seq] = true
				out = append(out, c)
			}
		}
	}
	return out, nil
}

func (x *Index) changes(ctx context.Context, query string, args ...any) ([]Change, error) {
	rows, err := x.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	defer rows.Close()
	out := []Change{}
	for rows.Next() {
		var c Change
		var by, from, to, undoneBy []byte
		var order int64
		if err := rows.Scan(&c.Seq, &c.Kind, &c.Event, &by, &c.At, &from, &to, &order, &undoneBy, &c.UndoneEvent, &c.UndoneAt); err != nil {
			return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
		}
		copy(c.Record[:], by)
		copy(c.From[:], from)
		copy(c.To[:], to)
		copy(c.UndoneBy[:], undoneBy)
		c.Order = uint64(order)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("patientindex: read: %w", mapError(err))
	}
	return out, nil
}
