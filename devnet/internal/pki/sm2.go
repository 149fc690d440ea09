package pki

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"
)

// Key usages of GB/T 20518: a subscriber has one pair for signing and one for encryption, and neither
// certificate may serve the other purpose.
const (
	usageSM2Sign    = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	usageSM2Encrypt = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
)

// SM2CA signs SM2 certificates (SM2 with SM3).
type SM2CA struct {
	Pair
	cert *x509.Certificate
	key  *sm2.PrivateKey
}

// NewSM2CA makes a self-signed SM2 authority.
func NewSM2CA(org, commonName string) (*SM2CA, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", commonName, err)
	}
	tmpl, err := template(pkix.Name{Country: []string{"CN"}, Organization: []string{org}, CommonName: commonName})
	if err != nil {
		return nil, err
	}
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.MaxPathLenZero = true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	tmpl.SubjectKeyId = sm2KeyID(key)
	pair, err := signSM2(tmpl, tmpl, key, key)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", commonName, err)
	}
	return &SM2CA{Pair: pair, cert: tmpl, key: key}, nil
}

// IssueSigning makes a signing pair for a member: O is its MSP, CN its name.
func (ca *SM2CA) IssueSigning(org, commonName string) (Pair, error) {
	return ca.issue(org, commonName, usageSM2Sign)
}

// IssueEncryption makes an encryption pair for a member.
func (ca *SM2CA) IssueEncryption(org, commonName string) (Pair, error) {
	return ca.issue(org, commonName, usageSM2Encrypt)
}

func (ca *SM2CA) issue(org, commonName string, usage x509.KeyUsage) (Pair, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", commonName, err)
	}
	tmpl, err := template(pkix.Name{Country: []string{"CN"}, Organization: []string{org}, CommonName: commonName})
	if err != nil {
		return Pair{}, err
	}
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage = usage
	tmpl.SubjectKeyId = sm2KeyID(key)
	tmpl.AuthorityKeyId = ca.cert.SubjectKeyId
	pair, err := signSM2(tmpl, ca.cert, key, ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", commonName, err)
	}
	return pair, nil
}

func signSM2(tmpl, parent *x509.Certificate, key, signer *sm2.PrivateKey) (Pair, error) {
	der, err := smx509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return pair(der, keyDER), nil
}

// sm2KeyID is the first 20 bytes of SM3 over the uncompressed public point.
func sm2KeyID(key *sm2.PrivateKey) []byte {
	point := make([]byte, 65)
	point[0] = 4
	key.X.FillBytes(point[1:33])
	key.Y.FillBytes(point[33:])
	sum := sm3.Sum(point)
	return sum[:20]
}
