package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// member is a registered hospital whose registration was verified.
type member struct {
	number uint16
	// keys are its signing keys: the present one and, as far as the blocks told, those
	// that it has renewed since. What was signed with one of them stays signed.
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
	for _, earlier := range c.earlier[msp] {
		if m.fault == passed && !slices.Contains(m.keys, earlier) {
			m.keys = append(m.keys, earlier)
		}
	}
	c.known[msp] = m
	return m
}

// learn takes note of a registration that a block brought.
func (c *memberCache) learn(value []byte) {
	var raw evidence.Member
	if err := json.Unmarshal(value, &raw); err != nil {
		return // it registers nobody
	}
	m := c.verifier.registered(raw.MSP, raw)
	if m.fault != passed {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if list := c.earlier[raw.MSP]; !slices.Contains(list, m.keys[0]) {
		c.earlier[raw.MSP] = append(list, m.keys[0])
	}
	delete(c.known, raw.MSP)
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

// registered verifies a registration: the member's own statement, under a certificate of
// the authority that names it.
func (v *Verifier) registered(msp string, m evidence.Member) member {
	out := member{fault: failed(MemberUntrusted)}
	st, err := evidence.ParseStatement(m.Signed.Statement)
	if err != nil {
		return out
	}
	var said evidence.RegisterMember
	if err := st.DecodeBody(&said); err != nil || m.MSP != msp || st.Actor != msp || said.Number != m.Info.Number {
		return out
	}
	cert, err := smcrypto.ParseCertificate(said.SignCert)
	if err != nil || cert.Organization() != msp {
		return out
	}
	// What was signed while the certificate was valid stays signed.
	at := v.Now()
	if at.After(cert.NotAfter()) {
		at = cert.NotAfter()
	}
	err = v.agree(func(p smcrypto.Provider) error {
		if err := smcrypto.VerifyChain(p, cert, nil, v.Roots, at, smcrypto.UsageSign); err != nil {
			return err
		}
		return p.Verify(cert.PublicKey(), evidence.SigningBytes(m.Signed.Statement), m.Signed.Signature)
	})
	if err != nil {
		if errors.Is(err, errDisagree) {
			out.fault = failed(ProvidersDisagree)
		}
		return out
	}
	return member{number: said.Number, keys: []smcrypto.PublicKey{cert.PublicKey()}, fault: passed}
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
