// Package pki issues the throw-away certificates of a development consortium: Fabric identities and TLS
// certificates on P-256, and SM2 signing and encryption certificates in the GB/T 20518 profile.
//
// Keys lie as plain PKCS#8 PEM files with mode 0600. That is right for a network that lives on one
// developer's machine and for nothing else.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// validity of every certificate issued; the start is set back for clocks that differ.
const (
	validity  = 10 * 365 * 24 * time.Hour
	clockSkew = time.Hour
)

// Pair is a certificate with its private key, both PEM; the key is PKCS#8.
type Pair struct {
	CertPEM []byte
	KeyPEM  []byte
}

// LogValue keeps the key out of logs.
func (p Pair) LogValue() slog.Value { return slog.StringValue("certificate and key, redacted") }

// Write stores the pair durably, the key with mode 0600. The folders must exist.
func (p Pair) Write(certPath, keyPath string) error {
	if err := fsatomic.WriteFile(keyPath, p.KeyPEM, 0o600); err != nil {
		return err
	}
	return fsatomic.WriteFile(certPath, p.CertPEM, 0o644)
}

// WriteIn stores the pair in dir as name.crt and name.key.
func (p Pair) WriteIn(dir, name string) error {
	return p.Write(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
}

// CA signs P-256 certificates.
type CA struct {
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Leaf says what an end-entity certificate is for.
type Leaf struct {
	CommonName string
	Org        string   // subject O
	Unit       string   // subject OU: Fabric's role (peer, orderer, admin, client); empty for TLS
	Hosts      []string // IP addresses and DNS names; not empty for TLS certificates
	Client     bool     // may authenticate as TLS client
	Server     bool     // may authenticate as TLS server
}

// NewCA makes a self-signed authority.
func NewCA(org, commonName string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", commonName, err)
	}
	tmpl, err := template(pkix.Name{Organization: []string{org}, CommonName: commonName})
	if err != nil {
		return nil, err
	}
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	tmpl.SubjectKeyId = keyID(&key.PublicKey)
	pair, err := sign(tmpl, tmpl, key, key)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", commonName, err)
	}
	cert, err := parse(pair.CertPEM)
	if err != nil {
		return nil, err
	}
	return &CA{Pair: pair, cert: cert, key: key}, nil
}

// Issue makes a fresh key and a certificate for it.
func (ca *CA) Issue(leaf Leaf) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", leaf.CommonName, err)
	}
	name := pkix.Name{CommonName: leaf.CommonName, Organization: []string{leaf.Org}}
	if leaf.Unit != "" {
		name.OrganizationalUnit = []string{leaf.Unit}
	}
	tmpl, err := template(name)
	if err != nil {
		return Pair{}, err
	}
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.AuthorityKeyId = ca.cert.SubjectKeyId
	if leaf.Server {
		tmpl.ExtKeyUsage = append(tmpl.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if leaf.Client {
		tmpl.ExtKeyUsage = append(tmpl.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, h := range leaf.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	pair, err := sign(tmpl, ca.cert, key, ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", leaf.CommonName, err)
	}
	return pair, nil
}

func template(name pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	now := time.Now().UTC()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      name,
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(validity),
	}, nil
}

func sign(tmpl, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, lowS{signer})
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return pair(der, keyDER), nil
}

func pair(certDER, keyDER []byte) Pair {
	return Pair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func parse(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, fmt.Errorf("certificate is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func keyID(pub *ecdsa.PublicKey) []byte {
	point, err := pub.Bytes()
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(point)
	return sum[:20]
}

// lowS signs with the smaller of the two equivalent values of s. Fabric rewrites certificates to that form
// when it reads them; issuing them so keeps the bytes on disk, in the channel configuration and in
// transactions the same.
type lowS struct{ *ecdsa.PrivateKey }

func (k lowS) Sign(rnd io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	der, err := k.PrivateKey.Sign(rnd, digest, opts)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	order := k.Params().N
	if sig.S.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		sig.S.Sub(order, sig.S)
	}
	return asn1.Marshal(sig)
}
