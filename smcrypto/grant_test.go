package smcrypto

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var grantNow = time.UnixMilli(1_795_000_000_000).UTC()

type grantCase struct {
	owner, recipient *PrivateKey
	terms            GrantTerms
	encoded          []byte
}

func newGrantCase(t testing.TB, p Provider) grantCase {
	t.Helper()
	c := grantCase{owner: newKey(t), recipient: newKey(t), terms: GrantTerms{
		RequestID: [16]byte{1}, RecordID: [16]byte{0, 1, 2}, OwnerMSP: "H1MSP", RecipientMSP: "H2MSP",
		Purpose: "treatment", Expiry: grantNow.Add(time.Minute), CipherDigest: [32]byte{7},
	}}
	c.terms.RecipientKey = c.recipient.Public().Fingerprint()
	var err error
	c.encoded, err = NewGrant(p, c.terms, testKey, c.recipient.Public(), c.sign(p))
	require.NoError(t, err)
	return c
}

func (c grantCase) sign(p Provider) func([]byte) ([]byte, error) {
	return func(msg []byte) ([]byte, error) { return p.Sign(c.owner, msg) }
}

func (c grantCase) expected(p Provider) Expected {
	return Expected{Terms: c.terms, Owner: c.owner.Public(), Now: grantNow,
		Decrypt: func(ct []byte) ([]byte, error) { return p.Decrypt(c.recipient, ct) }}
}

func TestGrantOpens(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to Provider) {
		c := newGrantCase(t, from)
		key, err := OpenGrant(to, c.encoded, c.expected(to))
		require.NoError(t, err)
		assert.True(t, key.Equal(testKey))
		g, err := ParseGrant(c.encoded)
		require.NoError(t, err)
		assert.Equal(t, c.terms, g.Terms)
	})
}

func TestGrantIsBoundToItsTerms(t *testing.T) {
	p := Default()
	c := newGrantCase(t, p)
	for name, test := range map[string]struct {
		change func(*Expected)
		want   error
	}{
		"other request":       {func(e *Expected) { e.Terms.RequestID[0]++ }, ErrGrantMismatch},
		"other record":        {func(e *Expected) { e.Terms.RecordID[2]++ }, ErrGrantMismatch},
		"other owner":         {func(e *Expected) { e.Terms.OwnerMSP = "H3MSP" }, ErrGrantMismatch},
		"other recipient":     {func(e *Expected) { e.Terms.RecipientMSP = "H3MSP" }, ErrGrantMismatch},
		"other recipient key": {func(e *Expected) { e.Terms.RecipientKey[0]++ }, ErrGrantMismatch},
		"other purpose":       {func(e *Expected) { e.Terms.Purpose = "research" }, ErrGrantMismatch},
		"swapped ciphertext":  {func(e *Expected) { e.Terms.CipherDigest[0]++ }, ErrGrantMismatch},
		"expired":             {func(e *Expected) { e.Now = grantNow.Add(time.Minute + time.Millisecond) }, ErrGrantExpired},
		"other signer":        {func(e *Expected) { e.Owner = newKey(t).Public() }, ErrInvalidSignature},
		"other decryption key": {func(e *Expected) {
			k := newKey(t)
			e.Decrypt = func(ct []byte) ([]byte, error) { return p.Decrypt(k, ct) }
		}, ErrInvalidCiphertext},
	} {
		want := c.expected(p)
		test.change(&want)
		key, err := OpenGrant(p, c.encoded, want)
		assert.ErrorIs(t, err, test.want, name)
		assert.Zero(t, key, name)
	}
	last := c.expected(p)
	last.Now = c.terms.Expiry
	_, err := OpenGrant(p, c.encoded, last)
	assert.NoError(t, err, "the expiry itself still counts")
}

// A dishonest owner cannot pass on a key that was wrapped for another grant: the
// context is inside the SM2 plaintext.
func TestWrappedKeyCannotBeLifted(t *testing.T) {
	p := Default()
	c := newGrantCase(t, p)
	g, err := ParseGrant(c.encoded)
	require.NoError(t, err)
	c.terms.RequestID = [16]byte{2}
	body := c.terms.body()
	body.WrappedKey = g.body.WrappedKey
	forged, err := signGrant(body, c.sign(p))
	require.NoError(t, err)
	_, err = OpenGrant(p, forged, c.expected(p))
	assert.ErrorIs(t, err, ErrGrantMismatch)
}

func TestNewGrantChecksItsTerms(t *testing.T) {
	p := Default()
	c := newGrantCase(t, p)
	for name, change := range map[string]func(*GrantTerms){
		"no request":   func(g *GrantTerms) { g.RequestID = [16]byte{} },
		"no record":    func(g *GrantTerms) { g.RecordID = [16]byte{} },
		"no digest":    func(g *GrantTerms) { g.CipherDigest = [32]byte{} },
		"no owner":     func(g *GrantTerms) { g.OwnerMSP = "" },
		"bad MSP":      func(g *GrantTerms) { g.RecipientMSP = "H 2" },
		"no purpose":   func(g *GrantTerms) { g.Purpose = "" },
		"long purpose": func(g *GrantTerms) { g.Purpose = string(bytes.Repeat([]byte("a"), 65)) },
		"no expiry":    func(g *GrantTerms) { g.Expiry = time.Time{} },
	} {
		terms := c.terms
		change(&terms)
		_, err := NewGrant(p, terms, testKey, c.recipient.Public(), c.sign(p))
		assert.ErrorIs(t, err, ErrMalformed, name)
	}
	_, err := NewGrant(p, c.terms, testKey, newKey(t).Public(), c.sign(p))
	assert.ErrorIs(t, err, ErrGrantMismatch, "another recipient key than named")
	_, err = NewGrant(p, c.terms, Key{}, c.recipient.Public(), c.sign(p))
	assert.ErrorIs(t, err, ErrInvalidKey)
	_, err = NewGrant(p, c.terms, testKey, PublicKey{}, c.sign(p))
	assert.ErrorIs(t, err, ErrInvalidKey)
}

func TestGrantEncodingIsStrict(t *testing.T) {
	p := Default()
	c := newGrantCase(t, p)
	for at := range c.encoded {
		bad := bytes.Clone(c.encoded)
		bad[at] ^= 1
		_, err := OpenGrant(p, bad, c.expected(p))
		require.Error(t, err, "byte %d", at)
	}
	for n := range c.encoded {
		_, err := ParseGrant(c.encoded[:n])
		require.Error(t, err, "first %d bytes", n)
	}
	_, err := ParseGrant(append(bytes.Clone(c.encoded), 0))
	assert.ErrorIs(t, err, ErrMalformed)
	_, err = ParseGrant(make([]byte, MaxGrant+1))
	assert.ErrorIs(t, err, ErrLimit)

	later := c.terms.body()
	later.Version = 2
	later.WrappedKey = make([]byte, wrappedKeySize)
	raw, err := grantEnc.Marshal(later)
	require.NoError(t, err)
	sig, err := p.Sign(c.owner, grantMessage(raw))
	require.NoError(t, err)
	encoded, err := grantEnc.Marshal(grantEnvelope{Body: raw, Signature: sig})
	require.NoError(t, err)
	_, err = ParseGrant(encoded)
	assert.ErrorIs(t, err, ErrUnsupported)
}

func FuzzParseGrant(f *testing.F) {
	c := newGrantCase(f, Default())
	f.Add(c.encoded)
	f.Add([]byte{0x82, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseGrant(b)
		if err != nil {
			return
		}
		again, err := grantEnc.Marshal(grantEnvelope{Body: g.raw, Signature: g.signature})
		if err != nil || !bytes.Equal(again, b) {
			t.Fatal("accepted a grant that is not canonical")
		}
	})
}
