package chaincode

import (
	"strings"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// authorityNumber stands for the authority in the keys of nonces; no hospital has it.
const authorityNumber = 0

// kindBootstrap names the event of Bootstrap, which takes no statement.
const kindBootstrap evidence.Kind = "bootstrap"

// bootstrap pins the certificate of the consortium authority, once and for all.
func bootstrap(t *tx) ([]byte, error) {
	if len(t.args) != 1 {
		return nil, refuse(evidence.CodeMalformed, "%d arguments, the authority's certificate is wanted", len(t.args))
	}
	pinned, err := t.get(keyAuthority)
	if err != nil {
		return nil, err
	}
	if len(pinned) > 0 {
		if string(pinned) == string(t.args[0]) {
			return nil, nil
		}
		return nil, refuse(evidence.CodeBadState, "the consortium has another authority already")
	}
	root, err := t.certs.parse(t.args[0])
	if err != nil {
		return nil, refuse(evidence.CodeMalformed, "the authority's certificate cannot be read: %v", err)
	}
	if err := smcrypto.VerifyChain(smcrypto.Default(), root, nil, []*smcrypto.Certificate{root}, t.stamp.AsTime(), smcrypto.UsageCA); err != nil {
		return nil, refuse(evidence.CodeBadSignature, "the authority's certificate is not a valid self-signed authority: %v", err)
	}
	if err := t.put(keyAuthority, t.args[0]); err != nil {
		return nil, err
	}
	return nil, t.emit(evidence.Event{Kind: kindBootstrap, Actor: t.submitter})
}

// authority returns the pinned certificate and its bytes.
func (t *tx) authority() (*smcrypto.Certificate, []byte, error) {
	der, err := t.get(keyAuthority)
	if err != nil {
		return nil, nil, err
	}
	if len(der) == 0 {
		return nil, nil, refuse(evidence.CodeBadState, "the consortium has no authority yet: submit %s first", evidence.TxBootstrap)
	}
	cert, err := t.certs.parse(der)
	if err != nil {
		return nil, nil, damaged(err)
	}
	return cert, der, nil
}

// activeMember returns a registered member that is not suspended.
func (t *tx) activeMember(msp string) (evidence.Member, error) {
	member, err := t.registered(msp, evidence.CodeNotMember)
	if err == nil && member.Status != evidence.MemberActive {
		err = refuse(evidence.CodeNotMember, "%s is suspended", msp)
	}
	return member, err
}

// registerMember binds the submitter's MSP to its certificates, or renews them. The
// statement is signed with the key that it registers: whoever holds the MSP and two
// certificates of the authority in its name is the member.
func registerMember(t *tx) ([]byte, error) {
	var body evidence.RegisterMember
	s, err := t.hear(&body)
	if err != nil {
		return nil, err
	}
	if s.Actor != t.submitter || s.Actor == evidence.AuthorityActor {
		return nil, refuse(evidence.CodeUnauthorized, "a registration of %s was submitted by %s", s.Actor, t.submitter)
	}
	if body.Endpoint != "" && !strings.HasPrefix(body.Endpoint, "https://") {
		return nil, refuse(evidence.CodeMalformed, "the endpoint must be an https URL")
	}
	if err := t.checkPair(s.Actor, body.SignCert, body.EncryptCert); err != nil {
		return nil, err
	}
	if err := t.verify(s, body.SignCert); err != nil {
		return nil, err
	}
	member, known, err := t.checkRegistration(s.Actor, body)
	if err != nil {
		return nil, err
	}
	if err := t.fresh(s, body.Number); err != nil {
		return nil, err
	}
	if known {
		if member.Earlier, err = t.earlier(s, member, body); err != nil {
			return nil, err
		}
	}
	member.MSP, member.Info, member.Signed, member.Status = s.Actor, body, s.signed, evidence.MemberActive
	if err := t.putJSON(memberKey(s.Actor), member); err != nil {
		return nil, err
	}
	if !known {
		if err := t.put(numberKey(body.Number), []byte(s.Actor)); err != nil {
			return nil, err
		}
	}
	return t.finish(s, nonceKey(body.Number, s.Nonce), effect{ref: s.Actor})
}

// checkPair checks that both certificates chain to the authority at the time of the
// transaction, are for signing and for enciphering, name the holder, and differ.
func (t *tx) checkPair(holder string, sign, encrypt []byte) error {
	root, _, err := t.authority()
	if err != nil {
		return err
	}
	var keys [2]smcrypto.PublicKey
	for i, c := range []struct {
		what  string
		der   []byte
		usage smcrypto.Usage
	}{{"signing", sign, smcrypto.UsageSign}, {"encryption", encrypt, smcrypto.UsageEncipher}} {
		cert, err := t.certs.parse(c.der)
		if err != nil {
			return refuse(evidence.CodeBadSignature, "the %s certificate cannot be read: %v", c.what, err)
		}
		if err := smcrypto.VerifyChain(smcrypto.Default(), cert, nil, []*smcrypto.Certificate{root}, t.stamp.AsTime(), c.usage); err != nil {
			return refuse(evidence.CodeBadSignature, "the %s certificate is not the authority's: %v", c.what, err)
		}
		if cert.Organization() != holder {
			return refuse(evidence.CodeBadSignature, "the %s certificate does not name %s as organisation", c.what, holder)
		}
		keys[i] = cert.PublicKey()
	}
	if keys[0] == keys[1] {
		return refuse(evidence.CodeMalformed, "signing and encryption certificate have the same key")
	}
	return nil
}

// checkRegistration compares with what is registered: a member keeps its number and name,
// a number has one member, a suspended member cannot renew.
func (t *tx) checkRegistration(msp string, body evidence.RegisterMember) (evidence.Member, bool, error) {
	member, known, err := getJSON[evidence.Member](t.ledger, memberKey(msp))
	if err != nil {
		return member, false, err
	}
	if known {
		switch {
		case member.Status != evidence.MemberActive:
			return member, true, refuse(evidence.CodeNotMember, "%s is suspended", msp)
		case member.Info.Number != body.Number || member.Info.Name != body.Name:
			return member, true, refuse(evidence.CodeConflict, "%s is registered with another number or name; they cannot change", msp)
		}
		return member, true, nil
	}
	institute, err := t.get(instituteKey(msp))
	if err != nil {
		return member, false, err
	}
	if len(institute) > 0 {
		return member, false, refuse(evidence.CodeConflict, "%s is a research institute", msp)
	}
	holder, err := t.get(numberKey(body.Number))
	if err != nil {
		return member, false, err
	}
	if len(holder) > 0 {
		return member, false, refuse(evidence.CodeConflict, "hospital number %d belongs to %s", body.Number, holder)
	}
	return member, false, nil
}

// earlier returns the former registrations of a member whose registration is renewed by
// body: those that it has, and the one that is replaced now if its signing key was another.
// Each key appears once, the present one not at all. A renewal is not dated before what it
// replaces, so that the times at which keys ended follow each other.
func (t *tx) earlier(s *said, member evidence.Member, body evidence.RegisterMember) ([]evidence.Earlier, error) {
	present, err := t.certs.parse(body.SignCert)
	if err != nil {
		return nil, refuse(evidence.CodeBadSignature, "the signing certificate cannot be read: %v", err)
	}
	list := append([]evidence.Earlier{{Signed: member.Signed, Until: t.now}}, member.Earlier...)
	seen := map[smcrypto.PublicKey]bool{present.PublicKey(): true}
	var kept []evidence.Earlier
	for i, e := range list {
		st, was, err := e.Signed.Registration()
		if err != nil {
			return nil, damaged(err)
		}
		if i == 0 && min(s.IssuedAt, t.now) < st.IssuedAt {
			return nil, refuse(evidence.CodeStale, "the registration is dated before the one that it replaces: check the clock")
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

// setMemberStatus suspends or reinstates a member. The authority signs, and any registered
// member carries the statement, suspended or not: otherwise a consortium whose members
// were all suspended could never be revived.
func setMemberStatus(t *tx) ([]byte, error) {
	var body evidence.SetMemberStatus
	s, err := t.hear(&body)
	if err != nil {
		return nil, err
	}
	if err := t.admitAuthority(s); err != nil {
		return nil, err
	}
	if _, err := t.registered(t.submitter, evidence.CodeNotMember); err != nil {
		return nil, err
	}
	member, err := t.registered(body.Member, evidence.CodeNotFound)
	if err != nil {
		return nil, err
	}
	if member.Status == body.Status {
		return nil, refuse(evidence.CodeBadState, "%s is %s already", body.Member, body.Status)
	}
	member.Status, member.StatusSigned = body.Status, &s.signed
	if err := t.putJSON(memberKey(body.Member), member); err != nil {
		return nil, err
	}
	return t.finish(s, nonceKey(authorityNumber, s.Nonce), effect{ref: body.Member, owner: body.Member})
}

// admitAuthority is admit for a statement of the authority.
func (t *tx) admitAuthority(s *said) error {
	if s.Actor != evidence.AuthorityActor {
		return refuse(evidence.CodeUnauthorized, "only the authority says this")
	}
	_, der, err := t.authority()
	if err != nil {
		return err
	}
	if err := t.verify(s, der); err != nil {
		return err
	}
	return t.fresh(s, authorityNumber)
}

// registered returns a member, active or not.
func (t *tx) registered(msp string, missing evidence.Code) (evidence.Member, error) {
	member, found, err := getJSON[evidence.Member](t.ledger, memberKey(msp))
	if err == nil && !found {
		err = refuse(missing, "%s is not registered", msp)
	}
	return member, err
}
