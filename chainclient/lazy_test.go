package chainclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process that must start while the ledger is away opens the client all the same and
// learns from Ready what is missing.
func TestLazyOpensWithoutAPeer(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	cfg := Config{
		MSPID: "H1MSP", CertPath: write("cert", "CERTIFICATE", der), KeyPath: write("key", "PRIVATE KEY", pkcs8), Endorsers: []string{"H1MSP"},
		Peers:       []Peer{{Address: "127.0.0.1:1", MSPID: "H1MSP", TLSCACertPath: write("ca", "CERTIFICATE", der)}},
		DialTimeout: 200 * time.Millisecond,
	}
	_, err = Open(t.Context(), cfg, signerStub{})
	require.ErrorContains(t, err, "no gateway peer")

	cfg.Lazy = true
	c, err := Open(t.Context(), cfg, signerStub{})
	require.NoError(t, err)
	require.ErrorContains(t, c.Ready(t.Context()), "no gateway peer")
	require.NoError(t, c.Close())
}
