package retrieve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Trust reads the ledger without believing the peer that answers: it accepts a member
// only with certificates of the consortium's authority, and a statement only under such
// a member's signature. It is safe for concurrent use.
type Trust struct {
	ledger   Ledger
	roots    []*smcrypto.Certificate
	provider smcrypto.Provider
	now      func() time.Time
	earlier  earlierCache
}

// NewTrust returns a Trust that pins roots, the SM2 certificates of the consortium's
// authority. A nil provider means the default one, a nil clock time.Now.
func NewTrust(ledger Ledger, roots []*smcrypto.Certificate, provider smcrypto.Provider, now func() time.Time) (*Trust, error) {
	if ledger == nil || len(roots) == 0 {
		return nil, errors.New("retrieve: a ledger and the certificate of the consortium's authority are needed")
	}
	if provider == nil {
		provider = smcrypto.Default()
	}
	if now == nil {
		now = time.Now
	}
	return &Trust{ledger: ledger, roots: roots, provider: provider, now: now}, nil
}

// Party is a member whose registration was verified.
type Party struct {
	MSP         string
	Number      uint16
	Active      bool
	Endpoint    string          // https URL of its gateway
	GatewayKey  evidence.Digest // SHA-256 of its gateway certificate's SubjectPublicKeyInfo
	Sign        smcrypto.PublicKey
	Former      []FormerKey // signing keys that it has renewed since, newest first
	Encrypt     smcrypto.PublicKey
	EncryptCert evidence.Digest // SM3 of the encryption certificate, DER
}

// Party reads and verifies the registration of a member, whether it is active or not.
// Errors: ErrUntrusted, and those of the ledger.
func (t *Trust) Party(ctx context.Context, msp string) (Party, error) {
	m, err := t.ledger.Member(ctx, msp)
	if err != nil {
		return Party{}, fmt.Errorf("read member %s: %w", msp, err)
	}
	return t.verify(msp, m)
}

// Active is Party, and ErrInactive for a member that is suspended.
func (t *Trust) Active(ctx context.Context, msp string) (Party, error) {
	p, err := t.Party(ctx, msp)
	if err == nil && !p.Active {
		return Party{}, fmt.Errorf("%w: %s", ErrInactive, msp)
	}
	return p, err
}

func (t *Trust) verify(msp string, m evidence.Member) (Party, error) {
	untrusted := func(what string, err error) (Party, error) {
		return Party{}, fmt.Errorf("%w: registration of %s: %s: %w", ErrUntrusted, msp, what, err)
	}
	st, said, err := m.Signed.Registration()
	if err != nil {
		return untrusted("statement", err)
	}
	if m.MSP != msp || st.Actor != msp || !sameRegistration(said, m.Info) {
		return untrusted("statement", errors.New("it does not say what the ledger shows"))
	}
	sign, err := t.certificate(said.SignCert, msp, smcrypto.UsageSign, t.now())
	if err != nil {
		return untrusted("signing certificate", err)
	}
	encrypt, err := t.certificate(said.EncryptCert, msp, smcrypto.UsageEncipher, t.now())
	if err != nil {
		return untrusted("encryption certificate", err)
	}
	if err := t.provider.Verify(sign.PublicKey(), evidence.SigningBytes(m.Signed.Statement), m.Signed.Signature); err != nil {
		return untrusted("signature", err)
	}
	if err := t.status(m); err != nil {
		return untrusted("status", err)
	}
	return Party{
		MSP: msp, Number: said.Number, Active: m.Status == evidence.MemberActive, Endpoint: said.Endpoint,
		GatewayKey: said.GatewayKey, Sign: sign.PublicKey(), Former: t.former(m, said.Number, st.IssuedAt),
		Encrypt: encrypt.PublicKey(), EncryptCert: evidence.Digest(t.provider.SM3(said.EncryptCert)),
	}, nil
}

// status verifies the authority's last word about a member, if there is one.
func (t *Trust) status(m evidence.Member) error {
	if m.StatusSigned == nil {
		return nil
	}
	st, err := evidence.ParseStatement(m.StatusSigned.Statement)
	if err != nil {
		return err
	}
	var said evidence.SetMemberStatus
	if err := st.DecodeBody(&said); err != nil {
		return err
	}
	if st.Actor != evidence.AuthorityActor || said.Member != m.MSP || said.Status != m.Status {
		return errors.New("the authority's statement does not say what the ledger shows")
	}
	for _, root := range t.roots {
		if err = t.provider.Verify(root.PublicKey(), evidence.SigningBytes(m.StatusSigned.Statement), m.StatusSigned.Signature); err == nil {
			return nil
		}
	}
	return err
}

func sameRegistration(a, b evidence.RegisterMember) bool {
	return a.Number == b.Number && a.Name == b.Name && string(a.SignCert) == string(b.SignCert) &&
		string(a.EncryptCert) == string(b.EncryptCert) && a.Endpoint == b.Endpoint && a.GatewayKey == b.GatewayKey
}

// certificate reads a certificate that the authority issued to a member and that is, or
// was, valid at a time.
func (t *Trust) certificate(der []byte, msp string, usage smcrypto.Usage, at time.Time) (*smcrypto.Certificate, error) {
	cert, err := smcrypto.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if cert.Organization() != msp {
		return nil, fmt.Errorf("it names %q", cert.Organization())
	}
	return cert, smcrypto.VerifyChain(t.provider, cert, nil, t.roots, at, usage)
}

// statement verifies that signed is by's statement of the body's kind and decodes it. A
// key that by has renewed since counts for what was issued up to its end.
func (t *Trust) statement(by Party, signed evidence.Signed, body evidence.Body) (evidence.Statement, error) {
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return st, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if st.Actor != by.MSP {
		return st, fmt.Errorf("%w: statement of %s where %s should speak", ErrUntrusted, st.Actor, by.MSP)
	}
	if err := t.verifyBy(by, st.IssuedAt, signed); err != nil {
		return st, fmt.Errorf("%w: statement of %s: %w", ErrUntrusted, by.MSP, err)
	}
	if err := st.DecodeBody(body); err != nil {
		return st, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return st, nil
}

// request verifies that an access on the ledger is what its requester signed.
func (t *Trust) request(a evidence.Access, requester Party) (evidence.RequestAccess, error) {
	var said evidence.RequestAccess
	if len(a.Statements) == 0 {
		return said, fmt.Errorf("%w: access without a statement", ErrUntrusted)
	}
	st, err := t.statement(requester, a.Statements[0], &said)
	if err != nil {
		return said, err
	}
	if st.Nonce != a.ID || a.Requester != requester.MSP || !sameTerms(said, a.Request) {
		return said, fmt.Errorf("%w: the request does not say what the ledger shows", ErrUntrusted)
	}
	return said, nil
}

func sameTerms(a, b evidence.RequestAccess) bool {
	return a.Tag == b.Tag && a.Owner == b.Owner && a.Purpose == b.Purpose && a.RequesterKey == b.RequesterKey &&
		a.Emergency == b.Emergency && a.Reason == b.Reason && slices.Equal(a.Records, b.Records) && slices.Equal(a.Staff, b.Staff)
}

// step finds the statement of one kind among those of an access, verifies that by made it
// and decodes it into body. found is false if there is none.
func (t *Trust) step(a evidence.Access, by Party, body evidence.Body) (found bool, err error) {
	for _, signed := range a.Statements {
		parsed, err := evidence.ParseStatement(signed.Statement)
		if err != nil || parsed.Kind != body.Kind() {
			continue
		}
		_, err = t.statement(by, signed, body)
		return err == nil, err
	}
	return false, nil
}

// consents reads all consents under a tag and returns those that verify and whose recorder
// is accepted (nil accepts all), in the form of package policy. A consent that does not
// verify counts as none: it can only take away.
func (t *Trust) consents(ctx context.Context, tag evidence.Tag, accepted func(msp string) bool) ([]policy.Consent, error) {
	var out []policy.Consent
	parties := map[string]*Party{}
	err := pages(ctx, func(size int, bookmark string) (evidence.Page[evidence.Consent], error) {
		return t.ledger.Consents(ctx, tag, size, bookmark)
	}, func(c evidence.Consent) error {
		if accepted != nil && !accepted(c.Hospital) {
			return nil
		}
		if len(out) == maxConsents {
			return fmt.Errorf("%w: more than %d consents", ErrLimit, maxConsents)
		}
		ok, err := t.consentHolds(ctx, c, tag, parties)
		if ok {
			out = append(out, consentTerms(c))
		}
		return err
	})
	return out, err
}

// maxConsents bounds the consents of one patient that a decision looks at.
const maxConsents = 4096

// consentHolds verifies the member's signature over a consent. parties remembers the
// members met so far; nil stands for one that does not verify.
func (t *Trust) consentHolds(ctx context.Context, c evidence.Consent, tag evidence.Tag, parties map[string]*Party) (bool, error) {
	by, known := parties[c.Hospital]
	if !known {
		p, err := t.Party(ctx, c.Hospital)
		switch {
		case err == nil:
			by = &p
		case !errors.Is(err, ErrUntrusted):
			return false, err
		}
		parties[c.Hospital] = by
	}
	if by == nil {
		return false, nil
	}
	var said evidence.GrantConsent
	st, err := t.statement(*by, c.Signed, &said)
	return err == nil && st.Nonce == c.ID && said.Tag == tag && sameConsent(said, c.Terms), nil
}

func sameConsent(a, b evidence.GrantConsent) bool {
	return a.Tag == b.Tag && a.NotAfter == b.NotAfter && slices.Equal(a.Grantees, b.Grantees) &&
		slices.Equal(a.Owners, b.Owners) && slices.Equal(a.Purposes, b.Purposes) && slices.Equal(a.Kinds, b.Kinds)
}

func consentTerms(c evidence.Consent) policy.Consent {
	purposes := make([]string, len(c.Terms.Purposes))
	for i, p := range c.Terms.Purposes {
		purposes[i] = string(p)
	}
	return policy.Consent{
		ID: c.ID.String(), Grantees: c.Terms.Grantees, Owners: c.Terms.Owners, Purposes: purposes,
		Kinds: c.Terms.Kinds, Since: c.CountsFrom(), NotAfter: c.Terms.NotAfter, Revoked: c.Revoked,
	}
}

// pages follows the bookmarks of a query to its end.
func pages[T any](ctx context.Context, next func(size int, bookmark string) (evidence.Page[T], error), each func(T) error) error {
	bookmark := ""
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, err := next(evidence.MaxPageSize, bookmark)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		if page.Bookmark == "" {
			return nil
		}
		if page.Bookmark == bookmark {
			return fmt.Errorf("%w: the ledger repeats a page", ErrUntrusted)
		}
		bookmark = page.Bookmark
	}
}
