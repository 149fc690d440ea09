package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
)

const envelopeType = "application/vnd.emrbridge.request"

// raw is an HTTP client with any certificate, or none.
func raw(t *testing.T, w *retrievetest.World, pair ...tls.Certificate) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.GatewayCA, Certificates: pair, MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// envelope signs a request as a hospital.
func envelope(t *testing.T, h *retrievetest.Hospital, change func(*wire.Request)) []byte {
	t.Helper()
	r := wire.Request{Version: 1, Requester: h.MSP, Owner: "H1MSP", Access: evidence.Nonce{1}, IssuedAt: time.Now().UnixMilli()}
	_, err := rand.Read(r.Nonce[:])
	require.NoError(t, err)
	if change != nil {
		change(&r)
	}
	c, err := r.Canonical()
	require.NoError(t, err)
	sig, err := h.Custody.Sign(context.Background(), wire.RequestSigningBytes(c))
	require.NoError(t, err)
	b, err := wire.SignedRequest{Request: c, Signature: sig}.Encode()
	require.NoError(t, err)
	return b
}

// post returns the status and the code of the answer.
func post(t *testing.T, c *http.Client, h *retrievetest.Hospital, body []byte) (int, string) {
	t.Helper()
	res, err := c.Post("https://"+h.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, bytes.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	var p struct{ Code string }
	_ = json.NewDecoder(res.Body).Decode(&p)
	return res.StatusCode, p.Code
}

func TestOnlyRegisteredMembersPass(t *testing.T) {
	w := retrievetest.New(t, 3)
	h1, h2, h3 := w.Hospitals[0], w.Hospitals[1], w.Hospitals[2]
	g := newGuard()
	serve(t, w, h1, func(c *gateway.ServerConfig) { c.Guard = g })
	good := envelope(t, h2, nil)

	t.Run("no certificate", func(t *testing.T) {
		_, err := raw(t, w).Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, bytes.NewReader(good))
		require.Error(t, err)
	})
	t.Run("certificate of another authority", func(t *testing.T) {
		other := retrievetest.New(t, 1)
		_, err := raw(t, w, other.Hospitals[0].Gateway).Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, bytes.NewReader(good))
		require.Error(t, err)
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		_, err := tls.Dial("tcp", h1.Listen.Addr().String(), &tls.Config{RootCAs: w.GatewayCA, Certificates: []tls.Certificate{h2.Gateway}, MaxVersion: tls.VersionTLS12})
		require.Error(t, err)
	})
	t.Run("certificate of another member", func(t *testing.T) {
		status, code := post(t, raw(t, w, h3.Gateway), h1, good)
		assert.Equal(t, http.StatusForbidden, status)
		assert.Equal(t, "unknown-caller", code)
	})
	t.Run("certificate of the authority that nobody registered", func(t *testing.T) {
		_, code := post(t, raw(t, w, w.GatewayPair(t, "H2MSP")), h1, good)
		assert.Equal(t, "unknown-caller", code)
	})
	t.Run("unknown member", func(t *testing.T) {
		_, code := post(t, raw(t, w, h2.Gateway), h1, envelope(t, h2, func(r *wire.Request) { r.Requester = "H9MSP" }))
		assert.Equal(t, "unknown-caller", code)
	})
	t.Run("none of these spent the nonce", func(t *testing.T) {
		_, code := post(t, raw(t, w, h2.Gateway), h1, good)
		assert.Equal(t, "unknown-request", code)
	})
	t.Run("replay", func(t *testing.T) {
		status, code := post(t, raw(t, w, h2.Gateway), h1, good)
		assert.Equal(t, http.StatusConflict, status)
		assert.Equal(t, "replayed", code)
	})
	t.Run("suspended member", func(t *testing.T) {
		require.NoError(t, w.SetStatus(h1.Member, "H2MSP", evidence.MemberSuspended))
		_, code := post(t, raw(t, w, h2.Gateway), h1, envelope(t, h2, nil))
		assert.Equal(t, "unknown-caller", code)
	})
}

func TestEnvelopesAreChecked(t *testing.T) {
	w := retrievetest.New(t, 3)
	h1, h2, h3 := w.Hospitals[0], w.Hospitals[1], w.Hospitals[2]
	serve(t, w, h1, nil)
	c := raw(t, w, h2.Gateway)
	for name, e := range map[string]struct {
		body []byte
		code string
	}{
		"empty":          {nil, "malformed"},
		"junk":           {[]byte("not an envelope"), "malformed"},
		"oversize":       {make([]byte, wire.MaxRequest+1), "oversize"},
		"stale":          {envelope(t, h2, func(r *wire.Request) { r.IssuedAt -= 3 * 60_000 }), "stale"},
		"from later":     {envelope(t, h2, func(r *wire.Request) { r.IssuedAt += 3 * 60_000 }), "stale"},
		"misrouted":      {envelope(t, h2, func(r *wire.Request) { r.Owner = "H3MSP" }), "wrong-owner"},
		"another's sign": {envelope(t, h3, func(r *wire.Request) { r.Requester = "H2MSP" }), "bad-signature"},
	} {
		status, code := post(t, c, h1, e.body)
		assert.Equal(t, e.code, code, name)
		assert.GreaterOrEqual(t, status, 400, name)
	}
	res, err := c.Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusUnsupportedMediaType, res.StatusCode)
	res, err = c.Get("https://" + h1.Listen.Addr().String() + gateway.HealthPath)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusNoContent, res.StatusCode)
	res, err = c.Get("https://" + h1.Listen.Addr().String() + gateway.DeliveriesPath)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
	// A body without a length that goes on and on.
	pr, pw := io.Pipe()
	go func() {
		for {
			if _, err := pw.Write(make([]byte, 8192)); err != nil {
				return
			}
		}
	}()
	res, err = c.Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, pr)
	pr.Close()
	if err == nil {
		res.Body.Close()
		assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	}
}

func TestGuardIsObeyed(t *testing.T) {
	w := retrievetest.New(t, 3)
	h1, h2, h3 := w.Hospitals[0], w.Hospitals[1], w.Hospitals[2]
	g := newGuard()
	g.limit = 2
	serve(t, w, h1, func(c *gateway.ServerConfig) { c.Guard = g })
	c := raw(t, w, h2.Gateway)
	// Claiming to be another does not use up the other's share.
	for range 2 {
		post(t, c, h1, envelope(t, h3, nil))
	}
	res, err := c.Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, bytes.NewReader(envelope(t, h2, nil)))
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	assert.Equal(t, "3", res.Header.Get("Retry-After"))
	_, code := post(t, raw(t, w, h3.Gateway), h1, envelope(t, h3, nil))
	assert.Equal(t, "unknown-request", code)
	g.mu.Lock()
	g.err = errors.New("redis is gone")
	g.mu.Unlock()
	status, code := post(t, raw(t, w, h3.Gateway), h1, envelope(t, h3, nil))
	assert.Equal(t, "guard", code, "without replay protection nothing is delivered")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

// stuck is an owner whose delivery goes on until its context ends or writing fails.
type stuck struct {
	started chan struct{}
	ended   chan error
}

func (s stuck) Deliver(ctx context.Context, _ retrieve.Party, _ wire.Request, out *wire.Writer, _ func() error) (retrieve.Outcome, error) {
	s.started <- struct{}{}
	var err error
	for err == nil && ctx.Err() == nil {
		err = out.Record(wire.RecordHead{ID: evidence.RecordID{1}, Length: 1 << 20}, io.LimitReader(zeros{}, 1<<20))
	}
	s.ended <- errors.Join(err, ctx.Err())
	return retrieve.Outcome{}, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestCallersThatDoNotReadAreLetGo(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	s := stuck{make(chan struct{}, 4), make(chan error, 4)}
	serve(t, w, h1, func(c *gateway.ServerConfig) {
		c.Owner, c.WriteTimeout, c.MaxPerMember = s, 300*time.Millisecond, 1
	})
	c := raw(t, w, h2.Gateway)
	res, err := c.Post("https://"+h1.Listen.Addr().String()+gateway.DeliveriesPath, envelopeType, bytes.NewReader(envelope(t, h2, nil)))
	require.NoError(t, err)
	defer res.Body.Close()
	<-s.started
	status, code := post(t, c, h1, envelope(t, h2, nil))
	assert.Equal(t, "busy", code, "one member cannot take all places")
	assert.Equal(t, http.StatusTooManyRequests, status)
	select {
	case err := <-s.ended:
		require.Error(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the caller that does not read still holds its place")
	}
}

func TestHalfARequestIsLetGo(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	serve(t, w, h1, func(c *gateway.ServerConfig) { c.HeaderTimeout = 300 * time.Millisecond })
	for _, start := range []string{"", "POST /v1/del", "POST /v1/deliveries HTTP/1.1\r\nHost: x\r\nContent-Type: " + envelopeType + "\r\nContent-Length: 500\r\n\r\nabc"} {
		conn, err := tls.Dial("tcp", h1.Listen.Addr().String(), &tls.Config{RootCAs: w.GatewayCA, Certificates: []tls.Certificate{h2.Gateway}})
		require.NoError(t, err)
		_, err = conn.Write([]byte(start))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = io.ReadAll(conn)
		var timeout net.Error
		assert.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the connection was not closed after %q", start)
		conn.Close()
	}
}

func TestStopLetsDeliveriesFinish(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	patient := retrievetest.Patient(1)
	h1.File(patient, "ADT^A01", []byte("MSH|one"))
	h1.Consent(patient, "H2MSP", nil)
	gate := make(chan struct{})
	h1.Ledger.OnSubmit(func(b evidence.Body) error {
		if b.Kind() == evidence.KindDecideAccess {
			<-gate
		}
		return nil
	})
	s, err := gateway.NewServer(gateway.ServerConfig{MSP: h1.MSP, Certificate: h1.Gateway, Authority: w.GatewayCA, Owner: h1.Owner(nil), Members: h1.Trust, Guard: newGuard()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, h1.Listen) }()
	got := make(chan error, 1)
	go func() {
		_, err := h2.Requester(client(t, w, h2, nil), nil).Retrieve(context.Background(), retrieve.Query{Patient: patient})
		got <- err
	}()
	time.Sleep(200 * time.Millisecond)
	cancel()
	close(gate)
	require.NoError(t, <-got)
	require.NoError(t, <-served)
}

func TestClientKnowsTheOwnerByItsKey(t *testing.T) {
	w := retrievetest.New(t, 3)
	h1, h2, h3 := w.Hospitals[0], w.Hospitals[1], w.Hospitals[2]
	patient := retrievetest.Patient(1)
	h1.File(patient, "ADT^A01", []byte("MSH|one"))
	h1.Consent(patient, "H2MSP", nil)
	// H3 serves where H1 is registered, with its own certificate of the same authority.
	s, err := gateway.NewServer(gateway.ServerConfig{MSP: h1.MSP, Certificate: h3.Gateway, Authority: w.GatewayCA, Owner: h1.Owner(nil), Members: h1.Trust, Guard: newGuard()})
	require.NoError(t, err)
	start(t, s, h1.Listen)
	_, err = h2.Requester(client(t, w, h2, nil), func(c *retrieve.RequesterConfig) { c.Attempts = 1 }).Retrieve(context.Background(), retrieve.Query{Patient: patient})
	require.ErrorIs(t, err, gateway.ErrPeerKey)
	require.ErrorIs(t, err, retrieve.ErrTransfer)
}

func TestClientIsNotLedAstray(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	cases := map[string]http.HandlerFunc{
		"redirect": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://example.invalid/", http.StatusTemporaryRedirect)
		},
		"page": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = rw.Write([]byte("<html>"))
		},
		"huge error": func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = io.CopyN(rw, zeros{}, 1<<20)
		},
		"code to log": func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusForbidden)
			_, _ = rw.Write([]byte(`{"code":"x\ny"}`))
		},
		"empty stream": func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Type", wire.ContentType) },
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(handler)
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{h1.Gateway}}
			srv.StartTLS()
			defer srv.Close()
			key, err := gateway.KeyOfPair(h1.Gateway)
			require.NoError(t, err)
			cl := client(t, w, h2, func(c *gateway.ClientConfig) { c.IdleTimeout = 300 * time.Millisecond })
			err = cl.Deliver(context.Background(), retrieve.Party{MSP: "H1MSP", Endpoint: srv.URL, GatewayKey: key}, []byte("x"), func(r *wire.Reader) error {
				_, err := r.Next()
				return err
			})
			if name == "empty stream" {
				require.ErrorIs(t, err, wire.ErrCut)
				return
			}
			require.ErrorIs(t, err, retrieve.ErrTransfer)
			cl.Close()
		})
	}
	cl := client(t, w, h2, nil)
	for _, endpoint := range []string{"", "http://127.0.0.1:1", "https://", "https://user@127.0.0.1", "https://127.0.0.1/?q=1", "file:///etc/passwd", "https://127.0.0.1:1"} {
		err := cl.Deliver(context.Background(), retrieve.Party{MSP: "H1MSP", Endpoint: endpoint}, nil, nil)
		assert.ErrorIs(t, err, retrieve.ErrTransfer, endpoint)
	}
}

// Nothing about patients reaches the log.
func TestLogHoldsNoPatientData(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	var log syncBuffer
	serve(t, w, h1, func(c *gateway.ServerConfig) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	patient := retrievetest.Patient(1)
	h1.File(patient, "ADT^A01", []byte("MSH|张三"))
	h1.Consent(patient, "H2MSP", nil)
	_, err := h2.Requester(client(t, w, h2, nil), nil).Retrieve(context.Background(), retrieve.Query{Patient: patient})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=delivery") }, time.Second, 10*time.Millisecond)
	for _, secret := range []string{patient.ResidentID, "张三", h1.Tag(patient).String()} {
		assert.NotContains(t, log.String(), secret)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
