package hip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// selfSigned makes a certificate that is its own authority.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestMutualTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	d, raw := example(t, "C0002")
	r := newRig(t, nil)
	url := serve(t, ServerConfig{Service: r.Service, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}})
	url = strings.Replace(url, "http://", "https://", 1)
	ask := func(certs ...tls.Certificate) error {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs, MinVersion: tls.VersionTLS12}}}
		resp, err := client.Post(url, "text/xml", strings.NewReader(call("CDATA", register(d, raw))))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	require.Error(t, ask())
	require.Empty(t, r.taken)
	require.NoError(t, ask(cert))
	require.Len(t, r.taken, 1)
}

// Calls beyond the bound wait; one that waits too long is told to come again, and nothing
// of it is taken.
func TestBoundedCalls(t *testing.T) {
	d, raw := example(t, "C0002")
	release := make(chan struct{})
	r := newRig(t, func(c *Config) {
		c.Submit = func(ctx context.Context, _ Submission) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	url := serve(t, ServerConfig{Service: r.Service, MaxConcurrent: 1, Timeout: 700 * time.Millisecond})
	body := call("CDATA", register(d, raw))
	first := make(chan string, 1)
	go func() { _, reply := post(t, url, "text/xml", body); first <- reply }()
	time.Sleep(100 * time.Millisecond)
	status, _ := post(t, url, "text/xml", body)
	require.Contains(t, []int{http.StatusServiceUnavailable, http.StatusOK}, status)
	require.Contains(t, <-first, "send it again", "the first ran out of time: not durable, so not acknowledged")
	close(release)
	_, reply := post(t, url, "text/xml", body)
	require.Contains(t, reply, "AA")
}
