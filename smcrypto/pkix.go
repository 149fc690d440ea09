package smcrypto

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSM2Curve    = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

// spkiPoint takes the point out of a SubjectPublicKeyInfo, independent of any
// library's key types, and accepts the named SM2 curve only.
func spkiPoint(der []byte) (PublicKey, error) {
	var spki struct {
		Algorithm struct {
			Algorithm asn1.ObjectIdentifier
			Curve     asn1.ObjectIdentifier
		}
		Key asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &spki)
	if err != nil || len(rest) != 0 || spki.Key.BitLength != 8*len(spki.Key.Bytes) ||
		!spki.Algorithm.Algorithm.Equal(oidECPublicKey) || !spki.Algorithm.Curve.Equal(oidSM2Curve) {
		return PublicKey{}, fmt.Errorf("%w: not an SM2 public key", ErrCertificate)
	}
	return ParsePublicKey(spki.Key.Bytes)
}

// ParsePrivateKeyPEM reads one PKCS#8 ("PRIVATE KEY") SM2 key, unencrypted.
func ParsePrivateKeyPEM(data []byte) (key *PrivateKey, err error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%w: expected a PEM block \"PRIVATE KEY\" (PKCS#8, unencrypted)", ErrInvalidKey)
	}
	defer Zero(block.Bytes)
	err = guard("parse private key", func() error {
		parsed, err := smx509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("%w: not a PKCS#8 key", ErrInvalidKey)
		}
		lib, ok := parsed.(*sm2.PrivateKey)
		if !ok {
			return fmt.Errorf("%w: PKCS#8 key is not SM2", ErrInvalidKey)
		}
		scalar := lib.D.FillBytes(make([]byte, PrivateKeySize))
		defer Zero(scalar)
		key, err = NewPrivateKey(scalar)
		return err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// MarshalPrivateKeyPEM writes an unencrypted PKCS#8 key. The caller protects it.
func MarshalPrivateKeyPEM(key *PrivateKey) ([]byte, error) {
	lib, err := key.lib()
	if err != nil {
		return nil, err
	}
	der, err := smx509.MarshalPKCS8PrivateKey(lib)
	if err != nil {
		return nil, fmt.Errorf("%w: encode PKCS#8: %w", ErrProvider, err)
	}
	defer Zero(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ecdsaPublic converts a checked key; a failure would be a fault of the library.
func ecdsaPublic(pub PublicKey) *ecdsa.PublicKey {
	key, err := sm2.ParseUncompressedPublicKey(pub.point[:])
	if err != nil {
		panic("smcrypto: a point on the curve was refused") // becomes ErrProvider in guard
	}
	return key
}
