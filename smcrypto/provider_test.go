package smcrypto

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachProvider runs a test with both providers.
func eachProvider(t *testing.T, run func(t *testing.T, p Provider)) {
	for _, p := range Providers() {
		t.Run(p.Name(), func(t *testing.T) { run(t, p) })
	}
}

// eachPair runs a test with every ordered pair: one produces, the other accepts.
func eachPair(t *testing.T, run func(t *testing.T, from, to Provider)) {
	for _, from := range Providers() {
		for _, to := range Providers() {
			t.Run(from.Name()+"→"+to.Name(), func(t *testing.T) { run(t, from, to) })
		}
	}
}

func newKey(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := Default().GenerateKey()
	require.NoError(t, err)
	return k
}

func TestSelfTest(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) { assert.NoError(t, SelfTest(p)) })
}

// A provider that computes wrongly or panics must not get past the self test.
func TestSelfTestFailsClosed(t *testing.T) {
	for name, p := range map[string]Provider{
		"wrong hash":      &guarded{wrongLibrary{gmsmLibrary{}, "hash"}},
		"verifies all":    &guarded{wrongLibrary{gmsmLibrary{}, "verify"}},
		"panics":          &guarded{wrongLibrary{gmsmLibrary{}, "panic"}},
		"wrong plaintext": &guarded{wrongLibrary{gmsmLibrary{}, "decrypt"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := SelfTest(p)
			require.ErrorIs(t, err, ErrSelfTest)
			assert.NotContains(t, err.Error(), "secret operand")
		})
	}
}

type wrongLibrary struct {
	gmsmLibrary
	fault string
}

func (w wrongLibrary) verify(pub PublicKey, msg []byte, sig signature) bool {
	switch w.fault {
	case "verify":
		return true
	case "panic":
		panic("secret operand")
	}
	return w.gmsmLibrary.verify(pub, msg, sig)
}

func (w wrongLibrary) decrypt(key *PrivateKey, ct []byte) ([]byte, error) {
	out, err := w.gmsmLibrary.decrypt(key, ct)
	if w.fault == "decrypt" && len(out) > 0 {
		out[0] ^= 1
	}
	return out, err
}

func (w wrongLibrary) newHash() (h hash.Hash) {
	h = w.gmsmLibrary.newHash()
	if w.fault == "hash" {
		h.Write([]byte{0})
	}
	return h
}

func TestSignaturesCross(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to Provider) {
		for _, size := range []int{0, 1, 55, 56, 63, 64, 65, 4096} {
			key, msg := newKey(t), make([]byte, size)
			_, _ = rand.Read(msg)
			sig, err := from.Sign(key, msg)
			require.NoError(t, err)
			require.NoError(t, to.Verify(key.Public(), msg, sig))
			e, err := SM2Digest(to, key.Public(), []byte(DefaultUID), msg)
			require.NoError(t, err)
			require.NoError(t, to.VerifyDigest(key.Public(), e, sig))
			assert.ErrorIs(t, to.Verify(newKey(t).Public(), msg, sig), ErrInvalidSignature)
			assert.ErrorIs(t, to.Verify(key.Public(), append(msg, 0), sig), ErrInvalidSignature)
		}
	})
}

func TestEncryptionCross(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to Provider) {
		for _, size := range []int{MinPlaintext, 17, 31, 32, 33, 48, 100, MaxPlaintext} {
			key, msg := newKey(t), make([]byte, size)
			_, _ = rand.Read(msg)
			ct, err := from.Encrypt(key.Public(), msg)
			require.NoError(t, err)
			plain, err := to.Decrypt(key, ct)
			require.NoError(t, err)
			require.Equal(t, msg, plain)
			der, err := CiphertextToASN1(ct)
			require.NoError(t, err)
			back, err := CiphertextFromASN1(der)
			require.NoError(t, err)
			require.Equal(t, ct, back)
		}
	})
}

func TestHashesAgreeInAnyPieces(t *testing.T) {
	data := make([]byte, 1000)
	_, _ = rand.Read(data)
	for n := 0; n <= len(data); n += 37 {
		a, b := Default().NewSM3(), Tjfoc().NewSM3()
		for off := 0; off < n; off += 13 {
			a.Write(data[off:min(off+13, n)])
			b.Write(data[off:min(off+13, n)])
		}
		// Sum appends and may be called in the middle.
		assert.Equal(t, a.Sum([]byte("x")), b.Sum([]byte("x")))
		a.Write(data)
		b.Write(data)
		assert.Equal(t, a.Sum(nil), b.Sum(nil))
	}
	a, err := HKDF(Default(), data[:16], data[16:32], "info", 100)
	require.NoError(t, err)
	b, err := HKDF(Tjfoc(), data[:16], data[16:32], "info", 100)
	require.NoError(t, err)
	assert.Equal(t, a, b)
	_, err = HKDF(Default(), data, nil, "", 255*32+1)
	assert.ErrorIs(t, err, ErrLimit)
}

func TestDecryptRefusesBadInput(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		key := newKey(t)
		good, err := p.Encrypt(key.Public(), []byte("sixteen byte key"))
		require.NoError(t, err)
		for name, ct := range badCiphertexts(good) {
			_, err := p.Decrypt(key, ct)
			assert.ErrorIs(t, err, ErrInvalidCiphertext, name)
		}
		_, err = p.Decrypt(newKey(t), good)
		assert.ErrorIs(t, err, ErrInvalidCiphertext, "other key")
	})
}

func badCiphertexts(good []byte) map[string][]byte {
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	flip := func(at int) []byte { return edit(func(b []byte) []byte { b[at] ^= 1; return b }) }
	return map[string][]byte{
		"nil":            nil,
		"one byte":       {4},
		"head only":      good[:CiphertextOverhead],
		"compressed":     edit(func(b []byte) []byte { b[0] = 2; return b }),
		"hybrid":         edit(func(b []byte) []byte { b[0] = 6; return b }),
		"ASN.1 tag":      edit(func(b []byte) []byte { b[0] = 0x30; return b }),
		"off the curve":  flip(64),
		"x changed":      flip(10),
		"C3 changed":     flip(65),
		"C2 changed":     flip(len(good) - 1),
		"infinity":       edit(func(b []byte) []byte { clear(b[1:65]); return b }),
		"x not below p":  edit(func(b []byte) []byte { copy(b[1:], bytes.Repeat([]byte{0xff}, 32)); return b }),
		"one byte more":  append(bytes.Clone(good), 0),
		"one byte less":  good[:len(good)-1],
		"beyond the max": make([]byte, CiphertextOverhead+MaxPlaintext+1),
	}
}

func TestVerifyRefusesBadSignatures(t *testing.T) {
	key := newKey(t)
	good, err := Default().Sign(key, []byte("m"))
	require.NoError(t, err)
	parsed, err := parseSignature(good)
	require.NoError(t, err)
	der := func(r, s *big.Int) []byte { return encodeSignature(t, r, s) }
	n := curveN
	eachProvider(t, func(t *testing.T, p Provider) {
		for name, sig := range map[string][]byte{
			"empty":          {},
			"trailing byte":  append(bytes.Clone(good), 0),
			"inner trailing": append(append([]byte{0x30, good[1] + 1}, good[2:]...), 0),
			"long length":    append([]byte{0x30, 0x81, good[1]}, good[2:]...),
			"r zero":         der(big.NewInt(0), parsed.s),
			"s zero":         der(parsed.r, big.NewInt(0)),
			"r = n":          der(n, parsed.s),
			"s = n":          der(parsed.r, n),
			"r + n":          der(new(big.Int).Add(parsed.r, n), parsed.s),
			"negative r":     der(new(big.Int).Neg(parsed.r), parsed.s),
			"r + s = n":      der(parsed.r, new(big.Int).Sub(n, parsed.r)),
			"swapped":        der(parsed.s, parsed.r),
			"raw 64 bytes":   append(parsed.r.FillBytes(make([]byte, 32)), parsed.s.FillBytes(make([]byte, 32))...),
			"padded integer": {0x30, 0x08, 0x02, 0x02, 0x00, 0x01, 0x02, 0x02, 0x00, 0x01},
		} {
			assert.ErrorIs(t, p.Verify(key.Public(), []byte("m"), sig), ErrInvalidSignature, name)
		}
	})
}

func encodeSignature(t *testing.T, r, s *big.Int) []byte {
	t.Helper()
	enc := func(v *big.Int) []byte {
		b := v.Bytes()
		if v.Sign() < 0 { // two's complement of a small enough magnitude
			b = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), 264)).Bytes()
		} else if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(enc(r), enc(s)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func TestPublicKeysAreChecked(t *testing.T) {
	good := newKey(t).Public().Bytes()
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(good); f(b); return b }
	for name, b := range map[string][]byte{
		"empty":         nil,
		"infinity":      {0},
		"compressed":    append([]byte{2}, good[1:33]...),
		"too long":      append(bytes.Clone(good), 0),
		"off the curve": edit(func(b []byte) { b[64] ^= 1 }),
		"zero point":    append([]byte{4}, make([]byte, 64)...),
		"P-256 base": append([]byte{4}, unhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"+
			"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")...),
	} {
		_, err := ParsePublicKey(b)
		assert.ErrorIs(t, err, ErrInvalidKey, name)
	}
	k, err := ParsePublicKey(good)
	require.NoError(t, err)
	text, err := k.MarshalText()
	require.NoError(t, err)
	var back PublicKey
	require.NoError(t, back.UnmarshalText(text))
	assert.Equal(t, k, back)
	assert.ErrorIs(t, back.UnmarshalText([]byte("zz")), ErrInvalidKey)
	eachProvider(t, func(t *testing.T, p Provider) {
		assert.ErrorIs(t, p.Verify(PublicKey{}, nil, nil), ErrInvalidKey)
		_, err := p.Encrypt(PublicKey{}, make([]byte, 16))
		assert.ErrorIs(t, err, ErrInvalidKey)
		_, err = p.Encrypt(k, make([]byte, MinPlaintext-1))
		assert.ErrorIs(t, err, ErrLimit)
		_, err = p.Encrypt(k, make([]byte, MaxPlaintext+1))
		assert.ErrorIs(t, err, ErrLimit)
	})
}

func TestPrivateKeyRange(t *testing.T) {
	n := curveN
	bytesOf := func(v *big.Int) []byte { return v.FillBytes(make([]byte, 32)) }
	minus := func(k int64) []byte { return bytesOf(new(big.Int).Sub(n, big.NewInt(k))) }
	for name, b := range map[string][]byte{
		"zero": make([]byte, 32), "n-1": minus(1), "n": bytesOf(n), "short": make([]byte, 31),
		"all ones": bytes.Repeat([]byte{0xff}, 32),
	} {
		_, err := NewPrivateKey(b)
		assert.ErrorIs(t, err, ErrInvalidKey, name)
	}
	// The edges of the range work in both libraries.
	for _, b := range [][]byte{bytesOf(big.NewInt(1)), bytesOf(big.NewInt(2)), minus(2), minus(3)} {
		key, err := NewPrivateKey(b)
		require.NoError(t, err)
		for _, from := range Providers() {
			sig, err := from.Sign(key, []byte("m"))
			require.NoError(t, err)
			for _, to := range Providers() {
				assert.NoError(t, to.Verify(key.Public(), []byte("m"), sig))
			}
		}
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	key := newKey(t)
	scalar, err := key.ExposeScalar()
	require.NoError(t, err)
	var sym Key
	copy(sym[:], scalar)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "sym", sym, "nested", struct{ K Key }{sym})
	raw, err := json.Marshal(map[string]any{"key": key, "sym": sym, "in": struct{ K Key }{sym}})
	require.NoError(t, err)
	all := log.String() + string(raw)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		all += fmt.Sprintf(verb+verb, key, sym) + fmt.Sprintf(verb, []Key{sym})
	}
	for _, leak := range []string{hex.EncodeToString(scalar[:4]), fmt.Sprintf("%d", scalar[:3]), new(big.Int).SetBytes(scalar).String()} {
		assert.NotContains(t, strings.ToLower(all), strings.Trim(leak, "[]"))
	}
}

func TestDestroyedKey(t *testing.T) {
	key := newKey(t)
	pub := key.Public()
	key.Destroy()
	key.Destroy()
	eachProvider(t, func(t *testing.T, p Provider) {
		_, err := p.Sign(key, []byte("m"))
		assert.ErrorIs(t, err, ErrInvalidKey)
		ct, err := p.Encrypt(pub, make([]byte, 16))
		require.NoError(t, err)
		_, err = p.Decrypt(key, ct)
		assert.ErrorIs(t, err, ErrInvalidKey)
		_, err = p.Sign(nil, []byte("m"))
		assert.ErrorIs(t, err, ErrInvalidKey)
	})
	_, err := key.ExposeScalar()
	assert.ErrorIs(t, err, ErrInvalidKey)
	same := key
	assert.False(t, key.Equal(same))
	_, err = ParseKey(make([]byte, 16))
	assert.ErrorIs(t, err, ErrInvalidKey)
}

func TestProviderByName(t *testing.T) {
	for _, p := range Providers() {
		got, err := ProviderByName(p.Name())
		require.NoError(t, err)
		assert.Equal(t, p, got)
	}
	_, err := ProviderByName("openssl")
	assert.Error(t, err)
}
