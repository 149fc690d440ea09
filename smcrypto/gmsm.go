package smcrypto

import (
	"crypto/cipher"
	"crypto/rand"
	"hash"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// gmsmLibrary wraps github.com/emmansun/gmsm: assembly for SM3, SM4-GCM and the
// curve, constant-time arithmetic.
type gmsmLibrary struct{}

func (gmsmLibrary) name() string { return "gmsm" }

func (gmsmLibrary) generate() (*PrivateKey, error) {
	lib, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return wrapPrivate(lib)
}

func (gmsmLibrary) sign(key *PrivateKey, msg []byte) ([]byte, error) {
	lib, err := key.lib()
	if err != nil {
		return nil, err
	}
	return lib.Sign(rand.Reader, msg, sm2.DefaultSM2SignerOpts)
}

func (gmsmLibrary) verify(pub PublicKey, msg []byte, sig signature) bool {
	return sm2.VerifyASN1WithSM2(ecdsaPublic(pub), nil, msg, sig.der)
}

func (gmsmLibrary) verifyDigest(pub PublicKey, e []byte, sig signature) bool {
	return sm2.VerifyASN1(ecdsaPublic(pub), e, sig.der)
}

func (gmsmLibrary) encrypt(pub PublicKey, msg []byte) ([]byte, error) {
	return sm2.Encrypt(rand.Reader, ecdsaPublic(pub), msg, nil)
}

func (gmsmLibrary) decrypt(key *PrivateKey, ciphertext []byte) ([]byte, error) {
	lib, err := key.lib()
	if err != nil {
		return nil, err
	}
	return sm2.Decrypt(lib, ciphertext)
}

func (gmsmLibrary) newHash() hash.Hash { return sm3.New() }

func (gmsmLibrary) newBlock(key []byte) (cipher.Block, error) { return sm4.NewCipher(key) }
