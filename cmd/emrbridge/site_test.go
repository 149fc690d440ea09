package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// lonelySite is a hospital's whole installation whose ledger is away: records come as far
// as the store. It runs within the test.
type lonelySite struct {
	dir, path string
	config    *config.Config
	stop      context.CancelFunc
	done      chan int
	log       *lockedBuffer
}

// lockedBuffer is a buffer that a process writes while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newLonelySite makes and starts a site, configured as change says.
func newLonelySite(t *testing.T, change func(*config.Config)) *lonelySite {
	t.Helper()
	dir, err := os.MkdirTemp("", "emr") // short: a socket lies below it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &lonelySite{dir: dir, path: filepath.Join(dir, "emrbridge.yaml")}
	c := config.Default()
	c.Hospital = config.Hospital{Number: 1, MSP: "H1MSP", Name: "试验医院", Zone: "Asia/Shanghai"}
	c.DataDir = filepath.Join(dir, "data")
	c.Keystore = config.Keystore{PassphraseFile: s.file(t, "passphrase", []byte("correct horse battery staple\n"))}
	c.HL7.Listeners = []config.Listener{{Name: "his", Addr: freeAddr(t), Charset: "UTF-8"}}
	c.Observe.Addr, c.Observe.LogLevel = freeAddr(t), "debug"
	s.ledger(t, &c)
	if change != nil {
		change(&c)
	}
	text, err := yaml.Marshal(&c)
	require.NoError(t, err)
	s.file(t, "emrbridge.yaml", text)
	s.config, err = config.Load(s.path)
	require.NoError(t, err)
	s.keys(t)
	s.start(t)
	return s
}

func (s *lonelySite) file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// ledger names a ledger that nobody runs.
func (s *lonelySite) ledger(t *testing.T, c *config.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cert := s.file(t, "client.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c.Chain.Cert, c.Chain.Key = cert, s.file(t, "client.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	c.Chain.Peers = []config.ChainPeer{{Addr: "127.0.0.1:1", TLSCA: cert, MSP: "H1MSP"}}
	c.Chain.Endorsers, c.Chain.EndorsersNeeded = []string{"H1MSP"}, 1
	root, err := smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	authority, err := smcrypto.NewAuthority(root, smcrypto.Subject{CommonName: "consortium"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	c.Chain.Authority = s.file(t, "authority.crt", authority.Cert.PEM())
}

// certificate writes a certificate for the loopback, its own authority, for both sides.
func (s *lonelySite) certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "archive"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return s.file(t, "tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		s.file(t, "tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func (s *lonelySite) keys(t *testing.T) {
	t.Helper()
	pass, err := os.ReadFile(s.config.Keystore.PassphraseFile)
	require.NoError(t, err)
	ks, err := keystore.Create(t.Context(), s.config.Keystore.Dir, bytes.TrimSpace(pass), keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, ks.GenerateHospitalKeys(t.Context()))
	require.NoError(t, ks.Close())
}

// start runs `emrbridge serve` and waits until it listens.
func (s *lonelySite) start(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done, s.log = stop, make(chan int, 1), &lockedBuffer{}
	go func() { s.done <- run(ctx, []string{"serve", "-c", s.path}, s.log, s.log) }()
	t.Cleanup(func() { s.halt(t) })
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "已启动") }, 20*time.Second, 10*time.Millisecond, "%s", s.log)
}

// halt ends the process in order.
func (s *lonelySite) halt(t *testing.T) {
	t.Helper()
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	require.Zero(t, <-s.done, "%s", s.log)
	if t.Failed() {
		t.Log(s.log)
	}
}

// command runs a command on the site and returns what it printed and its exit code.
func (s *lonelySite) command(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append(args, "-c", s.path), &out, &errs)
	return out.String() + errs.String(), code
}

// lines runs a command with --json and decodes a value from each line.
func lines[T any](t *testing.T, s *lonelySite, code int, args ...string) (out []T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	got := run(t.Context(), append(args, "--json", "-c", s.path), &stdout, &stderr)
	require.Equal(t, code, got, "emrbridge %v: %s%s", args, &stdout, &stderr)
	for dec := json.NewDecoder(&stdout); dec.More(); {
		var v T
		require.NoError(t, dec.Decode(&v))
		out = append(out, v)
	}
	return out
}

func (s *lonelySite) mllp() string { return s.config.HL7.Listeners[0].Addr }

// send sends one message and returns the answer.
func (s *lonelySite) send(t *testing.T, raw []byte) mllp.Reply {
	t.Helper()
	c, err := mllp.Dial(t.Context(), s.mllp(), mllp.ClientConfig{Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	require.NoError(t, err)
	defer c.Close()
	r, err := c.Send(t.Context(), raw)
	require.NoError(t, err)
	return r
}

// stored waits until messages have come into the store, and returns the list of all.
func (s *lonelySite) stored(t *testing.T, n int) (all []listedMessage) {
	t.Helper()
	require.Eventually(t, func() bool {
		all = lines[listedMessage](t, s, 0, "messages", "list", "--state", "stored")
		return len(all) >= n
	}, 20*time.Second, 50*time.Millisecond, "%s", s.log)
	return all
}

// testADT is a message of an invented patient.
func testADT(id string) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|WARD|H1|EMR|H1|20260302101500+0800||ADT^A08^ADT_A01|%s|P|2.5||||||UNICODE UTF-8\rEVN|A08|20260302101500+0800\rPID|1||990101199003071237^^^GA^NNCHN~L-%s^^^H1^PI||测^试||19900307|F\rPV1|1|O\r", id, id)
}
