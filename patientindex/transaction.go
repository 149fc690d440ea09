package patientindex

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// transaction reads and writes rows inside the writer's open transaction.
type transaction struct {
	ctx context.Context
	w   *writer
}

// node is a row of that table.
type node struct {
	id           int64
	tag          evidence.Tag
	registration evidence.Digest
	resident     bool
	parent       int64 // 0: root
}

// place is where an identifier belongs.
type place struct {
	node  int64
	doubt bool
}

func (t *transaction) exec(text string, args ...any) (int64, error) {
	s, err := t.w.prepared(t.ctx, text) //nolint:sqlclosecheck // kept by the writer
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// one scans the single row of a query; found is false if there is none.
func (t *transaction) one(text string, args []any, into ...any) (found bool, err error) {
	s, err := t.w.prepared(t.ctx, text) //nolint:sqlclosecheck // kept by the writer
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(t.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

const nodeColumns = "id, tag, registration, resident, IFNULL(parent, 0)"

func (t *transaction) node(id int64) (n node, err error) {
	var tag, registration []byte
	found, err := t.one("SELECT "+nodeColumns+" FROM node WHERE id = ?", []any{id}, &n.id, &tag, &registration, &n.resident, &n.parent)
	if err == nil && !found {
		err = fmt.Errorf("%w: node %d is missing", ErrCorrupt, id)
	}
	copy(n.tag[:], tag)
	copy(n.registration[:], registration)
	return n, err
}

// addNode inserts a node, or finds the one that has the tag already: an identifier that was
// in doubt before, or a merge that was rolled back, may ask for it again.
func (t *transaction) addNode(name naming, isResident bool) (node, error) {
	var id int64
	found, err := t.one("SELECT id FROM node WHERE tag = ?", []any{name.tag[:]}, &id)
	if err == nil && !found {
		id, err = t.exec("INSERT INTO node (tag, registration, resident) VALUES (?, ?, ?)", name.tag[:], name.registration[:], isResident)
	}
	if err != nil {
		return node{}, err
	}
	return t.node(id)
}

func (t *transaction) place(token keystore.Token) (p place, known bool, err error) {
	known, err = t.one("SELECT node, doubt FROM identifier WHERE token = ?", []any{token[:]}, &p.node, &p.doubt)
	return p, known, err
}

func (t *transaction) addIdentifier(id identity, at int64, by record.ID) error {
	class := []byte{}
	if id.strength == personal {
		class = id.class[:]
	}
	_, err := t.exec("INSERT INTO identifier (token, kind, class, node, doubt, record) VALUES (?, ?, ?, ?, 0, ?)",
		id.token[:], string(id.kind), class, at, by[:])
	return err
}

// root walks up to the person's root. It reads n anew: a join since may have moved it.
func (t *transaction) root(n node) (node, error) {
	n, err := t.node(n.id)
	for range maxNodes {
		if err != nil || n.parent == 0 {
			return n, err
		}
		n, err = t.node(n.parent)
	}
	return node{}, fmt.Errorf("%w: the nodes of a person form a circle", ErrCorrupt)
}

// depth counts the steps from a node up to its root.
func (t *transaction) depth(n node) (int, error) {
	steps := 0
	n, err := t.node(n.id)
	for ; err == nil && n.parent != 0 && steps <= maxNodes; steps++ {
		n, err = t.node(n.parent)
	}
	return steps, err
}

// maxNodes bounds walks in a tree.
const maxNodes = evidence.MaxLinkedTags + evidence.MaxLinkDepth + 1

// below is the subquery of all nodes of the tree under a node, with their depth.
const below = `WITH RECURSIVE t(id, d) AS (VALUES (?, 0) UNION SELECT node.id, t.d + 1 FROM node JOIN t ON node.parent = t.id WHERE t.d < 1000) `

// size returns the number of nodes and the height of the tree under a node.
func (t *transaction) size(root int64) (nodes, height int, err error) {
	_, err = t.one(below+"SELECT count(*), max(d) FROM t", []any{root}, &nodes, &height)
	return nodes, height, err
}

// hasResident reports whether a resident number belongs to the tree under a root.
func (t *transaction) hasResident(root int64) (bool, error) {
	return t.one(below+"SELECT 1 FROM t JOIN node ON node.id = t.id WHERE node.resident = 1 LIMIT 1", []any{root}, new(int))
}

// hasClass reports whether a person has an identifier of a class already.
func (t *transaction) hasClass(root int64, class []byte) (bool, error) {
	return t.one(below+"SELECT 1 FROM t JOIN identifier i ON i.node = t.id WHERE i.class = ? AND i.doubt = 0 LIMIT 1", []any{root, class}, new(int))
}

// collide reports whether two persons have identifiers of the same class.
func (t *transaction) collide(a, b int64) (bool, error) {
	return t.one(`WITH RECURSIVE s(id) AS (VALUES (?) UNION SELECT node.id FROM node JOIN s ON node.parent = s.id),
		u(id) AS (VALUES (?) UNION SELECT node.id FROM node JOIN u ON node.parent = u.id)
		SELECT 1 FROM s JOIN identifier i ON i.node = s.id, u JOIN identifier j ON j.node = u.id
		WHERE i.class = j.class AND length(i.class) > 0 AND i.doubt = 0 AND j.doubt = 0 LIMIT 1`, []any{a, b}, new(int))
}

// nextOrder is later than any before, also than those of an index that this one was rebuilt for.
func (t *transaction) nextOrder() (uint64, error) {
	var raw []byte
	found, err := t.one("SELECT value FROM meta WHERE name = 'order'", nil, &raw)
	if err != nil {
		return 0, err
	}
	last := uint64(0)
	if found && len(raw) == 8 {
		last = binary.BigEndian.Uint64(raw)
	}
	next := max(last+1, uint64(t.w.now().UnixMilli()))
	_, err = t.exec("INSERT INTO meta VALUES ('order', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		binary.BigEndian.AppendUint64(nil, next))
	return next, err
}

// told is the JSON of an outcome.
type told struct {
	Links     []toldLink `json:"links,omitempty"`
	Incidents []Code     `json:"incidents,omitempty"`
}

type toldLink struct {
	From  evidence.Tag `json:"from"`
	To    evidence.Tag `json:"to"`
	Order uint64       `json:"order"`
	Undo  bool         `json:"undo,omitempty"`
}

// encodeTold and decodeTold write and read the JSON of an outcome.
func encodeTold(f Filing) (string, error) {
	out := told{Incidents: f.Incidents}
	for _, l := range f.Links {
		out.Links = append(out.Links, toldLink(l))
	}
	b, err := json.Marshal(out)
	return string(b), err
}

func decodeTold(text string, f *Filing) error {
	var in told
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return fmt.Errorf("%w: outcome", ErrCorrupt)
	}
	f.Incidents = in.Incidents
	for _, l := range in.Links {
		f.Links = append(f.Links, Link(l))
	}
	return nil
}
