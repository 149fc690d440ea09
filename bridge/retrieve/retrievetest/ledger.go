// Package retrievetest is a consortium in memory for tests of retrieval, gateway and
// verifier: the real contract, real keystores, real record stores, real certificates.
package retrievetest

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// Ledger is one member's view of the ledger. It implements retrieve.Ledger.
type Ledger struct {
	Chain *chaincodetest.Ledger
	Self  *chaincodetest.Member

	mu     sync.Mutex
	before func(evidence.Body) error
	view   func(query string, answer []byte) []byte
}

// OnSubmit sets what happens before a statement is submitted; an error keeps it back.
func (l *Ledger) OnSubmit(f func(evidence.Body) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = f
}

// OnAnswer sets what a dishonest peer makes of the answers to queries.
func (l *Ledger) OnAnswer(f func(query string, answer []byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = f
}

// Submit signs the body as the member's statement and commits it.
func (l *Ledger) Submit(ctx context.Context, body evidence.Body) (evidence.Nonce, error) {
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before != nil {
		if err := before(body); err != nil {
			return evidence.Nonce{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return evidence.Nonce{}, err
	}
	_, nonce, err := l.Self.Say(body)
	return nonce, err
}

func ask[T any](ctx context.Context, l *Ledger, query string, args ...string) (T, error) {
	var v T
	if err := ctx.Err(); err != nil {
		return v, err
	}
	raw, err := l.Chain.Query(l.Self.MSP, query, args...)
	if err != nil {
		return v, err
	}
	l.mu.Lock()
	view := l.view
	l.mu.Unlock()
	if view != nil {
		raw = view(query, raw)
	}
	return v, json.Unmarshal(raw, &v)
}

// Member reads a member.
func (l *Ledger) Member(ctx context.Context, msp string) (evidence.Member, error) {
	return ask[evidence.Member](ctx, l, evidence.QueryMember, msp)
}

// Members reads all members.
func (l *Ledger) Members(ctx context.Context) ([]evidence.Member, error) {
	return ask[[]evidence.Member](ctx, l, evidence.QueryMembers)
}

// Anchor reads one anchor.
func (l *Ledger) Anchor(ctx context.Context, tag evidence.Tag, id evidence.RecordID) (evidence.Anchor, error) {
	return ask[evidence.Anchor](ctx, l, evidence.QueryAnchor, tag.String(), id.String())
}

// Anchors reads a page of anchors.
func (l *Ledger) Anchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
	return ask[evidence.Page[evidence.Anchor]](ctx, l, evidence.QueryAnchors, tag.String(), strconv.Itoa(size), bookmark)
}

// TagLinks reads a page of the links that lead to a tag.
func (l *Ledger) TagLinks(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.TagLink], error) {
	return ask[evidence.Page[evidence.TagLink]](ctx, l, evidence.QueryTagLinks, tag.String(), strconv.Itoa(size), bookmark)
}

// LinkedAnchors reads a page of the anchors under tags linked to a tag.
func (l *Ledger) LinkedAnchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
	return ask[evidence.Page[evidence.Anchor]](ctx, l, evidence.QueryLinkedAnchors, tag.String(), strconv.Itoa(size), bookmark)
}

// Batch reads the header of a batch.
func (l *Ledger) Batch(ctx context.Context, number uint16, nonce evidence.Nonce) (evidence.Batch, error) {
	return ask[evidence.Batch](ctx, l, evidence.QueryBatch, strconv.Itoa(int(number)), nonce.String())
}

// Consents reads a page of consents.
func (l *Ledger) Consents(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Consent], error) {
	return ask[evidence.Page[evidence.Consent]](ctx, l, evidence.QueryConsents, tag.String(), strconv.Itoa(size), bookmark)
}

// Consent reads a consent.
func (l *Ledger) Consent(ctx context.Context, id evidence.Nonce) (evidence.Consent, error) {
	return ask[evidence.Consent](ctx, l, evidence.QueryConsent, id.String())
}

// Access reads an access request.
func (l *Ledger) Access(ctx context.Context, id evidence.Nonce) (evidence.Access, error) {
	return ask[evidence.Access](ctx, l, evidence.QueryAccess, id.String())
}

// Emergencies reads a page of emergencies.
func (l *Ledger) Emergencies(ctx context.Context, owner string, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	return ask[evidence.Page[evidence.Access]](ctx, l, evidence.QueryEmergencies, owner, strconv.Itoa(size), bookmark)
}
