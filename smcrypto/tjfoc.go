package smcrypto

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/asn1"
	"hash"
	"math/big"

	"github.com/tjfoc/gmsm/sm2"
	"github.com/tjfoc/gmsm/sm3"
	"github.com/tjfoc/gmsm/sm4"
)

// tjfocLibrary wraps github.com/tjfoc/gmsm, whose habits are met as follows: it
// takes an off-curve C1 and indexes short inputs blindly (guarded checks both
// first); its hash's Sum(b) digests b instead of appending to it (tjfocHash); its
// own GCM returns plaintext without comparing the tag (crypto/cipher's GCM is
// used over its block cipher); its arithmetic is not constant-time, so it should
// not sign or decrypt where an attacker can time it.
type tjfocLibrary struct{}

func (tjfocLibrary) name() string { return "tjfoc" }

func (tjfocLibrary) generate() (*PrivateKey, error) {
	lib, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	scalar := lib.D.FillBytes(make([]byte, PrivateKeySize))
	defer Zero(scalar)
	return NewPrivateKey(scalar)
}

func (tjfocLibrary) public(pub PublicKey) *sm2.PublicKey {
	x, y := pub.affine()
	return &sm2.PublicKey{Curve: sm2.P256Sm2(), X: x, Y: y}
}

func (l tjfocLibrary) private(key *PrivateKey) (*sm2.PrivateKey, error) {
	lib, err := key.lib()
	if err != nil {
		return nil, err
	}
	return &sm2.PrivateKey{PublicKey: *l.public(key.pub), D: new(big.Int).Set(lib.D)}, nil
}

func (l tjfocLibrary) sign(key *PrivateKey, msg []byte) ([]byte, error) {
	lib, err := l.private(key)
	if err != nil {
		return nil, err
	}
	r, s, err := sm2.Sm2Sign(lib, msg, []byte(DefaultUID), rand.Reader)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{r, s})
}

func (l tjfocLibrary) verify(pub PublicKey, msg []byte, sig signature) bool {
	return sm2.Sm2Verify(l.public(pub), msg, []byte(DefaultUID), sig.r, sig.s)
}

func (l tjfocLibrary) verifyDigest(pub PublicKey, e []byte, sig signature) bool {
	return sm2.Verify(l.public(pub), e, sig.r, sig.s)
}

func (l tjfocLibrary) encrypt(pub PublicKey, msg []byte) ([]byte, error) {
	return sm2.Encrypt(l.public(pub), msg, rand.Reader, sm2.C1C3C2)
}

func (l tjfocLibrary) decrypt(key *PrivateKey, ciphertext []byte) ([]byte, error) {
	lib, err := l.private(key)
	if err != nil {
		return nil, err
	}
	return sm2.Decrypt(lib, ciphertext, sm2.C1C3C2)
}

func (tjfocLibrary) newHash() hash.Hash { return &tjfocHash{sm3.New()} }

func (tjfocLibrary) newBlock(key []byte) (cipher.Block, error) { return sm4.NewCipher(key) }

// tjfocHash gives Sum the meaning that hash.Hash demands.
type tjfocHash struct{ hash.Hash }

func (h *tjfocHash) Sum(b []byte) []byte { return append(b, h.Hash.Sum(nil)...) }
