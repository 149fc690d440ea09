package smcrypto

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

// MaxCertificate bounds one DER certificate, in bytes; MaxChain the certificates between leaf and root.
const (
	MaxCertificate = 8 << 10
	MaxChain       = 3
)

// Usage is what a leaf certificate is for. GB/T 20518 gives an institution two
// certificates, so that the encryption key can be escrowed and the signing key not.
type Usage int

const (
	// UsageSign needs digitalSignature or nonRepudiation and none of the encryption bits.
	UsageSign Usage = iota + 1
	// UsageEncipher needs keyEncipherment or dataEncipherment and none of the signing bits.
	UsageEncipher
	// UsageCA needs basicConstraints CA and keyCertSign.
	UsageCA
)

// String names the usage.
func (u Usage) String() string {
	switch u {
	case UsageSign:
		return "sign"
	case UsageEncipher:
		return "encipher"
	case UsageCA:
		return "ca"
	}
	return "unknown"
}

// Certificate is a parsed SM2 certificate. It is immutable.
type Certificate struct {
	cert *smx509.Certificate
	pub  PublicKey
}

// ParseCertificate reads one DER certificate with an SM2 key and an SM2-with-SM3
// signature. It does not check the signature; see [VerifyChain]. It is deterministic.
func ParseCertificate(der []byte) (cert *Certificate, err error) {
	if len(der) == 0 || len(der) > MaxCertificate {
		return nil, fmt.Errorf("%w: length must be 1 to %d bytes", ErrCertificate, MaxCertificate)
	}
	err = guard("parse certificate", func() error {
		cert, err = parseCertificate(bytes.Clone(der))
		return err
	})
	if err != nil {
		return nil, err
	}
	return cert, nil
}

func parseCertificate(der []byte) (*Certificate, error) {
	c, err := smx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if c.SignatureAlgorithm != smx509.SM2WithSM3 {
		return nil, fmt.Errorf("%w: signature algorithm is not SM2-with-SM3", ErrCertificate)
	}
	if c.Version != 3 {
		return nil, fmt.Errorf("%w: X.509 version must be 3", ErrCertificate)
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		return nil, fmt.Errorf("%w: unknown critical extension", ErrCertificate)
	}
	if c.PermittedDNSDomainsCritical {
		return nil, fmt.Errorf("%w: critical name constraints are not supported", ErrCertificate)
	}
	pub, err := spkiPoint(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	return &Certificate{cert: c, pub: pub}, nil
}

// ParseCertificates reads all certificates of a PEM text, or one DER certificate.
// At most 16 are taken; other PEM blocks are refused.
func ParseCertificates(data []byte) ([]*Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		c, err := ParseCertificate(data)
		if err != nil {
			return nil, err
		}
		return []*Certificate{c}, nil
	}
	var out []*Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: PEM block %q is not a certificate", ErrCertificate, block.Type)
		}
		if len(out) == 16 {
			return nil, fmt.Errorf("%w: more than 16 certificates", ErrLimit)
		}
		c, err := ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no PEM certificate found", ErrCertificate)
	}
	return out, nil
}

// DER returns the certificate's bytes.
func (c *Certificate) DER() []byte { return bytes.Clone(c.cert.Raw) }

// PEM returns the certificate as a PEM block.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// PublicKey returns the certified key.
func (c *Certificate) PublicKey() PublicKey { return c.pub }

// Organization is the first O of the subject, the hospital's name; empty if absent.
func (c *Certificate) Organization() string {
	if o := c.cert.Subject.Organization; len(o) > 0 {
		return o[0]
	}
	return ""
}

// CommonName is the subject's CN.
func (c *Certificate) CommonName() string { return c.cert.Subject.CommonName }

// Serial is the serial number in lowercase hex.
func (c *Certificate) Serial() string { return c.cert.SerialNumber.Text(16) }

// NotBefore and NotAfter bound the validity, both inclusive, in UTC.
func (c *Certificate) NotBefore() time.Time { return c.cert.NotBefore }

// NotAfter is the last valid instant.
func (c *Certificate) NotAfter() time.Time { return c.cert.NotAfter }

// Fingerprint is SM3 over the DER bytes.
func (c *Certificate) Fingerprint() [DigestSize]byte { return defaultProvider.SM3(c.cert.Raw) }

// CheckUsage returns ErrKeyUsage unless the key usage extension allows exactly u.
// A certificate that allows both signing and encryption is refused for either: the
// two keys must be separate.
func (c *Certificate) CheckUsage(u Usage) error {
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	const enciphering = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
	const agreement = x509.KeyUsageKeyAgreement
	usage := c.cert.KeyUsage
	ok := false
	switch u {
	case UsageSign:
		ok = !c.isCA() && usage&signing != 0 && usage&(enciphering|agreement|x509.KeyUsageCertSign) == 0
	case UsageEncipher:
		ok = !c.isCA() && usage&enciphering != 0 && usage&(signing|x509.KeyUsageCertSign) == 0
	case UsageCA:
		ok = c.isCA() && usage&x509.KeyUsageCertSign != 0
	}
	if !ok {
		return fmt.Errorf("%w: %q is not a certificate for %s", ErrKeyUsage, c.CommonName(), u)
	}
	return nil
}

func (c *Certificate) isCA() bool { return c.cert.BasicConstraintsValid && c.cert.IsCA }

// VerifyChain checks that a path leads from leaf over intermediates to one of
// roots: issuer names, CA flag, keyCertSign, path length, validity of every
// certificate at the given time, SM2-with-SM3 signatures by p, and the leaf's key
// usage. A root is trusted by its bytes, so it is the caller's duty to pin it; its
// self-signature is checked as well.
//
// at is an argument because the contract has no clock: it passes the transaction
// time. The result depends on the arguments only.
func VerifyChain(p Provider, leaf *Certificate, intermediates, roots []*Certificate, at time.Time, usage Usage) error {
	if leaf == nil || len(roots) == 0 {
		return fmt.Errorf("%w: needs a certificate and at least one root", ErrChain)
	}
	if len(intermediates) > 16 || len(roots) > 64 {
		return fmt.Errorf("%w: too many certificates in a chain check", ErrLimit)
	}
	if err := leaf.checkTime(at); err != nil {
		return err
	}
	if err := leaf.CheckUsage(usage); err != nil {
		return err
	}
	return climb(p, leaf, intermediates, roots, at, 0)
}

// climb looks for an issuer of c among the roots, then among the intermediates.
// depth counts the intermediate certificates below the sought issuer.
func climb(p Provider, c *Certificate, intermediates, roots []*Certificate, at time.Time, depth int) error {
	reason := fmt.Errorf("%w: no trusted issuer of %q", ErrChain, c.CommonName())
	for _, root := range roots {
		if !root.named(c) {
			continue
		}
		err := root.issued(p, c, at, depth)
		if err == nil {
			err = root.issued(p, root, at, 0)
		}
		if err == nil {
			return nil
		}
		reason = err
	}
	if depth == MaxChain {
		return reason
	}
	for _, mid := range intermediates {
		if mid == c || !mid.named(c) || bytes.Equal(mid.cert.Raw, c.cert.Raw) {
			continue
		}
		if err := mid.issued(p, c, at, depth); err != nil {
			reason = err
			continue
		}
		if err := climb(p, mid, intermediates, roots, at, depth+1); err != nil {
			reason = err
			continue
		}
		return nil
	}
	return reason
}

func (c *Certificate) named(child *Certificate) bool {
	return bytes.Equal(c.cert.RawSubject, child.cert.RawIssuer)
}

// issued checks that c may issue and did sign child.
func (c *Certificate) issued(p Provider, child *Certificate, at time.Time, depth int) error {
	if err := c.checkTime(at); err != nil {
		return err
	}
	if err := c.CheckUsage(UsageCA); err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	limited := c.cert.MaxPathLen > 0 || c.cert.MaxPathLenZero
	if limited && depth > c.cert.MaxPathLen {
		return fmt.Errorf("%w: path length limit of %q exceeded", ErrChain, c.CommonName())
	}
	if err := p.Verify(c.pub, child.cert.RawTBSCertificate, child.cert.Signature); err != nil {
		return fmt.Errorf("%w: signature of %q on %q: %w", ErrChain, c.CommonName(), child.CommonName(), err)
	}
	return nil
}

func (c *Certificate) checkTime(at time.Time) error {
	if at.Before(c.cert.NotBefore) || at.After(c.cert.NotAfter) {
		return fmt.Errorf("%w: %q is valid from %s to %s only", ErrChain, c.CommonName(),
			c.cert.NotBefore.UTC().Format(time.RFC3339), c.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// String names the certificate for logs: subject CN and serial, no key.
func (c *Certificate) String() string {
	return strings.TrimSpace(c.CommonName() + " #" + c.Serial())
}
