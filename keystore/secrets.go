package keystore

import (
	"crypto/rand"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/emrbridge/emrbridge/smcrypto"
)

const (
	secretsVersion = 1
	secretsDomain  = "emrbridge/keystore/secrets/v1\x00"
	maxDataKeys    = 4096
)

// secrets is everything but the patients' keys. It lives sealed in secrets.bin and
// is replaced as a whole.
type secrets struct {
	Version     uint64              `cbor:"1,keyasint"`
	Number      uint16              `cbor:"2,keyasint"`
	MSPID       string              `cbor:"3,keyasint"`
	SigningKey  []byte              `cbor:"4,keyasint,omitempty"`
	EncryptKey  []byte              `cbor:"5,keyasint,omitempty"`
	SigningCert []byte              `cbor:"6,keyasint,omitempty"`
	EncryptCert []byte              `cbor:"7,keyasint,omitempty"`
	IdentityKey []byte              `cbor:"8,keyasint"`
	StaffKey    []byte              `cbor:"9,keyasint"`
	DataKeys    map[string][][]byte `cbor:"10,keyasint"`
}

var (
	secretsEnc = mustMode(cbor.CoreDetEncOptions().EncMode())
	secretsDec = mustMode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxArrayElements:  maxDataKeys,
	}.DecMode())
)

func mustMode[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// seal encodes and encrypts, bound to the keystore's id.
func (s *secrets) seal(key smcrypto.Key, id []byte) ([]byte, error) {
	plain, err := secretsEnc.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keystore: encode secrets: %w", err)
	}
	defer smcrypto.Zero(plain)
	return smcrypto.SealBlob(smcrypto.Default(), key, secretsAAD(id), plain)
}

func openSecrets(key smcrypto.Key, id, sealed []byte) (*secrets, error) {
	plain, err := smcrypto.OpenBlob(smcrypto.Default(), key, secretsAAD(id), sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: secrets file: %w", ErrCorrupt, err)
	}
	defer smcrypto.Zero(plain)
	var s secrets
	if err := secretsDec.Unmarshal(plain, &s); err != nil {
		return nil, fmt.Errorf("%w: secrets file does not decode", ErrCorrupt)
	}
	if s.Version != secretsVersion {
		return nil, fmt.Errorf("%w: secrets file version %d is unknown", ErrCorrupt, s.Version)
	}
	if len(s.IdentityKey) != identityKeySize || len(s.StaffKey) != identityKeySize {
		return nil, fmt.Errorf("%w: secrets file lacks the identity key", ErrCorrupt)
	}
	return &s, nil
}

func secretsAAD(id []byte) []byte { return append([]byte(secretsDomain), id...) }

// clone is a deep copy, so that a failed write leaves the current secrets as they are.
func (s *secrets) clone() *secrets {
	c := *s
	for _, f := range []*[]byte{&c.SigningKey, &c.EncryptKey, &c.SigningCert, &c.EncryptCert, &c.IdentityKey, &c.StaffKey} {
		*f = append([]byte(nil), *f...)
	}
	c.DataKeys = make(map[string][][]byte, len(s.DataKeys))
	for use, versions := range s.DataKeys {
		for _, v := range versions {
			c.DataKeys[use] = append(c.DataKeys[use], append([]byte(nil), v...))
		}
	}
	return &c
}

func (s *secrets) zero() {
	for _, f := range [][]byte{s.SigningKey, s.EncryptKey, s.IdentityKey, s.StaffKey} {
		smcrypto.Zero(f)
	}
	for _, versions := range s.DataKeys {
		for _, v := range versions {
			smcrypto.Zero(v)
		}
	}
}

// newSecrets draws what a fresh keystore needs. identityKey may be nil.
func newSecrets(opts CreateOptions) (*secrets, error) {
	s := &secrets{
		Version: secretsVersion, Number: opts.Number, MSPID: opts.MSPID,
		IdentityKey: append([]byte(nil), opts.IdentityKey...),
		DataKeys:    map[string][][]byte{},
	}
	var err error
	if len(s.IdentityKey) == 0 {
		if s.IdentityKey, err = randomBytes(identityKeySize); err != nil {
			return nil, err
		}
	}
	if s.StaffKey, err = randomBytes(identityKeySize); err != nil {
		return nil, err
	}
	for _, use := range []DataUse{UseQuarantine, UseBus} {
		k, err := randomBytes(smcrypto.KeySize)
		if err != nil {
			return nil, err
		}
		s.DataKeys[string(use)] = [][]byte{k}
	}
	return s, nil
}

func randomBytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("keystore: draw key: %w", err)
	}
	return b, nil
}
