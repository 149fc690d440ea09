package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// member is a registered hospital whose registration was verified.
type member struct {
	number uint16
	// keys are its signing keys: the present one first, and those that it has renewed
	// since, as the ledger lists them and as the blocks told. What was sealed with one of
	// them stays sealed.
	keys  []smcrypto.PublicKey
	fault Check // not passed: why its keys cannot be used
}

// memberCache verifies each member once.
type memberCache struct {
	verifier *Verifier
	mu       sync.Mutex
	known    map[string]member
	earlier  map[string][]smcrypto.PublicKey // keys that the blocks told of
	numbers  map[uint16]string               // MSP ids by hospital number
}

func newMemberCache(v *Verifier) *memberCache {
	return &memberCache{verifier: v, known: map[string]member{}, earlier: map[string][]smcrypto.PublicKey{}, numbers: map[uint16]string{}}
}

// get returns a member by its MSP id. Errors of the ledger are not remembered.
func (c *memberCache) get(ctx context.Context, msp string) member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.known[msp]; ok {
		return m
	}
	raw, err := c.verifier.Ledger.Member(ctx, msp)
	var refusal *evidence.Refusal
	switch {
	case errors.As(err, &refusal):
		return member{fault: failed(MemberUnknown)}
	case err != nil:
		return member{fault: skipped(LedgerUnavailable)}
	}
	m := c.verifier.registered(msp, raw)
	if m.fault == passed {
		m.keys = union(m.keys, c.earlier[msp])
	}
	c.known[msp] = m
	return m
}

// union appends to a those keys of b that it lacks.
func union(a, b []smcrypto.PublicKey) []smcrypto.PublicKey {
	for _, key := range b {
		if !slices.Contains(a, key) {
			a = append(a, key)
		}
	}
	return a
}

// learn takes note of a registration that a block brought and returns its signing key.
func (c *memberCache) learn(value []byte) (msp string, key smcrypto.PublicKey, ok bool) {
	var raw evidence.Member
	if err := json.Unmarshal(value, &raw); err != nil {
		return "", key, false // it registers nobody
	}
	m := c.verifier.registered(raw.MSP, raw)
	if m.fault != passed {
		return "", key, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earlier[raw.MSP] = union(c.earlier[raw.MSP], m.keys)
	delete(c.known, raw.MSP)
	return raw.MSP, m.keys[0], true
}

// byNumber returns the member with a hospital number.
func (c *memberCache) byNumber(ctx context.Context, number uint16) (msp string, m member) {
	c.mu.Lock()
	msp, ok := c.numbers[number]
	c.mu.Unlock()
	if ok {
		return msp, c.get(ctx, msp)
	}
	all, err := c.verifier.Ledger.Members(ctx)
	if err != nil {
		return "", member{fault: skipped(LedgerUnavailable)}
	}
	for _, raw := range all {
		if raw.Info.Number != number {
			continue
		}
		if m = c.get(ctx, raw.MSP); m.fault == passed && m.number == number {
			c.mu.Lock()
			c.numbers[number] = raw.MSP
			c.mu.Unlock()
		}
		return raw.MSP, m
	}
	return "", member{fault: failed(MemberUnknown)}
}

// registered verifies the registrations of a member: the present one and the earlier ones.
// An earlier one that does not verify gives no key.
func (v *Verifier) registered(msp string, m evidence.Member) member {
	st, said, err := m.Signed.Registration()
	if err != nil || m.MSP != msp || st.Actor != msp || said.Number != m.Info.Number {
		return member{fault: failed(MemberUntrusted)}
	}
	// What was signed while the certificate was valid stays signed.
	key, fault := v.signingKey(m.Signed, func(cert *smcrypto.Certificate) time.Time {
		if at := v.Now(); at.Before(cert.NotAfter()) {
			return at
		}
		return cert.NotAfter()
	})
	if fault != passed {
		return member{fault: fault}
	}
	out := member{number: said.Number, keys: []smcrypto.PublicKey{key}, fault: passed}
	for _, e := range m.Earlier[:min(len(m.Earlier), evidence.MaxEarlier)] {
		st, said, err := e.Signed.Registration()
		if err != nil || st.Actor != msp || said.Number != out.number {
			continue
		}
		issued := func(*smcrypto.Certificate) time.Time { return time.UnixMilli(st.IssuedAt) }
		if key, fault := v.signingKey(e.Signed, issued); fault == passed {
			out.keys = union(out.keys, []smcrypto.PublicKey{key})
		}
	}
	return out
}

// signingKey verifies a registration: the member's own statement, under a certificate that
// names it and was the authority's at a time. It returns the key.
func (v *Verifier) signingKey(signed evidence.Signed, at func(*smcrypto.Certificate) time.Time) (smcrypto.PublicKey, Check) {
	var none smcrypto.PublicKey
	st, said, err := signed.Registration()
	if err != nil {
		return none, failed(MemberUntrusted)
	}
	cert, err := smcrypto.ParseCertificate(said.SignCert)
	if err != nil || cert.Organization() != st.Actor {
		return none, failed(MemberUntrusted)
	}
	err = v.agree(func(p smcrypto.Provider) error {
		if err := smcrypto.VerifyChain(p, cert, nil, v.Roots, at(cert), smcrypto.UsageSign); err != nil {
			return err
		}
		return p.Verify(cert.PublicKey(), evidence.SigningBytes(signed.Statement), signed.Signature)
	})
	switch {
	case errors.Is(err, errDisagree):
		return none, failed(ProvidersDisagree)
	case err != nil:
		return none, failed(MemberUntrusted)
	}
	return cert.PublicKey(), passed
}

// errDisagree reports that one provider accepts what another refuses.
var errDisagree = errors.New("audit: the providers disagree")

// agree runs a check with every provider and returns the first one's error if all agree.
func (v *Verifier) agree(check func(smcrypto.Provider) error) error {
	var first error
	for i, p := range v.Providers {
		err := check(p)
		if i == 0 {
			first = err
		} else if (err == nil) != (first == nil) {
			return fmt.Errorf("%w: %s", errDisagree, p.Name())
		}
	}
	return first
}
