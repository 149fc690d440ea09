package chaincode

import (
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// registerInstitute admits a research institute, or renews its certificates. The authority
// signs and an active member carries: an institute has no identity on the network.
func registerInstitute(t *tx) ([]byte, error) {
	var body evidence.RegisterInstitute
	s, err := t.hear(&body)
	if err != nil {
		return nil, err
	}
	if _, err := t.activeMember(t.submitter); err != nil {
		return nil, err
	}
	if err := t.admitAuthorityCarried(s); err != nil {
		return nil, err
	}
	if err := t.checkPair(body.ID, body.SignCert, body.EncryptCert); err != nil {
		return nil, err
	}
	institute, err := t.renewedInstitute(s, body)
	if err != nil {
		return nil, err
	}
	if err := t.putJSON(instituteKey(body.ID), institute); err != nil {
		return nil, err
	}
	return t.finish(s, nonceKey(authorityNumber, s.Nonce), effect{ref: body.ID})
}

// renewedInstitute is what the ledger will hold: an institute keeps its name, bears no
// member's id, and is not renewed while it is suspended.
func (t *tx) renewedInstitute(s *said, body evidence.RegisterInstitute) (evidence.Institute, error) {
	institute, known, err := getJSON[evidence.Institute](t.ledger, instituteKey(body.ID))
	if err != nil {
		return institute, err
	}
	if !known {
		member, err := t.get(memberKey(body.ID))
		if err == nil && len(member) > 0 {
			err = refuse(evidence.CodeConflict, "%s is a hospital", body.ID)
		}
		return evidence.Institute{ID: body.ID, Info: body, Status: evidence.MemberActive, Signed: s.signed}, err
	}
	switch {
	case institute.Status != evidence.MemberActive:
		return institute, refuse(evidence.CodeNotMember, "%s is suspended", body.ID)
	case institute.Info.Name != body.Name:
		return institute, refuse(evidence.CodeConflict, "%s is registered with another name; it cannot change", body.ID)
	}
	if institute.Earlier, err = t.earlierInstitute(s, institute, body); err != nil {
		return institute, err
	}
	institute.Info, institute.Signed = body, s.signed
	return institute, nil
}

// earlierInstitute is earlier for an institute, whose registrations the authority signs.
func (t *tx) earlierInstitute(s *said, held evidence.Institute, body evidence.RegisterInstitute) ([]evidence.Earlier, error) {
	st, err := evidence.ParseStatement(held.Signed.Statement)
	if err != nil {
		return nil, damaged(err)
	}
	if s.IssuedAt < st.IssuedAt {
		return nil, refuse(evidence.CodeStale, "the registration is dated before the one that it replaces: check the clock")
	}
	present, err := t.certs.parse(body.SignCert)
	if err != nil {
		return nil, refuse(evidence.CodeBadSignature, "the signing certificate cannot be read: %v", err)
	}
	seen := map[smcrypto.PublicKey]bool{present.PublicKey(): true}
	var kept []evidence.Earlier
	for _, e := range append([]evidence.Earlier{{Signed: held.Signed, Until: t.now}}, held.Earlier...) {
		var was evidence.RegisterInstitute
		st, err := evidence.ParseStatement(e.Signed.Statement)
		if err == nil {
			err = st.DecodeBody(&was)
		}
		if err != nil {
			return nil, damaged(err)
		}
		cert, err := t.certs.parse(was.SignCert)
		if err != nil {
			return nil, damaged(err)
		}
		if key := cert.PublicKey(); !seen[key] && len(kept) < evidence.MaxEarlier {
			seen[key] = true
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// setInstituteStatus suspends or reinstates an institute, as setMemberStatus does a member.
func setInstituteStatus(t *tx) ([]byte, error) {
	var body evidence.SetInstituteStatus
	s, err := t.hear(&body)
	if err != nil {
		return nil, err
	}
	if _, err := t.registered(t.submitter, evidence.CodeNotMember); err != nil {
		return nil, err
	}
	if err := t.admitAuthority(s); err != nil {
		return nil, err
	}
	institute, err := t.institute(body.Institute, evidence.CodeNotFound)
	if err != nil {
		return nil, err
	}
	if institute.Status == body.Status {
		return nil, refuse(evidence.CodeBadState, "%s is %s already", body.Institute, body.Status)
	}
	institute.Status, institute.StatusSigned = body.Status, &s.signed
	if err := t.putJSON(instituteKey(body.Institute), institute); err != nil {
		return nil, err
	}
	return t.finish(s, nonceKey(authorityNumber, s.Nonce), effect{ref: body.Institute})
}

// institute returns a registered institute, active or not.
func (l ledger) institute(id string, missing evidence.Code) (evidence.Institute, error) {
	institute, found, err := getJSON[evidence.Institute](l, instituteKey(id))
	if err == nil && !found {
		err = refuse(missing, "%s is no registered institute", id)
	}
	return institute, err
}

// activeInstitute returns a registered institute that is not suspended.
func (t *tx) activeInstitute(id string) (evidence.Institute, error) {
	institute, err := t.institute(id, evidence.CodeNotMember)
	if err == nil && institute.Status != evidence.MemberActive {
		err = refuse(evidence.CodeNotMember, "%s is suspended", id)
	}
	return institute, err
}

// carried makes a transaction of a handler for the statements of institutes. An active
// member carries it; the statement bears the institute's signature, waited no longer than
// evidence.CarryWindow, and its nonce was never used.
func carried[B any, P interface {
	*B
	evidence.Body
}](handle func(*tx, *said, B) (effect, error)) transaction {
	return func(t *tx) ([]byte, error) {
		var body B
		s, err := t.hear(P(&body))
		if err != nil {
			return nil, err
		}
		if _, err := t.activeMember(t.submitter); err != nil {
			return nil, err
		}
		if !evidence.ValidInstitute(s.Actor) {
			return nil, refuse(evidence.CodeUnauthorized, "%s is for an institute to say", s.Kind)
		}
		institute, err := t.activeInstitute(s.Actor)
		if err != nil {
			return nil, err
		}
		if err := t.verify(s, institute.Info.SignCert); err != nil {
			return nil, err
		}
		spent := instituteNonceKey(s.Actor, s.Nonce)
		if err := t.freshCarried(s, spent); err != nil {
			return nil, err
		}
		done, err := handle(t, s, body)
		if err != nil {
			return nil, err
		}
		return t.finish(s, spent, done)
	}
}

// admitAuthorityCarried is admitAuthority for a statement that may have waited.
func (t *tx) admitAuthorityCarried(s *said) error {
	if s.Actor != evidence.AuthorityActor {
		return refuse(evidence.CodeUnauthorized, "only the authority registers institutes")
	}
	_, der, err := t.authority()
	if err != nil {
		return err
	}
	if err := t.verify(s, der); err != nil {
		return err
	}
	return t.freshCarried(s, nonceKey(authorityNumber, s.Nonce))
}

// freshCarried refuses a statement that waited too long or comes from the future, and a
// nonce that is spent.
func (t *tx) freshCarried(s *said, spent string) error {
	if s.IssuedAt < t.now-evidence.CarryWindow || s.IssuedAt > t.now+evidence.StatementWindow {
		return refuse(evidence.CodeStale, "the statement was issued more than %d days before, or more than %d s after, the transaction: sign again",
			evidence.CarryWindow/(24*60*60*1000), evidence.StatementWindow/1000)
	}
	used, err := t.get(spent)
	if err != nil {
		return err
	}
	if len(used) > 0 {
		return refuse(evidence.CodeReplayed, "the nonce %s was used before", s.Nonce)
	}
	return nil
}
