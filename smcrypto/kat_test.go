package smcrypto

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// GB/T 32905-2016, A.1 and A.2; the rest is the empty message and a million "a",
// computed with OpenSSL 3.
func TestKnownSM3(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		for in, want := range map[string]string{
			"abc":                      "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
			strings.Repeat("abcd", 16): "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
			"":                         "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
			strings.Repeat("a", 1e6):   "c8aaf89429554029e231941a2acc0ad61ff2a5acd8fadd25847a3a732b3b02c3",
		} {
			sum := p.SM3([]byte(in))
			assert.Equal(t, want, hex.EncodeToString(sum[:]))
		}
	})
}

// GB/T 32907-2016, A.1 (one encryption) and A.2 (1,000,000 encryptions).
func TestKnownSM4(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		start := unhex("0123456789abcdeffedcba9876543210")
		block, err := p.NewSM4(Key(start))
		require.NoError(t, err)
		out := make([]byte, 16)
		block.Encrypt(out, start)
		assert.Equal(t, "681edf34d206965e86b3e94f536e4246", hex.EncodeToString(out))
		copy(out, start)
		for range 1_000_000 {
			block.Encrypt(out, out)
		}
		assert.Equal(t, "595298c7c6fd271f0402f804c33d3f66", hex.EncodeToString(out))
	})
}

// GB/T 32918.5-2017: A.2 signature with its digests, A.3 encryption.
func TestKnownSM2(t *testing.T) {
	key, err := kaKey()
	require.NoError(t, err)
	eachProvider(t, func(t *testing.T, p Provider) {
		e, err := SM2Digest(p, key.Public(), []byte(DefaultUID), []byte("message digest"))
		require.NoError(t, err)
		assert.Equal(t, "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640", hex.EncodeToString(e[:]))
		sig := unhex("3046022100" + kaR + "022100" + kaS)
		assert.NoError(t, p.VerifyDigest(key.Public(), e, sig))
		assert.NoError(t, p.Verify(key.Public(), []byte("message digest"), sig))
		plain, err := p.Decrypt(key, unhex(kaCipher))
		require.NoError(t, err)
		assert.Equal(t, "encryption standard", string(plain))
	})
}

// RFC 8998, A.1.
func TestKnownGCM(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) { assert.NoError(t, testGCM(p)) })
}

func FuzzSignatureEncoding(f *testing.F) {
	f.Add(unhex("3046022100" + kaR + "022100" + kaS))
	f.Add(unhex("3006020101020101"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSignature(b)
		if err != nil {
			return
		}
		der := append(derInt(s.r.Bytes()), derInt(s.s.Bytes())...)
		if !bytes.Equal(append([]byte{0x30, byte(len(der))}, der...), b) {
			t.Fatal("accepted a signature that is not DER")
		}
	})
}

func derInt(b []byte) []byte {
	if b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return append([]byte{2, byte(len(b))}, b...)
}

// FuzzCiphertext holds the raw and the ASN.1 form to a bijection and both providers to one verdict.
func FuzzCiphertext(f *testing.F) {
	key, err := kaKey()
	require.NoError(f, err)
	der, err := CiphertextToASN1(unhex(kaCipher))
	require.NoError(f, err)
	f.Add(unhex(kaCipher))
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := CiphertextFromASN1(b); err == nil {
			again, err := CiphertextToASN1(raw)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatal("accepted a ciphertext that is not DER")
			}
		}
		plainA, errA := Default().Decrypt(key, b)
		plainB, errB := Tjfoc().Decrypt(key, b)
		if (errA == nil) != (errB == nil) || !bytes.Equal(plainA, plainB) {
			t.Fatalf("the providers disagree: %v, %v", errA, errB)
		}
	})
}
