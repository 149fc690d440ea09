package chaincode

import (
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// The life of an access request. Each arrow is one statement of one member; any other step
// is refused with BAD_STATE, a step by another member with UNAUTHORIZED.
//
//	                     ┌─ DecideAccess (owner) ─▶ denied
//	RequestAccess ─▶ requested
//	 (requester)         └─ DecideAccess (owner) ─▶ granted ─ Deliver (owner) ─▶ delivered
//	                                                             ─ Confirm (requester) ─▶ confirmed
//
// An emergency needs no consent, ends within 24 hours, and stays on the owner's list until
// the owner has reviewed it.

// maxEmergency is how long an emergency grant may last, in milliseconds.
const maxEmergency = 24 * 60 * 60 * 1000

func requestAccess(t *tx, s *said, body evidence.RequestAccess) (effect, error) {
	if body.Owner == s.Actor {
		return effect{}, refuse(evidence.CodeUnauthorized, "%s asks itself", s.Actor)
	}
	owner, err := t.activeMember(body.Owner)
	if err != nil {
		return effect{}, err
	}
	if key := evidence.Digest(smcrypto.Default().SM3(s.member.Info.EncryptCert)); !body.RequesterKey.Equal(key) {
		return effect{}, refuse(evidence.CodeUnauthorized, "the key named is not the registered encryption certificate of %s", s.Actor)
	}
	if err := checkHospitalOf(body.Records, owner.Info.Number); err != nil {
		return effect{}, err
	}
	taken, err := t.get(accessKey(s.Nonce))
	if err != nil {
		return effect{}, err
	}
	if len(taken) > 0 {
		return effect{}, refuse(evidence.CodeConflict, "another member made a request under this id: sign again with a new nonce")
	}
	access := evidence.Access{
		ID: s.Nonce, Requester: s.Actor, Request: body, State: evidence.AccessRequested,
		RequestedAt: t.now, Statements: []evidence.Signed{s.signed},
	}
	if err := t.putJSON(accessKey(s.Nonce), access); err != nil {
		return effect{}, err
	}
	return effect{ref: s.Nonce.String(), owner: body.Owner}, t.indexAccess(access)
}

// checkHospitalOf refuses named records that cannot be the owner's.
func checkHospitalOf(records []evidence.RecordID, number uint16) error {
	var foreign []evidence.RecordID
	for _, id := range records {
		if id.HospitalNumber() != number {
			foreign = append(foreign, id)
		}
	}
	if len(foreign) > 0 {
		return refuseIDs(evidence.CodeUnauthorized, foreign, "%d of the records named are not the owner's", len(foreign))
	}
	return nil
}

func (t *tx) indexAccess(a evidence.Access) error {
	prefixes := []string{
		tagPrefix(familyAccessTag, a.Request.Tag),
		partyPrefix(familyAccessParty, a.Requester), partyPrefix(familyAccessParty, a.Request.Owner),
	}
	if a.Request.Emergency {
		prefixes = append(prefixes, partyPrefix(familyEmergency, a.Request.Owner))
	}
	for _, prefix := range prefixes {
		if err := t.put(indexKey(prefix, a.RequestedAt, a.ID), present); err != nil {
			return err
		}
	}
	return nil
}

func (l ledger) access(id evidence.Nonce) (evidence.Access, error) {
	access, found, err := getJSON[evidence.Access](l, accessKey(id))
	if err == nil && !found {
		err = refuse(evidence.CodeNotFound, "there is no access request %s", id)
	}
	return access, err
}

// step loads the request that a statement continues and checks who speaks, the state, and
// that the transaction is not dated before the step that it follows: the timestamp is the
// submitter's word, and a consent that has ended must not be revived by an old date.
func (t *tx) step(s *said, id evidence.Nonce, byOwner bool, want evidence.AccessState) (evidence.Access, error) {
	access, err := t.access(id)
	if err != nil {
		return access, err
	}
	speaker := access.Requester
	if byOwner {
		speaker = access.Request.Owner
	}
	switch {
	case s.Actor != speaker:
		return access, refuse(evidence.CodeUnauthorized, "%s of this request is for %s to say", s.Kind, speaker)
	case want != "" && access.State != want:
		return access, refuse(evidence.CodeBadState, "the request is %s; %s needs it %s", access.State, s.Kind, want)
	case t.now < max(access.RequestedAt, access.DecidedAt)-evidence.StatementWindow:
		return access, refuse(evidence.CodeStale, "the transaction is dated before the step that it follows: check the clocks of both members")
	}
	return access, nil
}

// record stores the request with the statement that continued it.
func (t *tx) record(s *said, a evidence.Access, other string) (effect, error) {
	a.Statements = append(a.Statements, s.signed)
	return effect{ref: a.ID.String(), owner: other}, t.putJSON(accessKey(a.ID), a)
}

func decideAccess(t *tx, s *said, body evidence.DecideAccess) (effect, error) {
	access, err := t.step(s, body.Request, true, evidence.AccessRequested)
	if err != nil {
		return effect{}, err
	}
	access.State = evidence.AccessDenied
	if body.Granted {
		if err := t.checkGrant(access, body); err != nil {
			return effect{}, err
		}
		access.State = evidence.AccessGranted
	} else if !body.Consent.IsZero() {
		return effect{}, refuse(evidence.CodeMalformed, "a denial names no consent")
	}
	access.Decision, access.DecidedAt = &body, t.now
	return t.record(s, access, access.Requester)
}

// checkGrant checks that the owner may grant: the requester may act, and the consent
// named, or the emergency, allows the access until the end of the grant.
func (t *tx) checkGrant(a evidence.Access, grant evidence.DecideAccess) error {
	if _, err := t.activeMember(a.Requester); err != nil {
		return err
	}
	if grant.NotAfter <= t.now {
		return refuse(evidence.CodeLimit, "the grant ends before it begins")
	}
	if a.Request.Emergency {
		switch {
		case !grant.Consent.IsZero():
			return refuse(evidence.CodeMalformed, "an emergency grant names no consent")
		case grant.NotAfter > t.now+maxEmergency:
			return refuse(evidence.CodeLimit, "an emergency grant ends within 24 hours")
		}
		return nil
	}
	if grant.Consent.IsZero() {
		return refuse(evidence.CodeNoConsent, "a grant names the consent that allows it")
	}
	consent, err := t.consent(grant.Consent)
	switch {
	case err != nil:
		return err
	case !t.allows(consent, a):
		return refuse(evidence.CodeNoConsent, "the consent named does not allow this access")
	case grant.NotAfter > consent.Terms.NotAfter:
		return refuse(evidence.CodeNoConsent, "the grant outlasts the consent")
	}
	return nil
}

// deliver is said before the key grants leave the owner: a consent revoked, a grant ended
// or a requester suspended in between still stops them.
func deliver(t *tx, s *said, body evidence.Deliver) (effect, error) {
	access, err := t.step(s, body.Request, true, evidence.AccessGranted)
	if err != nil {
		return effect{}, err
	}
	if t.now > access.Decision.NotAfter {
		return effect{}, refuse(evidence.CodeBadState, "the grant has ended")
	}
	if _, err := t.activeMember(access.Requester); err != nil {
		return effect{}, err
	}
	if !access.Request.Emergency {
		consent, err := t.consent(access.Decision.Consent)
		if err != nil {
			return effect{}, err
		}
		if !t.allows(consent, access) {
			return effect{}, refuse(evidence.CodeNoConsent, "the consent no longer allows this access")
		}
	}
	access.State, access.Delivery = evidence.AccessDelivered, &body
	return t.record(s, access, access.Requester)
}

func confirm(t *tx, s *said, body evidence.Confirm) (effect, error) {
	access, err := t.step(s, body.Request, false, evidence.AccessDelivered)
	if err != nil {
		return effect{}, err
	}
	if body.Count > access.Delivery.Count {
		return effect{}, refuse(evidence.CodeMalformed, "%d records confirmed, %d were delivered", body.Count, access.Delivery.Count)
	}
	access.State, access.Outcome = evidence.AccessConfirmed, &body
	return t.record(s, access, access.Request.Owner)
}

// reviewEmergency takes an emergency off the owner's list. It needs a decision first, and
// leaves the state of the request as it is.
func reviewEmergency(t *tx, s *said, body evidence.ReviewEmergency) (effect, error) {
	access, err := t.step(s, body.Request, true, "")
	switch {
	case err != nil:
		return effect{}, err
	case !access.Request.Emergency:
		return effect{}, refuse(evidence.CodeBadState, "the request is no emergency")
	case access.State == evidence.AccessRequested:
		return effect{}, refuse(evidence.CodeBadState, "the request is not decided yet")
	case access.Reviewed != nil:
		return effect{}, refuse(evidence.CodeBadState, "the emergency was reviewed before")
	}
	access.Reviewed = &body
	if err := t.del(indexKey(partyPrefix(familyEmergency, access.Request.Owner), access.RequestedAt, access.ID)); err != nil {
		return effect{}, err
	}
	return t.record(s, access, access.Requester)
}
