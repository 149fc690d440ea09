package smcrypto

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

// Subject names a certificate holder.
type Subject struct {
	Country, Organization, Unit, CommonName string
}

func (s Subject) name() pkix.Name {
	n := pkix.Name{CommonName: s.CommonName}
	for _, part := range []struct {
		value string
		to    *[]string
	}{{s.Country, &n.Country}, {s.Organization, &n.Organization}, {s.Unit, &n.OrganizationalUnit}} {
		if part.value != "" {
			*part.to = []string{part.value}
		}
	}
	return n
}

// NewCertificateRequest makes a PKCS#10 request, PEM, signed with SM2-with-SM3.
func NewCertificateRequest(key *PrivateKey, subject Subject) ([]byte, error) {
	lib, err := key.lib()
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{Subject: subject.name(), SignatureAlgorithm: smx509.SM2WithSM3}
	der, err := smx509.CreateCertificateRequest(rand.Reader, template, lib)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate request: %w", ErrProvider, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// ParseCertificateRequest reads a PEM request, checks its self-signature and
// returns the key and subject to certify.
func ParseCertificateRequest(p Provider, data []byte) (pub PublicKey, subject Subject, err error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(block.Bytes) > MaxCertificate {
		return pub, subject, fmt.Errorf("%w: expected a PEM block \"CERTIFICATE REQUEST\"", ErrCertificate)
	}
	err = guard("parse certificate request", func() error {
		req, err := smx509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return fmt.Errorf("%w: request: %w", ErrCertificate, err)
		}
		if pub, err = spkiPoint(req.RawSubjectPublicKeyInfo); err != nil {
			return err
		}
		subject = subjectOf(req.Subject)
		return p.Verify(pub, req.RawTBSCertificateRequest, req.Signature)
	})
	return pub, subject, err
}

func subjectOf(n pkix.Name) Subject {
	first := func(v []string) string {
		if len(v) == 0 {
			return ""
		}
		return v[0]
	}
	return Subject{first(n.Country), first(n.Organization), first(n.OrganizationalUnit), n.CommonName}
}

// Authority is a certificate authority of the consortium, used by the dev network
// and by tests; a production consortium has its own.
type Authority struct {
	Cert *Certificate
	Key  *PrivateKey
}

// NewAuthority makes a self-signed root valid for the given period.
func NewAuthority(key *PrivateKey, subject Subject, notBefore, notAfter time.Time) (*Authority, error) {
	template := caTemplate(subject, notBefore, notAfter)
	cert, err := create(template, nil, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, Key: key}, nil
}

// Subordinate issues an intermediate authority.
func (a *Authority) Subordinate(key *PrivateKey, subject Subject, notBefore, notAfter time.Time) (*Authority, error) {
	cert, err := create(caTemplate(subject, notBefore, notAfter), a.Cert, key.Public(), a.Key)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, Key: key}, nil
}

// Issue certifies pub for one usage, UsageSign or UsageEncipher.
func (a *Authority) Issue(pub PublicKey, subject Subject, usage Usage, notBefore, notAfter time.Time) (*Certificate, error) {
	template := &x509.Certificate{
		Subject: subject.name(), NotBefore: notBefore, NotAfter: notAfter,
		BasicConstraintsValid: true, SignatureAlgorithm: smx509.SM2WithSM3,
	}
	switch usage {
	case UsageSign:
		template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	case UsageEncipher:
		template.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
	default:
		return nil, fmt.Errorf("%w: issue for sign or encipher", ErrKeyUsage)
	}
	return create(template, a.Cert, pub, a.Key)
}

func caTemplate(subject Subject, notBefore, notAfter time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: subject.name(), NotBefore: notBefore, NotAfter: notAfter,
		BasicConstraintsValid: true, IsCA: true, SignatureAlgorithm: smx509.SM2WithSM3,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// create signs template; a nil issuer makes it self-signed.
func create(template *x509.Certificate, issuer *Certificate, pub PublicKey, signer *PrivateKey) (*Certificate, error) {
	lib, err := signer.lib()
	if err != nil {
		return nil, err
	}
	if pub.IsZero() {
		return nil, fmt.Errorf("%w: no public key to certify", ErrInvalidKey)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("%w: draw serial number: %w", ErrProvider, err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	parent := any(template)
	if issuer != nil {
		parent = issuer.cert
	}
	var der []byte
	err = guard("issue certificate", func() error {
		der, err = smx509.CreateCertificate(rand.Reader, template, parent, ecdsaPublic(pub), lib)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: issue certificate: %w", ErrProvider, err)
	}
	return ParseCertificate(der)
}
