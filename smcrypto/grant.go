package smcrypto

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Constants of the key grant format, version 1.
const (
	GrantVersion = 1
	// MaxGrant bounds an encoded grant, in bytes.
	MaxGrant = 2048
	// MaxPurposeLength bounds the purpose code, in bytes.
	MaxPurposeLength = 64

	grantDomain        = "emrbridge/key-grant/v1\x00"
	grantContextDomain = "emrbridge/key-grant-context/v1\x00"
	wrappedKeySize     = CiphertextOverhead + KeySize + DigestSize
)

// GrantTerms are what a key grant is bound to. All fields are required.
type GrantTerms struct {
	// RequestID is the access request on the ledger that this grant answers.
	RequestID [16]byte
	// RecordID is the record whose key is handed over.
	RecordID [RecordIDSize]byte
	// OwnerMSP granted; RecipientMSP may open.
	OwnerMSP, RecipientMSP string
	// RecipientKey is the fingerprint of the recipient's encryption key.
	RecipientKey [DigestSize]byte
	// Purpose is the consented purpose code: 1 to 64 of A-Z a-z 0-9 . _ -
	Purpose string
	// Expiry is the last instant at which the grant may be opened, whole milliseconds.
	Expiry time.Time
	// CipherDigest is h(EMR_en) of the sealed record that the key opens.
	CipherDigest [DigestSize]byte
}

// grantBody is the signed part: a CBOR map with integer keys, core deterministic encoding (RFC 8949, 4.2.1).
type grantBody struct {
	Version      uint64 `cbor:"1,keyasint"`
	RequestID    []byte `cbor:"2,keyasint"`
	RecordID     []byte `cbor:"3,keyasint"`
	OwnerMSP     string `cbor:"4,keyasint"`
	RecipientMSP string `cbor:"5,keyasint"`
	RecipientKey []byte `cbor:"6,keyasint"`
	Purpose      string `cbor:"7,keyasint"`
	ExpiryMillis int64  `cbor:"8,keyasint"`
	CipherDigest []byte `cbor:"9,keyasint"`
	// WrappedKey is absent from the context that goes into the SM2 plaintext.
	WrappedKey []byte `cbor:"10,keyasint,omitempty"`
}

// grantEnvelope is the whole grant: CBOR array [body bytes, DER signature].
type grantEnvelope struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte
}

var (
	grantEnc = must(cbor.CoreDetEncOptions().EncMode())
	grantDec = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       16,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// NewGrant wraps a record key to a recipient and has the owner sign the result.
// sign receives the bytes to sign and returns DER (the owner's signing key).
// recipient must be the key that terms.RecipientKey names; a zero RecipientKey is
// filled in from it.
func NewGrant(p Provider, terms GrantTerms, key Key, recipient PublicKey, sign func(msg []byte) ([]byte, error)) ([]byte, error) {
	if recipient.IsZero() || key.isZero() {
		return nil, fmt.Errorf("%w: grant needs a record key and a recipient", ErrInvalidKey)
	}
	fingerprint := recipient.Fingerprint()
	if terms.RecipientKey == ([DigestSize]byte{}) {
		terms.RecipientKey = fingerprint
	}
	if terms.RecipientKey != fingerprint {
		return nil, fmt.Errorf("%w: recipient key is not the one named in the terms", ErrGrantMismatch)
	}
	body := terms.body()
	if err := body.validate(); err != nil {
		return nil, err
	}
	context, err := body.contextDigest(p)
	if err != nil {
		return nil, err
	}
	plain := append(append(make([]byte, 0, KeySize+DigestSize), key[:]...), context[:]...)
	defer Zero(plain)
	if body.WrappedKey, err = p.Encrypt(recipient, plain); err != nil {
		return nil, fmt.Errorf("wrap record key: %w", err)
	}
	return signGrant(body, sign)
}

func signGrant(body grantBody, sign func([]byte) ([]byte, error)) ([]byte, error) {
	raw, err := grantEnc.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("smcrypto: encode grant: %w", err)
	}
	sig, err := sign(grantMessage(raw))
	if err != nil {
		return nil, fmt.Errorf("smcrypto: sign grant: %w", err)
	}
	if err := CheckSignatureEncoding(sig); err != nil {
		return nil, err
	}
	out, err := grantEnc.Marshal(grantEnvelope{Body: raw, Signature: sig})
	if err != nil {
		return nil, fmt.Errorf("smcrypto: encode grant: %w", err)
	}
	return out, nil
}

func grantMessage(body []byte) []byte { return append([]byte(grantDomain), body...) }

func (t GrantTerms) body() grantBody {
	return grantBody{
		Version: GrantVersion, RequestID: t.RequestID[:], RecordID: t.RecordID[:],
		OwnerMSP: t.OwnerMSP, RecipientMSP: t.RecipientMSP, RecipientKey: t.RecipientKey[:],
		Purpose: t.Purpose, ExpiryMillis: t.Expiry.UnixMilli(), CipherDigest: t.CipherDigest[:],
	}
}

func (b grantBody) validate() error {
	switch {
	case b.Version != GrantVersion:
		return fmt.Errorf("%w: grant version %d", ErrUnsupported, b.Version)
	case len(b.RequestID) != 16, len(b.RecordID) != RecordIDSize,
		len(b.RecipientKey) != DigestSize, len(b.CipherDigest) != DigestSize:
		return fmt.Errorf("%w: grant: wrong field length", ErrMalformed)
	case allZero(b.RequestID), allZero(b.RecordID), allZero(b.CipherDigest):
		return fmt.Errorf("%w: grant: empty request, record or cipher digest", ErrMalformed)
	case !validMSPID(b.OwnerMSP), !validMSPID(b.RecipientMSP):
		return fmt.Errorf("%w: grant: MSP id", ErrMalformed)
	case len(b.Purpose) > MaxPurposeLength || !validMSPID(b.Purpose):
		return fmt.Errorf("%w: grant: purpose must be 1 to %d of A-Z a-z 0-9 . _ -", ErrMalformed, MaxPurposeLength)
	case b.ExpiryMillis <= 0 || b.ExpiryMillis > maxUnixMillis:
		return fmt.Errorf("%w: grant: expiry out of range", ErrMalformed)
	}
	return nil
}

// contextDigest is SM3(domain ‖ canonical body without the wrapped key). It is
// encrypted beside the record key, so a wrapped key cannot be lifted into another grant.
func (b grantBody) contextDigest(p Provider) ([DigestSize]byte, error) {
	b.WrappedKey = nil
	raw, err := grantEnc.Marshal(b)
	if err != nil {
		return [DigestSize]byte{}, fmt.Errorf("smcrypto: encode grant context: %w", err)
	}
	return p.SM3([]byte(grantContextDomain), raw), nil
}

// Grant is a parsed grant whose signature has not been checked.
type Grant struct {
	Terms     GrantTerms
	body      grantBody
	raw       []byte
	signature []byte
}

// ParseGrant reads an encoded grant strictly: bounded, canonical, no unknown
// fields, nothing after the end. It checks no signature.
func ParseGrant(encoded []byte) (Grant, error) {
	if len(encoded) > MaxGrant {
		return Grant{}, fmt.Errorf("%w: grant exceeds %d bytes", ErrLimit, MaxGrant)
	}
	var env grantEnvelope
	if err := decodeCanonical(encoded, &env); err != nil {
		return Grant{}, err
	}
	var body grantBody
	if err := decodeCanonical(env.Body, &body); err != nil {
		return Grant{}, err
	}
	if err := body.validate(); err != nil {
		return Grant{}, err
	}
	if len(body.WrappedKey) != wrappedKeySize {
		return Grant{}, fmt.Errorf("%w: grant: wrapped key must be %d bytes", ErrMalformed, wrappedKeySize)
	}
	if err := CheckSignatureEncoding(env.Signature); err != nil {
		return Grant{}, err
	}
	g := Grant{body: body, raw: env.Body, signature: env.Signature, Terms: GrantTerms{
		OwnerMSP: body.OwnerMSP, RecipientMSP: body.RecipientMSP, Purpose: body.Purpose,
		Expiry: time.UnixMilli(body.ExpiryMillis).UTC(),
	}}
	copy(g.Terms.RequestID[:], body.RequestID)
	copy(g.Terms.RecordID[:], body.RecordID)
	copy(g.Terms.RecipientKey[:], body.RecipientKey)
	copy(g.Terms.CipherDigest[:], body.CipherDigest)
	return g, nil
}

// decodeCanonical decodes and requires that encoding again gives the same bytes.
func decodeCanonical[T any](b []byte, v *T) error {
	if err := grantDec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: grant: not valid CBOR of this format", ErrMalformed)
	}
	again, err := grantEnc.Marshal(*v)
	if err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: grant: not canonical", ErrMalformed)
	}
	return nil
}

// Expected is what the recipient asked for; every field must match the grant.
type Expected struct {
	// Terms are compared field by field, except Expiry, which is compared with Now.
	Terms GrantTerms
	// Owner is the owner's registered signing key.
	Owner PublicKey
	// Now is the recipient's time.
	Now time.Time
	// Decrypt decrypts with the recipient's encryption key (custody).
	Decrypt func(ciphertext []byte) ([]byte, error)
}

// OpenGrant verifies a grant against what was expected and returns the record key.
// Errors: ErrMalformed, ErrInvalidSignature, ErrGrantMismatch (naming the field),
// ErrGrantExpired, ErrInvalidCiphertext.
func OpenGrant(p Provider, encoded []byte, want Expected) (Key, error) {
	g, err := ParseGrant(encoded)
	if err != nil {
		return Key{}, err
	}
	if err := p.Verify(want.Owner, grantMessage(g.raw), g.signature); err != nil {
		return Key{}, fmt.Errorf("key grant: %w", err)
	}
	if err := g.match(want); err != nil {
		return Key{}, err
	}
	plain, err := want.Decrypt(g.body.WrappedKey)
	if err != nil {
		return Key{}, fmt.Errorf("unwrap record key: %w", err)
	}
	defer Zero(plain)
	context, err := g.body.contextDigest(p)
	if err != nil {
		return Key{}, err
	}
	if len(plain) != KeySize+DigestSize || subtle.ConstantTimeCompare(plain[KeySize:], context[:]) != 1 {
		return Key{}, fmt.Errorf("%w: the wrapped key belongs to another grant", ErrGrantMismatch)
	}
	return ParseKey(plain[:KeySize])
}

func (g Grant) match(want Expected) error {
	t, w := g.Terms, want.Terms
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"request", t.RequestID == w.RequestID},
		{"record", t.RecordID == w.RecordID},
		{"owner", t.OwnerMSP == w.OwnerMSP},
		{"recipient", t.RecipientMSP == w.RecipientMSP},
		{"recipient key", t.RecipientKey == w.RecipientKey},
		{"purpose", t.Purpose == w.Purpose},
		{"cipher digest", t.CipherDigest == w.CipherDigest},
	} {
		if !f.ok {
			return fmt.Errorf("%w: other %s", ErrGrantMismatch, f.name)
		}
	}
	if want.Now.After(t.Expiry) {
		return fmt.Errorf("%w: at %s", ErrGrantExpired, t.Expiry.Format(time.RFC3339))
	}
	return nil
}
