package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// ErrUntrusted reports something on the ledger that is not what its author signed, or whose
// author the consortium authority did not certify.
var ErrUntrusted = errors.New("research/project: not trustworthy")

func untrusted(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUntrusted, what, err)
}

// errView reports a view that says something else than the signed statement beside it.
var errView = errors.New("it does not say what the ledger shows")

// Party is a verified institute or hospital.
type Party struct {
	ID   string // of the institute, or MSP of the hospital
	Name string
	// Active says that the authority has not suspended it and that its certificates are
	// valid now.
	Active      bool
	Encrypt     smcrypto.PublicKey
	EncryptCert evidence.Digest // SM3 of the encryption certificate, DER
	TLSKey      evidence.Digest // SHA-256 of the key with which it calls or serves gateways
	Endpoint    string          // of a hospital's gateway
	Number      uint16          // of a hospital

	keys []signingKey // the present one first
}

// signingKey is a key and the time until which it signed, Unix milliseconds; 0 is still.
type signingKey struct {
	key   smcrypto.PublicKey
	until int64
}

// registration is what a signed registration says, of an institute or a hospital.
type registration struct {
	id, name      string
	number        uint16
	sign, encrypt []byte
	tlsKey        evidence.Digest
	endpoint      string
	issuedAt      int64
	nonce         evidence.Nonce
}

// readRegistration verifies a registration: the institute's is signed by the authority, the
// hospital's with the key that it registers.
func (r *Reader) readRegistration(signed evidence.Signed, institute bool) (registration, *smcrypto.Certificate, error) {
	var g registration
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return g, nil, err
	}
	g.issuedAt, g.nonce = st.IssuedAt, st.Nonce
	if institute {
		var said evidence.RegisterInstitute
		if err = st.DecodeBody(&said); err == nil && st.Actor != evidence.AuthorityActor {
			err = errView
		}
		g.id, g.name, g.sign, g.encrypt, g.tlsKey = said.ID, said.Name, said.SignCert, said.EncryptCert, said.TLSKey
	} else {
		var said evidence.RegisterMember
		err = st.DecodeBody(&said)
		g.id, g.name, g.number, g.sign, g.encrypt = st.Actor, said.Name, said.Number, said.SignCert, said.EncryptCert
		g.tlsKey, g.endpoint = said.GatewayKey, said.Endpoint
	}
	if err != nil {
		return g, nil, err
	}
	cert, err := r.certificate(g.sign, g.id, smcrypto.UsageSign, g.issuedAt)
	if err != nil {
		return g, nil, err
	}
	if institute {
		return g, cert, r.byAuthority(signed)
	}
	return g, cert, r.provider.Verify(cert.PublicKey(), evidence.SigningBytes(signed.Statement), signed.Signature)
}

// certificate reads a certificate that the authority issued to a holder and that was valid
// at a time, Unix milliseconds. A statement may be signed a little before, or after, by
// another clock; a registration is within the window of its transaction anyway.
func (r *Reader) certificate(der []byte, holder string, usage smcrypto.Usage, at int64) (*smcrypto.Certificate, error) {
	cert, err := smcrypto.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if cert.Organization() != holder {
		return nil, fmt.Errorf("the certificate does not name %s", holder)
	}
	return cert, smcrypto.VerifyChain(r.provider, cert, nil, r.roots, time.UnixMilli(at), usage)
}

// byAuthority verifies a statement's signature under one of the pinned authorities.
func (r *Reader) byAuthority(signed evidence.Signed) error {
	err := errors.New("no authority")
	for _, root := range r.roots {
		if err = r.provider.Verify(root.PublicKey(), evidence.SigningBytes(signed.Statement), signed.Signature); err == nil {
			return nil
		}
	}
	return err
}

// party verifies a registration with its status and what it replaced. window is how long a
// statement of this kind of party may wait for its transaction.
func (r *Reader) party(signed evidence.Signed, earlier []evidence.Earlier, institute bool, window int64) (Party, error) {
	g, cert, err := r.readRegistration(signed, institute)
	if err != nil {
		return Party{}, err
	}
	encrypt, err := r.certificate(g.encrypt, g.id, smcrypto.UsageEncipher, g.issuedAt)
	if err != nil {
		return Party{}, err
	}
	now := r.now()
	valid := !now.Before(cert.NotBefore()) && !now.After(cert.NotAfter()) && !now.Before(encrypt.NotBefore()) && !now.After(encrypt.NotAfter())
	p := Party{
		ID: g.id, Name: g.name, Number: g.number, Active: valid, Encrypt: encrypt.PublicKey(), TLSKey: g.tlsKey, Endpoint: g.endpoint,
		EncryptCert: evidence.Digest(r.provider.SM3(g.encrypt)), keys: []signingKey{{key: cert.PublicKey()}},
	}
	replacedAt := g.issuedAt
	for _, e := range earlier[:min(len(earlier), evidence.MaxEarlier)] {
		was, cert, err := r.readRegistration(e.Signed, institute)
		if err != nil || was.id != g.id || was.number != g.number {
			continue // it gives no key
		}
		p.keys = append(p.keys, signingKey{cert.PublicKey(), min(e.Until, replacedAt+window)})
		replacedAt = min(replacedAt, was.issuedAt)
	}
	return p, nil
}

// Institute reads and verifies the registration of an institute, active or not.
func (r *Reader) Institute(ctx context.Context, id string) (Party, error) {
	view, err := r.ledger.Institute(ctx, id)
	if err != nil {
		return Party{}, fmt.Errorf("read institute %s: %w", id, err)
	}
	return r.VerifyInstitute(id, view)
}

// VerifyInstitute verifies the registration of an institute that was read already.
func (r *Reader) VerifyInstitute(id string, view evidence.Institute) (Party, error) {
	p, err := r.party(view.Signed, view.Earlier, true, evidence.CarryWindow)
	if err == nil && p.ID != id {
		err = errView
	}
	if err == nil {
		err = r.suspended(&p, view.StatusSigned, view.Status, &evidence.SetInstituteStatus{})
	}
	if err != nil {
		return Party{}, untrusted("registration of institute "+id, err)
	}
	return p, nil
}

// Hospital reads and verifies the registration of a hospital, active or not.
func (r *Reader) Hospital(ctx context.Context, msp string) (Party, error) {
	view, err := r.ledger.Member(ctx, msp)
	if err != nil {
		return Party{}, fmt.Errorf("read member %s: %w", msp, err)
	}
	p, err := r.party(view.Signed, view.Earlier, false, evidence.StatementWindow)
	if err == nil && p.ID != msp {
		err = errView
	}
	if err == nil {
		err = r.suspended(&p, view.StatusSigned, view.Status, &evidence.SetMemberStatus{})
	}
	if err != nil {
		return Party{}, untrusted("registration of "+msp, err)
	}
	return p, nil
}

// suspended applies the authority's last word on the status, if there is one. said is an
// empty body of the kind that it has.
func (r *Reader) suspended(p *Party, signed *evidence.Signed, shown evidence.MemberStatus, said evidence.Body) error {
	if signed == nil {
		return nil
	}
	st, err := evidence.ParseStatement(signed.Statement)
	if err == nil {
		err = st.DecodeBody(said)
	}
	if err != nil {
		return err
	}
	var who string
	var status evidence.MemberStatus
	switch b := said.(type) {
	case *evidence.SetInstituteStatus:
		who, status = b.Institute, b.Status
	case *evidence.SetMemberStatus:
		who, status = b.Member, b.Status
	}
	if st.Actor != evidence.AuthorityActor || who != p.ID || status != shown {
		return errView
	}
	p.Active = p.Active && status == evidence.MemberActive
	return r.byAuthority(*signed)
}

// said verifies a statement of a party and decodes its body.
func (r *Reader) said(by Party, signed evidence.Signed, body evidence.Body) (evidence.Statement, error) {
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return st, err
	}
	if st.Actor != by.ID {
		return st, fmt.Errorf("a statement of %s where one of %s is wanted", st.Actor, by.ID)
	}
	err = errors.New("no key")
	for _, k := range by.keys {
		if k.until != 0 && st.IssuedAt > k.until {
			continue
		}
		if err = r.provider.Verify(k.key, evidence.SigningBytes(signed.Statement), signed.Signature); err == nil {
			return st, st.DecodeBody(body)
		}
	}
	return st, err
}
