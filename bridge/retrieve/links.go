package retrieve

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// A hospital seals a record under the tag of the number that the record itself names, and
// links that tag to another when it learns that both are one patient. Whoever asks under a
// tag therefore also gets what lies under the tags linked to it, each of the hospital that
// made the link: requester and owner read the links on the ledger, each from its own peer,
// and verify the signature of each.

// maxLinkedTags bounds the links that lead to one tag, of all hospitals together.
const maxLinkedTags = 4096

// linkKey names a tag as one hospital uses it.
type linkKey struct {
	hospital uint16
	tag      evidence.Tag
}

// links returns the tags that lead to a tag by statements that verify. A link that does not
// verify, or that hangs on one that does not, counts as none.
func (t *Trust) links(ctx context.Context, tag evidence.Tag) (map[linkKey]bool, error) {
	found, seen := map[linkKey]bool{}, 0
	parties := map[string]*Party{}
	err := pages(ctx, func(size int, bookmark string) (evidence.Page[evidence.TagLink], error) {
		return t.ledger.TagLinks(ctx, tag, size, bookmark)
	}, func(l evidence.TagLink) error {
		if seen++; seen > maxLinkedTags {
			return fmt.Errorf("%w: more than %d links of tags", ErrLimit, maxLinkedTags)
		}
		ok, err := t.linkHolds(ctx, l, parties)
		// Nearest first: what a link leads to was looked at before.
		if ok && (l.To == tag || found[linkKey{l.HospitalNumber, l.To}]) {
			found[linkKey{l.HospitalNumber, l.From}] = true
		}
		return err
	})
	return found, err
}

// linkHolds verifies the hospital's signature over a link. parties remembers the members
// met so far; nil stands for one that does not verify.
func (t *Trust) linkHolds(ctx context.Context, l evidence.TagLink, parties map[string]*Party) (bool, error) {
	by, known := parties[l.Hospital]
	if !known {
		p, err := t.Party(ctx, l.Hospital)
		switch {
		case err == nil:
			by = &p
		case !errors.Is(err, ErrUntrusted):
			return false, err
		}
		parties[l.Hospital] = by
	}
	if by == nil || by.Number != l.HospitalNumber {
		return false, nil
	}
	var said evidence.LinkTag
	_, err := t.statement(*by, l.Signed, &said)
	return err == nil && said.From == l.From && said.To == l.To && said.Order == l.Order, nil
}

// anchors shows all anchors of a patient: under the tag, then under the tags linked to it,
// each of the hospital that made the link.
func (t *Trust) anchors(ctx context.Context, tag evidence.Tag, each func(evidence.Anchor) error) error {
	err := pages(ctx, func(size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
		return t.ledger.Anchors(ctx, tag, size, bookmark)
	}, func(a evidence.Anchor) error {
		if a.Tag != tag {
			return nil
		}
		return each(a)
	})
	if err != nil {
		return err
	}
	linked, err := t.links(ctx, tag)
	if err != nil || len(linked) == 0 {
		return err
	}
	return pages(ctx, func(size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
		return t.ledger.LinkedAnchors(ctx, tag, size, bookmark)
	}, func(a evidence.Anchor) error {
		if !linked[linkKey{a.ID.HospitalNumber(), a.Tag}] {
			return nil
		}
		return each(a)
	})
}
