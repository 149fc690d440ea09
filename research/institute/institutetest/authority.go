// Package institutetest makes the authorities that admit institutes in tests.
package institutetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Authority joins an SM2 authority with a fresh authority for TLS.
func Authority(t testing.TB, sm2 *smcrypto.Authority) *institute.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateways"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &institute.Authority{SM2: sm2, TLS: cert, TLSKey: key, Days: 30, Overlap: time.Minute}
}

// KeyOf is the digest by which the ledger knows a TLS key.
func KeyOf(cert *x509.Certificate) evidence.Digest {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}
