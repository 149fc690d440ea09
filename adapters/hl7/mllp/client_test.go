package mllp_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

func adt(id string) []byte {
	return []byte("MSH|^~\\&|HIS|H1|EMR|H1|20260301||ADT^A01|" + id + "|P|2.5\rPID|1||1^^^H1^PI\r")
}

func acknowledge(id string) string {
	return frame("MSH|^~\\&|EMR|H1|HIS|H1|20260301||ACK^A01^ACK|a|P|2.5\rMSA|AA|" + id + "\r")
}

func accepting(peers *[]string) *hl7.Receiver {
	var mu sync.Mutex
	return &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		mu.Lock()
		defer mu.Unlock()
		if peers != nil {
			*peers = append(*peers, s.Peer)
		}
		return nil
	}}
}

func client(t *testing.T, addr string, cfg mllp.ClientConfig) *mllp.Client {
	c, err := mllp.Dial(t.Context(), addr, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientSendsManyOverOneConnection(t *testing.T) {
	addr, s, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(accepting(nil))})
	c := client(t, addr, mllp.ClientConfig{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			reply, err := c.Send(t.Context(), adt(fmt.Sprint(i)))
			assert.NoError(t, err)
			assert.Equal(t, hl7.AppAccept, reply.Code)
			assert.Equal(t, fmt.Sprint(i), reply.ControlID)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, s.Conns())
	reply, err := c.Send(t.Context(), []byte("MSH|^~\\&|A|B|C|D|||bad|9|P|2.5\r"))
	require.NoError(t, err, "a refusal is an answer")
	assert.Equal(t, hl7.AppReject, reply.Code)
	assert.Equal(t, "200", reply.ErrorCode)
	reply, err = c.Send(t.Context(), []byte("MSH|^~\\&|A|B|C|D|||ADT^A01|9|P|2.5|||NE|NE\r"))
	require.NoError(t, err)
	assert.Empty(t, reply.Code, "none was asked for")
	reply, err = c.Send(t.Context(), []byte("MSH|^~\\&|A|B|C|D|||ADT^A01|9|P|2.5|||AL|NE\r"))
	require.NoError(t, err)
	assert.Equal(t, hl7.CommitAccept, reply.Code)
}

// scripted serves one connection with a function.
func scripted(t *testing.T, serve func(net.Conn, *bufio.Reader)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn, bufio.NewReader(conn))
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestClientAgainstBadServers(t *testing.T) {
	wait := func(conn net.Conn, r *bufio.Reader) { r.ReadString(0x1c); r.ReadString('\r') }
	cases := []struct {
		name  string
		serve func(net.Conn, *bufio.Reader)
		want  error
	}{
		{"silence", func(c net.Conn, r *bufio.Reader) { wait(c, r); r.ReadByte() }, mllp.ErrNoAnswer},
		{"half an answer", func(c net.Conn, r *bufio.Reader) { wait(c, r); c.Write([]byte("\x0bMSH|")); r.ReadByte() }, mllp.ErrNoAnswer},
		{"closed", func(c net.Conn, r *bufio.Reader) { wait(c, r) }, mllp.ErrNoAnswer},
		{"not an acknowledgement", func(c net.Conn, r *bufio.Reader) { wait(c, r); c.Write([]byte(frame("hello"))) }, mllp.ErrBadAnswer},
		{"too long", func(c net.Conn, r *bufio.Reader) { wait(c, r); c.Write(append([]byte{0x0b}, make([]byte, 8<<10)...)) }, mllp.ErrNoAnswer},
		{"answers to others only", func(c net.Conn, r *bufio.Reader) {
			wait(c, r)
			for range 1100 {
				c.Write([]byte(acknowledge("other")))
			}
			r.ReadByte()
		}, mllp.ErrWrongAnswer},
		{"a late answer first", func(c net.Conn, r *bufio.Reader) {
			wait(c, r)
			c.Write([]byte(acknowledge("before") + acknowledge("1")))
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wait := 50 * time.Millisecond
			if errors.Is(c.want, mllp.ErrWrongAnswer) {
				wait = 10 * time.Second // it takes a while to read so many
			}
			cl := client(t, scripted(t, c.serve), mllp.ClientConfig{AnswerTimeout: wait, MaxAnswer: 4 << 10})
			reply, err := cl.Send(t.Context(), adt("1"))
			if c.want == nil {
				require.NoError(t, err)
				assert.Equal(t, "1", reply.ControlID)
				return
			}
			require.ErrorIs(t, err, c.want)
			_, err = cl.Send(t.Context(), adt("2"))
			assert.ErrorIs(t, err, mllp.ErrClosed, "a late answer must not reach the next message")
		})
	}
}

func TestClientHonoursItsContext(t *testing.T) {
	addr := scripted(t, func(_ net.Conn, r *bufio.Reader) { r.ReadString(0); r.ReadByte() })
	c := client(t, addr, mllp.ClientConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Send(ctx, adt("1"))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = mllp.Dial(t.Context(), "127.0.0.1:1", mllp.ClientConfig{DialTimeout: time.Second})
	assert.Error(t, err)
}

// authority is a certificate authority for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestMutualTLS(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	var peers []string
	addr, _, ev := start(t, mllp.Config{Handler: mllp.ForReceiver(accepting(&peers)), ReadTimeout: 200 * time.Millisecond,
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "emr.test")}, ClientCAs: ca.pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}})
	good := &tls.Config{ServerName: "emr.test", RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue(t, "his.test")}}
	c := client(t, addr, mllp.ClientConfig{TLS: good})
	reply, err := c.Send(t.Context(), adt("1"))
	require.NoError(t, err)
	assert.Equal(t, hl7.AppAccept, reply.Code)
	require.Len(t, peers, 1)
	assert.Contains(t, peers[0], "his.test@127.0.0.1:")

	for name, cfg := range map[string]*tls.Config{
		"no certificate":      {ServerName: "emr.test", RootCAs: ca.pool},
		"foreign certificate": {ServerName: "emr.test", RootCAs: ca.pool, Certificates: []tls.Certificate{foreign.issue(t, "his.test")}},
	} {
		c, err := mllp.Dial(t.Context(), addr, mllp.ClientConfig{TLS: cfg, AnswerTimeout: time.Second})
		if err == nil { // in TLS 1.3 the refusal arrives after the client's handshake
			_, err = c.Send(t.Context(), adt("1"))
			c.Close()
		}
		assert.Error(t, err, name)
	}
	_, err = mllp.Dial(t.Context(), addr, mllp.ClientConfig{TLS: &tls.Config{ServerName: "emr.test", RootCAs: foreign.pool}})
	assert.Error(t, err, "the client checks the server")
	conn, r := dial(t, addr)
	send(t, conn, frame("plain text to a TLS port"))
	r.ReadByte()
	silent, sr := dial(t, addr)
	_, err = sr.ReadByte()
	assert.Error(t, err, "a handshake that never comes is given up")
	_ = silent
	ev.await(t, mllp.HandshakeError, 4)
	assert.Len(t, peers, 1)
}

func BenchmarkLoopback(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("conns-%d", conns), func(b *testing.B) {
			s, err := mllp.New(mllp.Config{Handler: mllp.ForReceiver(accepting(nil))})
			require.NoError(b, err)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			go s.Serve(l)
			defer s.Close()
			work := make(chan []byte)
			var wg sync.WaitGroup
			for range conns {
				c, err := mllp.Dial(b.Context(), l.Addr().String(), mllp.ClientConfig{})
				require.NoError(b, err)
				defer c.Close()
				wg.Go(func() {
					for m := range work {
						if _, err := c.Send(b.Context(), m); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				work <- adt("1")
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
