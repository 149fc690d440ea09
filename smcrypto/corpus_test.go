//go:build corpus

package smcrypto

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests read vectors from outside the project; run them with `make corpus`,
// which sets CORPUS to the directory that holds sm-crypto/. Exceptions are the
// entries that concern interfaces this package does not have; each says why.

func corpusFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the directory with the outside test data")
	b, err := os.ReadFile(filepath.Join(append([]string{root, "sm-crypto"}, parts...)...))
	require.NoError(t, err)
	return b
}

// TestCorpusWycheproofGCM: every valid vector seals and opens, every invalid one is
// refused. IVs other than 12 bytes are tried on the block cipher with
// crypto/cipher, since Provider.NewGCM takes 12-byte nonces only.
func TestCorpusWycheproofGCM(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Tests []struct {
				ID                                 int `json:"tcId"`
				Key, IV, AAD, Msg, CT, Tag, Result string
			}
		}
	}
	require.NoError(t, json.Unmarshal(corpusFile(t, "C2SP+wycheproof", "sm4_gcm_test.json"), &file))
	eachProvider(t, func(t *testing.T, p Provider) {
		valid, invalid := 0, 0
		for _, g := range file.TestGroups {
			for _, v := range g.Tests {
				block, err := p.NewSM4(Key(unhex(v.Key)))
				require.NoError(t, err)
				iv := unhex(v.IV)
				aead, err := cipher.NewGCMWithNonceSize(block, len(iv))
				if len(iv) == 12 {
					aead, err = p.NewGCM(Key(unhex(v.Key)))
				}
				var plain []byte
				if err == nil {
					plain, err = aead.Open(nil, iv, unhex(v.CT+v.Tag), unhex(v.AAD))
				}
				if v.Result != "valid" {
					assert.Error(t, err, "test %d", v.ID)
					invalid++
					continue
				}
				require.NoError(t, err, "test %d", v.ID)
				assert.Equal(t, v.Msg, hex.EncodeToString(plain), "test %d", v.ID)
				assert.Equal(t, v.CT+v.Tag, hex.EncodeToString(aead.Seal(nil, iv, plain, unhex(v.AAD))), "test %d", v.ID)
				valid++
			}
		}
		t.Logf("%d valid, %d invalid", valid, invalid)
		assert.Positive(t, valid)
		assert.Positive(t, invalid)
	})
}

// stanza is one block of "Name = value" lines.
type stanza map[string]string

func stanzas(b []byte) []stanza {
	var out []stanza
	cur := stanza{}
	flush := func() {
		if len(cur) > 0 {
			out = append(out, cur)
		}
		cur = stanza{}
	}
	scan := bufio.NewScanner(bytes.NewReader(b))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "":
			flush()
		case ok && !strings.HasPrefix(line, "#"):
			cur[strings.TrimSpace(name)] += strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	flush()
	return out
}

func TestCorpusBotanSM4(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		n := 0
		for _, s := range stanzas(corpusFile(t, "randombit+botan", "block", "sm4.vec")) {
			if s["Key"] == "" {
				continue
			}
			block, err := p.NewSM4(Key(unhex(s["Key"])))
			require.NoError(t, err)
			in, out := unhex(s["In"]), unhex(s["Out"])
			got := make([]byte, len(in))
			for i := 0; i < len(in); i += 16 {
				block.Encrypt(got[i:i+16], in[i:i+16])
			}
			require.Equal(t, out, got)
			for i := 0; i < len(in); i += 16 {
				block.Decrypt(got[i:i+16], out[i:i+16])
			}
			require.Equal(t, in, got)
			n++
		}
		t.Logf("%d vectors", n)
		assert.Greater(t, n, 5)
	})
}

// TestCorpusBotanInvalidSM2: no ciphertext of the file may decrypt.
func TestCorpusBotanInvalidSM2(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		var key *PrivateKey
		n := 0
		for _, line := range strings.Split(string(corpusFile(t, "randombit+botan", "pubkey", "sm2_invalid.vec")), "\n") {
			name, value, ok := strings.Cut(line, "=")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			switch {
			case ok && name == "Key":
				var err error
				key, err = NewPrivateKey(unhex(value))
				require.NoError(t, err)
			case ok && name == "Ctext":
				n++
				raw, err := CiphertextFromASN1(unhex(value))
				if err == nil {
					_, err = p.Decrypt(key, raw)
				}
				assert.ErrorIs(t, err, ErrInvalidCiphertext, "%.60s", value)
			}
		}
		t.Logf("%d ciphertexts", n)
		assert.Greater(t, n, 10)
	})
}

// tongsuoOtherHash: the digest control asks for a hash other than SM3, which SM2
// here never uses; the vectors that OpenSSL's generic interface accepts must be refused.
func tongsuoOtherHash(s stanza) bool {
	return s["Ctrl"] != "" && !strings.HasPrefix(s["Ctrl"], "digest:SM3")
}

func TestCorpusTongsuoSM2(t *testing.T) {
	raw := corpusFile(t, "Tongsuo-Project+Tongsuo", "30-test_evp_data", "evppkey_sm2.txt")
	start := bytes.Index(raw, []byte("-----BEGIN PRIVATE KEY-----"))
	require.GreaterOrEqual(t, start, 0)
	block, _ := pem.Decode(raw[start:])
	require.NotNil(t, block)
	key, err := ParsePrivateKeyPEM(pem.EncodeToMemory(block))
	require.NoError(t, err)
	eachProvider(t, func(t *testing.T, p Provider) {
		done := map[string]int{}
		for _, s := range stanzas(raw) {
			var err error
			switch {
			case s["Ctrl"] == "digest:SHAKE128":
				continue // the fault is the requested digest; the ciphertext itself is sound under SM3
			case s["Verify"] != "":
				e := unhex(s["Input"])
				if len(e) != DigestSize {
					assert.True(t, tongsuoOtherHash(s))
					continue
				}
				err = p.VerifyDigest(key.Public(), [DigestSize]byte(e), unhex(s["Output"]))
				done["verify"]++
			case s["Decrypt"] != "":
				var ct, plain []byte
				if ct, err = CiphertextFromASN1(unhex(s["Input"])); err == nil {
					if plain, err = p.Decrypt(key, ct); err == nil {
						assert.Equal(t, s["Output"], string(plain))
					}
				}
				done["decrypt"]++
			default:
				continue // key generation and the generic Sign interface have no vector to compare
			}
			if s["Result"] != "" || tongsuoOtherHash(s) {
				assert.Error(t, err, "%v", s["Input"])
				done["refused"]++
			} else {
				assert.NoError(t, err, "%v", s["Input"])
			}
		}
		t.Log(done)
		assert.Positive(t, done["verify"])
		assert.Positive(t, done["decrypt"])
	})
}

func TestCorpusTongsuoCertificates(t *testing.T) {
	load := func(name string) []*Certificate {
		certs, err := ParseCertificates(corpusFile(t, "Tongsuo-Project+Tongsuo", "sm2", name))
		require.NoError(t, err, name)
		return certs
	}
	authorities := load("chain-ca.crt")
	var roots, mids []*Certificate
	for _, c := range authorities {
		if c.named(c) {
			roots = append(roots, c)
		} else {
			mids = append(mids, c)
		}
	}
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	eachProvider(t, func(t *testing.T, p Provider) {
		for name, usage := range map[string]Usage{
			"client_sign.crt": UsageSign, "server_sign.crt": UsageSign,
			"client_enc.crt": UsageEncipher, "server_enc.crt": UsageEncipher,
		} {
			c := load(name)[0]
			assert.NoError(t, VerifyChain(p, c, mids, roots, at, usage), name)
			assert.ErrorIs(t, VerifyChain(p, c, mids, roots, at, UsageSign+UsageEncipher-usage), ErrKeyUsage, name)
			assert.Equal(t, "CC", c.Organization())
		}
		assert.ErrorIs(t, VerifyChain(p, load("client_sign_expire.crt")[0], mids, roots, at, UsageSign), ErrChain)
	})
}
