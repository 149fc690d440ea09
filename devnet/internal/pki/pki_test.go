package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIssueVerifiesAgainstItsAuthorityOnly(t *testing.T) {
	ca, err := NewCA("H1MSP", "ca.h1.emr.test")
	require.NoError(t, err)
	other, err := NewCA("H2MSP", "ca.h2.emr.test")
	require.NoError(t, err)
	leaf, err := ca.Issue(Leaf{
		CommonName: "peer.h1.emr.test", Org: "H1MSP", Unit: "peer",
		Hosts: []string{"127.0.0.1", "localhost"}, Server: true,
	})
	require.NoError(t, err)
	cert, err := parse(leaf.CertPEM)
	require.NoError(t, err)

	verify := func(ca *CA, usage x509.ExtKeyUsage, host string) error {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(ca.CertPEM))
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	assert.NoError(t, verify(ca, x509.ExtKeyUsageServerAuth, "127.0.0.1"))
	assert.NoError(t, verify(ca, x509.ExtKeyUsageServerAuth, "localhost"))
	assert.Error(t, verify(ca, x509.ExtKeyUsageServerAuth, "peer.h2.emr.test"))
	assert.Error(t, verify(ca, x509.ExtKeyUsageClientAuth, "localhost"), "a server certificate is no client certificate")
	assert.Error(t, verify(other, x509.ExtKeyUsageServerAuth, "localhost"))
	assert.Equal(t, []string{"peer"}, cert.Subject.OrganizationalUnit)
	_, err = tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	assert.NoError(t, err)
}

func TestSignaturesAreLowS(t *testing.T) {
	ca, err := NewCA("H1MSP", "ca.h1.emr.test")
	require.NoError(t, err)
	for range 16 { // half of all plain signatures would be high
		leaf, err := ca.Issue(Leaf{CommonName: "x", Org: "H1MSP"})
		require.NoError(t, err)
		cert, err := parse(leaf.CertPEM)
		require.NoError(t, err)
		var sig struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(cert.Signature, &sig)
		require.NoError(t, err)
		half := new(big.Int).Rsh(cert.PublicKey.(*ecdsa.PublicKey).Params().N, 1)
		require.LessOrEqual(t, sig.S.Cmp(half), 0)
	}
}

func TestSM2CertificatesFollowTheProfile(t *testing.T) {
	ca, err := NewSM2CA("emr consortium", "emr consortium SM2 CA")
	require.NoError(t, err)
	root := parseSM2(t, ca.CertPEM)
	sign, err := ca.IssueSigning("H1MSP", "Hospital 1")
	require.NoError(t, err)
	enc, err := ca.IssueEncryption("H1MSP", "Hospital 1")
	require.NoError(t, err)

	for _, tc := range []struct {
		pair    Pair
		has, no x509.KeyUsage
	}{
		{sign, x509.KeyUsageDigitalSignature, x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign},
		{enc, x509.KeyUsageKeyEncipherment, x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign},
	} {
		cert := parseSM2(t, tc.pair.CertPEM)
		require.NoError(t, cert.CheckSignatureFrom(root))
		assert.Equal(t, smx509.SM2WithSM3, cert.SignatureAlgorithm)
		assert.NotZero(t, cert.KeyUsage&tc.has)
		assert.Zero(t, cert.KeyUsage&tc.no)
		assert.Equal(t, []string{"H1MSP"}, cert.Subject.Organization)
		assert.Equal(t, "Hospital 1", cert.Subject.CommonName)
		assert.Equal(t, root.SubjectKeyId, cert.AuthorityKeyId)

		block, _ := pem.Decode(tc.pair.KeyPEM)
		key, err := smx509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		assert.True(t, key.(*sm2.PrivateKey).PublicKey.Equal(cert.PublicKey))
	}
}

func TestWriteKeepsKeysPrivate(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Pair{CertPEM: []byte("c"), KeyPEM: []byte("k")}.WriteIn(dir, "tls"))
	info, err := os.Stat(filepath.Join(dir, "tls.key"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func parseSM2(t *testing.T, certPEM []byte) *smx509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	require.NotNil(t, block)
	cert, err := smx509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}
