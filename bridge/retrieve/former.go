package retrieve

import (
	"errors"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// FormerKey is a signing key that a member has renewed since.
type FormerKey struct {
	Key   smcrypto.PublicKey
	Until int64 // the end of its time, Unix milliseconds
}

// signers returns the keys under which a statement issued at a time, Unix milliseconds,
// may verify: the present one, and those whose time had not ended. A backdated statement
// under a former key does not come on the ledger: the contract hears the present key alone.
func (p Party) signers(issuedAt int64) []smcrypto.PublicKey {
	return append([]smcrypto.PublicKey{p.Sign}, p.former(issuedAt)...)
}

// sealers returns the former keys under which a record sealed at a time may verify. The
// time in a sealed header and the end of a key come from different clocks.
func (p Party) sealers(sealedAt time.Time) []smcrypto.PublicKey {
	return p.former(sealedAt.UnixMilli() - evidence.StatementWindow)
}

func (p Party) former(at int64) []smcrypto.PublicKey {
	var keys []smcrypto.PublicKey
	for _, f := range p.Former {
		if at <= f.Until {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// former verifies the earlier registrations that the ledger shows of a member. One that
// does not verify gives no key. What replaced a registration bears a signed time, which
// bounds the end that the peer tells.
func (t *Trust) former(m evidence.Member, number uint16, presentAt int64) []FormerKey {
	var keys []FormerKey
	replacedAt := presentAt
	for _, e := range m.Earlier[:min(len(m.Earlier), evidence.MaxEarlier)] {
		r, ok := t.earlier.get(e.Signed, t.verifyEarlier)
		if !ok || r.msp != m.MSP || r.number != number {
			continue
		}
		keys = append(keys, FormerKey{Key: r.key, Until: min(e.Until, replacedAt+evidence.StatementWindow)})
		replacedAt = min(replacedAt, r.issuedAt)
	}
	return keys
}

// registration is a verified registration.
type registration struct {
	msp      string
	number   uint16
	key      smcrypto.PublicKey
	issuedAt int64
}

// verifyEarlier verifies a registration that was replaced: its certificate was the
// authority's when it was issued.
func (t *Trust) verifyEarlier(signed evidence.Signed) (registration, error) {
	st, said, err := signed.Registration()
	if err != nil {
		return registration{}, err
	}
	cert, err := t.certificate(said.SignCert, st.Actor, smcrypto.UsageSign, time.UnixMilli(st.IssuedAt))
	if err != nil {
		return registration{}, err
	}
	err = t.provider.Verify(cert.PublicKey(), evidence.SigningBytes(signed.Statement), signed.Signature)
	return registration{msp: st.Actor, number: said.Number, key: cert.PublicKey(), issuedAt: st.IssuedAt}, err
}

// maxRemembered bounds the earlier registrations that are remembered: all of 256 members.
const maxRemembered = 256 * evidence.MaxEarlier

// earlierCache remembers which earlier registrations verify: they never change, and a
// member that has renewed often should not cost more at each request. It is safe for
// concurrent use.
type earlierCache struct {
	mu    sync.Mutex
	known map[evidence.Digest]*registration // nil for one that does not verify
}

func (c *earlierCache) get(signed evidence.Signed, verify func(evidence.Signed) (registration, error)) (registration, bool) {
	encoded, err := signed.Encode()
	if err != nil {
		return registration{}, false
	}
	id := evidence.Digest(smcrypto.Default().SM3(encoded))
	c.mu.Lock()
	r, known := c.known[id]
	c.mu.Unlock()
	if !known {
		if found, err := verify(signed); err == nil {
			r = &found
		}
		c.mu.Lock()
		if c.known == nil || len(c.known) >= maxRemembered {
			c.known = map[evidence.Digest]*registration{}
		}
		c.known[id] = r
		c.mu.Unlock()
	}
	if r == nil {
		return registration{}, false
	}
	return *r, true
}

// verifyBy verifies a statement's signature under the keys of a member that may have made it.
func (t *Trust) verifyBy(by Party, issuedAt int64, signed evidence.Signed) error {
	err := errors.New("no key")
	for _, key := range by.signers(issuedAt) {
		if err = t.provider.Verify(key, evidence.SigningBytes(signed.Statement), signed.Signature); err == nil {
			return nil
		}
	}
	return err
}
