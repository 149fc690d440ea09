package mllp_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// Versions 1.2 and 1.3 of TLS are served, older ones are not.
func TestTLSVersions(t *testing.T) {
	a := newAuthority(t)
	addr, _, ev := start(t, mllp.Config{Handler: echo, TLS: &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")}, MinVersion: tls.VersionTLS12}})
	for version, served := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.pool, ServerName: "localhost", MinVersion: version, MaxVersion: version})
			if !served {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			defer conn.Close()
			send(t, conn, frame("x"))
			assert.Equal(t, "x", readFrame(t, bufio.NewReader(conn)))
			assert.Equal(t, version, conn.ConnectionState().Version)
		})
	}
	ev.await(t, mllp.HandshakeError, 2)
}

// A frame may be cut anywhere by the network, also between FS and CR, and over TLS records.
func TestFramesCutAnywhere(t *testing.T) {
	a := newAuthority(t)
	secure := &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")}, MinVersion: tls.VersionTLS12}
	for name, cfg := range map[string]*tls.Config{"plain": nil, "TLS": secure} {
		t.Run(name, func(t *testing.T) {
			addr, _, _ := start(t, mllp.Config{Handler: echo, TLS: cfg})
			conn, _ := dial(t, addr)
			if cfg != nil {
				conn = tls.Client(conn, &tls.Config{RootCAs: a.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12})
			}
			r := bufio.NewReader(conn)
			whole := "\x0bab\x1cc\x1c\r\n"
			for cut := 1; cut < len(whole); cut++ {
				send(t, conn, whole[:cut])
				time.Sleep(time.Millisecond)
				send(t, conn, whole[cut:])
				require.Equal(t, "ab\x1cc", readFrame(t, r), "cut at %d", cut)
			}
		})
	}
}

// Many connections, each with many frames in flight: answers come in the order of the
// frames of their connection.
func TestPipeliningOnManyConnections(t *testing.T) {
	addr, s, _ := start(t, mllp.Config{Handler: echo})
	const conns, frames = 40, 50
	done := make(chan error, conns)
	for c := range conns {
		conn, r := dial(t, addr)
		go func() {
			for i := range frames {
				if _, err := io.WriteString(conn, frame(fmt.Sprintf("%d-%d", c, i))); err != nil {
					done <- err
					return
				}
			}
			for i := range frames {
				got, err := r.ReadString(0x1c)
				if want := fmt.Sprintf("\x0b%d-%d\x1c", c, i); err != nil || got != want {
					done <- fmt.Errorf("%q instead of %q: %w", got, want, err)
					return
				}
				_, _ = r.ReadByte()
			}
			done <- nil
		}()
	}
	for range conns {
		require.NoError(t, <-done)
	}
	assert.Equal(t, conns, s.Conns())
}

// A server that wants a certificate says so, in TLS 1.3, only after the client has sent. The
// message has not arrived, and the client knows it.
func TestClientWithoutACertificateHasSentNothing(t *testing.T) {
	a := newAuthority(t)
	addr, _, _ := start(t, mllp.Config{Handler: echo, TLS: &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")},
		ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}})
	c := client(t, addr, mllp.ClientConfig{TLS: &tls.Config{RootCAs: a.pool, ServerName: "localhost", MinVersion: tls.VersionTLS13}})
	_, err := c.Send(t.Context(), adt("1"))
	require.ErrorIs(t, err, mllp.ErrNotSent)
}
