package institute

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Names of the files in a folder.
const (
	fileAbout        = "institute.json"
	fileSign         = "sign"
	fileEncrypt      = "encrypt"
	fileTLS          = "tls"
	fileAuthority    = "authority.crt"
	fileGatewayCA    = "gateway-ca.crt"
	extKey           = ".key"
	extCert          = ".crt"
	extRequest       = ".csr"
	maxFile          = 64 << 10 // bytes of any file of the folder
	nameUnit         = "research"
	subjectCountry   = "CN"
	pemCertificate   = "CERTIFICATE"
	pemRequest       = "CERTIFICATE REQUEST"
	pemPrivateKey    = "PRIVATE KEY"
	maxNameInSubject = 64
)

// ErrNotAdmitted reports a folder that holds no certificates yet.
var ErrNotAdmitted = errors.New("research/institute: the folder holds no certificates: give the requests to the consortium's authority and take its answer in with: emrbridge research import")

// About is what institute.json says.
type About struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Proxy string `json:"proxy,omitempty"` // https URL of the proxy hospital's gateway
}

// Folder is an opened folder. It redacts itself in logs.
type Folder struct {
	About
	Dir      string
	provider smcrypto.Provider
	sign     *smcrypto.PrivateKey
	encrypt  *smcrypto.PrivateKey
}

// LogValue implements slog.LogValuer.
func (f *Folder) LogValue() slog.Value {
	return slog.StringValue("institute " + f.ID + ", keys redacted")
}

// Create makes a folder with fresh keys and certificate requests. It fails if the folder has
// an institute already.
func Create(dir string, about About) (*Folder, error) {
	switch {
	case !evidence.ValidInstitute(about.ID):
		return nil, errors.New("research/institute: the id has 1 to 64 letters, digits, '-' or '_'")
	case about.Name == "" || len(about.Name) > 128:
		return nil, errors.New("research/institute: a name of at most 128 bytes is needed")
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, fileAbout)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("research/institute: %s holds an institute already, or cannot be read", dir)
	}
	files := map[string][]byte{}
	for _, name := range []string{fileSign, fileEncrypt} {
		if err := sm2Files(files, name, about); err != nil {
			return nil, err
		}
	}
	if err := tlsFiles(files, about); err != nil {
		return nil, err
	}
	for name, data := range files {
		if err := fsatomic.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, fmt.Errorf("research/institute: %w", err)
		}
	}
	// The description is written last: without it the folder is none.
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(dir, fileAbout), append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	return Open(dir)
}

func sm2Files(files map[string][]byte, name string, about About) error {
	key, err := smcrypto.Default().GenerateKey()
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	text, err := smcrypto.MarshalPrivateKeyPEM(key)
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	request, err := smcrypto.NewCertificateRequest(key, subject(about))
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	files[name+extKey], files[name+extRequest] = text, request
	return nil
}

func subject(about About) smcrypto.Subject {
	return smcrypto.Subject{Country: subjectCountry, Organization: about.ID, Unit: nameUnit, CommonName: about.ID}
}

func tlsFiles(files map[string][]byte, about About) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{Country: []string{subjectCountry}, Organization: []string{about.ID}, CommonName: about.ID},
	}, key)
	if err != nil {
		return fmt.Errorf("research/institute: %w", err)
	}
	files[fileTLS+extKey] = pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der})
	files[fileTLS+extRequest] = pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: request})
	return nil
}

// Open reads a folder. Keys that others can read are refused.
func Open(dir string) (*Folder, error) {
	f := &Folder{Dir: dir, provider: smcrypto.Default()}
	text, err := f.read(fileAbout)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("research/institute: %s holds no institute; make one with: emrbridge research init", dir)
	}
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f.About); err != nil || !evidence.ValidInstitute(f.ID) || f.Name == "" {
		return nil, fmt.Errorf("research/institute: %s does not describe an institute", filepath.Join(dir, fileAbout))
	}
	if f.sign, err = f.key(fileSign); err != nil {
		return nil, err
	}
	f.encrypt, err = f.key(fileEncrypt)
	return f, err
}

// read returns a file of the folder, bounded.
func (f *Folder) read(name string) ([]byte, error) { return readFile(filepath.Join(f.Dir, name)) }

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("research/institute: %s has %d bytes, %d are allowed", path, info.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	return b, nil
}

func (f *Folder) key(name string) (*smcrypto.PrivateKey, error) {
	path := filepath.Join(f.Dir, name+extKey)
	if err := fsatomic.CheckPrivate(path); err != nil {
		return nil, fmt.Errorf("research/institute: %w", err)
	}
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	defer smcrypto.Zero(text)
	key, err := smcrypto.ParsePrivateKeyPEM(text)
	if err != nil {
		return nil, fmt.Errorf("research/institute: %s: %w", path, err)
	}
	return key, nil
}

// certificate reads a certificate of the folder; ErrNotAdmitted if it is not there.
func (f *Folder) certificate(name string) (*smcrypto.Certificate, error) {
	text, err := f.read(name + extCert)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotAdmitted
	}
	if err != nil {
		return nil, err
	}
	return oneCertificate(filepath.Join(f.Dir, name+extCert), text)
}

func oneCertificate(what string, text []byte) (*smcrypto.Certificate, error) {
	certs, err := smcrypto.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("research/institute: %s: %w", what, err)
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("research/institute: %s holds %d certificates, one is wanted", what, len(certs))
	}
	return certs[0], nil
}

// SigningCertificate and EncryptionCertificate return the certificates that the authority
// issued; ErrNotAdmitted before it did.
func (f *Folder) SigningCertificate() (*smcrypto.Certificate, error) { return f.certificate(fileSign) }

// EncryptionCertificate returns the certificate to which datasets are sealed.
func (f *Folder) EncryptionCertificate() (*smcrypto.Certificate, error) {
	return f.certificate(fileEncrypt)
}

// EncryptionKey returns the key that opens datasets.
func (f *Folder) EncryptionKey() *smcrypto.PrivateKey { return f.encrypt }

// Authority returns the certificates of the consortium's authority.
func (f *Folder) Authority() ([]*smcrypto.Certificate, error) {
	text, err := f.read(fileAuthority)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotAdmitted
	}
	if err != nil {
		return nil, err
	}
	return smcrypto.ParseCertificates(text)
}

// TLS returns the certificate for calls to the proxy hospital and the authority of the
// hospitals' gateways.
func (f *Folder) TLS() (tls.Certificate, *x509.CertPool, error) {
	if err := fsatomic.CheckPrivate(filepath.Join(f.Dir, fileTLS+extKey)); err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("research/institute: %w", err)
	}
	cert, err := f.read(fileTLS + extCert)
	if errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, nil, ErrNotAdmitted
	}
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	key, err := f.read(fileTLS + extKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("research/institute: TLS certificate: %w", err)
	}
	authority, err := f.read(fileGatewayCA)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return tls.Certificate{}, nil, fmt.Errorf("research/institute: %s holds no certificate", fileGatewayCA)
	}
	return pair, pool, nil
}

// Sign makes the institute's signed statement over body, issued at a time.
func (f *Folder) Sign(body evidence.Body, at time.Time) (evidence.Signed, error) {
	if _, err := f.SigningCertificate(); err != nil {
		return evidence.Signed{}, err
	}
	return signStatement(f.provider, f.sign, f.ID, body, at)
}

// signStatement signs a statement with a fresh nonce.
func signStatement(p smcrypto.Provider, key *smcrypto.PrivateKey, actor string, body evidence.Body, at time.Time) (evidence.Signed, error) {
	var nonce evidence.Nonce
	if _, err := rand.Read(nonce[:]); err != nil {
		return evidence.Signed{}, fmt.Errorf("research/institute: nonce: %w", err)
	}
	st, err := evidence.NewStatement(actor, nonce, at.UnixMilli(), body)
	if err != nil {
		return evidence.Signed{}, err
	}
	canonical, err := st.Canonical()
	if err != nil {
		return evidence.Signed{}, err
	}
	signature, err := p.Sign(key, evidence.SigningBytes(canonical))
	if err != nil {
		return evidence.Signed{}, fmt.Errorf("research/institute: sign: %w", err)
	}
	return evidence.Signed{Statement: canonical, Signature: signature}, nil
}
