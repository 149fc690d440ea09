package patientindex

import (
	"errors"

	"github.com/emrbridge/emrbridge/record"
)

// undone is a change that is to be undone.
type undone struct {
	seq           int64
	kind          string
	prior         []byte
	child, parent int64
}

// unmerge undoes the changes of one record, or the last merge between two numbers, and
// returns the node that stands alone again; an empty one if there is none.
func (s *step) unmerge(p parties) (about node, err error) {
	var list []undone
	if p.Of.IsZero() {
		list, err = s.between(p.survivor, p.prior)
	} else {
		list, err = s.madeBy(p.Of)
	}
	if err != nil {
		return node{}, err
	}
	if len(list) == 0 {
		s.incident(MergeUnknown)
	}
	for _, c := range list {
		n, err := s.undo(c)
		if err != nil {
			return node{}, err
		}
		if about.id == 0 {
			about = n
		}
	}
	return about, nil
}

// alone files a message that names nobody under a tag of its own.
func (s *step) alone() (node, error) {
	id, err := s.namer.unnamed(s.ctx, s.evidence.Record)
	if err != nil {
		return node{}, err
	}
	return s.nodeOf(id)
}

const undoneColumns = "seq, kind, prior, IFNULL(child, 0), IFNULL(parent, 0)"

// between finds the last change that stands between two numbers, whichever was merged into
// the other: ADT^A37 names two persons and no direction.
func (s *step) between(survivor, prior []identity) ([]undone, error) {
	for _, p := range prior {
		for _, q := range survivor {
			var c undone
			found, err := s.one("SELECT "+undoneColumns+` FROM change WHERE undone_by IS NULL
				AND (prior = ? AND survivor = ? OR prior = ? AND survivor = ?) ORDER BY seq DESC LIMIT 1`,
				[]any{p.token[:], q.token[:], q.token[:], p.token[:]}, &c.seq, &c.kind, &c.prior, &c.child, &c.parent)
			if err != nil {
				return nil, err
			}
			if found {
				return []undone{c}, nil
			}
		}
	}
	return nil, nil
}

// madeBy lists the changes of a record that stand, the last first.
func (s *step) madeBy(of record.ID) (list []undone, err error) {
	stmt, err := s.w.prepared(s.ctx, //nolint:sqlclosecheck // kept by the writer
		"SELECT "+undoneColumns+" FROM change WHERE record = ? AND undone_by IS NULL ORDER BY seq DESC")
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(s.ctx, of[:])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c undone
		if err := rows.Scan(&c.seq, &c.kind, &c.prior, &c.child, &c.parent); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// undo takes back one change and returns the node that stands alone again. A number whose
// join by evidence is undone stays in doubt, or the next message would join it again.
func (s *step) undo(c undone) (node, error) {
	s.noted = true
	order, err := s.nextOrder()
	if err != nil {
		return node{}, err
	}
	_, err = s.exec("UPDATE change SET undone_by = ?, undone_event = ?, undone_at = ? WHERE seq = ?",
		s.evidence.Record[:], s.event, s.evidence.At, c.seq)
	if err != nil || c.child == 0 {
		return node{}, err
	}
	child, err := s.node(c.child)
	if err != nil {
		return node{}, err
	}
	if child.parent == c.parent {
		parent, err := s.node(c.parent)
		if err != nil {
			return node{}, err
		}
		if _, err := s.exec("UPDATE node SET parent = NULL WHERE id = ?", child.id); err != nil {
			return node{}, err
		}
		s.filing.Links = append(s.filing.Links, Link{From: child.tag, To: parent.tag, Order: order, Undo: true})
	}
	if c.kind == "join" {
		if _, err := s.exec("UPDATE identifier SET doubt = 1 WHERE token = ?", c.prior); err != nil {
			return node{}, err
		}
	}
	return child, nil
}
