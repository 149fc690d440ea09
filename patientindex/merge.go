package patientindex

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// administrative are merge and move events about accounts and visits: the persons stay two,
// or were one before (HL7 v2.5 §3.3.35 to §3.3.50).
var administrative = []string{"A35", "A38", "A41", "A42", "A44", "A45", "A49", "A50"}

// Merge files a merge message and carries it out, or its undoing if m.Undo is set. A merge
// that is refused is filed too: see Filing.Refused. Errors are those of Observe.
func (x *Index) Merge(ctx context.Context, e Evidence, m Merge) (Filing, error) {
	if err := x.enter(ctx); err != nil {
		return Filing{}, err
	}
	defer x.leave()
	own, err := x.namer.identities(ctx, e.Identifiers)
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: %w", err)
	}
	survivor, err := x.namer.identities(ctx, m.Survivor)
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: survivor: %w", err)
	}
	prior, err := x.namer.identities(ctx, x.complete(m))
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: prior: %w", err)
	}
	if len(own) == 0 {
		own = survivor
	}
	return x.change(ctx, e, func(s *step) (node, error) {
		s.event = m.Event
		switch {
		case m.Undo:
			return s.unmerge(own, survivor, prior, m)
		case len(own) == 0:
			s.incident(MergeIncomplete)
			return s.alone()
		case slices.ContainsFunc(administrative, func(a string) bool { return a == m.Event || "ADT^"+a == m.Event }):
			return s.observe(own)
		}
		return s.merge(own, survivor, prior)
	})
}

// Unmerge undoes the changes that a record made: of is the record of the merge message, or
// of the message whose numbers joined two persons; e is the record of the undoing.
func (x *Index) Unmerge(ctx context.Context, e Evidence, m Merge) (Filing, error) {
	m.Undo = true
	return x.Merge(ctx, e, m)
}

// complete gives prior numbers without an authority that of the survivor's number of the
// same type: MRG-1 often comes without one.
func (x *Index) complete(m Merge) []record.Identifier {
	out := slices.Clone(m.Prior)
	for i, p := range out {
		if p.Authority != "" {
			continue
		}
		for _, s := range m.Survivor {
			if s.Type == p.Type {
				out[i].Authority = s.Authority
				break
			}
		}
	}
	return out
}

// errRefused undoes what a refused merge has written so far.
var errRefused = errors.New("refused")

// merge carries out a merge message, or refuses it and leaves the index as it was.
func (s *step) merge(own, survivor, prior []identity) (node, error) {
	err := s.try(func() error { return s.merged(own, survivor, prior) })
	if err != nil && !errors.Is(err, errRefused) {
		return node{}, err
	}
	// A refused message is filed where its own leading number belongs, and teaches nothing.
	return s.nodeOf(own[0])
}

// try runs f in a savepoint and takes back what it wrote if it fails.
func (s *step) try(f func() error) error {
	if _, err := s.w.conn.ExecContext(s.ctx, "SAVEPOINT merge"); err != nil {
		return err
	}
	err := f()
	if err != nil {
		if _, e := s.w.conn.ExecContext(s.ctx, "ROLLBACK TO merge"); e != nil {
			return e
		}
		s.filing.Links = nil
	}
	if _, e := s.w.conn.ExecContext(s.ctx, "RELEASE merge"); e != nil {
		return e
	}
	return err
}

// refuse notes why a merge is refused.
func (s *step) refuse(c Code) error {
	s.filing.Incidents = nil
	s.incident(c)
	return errRefused
}

func (s *step) merged(own, survivor, prior []identity) error {
	prior, same := without(prior, survivor)
	switch {
	case len(survivor) == 0 || len(prior) == 0 && !same:
		return s.refuse(MergeIncomplete)
	case len(prior) == 0:
		return s.refuse(MergeSelf)
	}
	c := changeOf{kind: "merge", prior: leading(prior).token, survivor: leading(survivor).token}
	if code, err := s.direction(c); err != nil {
		return err
	} else if code != "" {
		return s.refuse(code)
	}
	if _, err := s.observe(own); err != nil {
		return err
	}
	to, err := s.observe(survivor)
	if err != nil {
		return err
	}
	from, err := s.observe(prior)
	if err != nil {
		return err
	}
	if from, err = s.apart(from, to, prior); err != nil {
		return err
	}
	if err := s.join(c, from, to); err != nil {
		return err
	}
	if slices.Contains(s.filing.Incidents, TooMany) {
		return s.refuse(TooMany)
	}
	// A merge settles a doubt about the numbers that it names.
	for _, id := range slices.Concat(prior, survivor) {
		if _, err := s.exec("UPDATE identifier SET doubt = 0 WHERE token = ? AND doubt = 1", id.token[:]); err != nil {
			return err
		}
	}
	return nil
}

// without removes from prior what survivor names too; same reports that something was.
func without(prior, survivor []identity) (rest []identity, same bool) {
	for _, p := range prior {
		if slices.ContainsFunc(survivor, func(s identity) bool { return s.token == p.token }) {
			same = true
			continue
		}
		rest = append(rest, p)
	}
	// What is left must name somebody: numbers that prove nothing do not make a merge beside
	// a number that both sides share.
	if same && len(rest) > 0 && !slices.ContainsFunc(rest, func(id identity) bool { return id.strength != weak }) {
		return nil, true
	}
	return rest, same
}

// direction refuses a merge that reverses an earlier one or closes a circle: it follows the
// merges that stand from the survivor on and looks for the prior number.
func (s *step) direction(c changeOf) (Code, error) {
	seen := map[keystore.Token]bool{c.survivor: true}
	queue := []keystore.Token{c.survivor}
	for steps := 0; len(queue) > 0 && steps < maxNodes; steps++ {
		here := queue[0]
		queue = queue[1:]
		next, err := s.mergedInto(here)
		if err != nil {
			return "", err
		}
		for _, n := range next {
			switch {
			case n == c.prior && here == c.survivor:
				return MergeReversed, nil
			case n == c.prior:
				return MergeCircular, nil
			case !seen[n]:
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return "", nil
}

// mergedInto lists the survivors of the merges that stand of a number.
func (s *step) mergedInto(prior keystore.Token) ([]keystore.Token, error) {
	stmt, err := s.w.prepared(s.ctx, "SELECT DISTINCT survivor FROM change WHERE prior = ? AND undone_by IS NULL AND kind = 'merge' LIMIT 300")
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(s.ctx, prior[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []keystore.Token
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		if len(b) == len(keystore.Token{}) {
			out = append(out, keystore.Token(b))
		}
	}
	return out, rows.Err()
}

// apart looks at a merge of two persons with different resident numbers. It is carried out,
// since it is the hospital's explicit word, and told. If the prior number is one of several
// of its person, only that number goes: from now on it stands under a tag of its own.
func (s *step) apart(from, to node, prior []identity) (node, error) {
	a, err := s.root(from)
	if err != nil {
		return node{}, err
	}
	b, err := s.root(to)
	if err != nil || a.id == b.id {
		return from, err
	}
	for _, root := range []node{a, b} {
		if has, err := s.hasResident(root.id); err != nil || !has {
			return from, err
		}
	}
	s.incident(MergeResidents)
	lead := prior[0]
	if lead.strength != personal {
		return from, nil
	}
	others := 0
	_, err = s.one("SELECT count(*) FROM identifier WHERE node = ? AND class = ? AND token <> ?", []any{from.id, lead.class[:], lead.token[:]}, &others)
	if err != nil || others == 0 {
		return from, err
	}
	return s.doubt(lead)
}
