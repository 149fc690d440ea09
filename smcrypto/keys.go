package smcrypto

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"sync/atomic"

	"github.com/emmansun/gmsm/sm2"
)

// Sizes in bytes.
const (
	// PublicKeySize is an uncompressed SM2 point: 0x04 ‖ x ‖ y.
	PublicKeySize = 65
	// PrivateKeySize is an SM2 scalar, big-endian.
	PrivateKeySize = 32
	// KeySize is an SM4 key.
	KeySize = 16
	// DigestSize is an SM3 digest.
	DigestSize = 32
)

const redacted = "[redacted]"

// Curve parameters of GB/T 32918.5 (sm2p256v1).
var (
	curveP = fromHex("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff")
	curveB = fromHex("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93")
	curveN = fromHex("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123")
)

func fromHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("smcrypto: bad constant")
	}
	return n
}

// PublicKey is a point on the SM2 curve, known to be valid because it can only be
// made by [ParsePublicKey]. It is comparable. The zero value is no key and every
// operation refuses it.
type PublicKey struct {
	point [PublicKeySize]byte
}

// ParsePublicKey reads an uncompressed point (0x04 ‖ x ‖ y, 65 bytes). It refuses
// compressed and hybrid forms, coordinates not below p, points off the curve and
// the point at infinity with ErrInvalidKey.
func ParsePublicKey(point []byte) (PublicKey, error) {
	if len(point) != PublicKeySize || point[0] != 0x04 {
		return PublicKey{}, fmt.Errorf("%w: public key must be a %d-byte uncompressed point", ErrInvalidKey, PublicKeySize)
	}
	if !onCurve(point[1:33], point[33:65]) {
		return PublicKey{}, fmt.Errorf("%w: public key is not a point of the SM2 curve", ErrInvalidKey)
	}
	var k PublicKey
	copy(k.point[:], point)
	return k, nil
}

// onCurve checks x, y < p and y² = x³ − 3x + b (mod p). The point at infinity has
// no affine form, and (0,0) does not satisfy the equation, so both are refused.
func onCurve(xb, yb []byte) bool {
	x, y := new(big.Int).SetBytes(xb), new(big.Int).SetBytes(yb)
	if x.Cmp(curveP) >= 0 || y.Cmp(curveP) >= 0 {
		return false
	}
	left := new(big.Int).Mul(y, y)
	left.Mod(left, curveP)
	right := new(big.Int).Mul(x, x)
	right.Sub(right, big.NewInt(3))
	right.Mul(right, x)
	right.Add(right, curveB)
	right.Mod(right, curveP)
	return left.Cmp(right) == 0
}

// Bytes returns the uncompressed point, 65 bytes.
func (k PublicKey) Bytes() []byte { return append([]byte(nil), k.point[:]...) }

// IsZero reports whether k is the zero value, that is, no key.
func (k PublicKey) IsZero() bool { return k.point[0] != 0x04 }

// Fingerprint is SM3 over the 65-byte point. It names a recipient's key in grants.
func (k PublicKey) Fingerprint() [DigestSize]byte { return defaultProvider.SM3(k.point[:]) }

// String returns the first 8 bytes of the fingerprint in hex, enough to tell keys apart in a log.
func (k PublicKey) String() string {
	if k.IsZero() {
		return "sm2:none"
	}
	f := k.Fingerprint()
	return "sm2:" + hex.EncodeToString(f[:8])
}

// MarshalText returns the point in lowercase hex.
func (k PublicKey) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return []byte{}, nil
	}
	return []byte(hex.EncodeToString(k.point[:])), nil
}

// UnmarshalText reads what MarshalText wrote and checks the point.
func (k *PublicKey) UnmarshalText(text []byte) error {
	if len(text) != 2*PublicKeySize {
		return fmt.Errorf("%w: public key text must be %d hex digits", ErrInvalidKey, 2*PublicKeySize)
	}
	raw := make([]byte, PublicKeySize)
	if _, err := hex.Decode(raw, text); err != nil {
		return fmt.Errorf("%w: public key text is not hex", ErrInvalidKey)
	}
	parsed, err := ParsePublicKey(raw)
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

func (k PublicKey) affine() (x, y *big.Int) {
	return new(big.Int).SetBytes(k.point[1:33]), new(big.Int).SetBytes(k.point[33:65])
}

// PrivateKey is an SM2 private key, a scalar in [1, n−2]. It prints as
// "[redacted]" in every format, log and JSON document.
//
// It is safe for concurrent use, except that [PrivateKey.Destroy] must not run
// beside another operation on the same key.
type PrivateKey struct {
	key atomic.Pointer[sm2.PrivateKey]
	pub PublicKey
}

// NewPrivateKey reads a 32-byte big-endian scalar. A scalar outside [1, n−2]
// (GB/T 32918.1, 6.1) is refused with ErrInvalidKey.
func NewPrivateKey(scalar []byte) (*PrivateKey, error) {
	if len(scalar) != PrivateKeySize {
		return nil, fmt.Errorf("%w: private key must be %d bytes", ErrInvalidKey, PrivateKeySize)
	}
	var out *PrivateKey
	err := guard("derive public key", func() error {
		lib, err := sm2.NewPrivateKey(scalar)
		if err != nil {
			return fmt.Errorf("%w: private key is outside [1, n-2]", ErrInvalidKey)
		}
		out, err = wrapPrivate(lib)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func wrapPrivate(lib *sm2.PrivateKey) (*PrivateKey, error) {
	var point [PublicKeySize]byte
	point[0] = 0x04
	lib.X.FillBytes(point[1:33])
	lib.Y.FillBytes(point[33:65])
	pub, err := ParsePublicKey(point[:])
	if err != nil {
		return nil, err
	}
	k := &PrivateKey{pub: pub}
	k.key.Store(lib)
	return k, nil
}

// Public returns the matching public key.
func (k *PrivateKey) Public() PublicKey { return k.pub }

// ExposeScalar returns a copy of the secret scalar, 32 bytes, for a keystore that
// wraps it. The caller zeroes the copy. It returns ErrInvalidKey after Destroy.
func (k *PrivateKey) ExposeScalar() ([]byte, error) {
	lib, err := k.lib()
	if err != nil {
		return nil, err
	}
	return lib.D.FillBytes(make([]byte, PrivateKeySize)), nil
}

// Equal compares in constant time. Two destroyed keys are not equal.
func (k *PrivateKey) Equal(o *PrivateKey) bool {
	if k == nil || o == nil {
		return false
	}
	a, errA := k.ExposeScalar()
	b, errB := o.ExposeScalar()
	if errA != nil || errB != nil {
		return false
	}
	defer Zero(a)
	defer Zero(b)
	return subtle.ConstantTimeCompare(a, b) == 1
}

// Destroy overwrites the scalar and makes every later use fail with
// ErrInvalidKey. The library's cached inverse is released but cannot be
// overwritten from outside; the garbage collector reclaims it.
func (k *PrivateKey) Destroy() {
	if k == nil {
		return
	}
	if lib := k.key.Swap(nil); lib != nil {
		words := lib.D.Bits()
		for i := range words {
			words[i] = 0
		}
	}
}

func (k *PrivateKey) lib() (*sm2.PrivateKey, error) {
	if k == nil {
		return nil, fmt.Errorf("%w: no private key", ErrInvalidKey)
	}
	lib := k.key.Load()
	if lib == nil {
		return nil, fmt.Errorf("%w: private key was destroyed", ErrInvalidKey)
	}
	return lib, nil
}

// String, GoString, Format, LogValue and MarshalJSON never show the key.
func (k *PrivateKey) String() string { return redacted }

// GoString is for %#v.
func (k *PrivateKey) GoString() string { return redacted }

// Format is for every other verb.
func (k *PrivateKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue is for slog.
func (k *PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is for encoding/json.
func (k *PrivateKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Key is a 16-byte SM4 key, such as a record key K_r or a data key. It prints as
// "[redacted]" everywhere; take k[:] to reach the bytes.
type Key [KeySize]byte

// ParseKey copies a 16-byte key and refuses the all-zero one, which only a bug produces.
func ParseKey(b []byte) (Key, error) {
	var k Key
	if len(b) != KeySize {
		return k, fmt.Errorf("%w: symmetric key must be %d bytes", ErrInvalidKey, KeySize)
	}
	copy(k[:], b)
	if k.isZero() {
		return Key{}, fmt.Errorf("%w: symmetric key is all zero", ErrInvalidKey)
	}
	return k, nil
}

func (k Key) isZero() bool {
	var none Key
	return subtle.ConstantTimeCompare(k[:], none[:]) == 1
}

// Equal compares in constant time.
func (k Key) Equal(o Key) bool { return subtle.ConstantTimeCompare(k[:], o[:]) == 1 }

// String never shows the key.
func (k Key) String() string { return redacted }

// GoString is for %#v.
func (k Key) GoString() string { return redacted }

// Format is for every other verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue is for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is for encoding/json.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText refuses: a key has no text form.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Zero overwrites b.
func Zero(b []byte) { clear(b) }
