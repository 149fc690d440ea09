package smcrypto

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	certFrom = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	certTo   = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	certAt   = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
)

func newCA(t testing.TB, name string) *Authority {
	t.Helper()
	a, err := NewAuthority(newKey(t), Subject{Country: "CN", Organization: "Consortium", CommonName: name}, certFrom, certTo)
	require.NoError(t, err)
	return a
}

func issue(t testing.TB, a *Authority, usage Usage) *Certificate {
	t.Helper()
	c, err := a.Issue(newKey(t).Public(), Subject{Country: "CN", Organization: "第一人民医院", CommonName: "H1 " + usage.String()}, usage, certFrom, certTo)
	require.NoError(t, err)
	return c
}

func TestChains(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		root, other := newCA(t, "root"), newCA(t, "root")
		sub, err := root.Subordinate(newKey(t), Subject{CommonName: "sub"}, certFrom, certTo)
		require.NoError(t, err)
		direct, below := issue(t, root, UsageSign), issue(t, sub, UsageEncipher)
		roots := []*Certificate{root.Cert}
		mids := []*Certificate{sub.Cert}

		assert.Equal(t, "第一人民医院", direct.Organization())
		assert.NoError(t, VerifyChain(p, direct, nil, roots, certAt, UsageSign))
		assert.NoError(t, VerifyChain(p, below, mids, roots, certAt, UsageEncipher))
		assert.NoError(t, VerifyChain(p, below, mids, []*Certificate{other.Cert, root.Cert}, certAt, UsageEncipher))
		assert.NoError(t, VerifyChain(p, direct, nil, roots, certFrom, UsageSign))
		assert.NoError(t, VerifyChain(p, direct, nil, roots, certTo, UsageSign))

		assert.ErrorIs(t, VerifyChain(p, direct, nil, roots, certFrom.Add(-time.Second), UsageSign), ErrChain)
		assert.ErrorIs(t, VerifyChain(p, direct, nil, roots, certTo.Add(time.Second), UsageSign), ErrChain)
		assert.ErrorIs(t, VerifyChain(p, below, nil, roots, certAt, UsageEncipher), ErrChain, "intermediate missing")
		assert.ErrorIs(t, VerifyChain(p, direct, nil, []*Certificate{other.Cert}, certAt, UsageSign), ErrChain, "root of the same name")
		assert.ErrorIs(t, VerifyChain(p, direct, nil, nil, certAt, UsageSign), ErrChain)
		assert.ErrorIs(t, VerifyChain(p, direct, nil, roots, certAt, UsageEncipher), ErrKeyUsage)
		assert.ErrorIs(t, VerifyChain(p, below, mids, roots, certAt, UsageSign), ErrKeyUsage)
		assert.ErrorIs(t, VerifyChain(p, sub.Cert, nil, roots, certAt, UsageSign), ErrKeyUsage, "a CA is no hospital")
	})
}

// A hospital must not be able to issue certificates with its own one.
func TestLeafCannotIssue(t *testing.T) {
	p, root := Default(), newCA(t, "root")
	leafKey := newKey(t)
	leaf, err := root.Issue(leafKey.Public(), Subject{CommonName: "H1"}, UsageSign, certFrom, certTo)
	require.NoError(t, err)
	forged := issue(t, &Authority{Cert: leaf, Key: leafKey}, UsageSign)
	assert.ErrorIs(t, VerifyChain(p, forged, []*Certificate{leaf}, []*Certificate{root.Cert}, certAt, UsageSign), ErrChain)
}

func TestPathLengthAndDepth(t *testing.T) {
	p, root := Default(), newCA(t, "root")
	above, mids := root, []*Certificate(nil)
	for depth := range 5 {
		sub, err := above.Subordinate(newKey(t), Subject{CommonName: "sub" + string(rune('0'+depth))}, certFrom, certTo)
		require.NoError(t, err)
		above, mids = sub, append(mids, sub.Cert)
		err = VerifyChain(p, issue(t, sub, UsageSign), mids, []*Certificate{root.Cert}, certAt, UsageSign)
		if depth < MaxChain {
			assert.NoError(t, err, depth)
		} else {
			assert.ErrorIs(t, err, ErrChain, depth)
		}
	}
	key := newKey(t)
	template := caTemplate(Subject{CommonName: "narrow"}, certFrom, certTo)
	template.MaxPathLenZero = true
	narrow, err := create(template, nil, key.Public(), key)
	require.NoError(t, err)
	a := &Authority{Cert: narrow, Key: key}
	assert.NoError(t, VerifyChain(p, issue(t, a, UsageSign), nil, []*Certificate{narrow}, certAt, UsageSign))
	sub, err := a.Subordinate(newKey(t), Subject{CommonName: "sub"}, certFrom, certTo)
	require.NoError(t, err)
	assert.ErrorIs(t, VerifyChain(p, issue(t, sub, UsageSign), []*Certificate{sub.Cert}, []*Certificate{narrow}, certAt, UsageSign), ErrChain)
}

// Two authorities that certify each other must not keep the search going.
func TestCrossCertificationLoopEnds(t *testing.T) {
	keyA, keyB := newKey(t), newKey(t)
	a, err := NewAuthority(keyA, Subject{CommonName: "A"}, certFrom, certTo)
	require.NoError(t, err)
	b, err := a.Subordinate(keyB, Subject{CommonName: "B"}, certFrom, certTo)
	require.NoError(t, err)
	ab, err := b.Subordinate(keyA, Subject{CommonName: "A"}, certFrom, certTo)
	require.NoError(t, err)
	leaf := issue(t, b, UsageSign)
	mids := []*Certificate{b.Cert, ab.Cert, a.Cert, b.Cert, ab.Cert, a.Cert, b.Cert, ab.Cert}
	assert.ErrorIs(t, VerifyChain(Default(), leaf, mids, []*Certificate{newCA(t, "root").Cert}, certAt, UsageSign), ErrChain)
}

func TestCertificateUsageMustBeSeparate(t *testing.T) {
	root := newCA(t, "root")
	for name, usage := range map[string]x509.KeyUsage{
		"both":      x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		"none":      0,
		"agreement": x509.KeyUsageKeyAgreement,
		"cert sign": x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	} {
		c, err := create(&x509.Certificate{
			Subject: pkix.Name{CommonName: "H1"}, NotBefore: certFrom, NotAfter: certTo,
			KeyUsage: usage, BasicConstraintsValid: true, SignatureAlgorithm: smx509.SM2WithSM3,
		}, root.Cert, newKey(t).Public(), root.Key)
		require.NoError(t, err)
		assert.ErrorIs(t, c.CheckUsage(UsageSign), ErrKeyUsage, name)
		assert.ErrorIs(t, c.CheckUsage(UsageEncipher), ErrKeyUsage, name)
	}
}

func TestForeignCertificatesAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	require.NoError(t, err)
	good := issue(t, newCA(t, "root"), UsageSign)
	for name, b := range map[string][]byte{
		"P-256 ECDSA": der, "empty": nil, "junk": []byte("junk"), "too long": make([]byte, MaxCertificate+1),
		"trailing byte": append(good.DER(), 0), "cut": good.DER()[:100],
	} {
		_, err := ParseCertificate(b)
		assert.ErrorIs(t, err, ErrCertificate, name)
	}
	both := append(good.PEM(), good.PEM()...)
	certs, err := ParseCertificates(both)
	require.NoError(t, err)
	assert.Len(t, certs, 2)
	_, err = ParseCertificates(append(both, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...))
	assert.ErrorIs(t, err, ErrCertificate)
	_, err = ParseCertificates(bytes.Repeat(good.PEM(), 17))
	assert.ErrorIs(t, err, ErrLimit)
	_, err = ParseCertificates([]byte("-----BEGIN nothing"))
	assert.ErrorIs(t, err, ErrCertificate)
}

func TestTamperedCertificateDoesNotChain(t *testing.T) {
	root := newCA(t, "root")
	der := issue(t, root, UsageSign).DER()
	for at := range der {
		bad := bytes.Clone(der)
		bad[at] ^= 1
		c, err := ParseCertificate(bad)
		if err != nil {
			continue
		}
		require.Error(t, VerifyChain(Default(), c, nil, []*Certificate{root.Cert}, certAt, UsageSign), "byte %d", at)
	}
}

func TestRequestAndPrivateKeyFiles(t *testing.T) {
	key := newKey(t)
	req, err := NewCertificateRequest(key, Subject{Country: "CN", Organization: "医院", Unit: "IT", CommonName: "H1"})
	require.NoError(t, err)
	eachProvider(t, func(t *testing.T, p Provider) {
		pub, subject, err := ParseCertificateRequest(p, req)
		require.NoError(t, err)
		assert.Equal(t, key.Public(), pub)
		assert.Equal(t, Subject{"CN", "医院", "IT", "H1"}, subject)
	})
	block, _ := pem.Decode(req)
	block.Bytes[len(block.Bytes)-1] ^= 1
	_, _, err = ParseCertificateRequest(Default(), pem.EncodeToMemory(block))
	assert.Error(t, err)

	text, err := MarshalPrivateKeyPEM(key)
	require.NoError(t, err)
	back, err := ParsePrivateKeyPEM(text)
	require.NoError(t, err)
	assert.True(t, key.Equal(back))
	for _, bad := range [][]byte{nil, []byte("x"), req, text[:60]} {
		_, err := ParsePrivateKeyPEM(bad)
		assert.ErrorIs(t, err, ErrInvalidKey)
	}
}

func FuzzParseCertificate(f *testing.F) {
	root := newCA(f, "root")
	f.Add(root.Cert.DER())
	f.Add(issue(f, root, UsageSign).DER())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCertificate(b)
		if err != nil {
			return
		}
		_ = VerifyChain(Default(), c, []*Certificate{c}, []*Certificate{root.Cert}, certAt, UsageSign)
	})
}
