package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/config"
)

// nodeJob is what client.mjs and server.mjs take.
type nodeJob struct {
	Library  string            `json:"library,omitempty"`
	Host     string            `json:"host,omitempty"`
	Port     int               `json:"port,omitempty"`
	Charset  string            `json:"charset,omitempty"`
	TLS      map[string]string `json:"tls,omitempty"`
	Both     bool              `json:"both,omitempty"`
	Messages []string          `json:"messages,omitempty"`
}

// nodeAnswer is a line that client.mjs prints.
type nodeAnswer struct{ Code, Control, Text string }

// nodeSend runs the client of a library.
func nodeSend(t *testing.T, dir, addr string, job nodeJob) (out []nodeAnswer) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	job.Host = host
	_, err = fmt.Sscan(port, &job.Port)
	require.NoError(t, err)
	text, err := json.Marshal(job)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "client.mjs", string(text))
	var errs bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &errs
	lines, err := cmd.Output()
	require.NoError(t, err, "%s: %s%s", job.Library, lines, &errs)
	for line := range bytes.Lines(lines) {
		var a nodeAnswer
		require.NoError(t, json.Unmarshal(line, &a), "%s", line)
		out = append(out, a)
	}
	return out
}

// testPKI is an authority with certificates for a server and a client, as files.
type testPKI struct{ ca, cert, key, clientCert, clientKey string }

func newPKI(t *testing.T) testPKI {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	template := func(n int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := template(1, "interop CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	require.NoError(t, err)
	issue := func(n int64, name string, use x509.ExtKeyUsage) (string, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		c := template(n, name)
		c.DNSNames, c.IPAddresses, c.ExtKeyUsage = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{use}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		require.NoError(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return write(name+".crt", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", pkcs8)
	}
	p := testPKI{ca: write("ca.crt", "CERTIFICATE", der)}
	p.cert, p.key = issue(2, "server", x509.ExtKeyUsageServerAuth)
	p.clientCert, p.clientKey = issue(3, "his-client", x509.ExtKeyUsageClientAuth)
	return p
}

func (p testPKI) client() map[string]string {
	return map[string]string{"ca": p.ca, "cert": p.clientCert, "key": p.clientKey}
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestInteropNodeClients: clients that others wrote send to the running bridge, over MLLP
// and TLS, in UTF-8 and GB18030, one message, many, and a batch.
func TestInteropNodeClients(t *testing.T) {
	dir, pki, secure, ledger := nodeFolder(t, "node"), newPKI(t), freeAddr(t), freeAddr(t)
	s := w.up(t, 1, func(c *config.Config) {
		own := c.HL7.Listeners[0]
		c.HL7.Listeners[0].ApplicationAck = config.AckSealed
		own.Name, own.Addr, own.TLS = "secure", secure, config.TLS{Cert: pki.cert, Key: pki.key, ClientCA: pki.ca}
		c.HL7.Listeners = append(c.HL7.Listeners, own)
		own.Name, own.Addr, own.TLS, own.ApplicationAck = "ledger", ledger, config.TLS{}, config.AckAnchored
		c.HL7.Listeners = append(c.HL7.Listeners, own)
	})
	for i, c := range []struct {
		name string
		addr string
		job  nodeJob
		mode string // of MSH-15 to MSH-17
		cs   string // MSH-18
		told string // stage that the trail has when the answer is there
	}{
		{"node-hl7-client", s.mllp(), nodeJob{Library: "node-hl7-client"}, "||||", "UNICODE UTF-8", ""},
		{"medplum", s.mllp(), nodeJob{Library: "medplum"}, "||||", "UNICODE UTF-8", ""},
		{"medplum GB18030", s.mllp(), nodeJob{Library: "medplum", Charset: "gb18030"}, "||||", "GB18030", ""},
		{"medplum GB18030 by the endpoint", s.mllp(), nodeJob{Library: "medplum", Charset: "gb18030"}, "||||", "", ""},
		{"medplum awaits the sealed record", s.mllp(), nodeJob{Library: "medplum", Both: true}, "|AL|AL||", "UNICODE UTF-8", "stored"},
		{"medplum awaits the anchored record", ledger, nodeJob{Library: "medplum", Both: true}, "|AL|AL||", "UNICODE UTF-8", "anchored"},
		{"node-hl7-client GB18030", s.mllp(), nodeJob{Library: "node-hl7-client", Charset: "gb18030"}, "||||", "GB18030", ""},
		{"node-hl7-client TLS", secure, nodeJob{Library: "node-hl7-client", TLS: pki.client()}, "||||", "UNICODE UTF-8", ""},
		{"medplum TLS GB18030", secure, nodeJob{Library: "medplum", Charset: "gb18030", TLS: pki.client()}, "||||", "GB18030", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := range 3 {
				text := interopADT(fmt.Sprintf("NODE-%d-%d", i, n), c.mode, c.cs)
				c.job.Messages = append(c.job.Messages, text)
				s.note(t, onTheWire(t, text, c.job.Charset), true)
			}
			answers := nodeSend(t, dir, c.addr, c.job)
			require.Len(t, answers, len(c.job.Messages))
			for n, a := range answers {
				assert.Equal(t, []string{"AA", fmt.Sprintf("NODE-%d-%d", i, n)}, []string{a.Code, a.Control}, "%s", a.Text)
			}
			if c.told != "" {
				assert.Contains(t, string(s.must(t, "trace", answers[0].Control, "--json")), `"`+c.told+`"`)
			}
		})
	}
	t.Run("batch", func(t *testing.T) {
		one := interopADT("NODE-B-1", "||||", "UNICODE UTF-8")
		s.note(t, []byte(one+"\r"), true)
		answers := nodeSend(t, dir, s.mllp(), nodeJob{Library: "node-hl7-client", Messages: []string{"BHS|^~\\&|NODE|IT\r" + one + "\rBTS|1"}})
		require.Len(t, answers, 1)
		assert.Equal(t, []string{"AA", "NODE-B-1"}, []string{answers[0].Code, answers[0].Control})
	})
	t.Run("without a certificate", func(t *testing.T) {
		_, err := tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		require.Error(t, err)
	})
	s.reconcile(t)
}

func interopADT(id, mode, charset string) string {
	return strings.Join([]string{
		`MSH|^~\&|NODE|IT|EMRBRIDGE||20260302101500+0800||ADT^A08^ADT_A01|` + id + `|P|2.5||` + mode + charset,
		"EVN|A08|20260302101500+0800",
		"PID|1||" + residentOfADT + "^^^GA^NNCHN~L-78^^^IT^PI||褚^镕基||19900307|F",
		"PV1|1|O",
	}, "\r")
}

// onTheWire is a message as the client sends it.
func onTheWire(t *testing.T, text, charset string) []byte {
	t.Helper()
	if charset != "gb18030" {
		return []byte(text)
	}
	raw, err := hl7.GB18030.Encode([]byte(text))
	require.NoError(t, err)
	return raw
}

// nodeServer runs server.mjs until the test ends, and returns its address and what comes
// to it.
func nodeServer(t *testing.T, dir string, job nodeJob) (string, *bufio.Scanner) {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	cmd := exec.Command("node", "server.mjs", string(text))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	hold, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = hold.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	var first struct{ Port int }
	require.NoError(t, json.Unmarshal(lines.Bytes(), &first))
	return fmt.Sprintf("127.0.0.1:%d", first.Port), lines
}

// TestInteropNodeServer: messages are sent on, and replayed, to a server that others wrote.
func TestInteropNodeServer(t *testing.T) {
	dir, pki := nodeFolder(t, "node"), newPKI(t)
	pem, err := os.ReadFile(pki.ca)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	for name, c := range map[string]struct {
		job    nodeJob
		client mllp.ClientConfig
	}{
		"MLLP": {},
		"TLS": {nodeJob{TLS: map[string]string{"cert": pki.cert, "key": pki.key}},
			mllp.ClientConfig{TLS: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}}},
		"GB18030": {job: nodeJob{Charset: "gb18030"}},
	} {
		t.Run(name, func(t *testing.T) {
			addr, came := nodeServer(t, dir, c.job)
			charset := "UNICODE UTF-8"
			if c.job.Charset != "" {
				charset = "GB18030"
			}
			to, err := forward.NewSender(forward.SenderConfig{Addr: addr, Client: c.client,
				Policy: forward.Policy{ErrorTries: 2, RetryMin: time.Millisecond}})
			require.NoError(t, err)
			defer to.Close()
			for i := range 4 {
				id := fmt.Sprintf("FWD-%d", i)
				r, err := to.Deliver(t.Context(), forward.Message{ID: id, Raw: onTheWire(t, interopADT(id, "||||", charset), c.job.Charset)})
				require.NoError(t, err)
				assert.Equal(t, []string{"AA", id}, []string{string(r.Code), r.ControlID})
			}
			require.True(t, came.Scan())
			assert.JSONEq(t, `{"control": "FWD-0", "name": "褚^镕基"}`, came.Text())
			_, err = to.Deliver(t.Context(), forward.Message{ID: "AE-1", Raw: []byte(interopADT("AE-1", "||||", "UNICODE UTF-8"))})
			var held *forward.HeldError
			require.ErrorAs(t, err, &held)
			assert.Equal(t, 2, held.Tries)
		})
	}
	t.Run("replay", func(t *testing.T) {
		s := w.up(t, 1, nil)
		raw := []byte(interopADT("REPLAY-1", "||||", "UNICODE UTF-8"))
		s.accepted(t, raw)
		eventually(t, "the record is stored", func() bool {
			return bytes.Contains(s.must(t, "messages", "list", "--control-id", "REPLAY-1", "--json"), []byte(s.id(t, raw).String()))
		})
		addr, came := nodeServer(t, dir, nodeJob{})
		replay := []string{"messages", "replay", "REPLAY-1", "--to", "mllp://" + addr, "--reason", "interop"}
		eventually(t, "the record can be opened", func() bool {
			_, code, err := s.Run(t.Context(), replay...)
			return err == nil && code == 0
		})
		require.True(t, came.Scan())
		assert.JSONEq(t, `{"control": "REPLAY-1", "name": "褚^镕基"}`, came.Text())
		assert.Contains(t, string(s.must(t, append(replay, "--json")...)), `"suppressed":true`)
		s.reconcile(t)
	})
}
