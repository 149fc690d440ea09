package smcrypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"hash"
	"math/big"
)

// Bounds of the SM2 operations, in bytes.
const (
	// MaxMessage bounds what is signed or verified in one call.
	MaxMessage = 64 << 20
	// MinPlaintext and MaxPlaintext bound SM2 public-key encryption, which only wraps
	// keys here. Below 16 bytes an all-zero mask becomes likely enough to matter, and
	// after drawing again gmsm encrypts to a wrong point (its loop overwrites the
	// recipient's), while its decryption refuses an all-zero C2.
	MinPlaintext = 16
	MaxPlaintext = 4096
	// CiphertextOverhead is what SM2 encryption adds: 0x04 ‖ x ‖ y ‖ C3.
	CiphertextOverhead = 1 + 64 + DigestSize
)

// DefaultUID is the signer identity of GM/T 0009, used for every signature.
const DefaultUID = "1234567812345678"

// Provider is one implementation of the national algorithms. Both shipped
// providers accept what the other produces. Implementations are stateless and
// safe for concurrent use; the hash, block and AEAD values they return are not.
//
// Encodings:
//   - signatures are DER SEQUENCE{r, s} (GB/T 35276, 7.2), strictly checked:
//     minimal integers, nothing after the end, r and s in [1, n−1];
//   - SM2 ciphertexts are the raw string 0x04 ‖ x ‖ y ‖ C3 ‖ C2 (order C1C3C2):
//     it has exactly one form per ciphertext and a fixed overhead. Convert with
//     [CiphertextToASN1] and [CiphertextFromASN1] for a device or library that
//     speaks the ASN.1 form of GB/T 35276, 7.3.
type Provider interface {
	// Name is the stable name used in configuration and reports.
	Name() string
	// GenerateKey makes a fresh SM2 key pair from the operating system's randomness.
	GenerateKey() (*PrivateKey, error)
	// Sign signs msg with SM3 and the default user id and returns DER.
	Sign(key *PrivateKey, msg []byte) ([]byte, error)
	// Verify returns nil or ErrInvalidSignature. It is deterministic.
	Verify(pub PublicKey, msg, sig []byte) error
	// VerifyDigest verifies over e, the 32-byte digest SM3(Z_A ‖ M) of GB/T 32918.2.
	VerifyDigest(pub PublicKey, e [DigestSize]byte, sig []byte) error
	// Encrypt encrypts MinPlaintext to MaxPlaintext bytes to pub.
	Encrypt(pub PublicKey, plaintext []byte) ([]byte, error)
	// Decrypt undoes Encrypt; any failure is ErrInvalidCiphertext without detail.
	Decrypt(key *PrivateKey, ciphertext []byte) ([]byte, error)
	// NewSM3 returns a running SM3 hash.
	NewSM3() hash.Hash
	// SM3 hashes the concatenation of parts.
	SM3(parts ...[]byte) [DigestSize]byte
	// NewSM4 returns the block cipher.
	NewSM4(key Key) (cipher.Block, error)
	// NewGCM returns SM4-GCM with a 12-byte nonce and a 16-byte tag. A nonce of
	// another length is the caller's bug and panics, as with crypto/cipher.
	NewGCM(key Key) (cipher.AEAD, error)
}

var (
	defaultProvider Provider = &guarded{lib: gmsmLibrary{}}
	secondProvider  Provider = &guarded{lib: tjfocLibrary{}}
)

// Default returns the fast provider, github.com/emmansun/gmsm.
func Default() Provider { return defaultProvider }

// Tjfoc returns the second provider, github.com/tjfoc/gmsm. It is some ten times
// slower and serves as the independent opinion of the verifier.
func Tjfoc() Provider { return secondProvider }

// Providers returns both, the default first.
func Providers() []Provider { return []Provider{defaultProvider, secondProvider} }

// ProviderByName finds a provider by its configuration name, "gmsm" or "tjfoc".
func ProviderByName(name string) (Provider, error) {
	for _, p := range Providers() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("smcrypto: no provider %q; use \"gmsm\" or \"tjfoc\"", name)
}

// library is what a wrapped package must offer. Its inputs were checked by guarded.
type library interface {
	name() string
	generate() (*PrivateKey, error)
	sign(key *PrivateKey, msg []byte) ([]byte, error)
	verify(pub PublicKey, msg []byte, sig signature) bool
	verifyDigest(pub PublicKey, e []byte, sig signature) bool
	encrypt(pub PublicKey, msg []byte) ([]byte, error)
	decrypt(key *PrivateKey, ciphertext []byte) ([]byte, error)
	newHash() hash.Hash
	newBlock(key []byte) (cipher.Block, error)
}

// signature is a checked signature in both forms a library may want.
type signature struct {
	der  []byte
	r, s *big.Int
}

// guarded puts the checks that no library may be trusted with in front of it.
type guarded struct{ lib library }

// guard turns a panic of a library into ErrProvider. The panic's value is dropped:
// it may quote the library's operands.
func guard(step string, fn func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%w: %s panicked", ErrProvider, step)
		}
	}()
	return fn()
}

func (g *guarded) Name() string { return g.lib.name() }

func (g *guarded) GenerateKey() (key *PrivateKey, err error) {
	err = guard("generate key", func() error {
		key, err = g.lib.generate()
		if err != nil {
			return fmt.Errorf("%w: generate key: %w", ErrProvider, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (g *guarded) Sign(key *PrivateKey, msg []byte) (sig []byte, err error) {
	if len(msg) > MaxMessage {
		return nil, fmt.Errorf("%w: message to sign exceeds %d bytes", ErrLimit, MaxMessage)
	}
	if _, err := key.lib(); err != nil {
		return nil, err
	}
	err = guard("sign", func() error {
		sig, err = g.lib.sign(key, msg)
		if err != nil {
			return fmt.Errorf("%w: sign: %w", ErrProvider, err)
		}
		_, err = parseSignature(sig)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

func (g *guarded) Verify(pub PublicKey, msg, sig []byte) error {
	if len(msg) > MaxMessage {
		return fmt.Errorf("%w: message to verify exceeds %d bytes", ErrLimit, MaxMessage)
	}
	return g.check(pub, sig, func(parsed signature) bool { return g.lib.verify(pub, msg, parsed) })
}

func (g *guarded) VerifyDigest(pub PublicKey, e [DigestSize]byte, sig []byte) error {
	return g.check(pub, sig, func(parsed signature) bool { return g.lib.verifyDigest(pub, e[:], parsed) })
}

func (g *guarded) check(pub PublicKey, sig []byte, verify func(signature) bool) error {
	if pub.IsZero() {
		return fmt.Errorf("%w: no public key", ErrInvalidKey)
	}
	parsed, err := parseSignature(sig)
	if err != nil {
		return err
	}
	return guard("verify", func() error {
		if !verify(parsed) {
			return fmt.Errorf("%w: does not verify", ErrInvalidSignature)
		}
		return nil
	})
}

func (g *guarded) Encrypt(pub PublicKey, plaintext []byte) (ct []byte, err error) {
	if pub.IsZero() {
		return nil, fmt.Errorf("%w: no public key", ErrInvalidKey)
	}
	if len(plaintext) < MinPlaintext || len(plaintext) > MaxPlaintext {
		return nil, fmt.Errorf("%w: SM2 plaintext must be %d to %d bytes", ErrLimit, MinPlaintext, MaxPlaintext)
	}
	err = guard("encrypt", func() error {
		ct, err = g.lib.encrypt(pub, plaintext)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: encrypt: %w", ErrProvider, err)
	}
	if len(ct) != CiphertextOverhead+len(plaintext) || ct[0] != 0x04 {
		return nil, fmt.Errorf("%w: encrypt returned an unexpected encoding", ErrProvider)
	}
	return ct, nil
}

func (g *guarded) Decrypt(key *PrivateKey, ciphertext []byte) (plain []byte, err error) {
	if _, err := key.lib(); err != nil {
		return nil, err
	}
	if err := checkCiphertext(ciphertext); err != nil {
		return nil, err
	}
	err = guard("decrypt", func() error {
		plain, err = g.lib.decrypt(key, ciphertext)
		return err
	})
	// Equal to C2 means that the mask was all zero, which GB/T 32918.4, 7.1 refuses
	// and gmsm does not notice.
	if err != nil || len(plain) != len(ciphertext)-CiphertextOverhead ||
		subtle.ConstantTimeCompare(plain, ciphertext[CiphertextOverhead:]) == 1 {
		Zero(plain)
		return nil, fmt.Errorf("%w: does not decrypt under this key", ErrInvalidCiphertext)
	}
	return plain, nil
}

func (g *guarded) NewSM3() hash.Hash { return g.lib.newHash() }

func (g *guarded) SM3(parts ...[]byte) (sum [DigestSize]byte) {
	h := g.lib.newHash()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

func (g *guarded) NewSM4(key Key) (block cipher.Block, err error) {
	err = guard("sm4", func() error {
		block, err = g.lib.newBlock(key[:])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: sm4: %w", ErrProvider, err)
	}
	return block, nil
}

func (g *guarded) NewGCM(key Key) (cipher.AEAD, error) {
	block, err := g.NewSM4(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("%w: sm4-gcm: %w", ErrProvider, err)
	}
	return aead, nil
}

func allZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
