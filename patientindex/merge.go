package patientindex

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// parties are the two sides of one merge.
type parties struct {
	Merge
	survivor, prior []identity
}

// Merge files a merge message and carries out what it asks for, one after the other; a merge
// with Undo set is taken back. One that is refused leaves the index as it was, and the
// message is filed all the same: see Filing.Refused. Errors are those of Observe.
func (x *Index) Merge(ctx context.Context, e Evidence, merges ...Merge) (Filing, error) {
	if err := x.enter(ctx); err != nil {
		return Filing{}, err
	}
	defer x.leave()
	own, err := x.namer.identities(ctx, e.Identifiers)
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: %w", err)
	}
	list, err := x.parties(ctx, merges)
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: %w", err)
	}
	if len(own) == 0 && len(list) > 0 {
		own = list[0].survivor
	}
	return x.change(ctx, e, func(s *step) (node, error) { return s.mergeAll(own, list) })
}

// parties turns the numbers of merges about persons into identities.
func (x *Index) parties(ctx context.Context, merges []Merge) (list []parties, err error) {
	for _, m := range merges {
		if !m.ofPersons() {
			continue
		}
		p := parties{Merge: m}
		if p.survivor, err = x.namer.identities(ctx, m.Survivor); err != nil {
			return nil, fmt.Errorf("survivor: %w", err)
		}
		if p.prior, err = x.namer.identities(ctx, x.complete(m)); err != nil {
			return nil, fmt.Errorf("prior: %w", err)
		}
		list = append(list, p)
	}
	return list, nil
}

// mergeAll carries out the merges of one message. The message is filed where its own leading
// number belongs, or with the first merge that it undoes, or by itself.
func (s *step) mergeAll(own []identity, list []parties) (about node, err error) {
	for _, p := range list {
		s.event = p.Event
		switch {
		case p.Undo:
			var n node
			if n, err = s.unmerge(p); about.id == 0 {
				about = n
			}
		default:
			err = s.merge(own, p)
		}
		if err != nil {
			return node{}, err
		}
	}
	switch {
	case len(own) > 0 && len(list) == 0:
		return s.observe(own)
	case len(own) > 0:
		return s.nodeOf(own[0])
	case about.id != 0:
		return about, nil
	}
	return s.alone()
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

// merge carries out a merge, or refuses it and takes back what it wrote.
func (s *step) merge(own []identity, p parties) error {
	before := *s.filing
	if _, err := s.w.conn.ExecContext(s.ctx, "SAVEPOINT merge"); err != nil {
		return err
	}
	err := s.merged(own, p.survivor, p.prior)
	var refused *RefusedError
	if errors.As(err, &refused) {
		if _, err := s.w.conn.ExecContext(s.ctx, "ROLLBACK TO merge"); err != nil {
			return err
		}
		*s.filing = before
		s.incident(refused.Code)
		err = nil
	}
	if _, e := s.w.conn.ExecContext(s.ctx, "RELEASE merge"); e != nil {
		return e
	}
	return err
}

func refuse(c Code) error { return &RefusedError{Code: c} }

func (s *step) merged(own, survivor, prior []identity) error {
	prior, same := without(prior, survivor)
	switch {
	case len(survivor) == 0 || len(prior) == 0 && !same:
		return refuse(MergeIncomplete)
	case len(prior) == 0:
		return refuse(MergeSelf)
	}
	c := changeOf{kind: "merge", prior: leading(prior).token, survivor: leading(survivor).token}
	if code, err := s.direction(c); err != nil {
		return err
	} else if code != "" {
		return refuse(code)
	}
	if len(own) > 0 {
		if _, err := s.observe(own); err != nil {
			return err
		}
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
		return refuse(TooMany)
	}
	return s.settle(slices.Concat(prior, survivor))
}

// settle ends the doubt about numbers that a merge names.
func (s *step) settle(ids []identity) error {
	for _, id := range ids {
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
	stmt, err := s.w.prepared(s.ctx, //nolint:sqlclosecheck // kept by the writer
		"SELECT DISTINCT survivor FROM change WHERE prior = ? AND undone_by IS NULL AND kind = 'merge' LIMIT 300")
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
