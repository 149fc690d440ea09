package chaincode

import (
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/policy"
)

// grantConsent records a consent under the nonce of its statement.
func grantConsent(t *tx, s *said, body evidence.GrantConsent) (effect, error) {
	if body.NotAfter <= t.now {
		return effect{}, refuse(evidence.CodeLimit, "the consent ends before it begins")
	}
	taken, err := t.get(consentKey(s.Nonce))
	if err != nil {
		return effect{}, err
	}
	if len(taken) > 0 {
		return effect{}, refuse(evidence.CodeConflict, "another member recorded a consent under this id: sign again with a new nonce")
	}
	consent := evidence.Consent{ID: s.Nonce, Hospital: s.Actor, Terms: body, Since: t.now, Signed: s.signed}
	if err := t.putJSON(consentKey(s.Nonce), consent); err != nil {
		return effect{}, err
	}
	return effect{ref: s.Nonce.String()}, t.put(indexKey(tagPrefix(familyConsentTag, body.Tag), t.now, s.Nonce), present)
}

// revokeConsent ends a consent for good. Only the member that recorded it revokes it, and
// only once, so that the first time of revocation stands.
func revokeConsent(t *tx, s *said, body evidence.RevokeConsent) (effect, error) {
	consent, err := t.consent(body.Consent)
	switch {
	case err != nil:
		return effect{}, err
	case consent.Hospital != s.Actor:
		return effect{}, refuse(evidence.CodeUnauthorized, "the consent was recorded by %s, which alone can revoke it", consent.Hospital)
	case consent.Revoked:
		return effect{}, refuse(evidence.CodeBadState, "the consent was revoked before")
	}
	consent.Revoked, consent.RevokedAt, consent.Revocation = true, t.now, &s.signed
	return effect{ref: body.Consent.String()}, t.putJSON(consentKey(body.Consent), consent)
}

func (l ledger) consent(id evidence.Nonce) (evidence.Consent, error) {
	consent, found, err := getJSON[evidence.Consent](l, consentKey(id))
	if err == nil && !found {
		err = refuse(evidence.CodeNotFound, "there is no consent %s", id)
	}
	return consent, err
}

// allows asks package policy whether a consent covers an access at the time of the
// transaction. The patient is compared here: policy knows no tags.
func (t *tx) allows(consent evidence.Consent, a evidence.Access) bool {
	if consent.Terms.Tag != a.Request.Tag {
		return false
	}
	terms := policy.Consent{
		ID: consent.ID.String(), Grantees: consent.Terms.Grantees, Owners: consent.Terms.Owners,
		Kinds: consent.Terms.Kinds, Since: consent.CountsFrom(), NotAfter: consent.Terms.NotAfter, Revoked: consent.Revoked,
	}
	for _, p := range consent.Terms.Purposes {
		terms.Purposes = append(terms.Purposes, string(p))
	}
	return policy.Allows(terms, policy.Request{
		Requester: a.Requester, Owner: a.Request.Owner, Purpose: string(a.Request.Purpose), At: t.now,
	})
}
