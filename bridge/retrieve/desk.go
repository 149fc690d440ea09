package retrieve

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
)

// Desk records consents and reviews emergencies for one hospital. It is safe for
// concurrent use.
type Desk struct {
	msp    string
	ledger Ledger
	ids    Identities
}

// NewDesk returns the desk of the hospital with an MSP id.
func NewDesk(msp string, ledger Ledger, ids Identities) (*Desk, error) {
	if msp == "" || ledger == nil || ids == nil {
		return nil, errors.New("retrieve: a desk needs MSP, ledger and custody")
	}
	return &Desk{msp: msp, ledger: ledger, ids: ids}, nil
}

// ConsentTerms are what a patient allows. They hold patient data and redact themselves
// through the identity.
type ConsentTerms struct {
	Patient  keystore.Identity
	Grantees []string // MSP ids, or evidence.Anyone
	Owners   []string // members whose records are meant; empty means this hospital
	Purposes []evidence.Purpose
	Kinds    []string // record kinds; empty means all
	NotAfter int64    // Unix milliseconds
	// Form is the digest of the signed consent form, as the hospital files it.
	Form evidence.Digest
}

// Grant records a consent and returns its id.
func (d *Desk) Grant(ctx context.Context, c ConsentTerms) (evidence.Nonce, error) {
	tag, err := tagOf(ctx, d.ids, c.Patient)
	if err != nil {
		return evidence.Nonce{}, err
	}
	body := evidence.GrantConsent{Tag: tag, Grantees: c.Grantees, Owners: c.Owners, Purposes: c.Purposes,
		Kinds: c.Kinds, NotAfter: c.NotAfter, Form: c.Form}
	if len(body.Owners) == 0 {
		body.Owners = []string{d.msp}
	}
	if err := body.Validate(); err != nil {
		return evidence.Nonce{}, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	id, err := d.ledger.Submit(ctx, body)
	if err != nil {
		return evidence.Nonce{}, fmt.Errorf("commit the consent: %w", err)
	}
	return id, nil
}

// Revoke ends a consent that this hospital recorded.
func (d *Desk) Revoke(ctx context.Context, consent evidence.Nonce) error {
	if _, err := d.ledger.Submit(ctx, evidence.RevokeConsent{Consent: consent}); err != nil {
		return fmt.Errorf("commit the revocation of consent %s: %w", consent, err)
	}
	return nil
}

// Emergencies returns a page of the emergency accesses to this hospital's records that
// were not reviewed yet.
func (d *Desk) Emergencies(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	if size <= 0 || size > evidence.MaxPageSize {
		size = evidence.MaxPageSize
	}
	return d.ledger.Emergencies(ctx, d.msp, size, bookmark)
}

// Review closes the review of an emergency access. The reviewer appears on the ledger as
// a keyed digest.
func (d *Desk) Review(ctx context.Context, request evidence.Nonce, justified bool, reviewer string) error {
	digests, err := staffDigests(ctx, d.ids, []string{reviewer})
	if err != nil {
		return err
	}
	body := evidence.ReviewEmergency{Request: request, Justified: justified, Reviewer: digests[0]}
	if _, err := d.ledger.Submit(ctx, body); err != nil {
		return fmt.Errorf("commit the review of request %s: %w", request, err)
	}
	return nil
}
