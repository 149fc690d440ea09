package institute

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// RegistrationName is the file name of the authority's signed registration, which a hospital
// carries to the ledger.
const RegistrationName = "registration.statement"

// Authority holds what admits an institute: the consortium's SM2 authority and the authority
// of the gateways' TLS certificates. A consortium with a certificate service of its own
// issues the same certificates there.
type Authority struct {
	SM2     *smcrypto.Authority
	TLS     *x509.Certificate
	TLSKey  crypto.Signer
	Days    int           // validity of what is issued
	Overlap time.Duration // how long before now certificates are valid already
}

// LoadAuthority reads the PEM files of both authorities.
func LoadAuthority(sm2Cert, sm2Key, tlsCert, tlsKey string) (*Authority, error) {
	a := &Authority{SM2: &smcrypto.Authority{}, Days: 3 * 365, Overlap: 5 * time.Minute}
	for _, path := range []string{sm2Key, tlsKey} {
		if err := fsatomic.CheckPrivate(path); err != nil {
			return nil, fmt.Errorf("research/institute: %w", err)
		}
	}
	var texts [4][]byte
	for i, path := range []string{sm2Cert, sm2Key, tlsCert, tlsKey} {
		var err error
		if texts[i], err = readFile(path); err != nil {
			return nil, err
		}
	}
	defer smcrypto.Zero(texts[1])
	defer smcrypto.Zero(texts[3])
	var err error
	if a.SM2.Cert, err = oneCertificate(sm2Cert, texts[0]); err != nil {
		return nil, err
	}
	if a.SM2.Key, err = smcrypto.ParsePrivateKeyPEM(texts[1]); err != nil {
		return nil, fmt.Errorf("research/institute: %s: %w", sm2Key, err)
	}
	if a.SM2.Key.Public() != a.SM2.Cert.PublicKey() {
		return nil, fmt.Errorf("research/institute: %s is not the key of %s", sm2Key, sm2Cert)
	}
	return a, a.loadTLS(tlsCert, texts[2], tlsKey, texts[3])
}

func (a *Authority) loadTLS(certPath string, cert []byte, keyPath string, key []byte) error {
	block, _ := pem.Decode(cert)
	if block == nil || block.Type != pemCertificate {
		return fmt.Errorf("research/institute: %s holds no PEM certificate", certPath)
	}
	var err error
	if a.TLS, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("research/institute: %s: %w", certPath, err)
	}
	block, _ = pem.Decode(key)
	if block == nil || block.Type != pemPrivateKey {
		return fmt.Errorf("research/institute: %s holds no PEM key (PKCS#8)", keyPath)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("research/institute: %s is not a PKCS#8 key", keyPath)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return fmt.Errorf("research/institute: %s holds no signing key", keyPath)
	}
	a.TLSKey = signer
	return nil
}

// Requests are an institute's certificate requests, PEM.
type Requests struct{ Sign, Encrypt, TLS []byte }

// ReadRequests reads sign.csr, encrypt.csr and tls.csr.
func ReadRequests(dir string) (r Requests, err error) {
	for name, to := range map[string]*[]byte{fileSign: &r.Sign, fileEncrypt: &r.Encrypt, fileTLS: &r.TLS} {
		if *to, err = readFile(filepath.Join(dir, name+extRequest)); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Admission is the authority's answer to an institute's requests.
type Admission struct {
	ID                 string
	Sign, Encrypt, TLS []byte // certificates, PEM
	Authority          []byte // of the consortium, PEM
	GatewayCA          []byte // PEM
	Registration       evidence.Signed
}

// Admit certifies the keys of an institute and signs its registration. Whoever calls it has
// made sure that the requests are the institute's and that the consortium wants it.
func (a *Authority) Admit(id, name string, r Requests, now time.Time) (*Admission, error) {
	out := &Admission{ID: id, Authority: a.SM2.Cert.PEM(), GatewayCA: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: a.TLS.Raw})}
	body := evidence.RegisterInstitute{ID: id, Name: name}
	from, to := now.Add(-a.Overlap), now.AddDate(0, 0, a.Days)
	for _, c := range []struct {
		request []byte
		usage   smcrypto.Usage
		pem     *[]byte
		der     *[]byte
	}{{r.Sign, smcrypto.UsageSign, &out.Sign, &body.SignCert}, {r.Encrypt, smcrypto.UsageEncipher, &out.Encrypt, &body.EncryptCert}} {
		pub, asked, err := smcrypto.ParseCertificateRequest(smcrypto.Default(), c.request)
		if err != nil {
			return nil, fmt.Errorf("research/institute: request for %s: %w", c.usage, err)
		}
		if asked.Organization != id {
			return nil, fmt.Errorf("research/institute: the request for %s is of %q, not of %s", c.usage, clip(asked.Organization), id)
		}
		cert, err := a.SM2.Issue(pub, smcrypto.Subject{Country: subjectCountry, Organization: id, Unit: nameUnit, CommonName: id}, c.usage, from, to)
		if err != nil {
			return nil, fmt.Errorf("research/institute: %w", err)
		}
		*c.pem, *c.der = cert.PEM(), cert.DER()
	}
	var err error
	if out.TLS, body.TLSKey, err = a.issueTLS(id, r.TLS, from, to); err != nil {
		return nil, err
	}
	out.Registration, err = signStatement(smcrypto.Default(), a.SM2.Key, evidence.AuthorityActor, body, now)
	return out, err
}

// Sign makes a statement of the authority, as SetInstituteStatus.
func (a *Authority) Sign(body evidence.Body, now time.Time) (evidence.Signed, error) {
	return signStatement(smcrypto.Default(), a.SM2.Key, evidence.AuthorityActor, body, now)
}

// issueTLS certifies the key of a request for calling gateways, never for serving.
func (a *Authority) issueTLS(id string, request []byte, from, to time.Time) ([]byte, evidence.Digest, error) {
	var key evidence.Digest
	block, _ := pem.Decode(request)
	if block == nil || block.Type != pemRequest {
		return nil, key, errors.New("research/institute: the TLS request is no PEM certificate request")
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = asked.CheckSignature()
	}
	if err != nil {
		return nil, key, fmt.Errorf("research/institute: TLS request: %w", err)
	}
	if len(asked.Subject.Organization) != 1 || asked.Subject.Organization[0] != id {
		return nil, key, fmt.Errorf("research/institute: the TLS request is not of %s", id)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, key, fmt.Errorf("research/institute: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), NotBefore: from, NotAfter: to,
		Subject:               pkix.Name{Country: []string{subjectCountry}, Organization: []string{id}, OrganizationalUnit: []string{nameUnit}, CommonName: id},
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.TLS, asked.PublicKey, a.TLSKey)
	if err != nil {
		return nil, key, fmt.Errorf("research/institute: TLS certificate: %w", err)
	}
	key = sha256.Sum256(asked.RawSubjectPublicKeyInfo)
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}), key, nil
}

func clip(s string) string { return s[:min(len(s), maxNameInSubject)] }

// Write writes the admission into a folder, from which the institute takes it in.
func (a *Admission) Write(dir string) error {
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	registration, err := a.Registration.Encode()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		fileSign + extCert: a.Sign, fileEncrypt + extCert: a.Encrypt, fileTLS + extCert: a.TLS,
		fileAuthority: a.Authority, fileGatewayCA: a.GatewayCA, RegistrationName: registration,
	} {
		if err := fsatomic.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("research/institute: %w", err)
		}
	}
	return nil
}

// Import takes the authority's answer from a folder. Certificates that are not for the
// institute's keys, or not the authority's, are refused; nothing is written then.
func (f *Folder) Import(from string, now time.Time) error {
	files := map[string][]byte{}
	for _, name := range []string{fileSign + extCert, fileEncrypt + extCert, fileTLS + extCert, fileAuthority, fileGatewayCA} {
		text, err := readFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		files[name] = text
	}
	roots, err := smcrypto.ParseCertificates(files[fileAuthority])
	if err != nil {
		return fmt.Errorf("research/institute: %s: %w", fileAuthority, err)
	}
	for _, c := range []struct {
		name  string
		key   *smcrypto.PrivateKey
		usage smcrypto.Usage
	}{{fileSign, f.sign, smcrypto.UsageSign}, {fileEncrypt, f.encrypt, smcrypto.UsageEncipher}} {
		cert, err := oneCertificate(c.name+extCert, files[c.name+extCert])
		if err != nil {
			return err
		}
		if cert.PublicKey() != c.key.Public() || cert.Organization() != f.ID {
			return fmt.Errorf("research/institute: %s is not for this institute's key", c.name+extCert)
		}
		if err := smcrypto.VerifyChain(f.provider, cert, nil, roots, now, c.usage); err != nil {
			return fmt.Errorf("research/institute: %s: %w", c.name+extCert, err)
		}
	}
	if err := f.fitsTLS(files[fileTLS+extCert]); err != nil {
		return err
	}
	for name, data := range files {
		if err := fsatomic.WriteFile(filepath.Join(f.Dir, name), data, 0o644); err != nil {
			return fmt.Errorf("research/institute: %w", err)
		}
	}
	return nil
}

// fitsTLS checks that a TLS certificate is for the key that was requested.
func (f *Folder) fitsTLS(cert []byte) error {
	block, _ := pem.Decode(cert)
	if block == nil || block.Type != pemCertificate {
		return errors.New("research/institute: tls.crt holds no PEM certificate")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("research/institute: tls.crt: %w", err)
	}
	text, err := f.read(fileTLS + extRequest)
	if err != nil {
		return err
	}
	block, _ = pem.Decode(text)
	if block == nil {
		return errors.New("research/institute: tls.csr is not PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || string(request.RawSubjectPublicKeyInfo) != string(parsed.RawSubjectPublicKeyInfo) {
		return errors.New("research/institute: tls.crt is not for this institute's key")
	}
	return nil
}
