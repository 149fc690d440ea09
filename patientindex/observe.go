package patientindex

import (
	"context"
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// Observe files a record and learns from its identifiers. ErrUnnamed: there is none that
// names anybody. Other errors are those of custody, the disk and ctx; a call that returned
// one may have been carried out and is harmless to repeat.
func (x *Index) Observe(ctx context.Context, e Evidence) (Filing, error) {
	if err := x.enter(ctx); err != nil {
		return Filing{}, err
	}
	defer x.leave()
	ids, err := x.namer.identities(ctx, e.Identifiers)
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: %w", err)
	}
	if len(ids) == 0 {
		return Filing{}, ErrUnnamed
	}
	f, settled, err := x.settled(ctx, e.Record, ids)
	if err != nil || settled {
		return f, err
	}
	return x.change(ctx, e, func(s *step) (node, error) { return s.observe(ids) })
}

// Filed returns how a record was filed that is sealed under a tag already, and teaches the
// index nothing: evidence that comes again after a later merge must not contradict it.
func (x *Index) Filed(ctx context.Context, id record.ID, tag evidence.Tag) (Filing, error) {
	if err := x.enter(ctx); err != nil {
		return Filing{}, err
	}
	defer x.leave()
	f, _, err := x.reads.outcome(ctx, id)
	if err != nil {
		return Filing{}, err
	}
	f.Tag = tag
	f.Registration, err = x.reads.registration(ctx, tag)
	return f, err
}

// change runs a step of the writer, unless the record did its step before.
func (x *Index) change(ctx context.Context, e Evidence, do func(*step) (node, error)) (Filing, error) {
	if x.writer == nil {
		return Filing{}, ErrReadOnly
	}
	var f Filing
	err := x.writer.do(ctx, func(t *transaction) error {
		f = Filing{}
		s := &step{transaction: t, namer: x.namer, evidence: e, filing: &f}
		known, err := s.before()
		if err != nil || known {
			return err
		}
		n, err := do(s)
		if err != nil {
			return err
		}
		f.Tag, f.Registration = n.tag, n.registration
		return s.remember(n)
	})
	if err != nil {
		return Filing{}, fmt.Errorf("patientindex: %w", err)
	}
	return f, nil
}

// step is what one record does to the index, inside a transaction.
type step struct {
	*transaction
	namer    namer
	evidence Evidence
	filing   *Filing
	event    string // of the merge message, else that of the record
	noted    bool   // a change was noted
}

// before finds the outcome of a record that was here already.
func (s *step) before() (bool, error) {
	var id int64
	var text string
	known, err := s.one("SELECT node, told FROM outcome WHERE record = ?", []any{s.evidence.Record[:]}, &id, &text)
	if err != nil || !known {
		return false, err
	}
	n, err := s.node(id)
	if err != nil {
		return false, err
	}
	s.filing.Tag, s.filing.Registration = n.tag, n.registration
	return true, decodeTold(text, s.filing)
}

// remember keeps an outcome that changed or told something. Without one, doing it again
// finds the index as it is now and the record in the store.
func (s *step) remember(n node) error {
	if !s.noted && len(s.filing.Links) == 0 && len(s.filing.Incidents) == 0 {
		return nil
	}
	text, err := encodeTold(*s.filing)
	if err != nil {
		return err
	}
	_, err = s.exec("INSERT INTO outcome (record, node, event, at, told) VALUES (?, ?, ?, ?, ?)",
		s.evidence.Record[:], n.id, s.evidence.Event, s.evidence.At, text)
	return err
}

func (s *step) incident(c Code) {
	if !slices.Contains(s.filing.Incidents, c) {
		s.filing.Incidents = append(s.filing.Incidents, c)
	}
}

// observe returns the node of the leading identifier and relates the others to it.
func (s *step) observe(ids []identity) (node, error) {
	lead := ids[0]
	n, err := s.nodeOf(lead)
	if err != nil || lead.strength == weak {
		return n, err
	}
	for _, id := range ids[1:] {
		switch id.strength {
		case weak:
			continue
		case resident:
			s.incident(TwoResidents)
			continue
		}
		if err := s.relate(n, lead, id); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// nodeOf returns the node of an identifier, and makes one if it is unknown.
func (s *step) nodeOf(id identity) (node, error) {
	p, known, err := s.place(id.token)
	if err != nil {
		return node{}, err
	}
	if known {
		return s.node(p.node)
	}
	name, err := s.namer.naming(s.ctx, id, record.ID{})
	if err != nil {
		return node{}, err
	}
	n, err := s.addNode(name, id.strength == resident)
	if err != nil {
		return node{}, err
	}
	return n, s.addIdentifier(id, n.id, s.evidence.Record)
}

// relate takes the word of a record that id names the same person as lead, whose node is n.
func (s *step) relate(n node, lead, id identity) error {
	p, known, err := s.place(id.token)
	if err != nil || known && p.doubt {
		return err
	}
	mine, err := s.root(n)
	if err != nil {
		return err
	}
	if !known {
		return s.attach(n, mine, lead, id)
	}
	other, err := s.node(p.node)
	if err != nil {
		return err
	}
	theirs, err := s.root(other)
	if err != nil || theirs.id == mine.id {
		return err
	}
	bar, err := s.bar(mine, theirs, lead)
	switch {
	case err != nil:
		return err
	case bar != "":
		s.incident(bar)
		_, err := s.doubt(id)
		return err
	}
	return s.join(changeOf{kind: "join", prior: id.token, survivor: lead.token}, other, n)
}

// attach files an unknown identifier with a node. A second number of a kind of which a person
// has one is believed only beside a resident number; otherwise it stays unknown.
func (s *step) attach(n, root node, lead, id identity) error {
	if id.strength == personal && lead.strength != resident {
		taken, err := s.hasClass(root.id, id.class[:])
		if err != nil || taken {
			return err
		}
	}
	return s.addIdentifier(id, n.id, s.evidence.Record)
}

// bar says why two persons may not be joined by evidence, "" if they may.
func (s *step) bar(mine, theirs node, lead identity) (Code, error) {
	a, err := s.hasResident(mine.id)
	if err != nil {
		return "", err
	}
	b, err := s.hasResident(theirs.id)
	if err != nil {
		return "", err
	}
	if a && b {
		return Conflict, nil
	}
	if lead.strength == resident {
		return "", nil
	}
	collide, err := s.collide(mine.id, theirs.id)
	if err == nil && collide {
		return Ambiguous, nil
	}
	return "", err
}

// doubt gives an identifier a node of its own from now on. It is another each time, since
// the one of an earlier doubt may have been merged into the person who settled it.
func (s *step) doubt(id identity) (node, error) {
	name, err := s.namer.naming(s.ctx, id, s.evidence.Record)
	if err != nil {
		return node{}, err
	}
	n, err := s.addNode(name, false)
	if err != nil {
		return node{}, err
	}
	_, err = s.exec("UPDATE identifier SET node = ?, doubt = 1 WHERE token = ?", n.id, id.token[:])
	return n, err
}

// changeOf is a change before it is made.
type changeOf struct {
	kind            string
	prior, survivor keystore.Token
}

// join makes one person of two: the root of prior's person goes under survivor, or the other
// way round if only prior's person has a resident number, so that its tag stays the one by
// which other hospitals ask.
func (s *step) join(c changeOf, prior, survivor node) error {
	child, err := s.root(prior)
	if err != nil {
		return err
	}
	top, err := s.root(survivor)
	if err != nil {
		return err
	}
	if child.id == top.id {
		return s.note(c, node{}, node{}, 0)
	}
	parent := survivor
	mine, err := s.hasResident(top.id)
	if err != nil {
		return err
	}
	theirs, err := s.hasResident(child.id)
	if err != nil {
		return err
	}
	if theirs && !mine {
		child, parent, top = top, prior, child
	}
	if fits, err := s.fits(child, parent, top); err != nil || !fits {
		s.incident(TooMany)
		return err
	}
	order, err := s.nextOrder()
	if err != nil {
		return err
	}
	if _, err := s.exec("UPDATE node SET parent = ? WHERE id = ?", parent.id, child.id); err != nil {
		return err
	}
	s.filing.Links = append(s.filing.Links, Link{From: child.tag, To: parent.tag, Order: order})
	return s.note(c, child, parent, order)
}

// fits keeps a person within what the ledger follows.
func (s *step) fits(child, parent, top node) (bool, error) {
	up, err := s.depth(parent)
	if err != nil {
		return false, err
	}
	nodes, height, err := s.size(child.id)
	if err != nil {
		return false, err
	}
	have, _, err := s.size(top.id)
	return up+1+height <= evidence.MaxLinkDepth && nodes+have-1 <= evidence.MaxLinkedTags, err
}

// note keeps a change for the history; child and parent are empty if nothing was moved.
func (s *step) note(c changeOf, child, parent node, order uint64) error {
	s.noted = true
	event := s.event
	if event == "" {
		event = s.evidence.Event
	}
	_, err := s.exec(`INSERT INTO change (kind, event, record, at, prior, survivor, child, parent, ord)
		VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, 0), NULLIF(?, 0), ?)`,
		c.kind, event, s.evidence.Record[:], s.evidence.At, c.prior[:], c.survivor[:], child.id, parent.id, int64(order))
	return err
}

// settled answers without the writer if the record teaches nothing new.
func (x *Index) settled(ctx context.Context, by record.ID, ids []identity) (Filing, bool, error) {
	f, known, err := x.reads.outcome(ctx, by)
	if err != nil || known {
		return f, known, err
	}
	n, known, err := x.reads.place(ctx, ids[0].token)
	if err != nil || !known {
		return Filing{}, false, err
	}
	for _, id := range ids[1:] {
		if id.strength == weak || ids[0].strength == weak {
			continue
		}
		other, known, err := x.reads.place(ctx, id.token)
		if err != nil || !known || id.strength == resident {
			return Filing{}, false, err
		}
		if other.node == n.node || other.doubt {
			continue
		}
		same, err := x.reads.samePerson(ctx, n.node, other.node)
		if err != nil || !same {
			return Filing{}, false, err
		}
	}
	return Filing{Tag: n.tag, Registration: n.registration}, true, nil
}
