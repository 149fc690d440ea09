package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

// ClientConfig is what a Client works with. Certificate and Authority are required.
type ClientConfig struct {
	Certificate tls.Certificate // this hospital's gateway certificate
	Authority   *x509.CertPool  // authority of the members' gateway certificates
	// DialTimeout bounds connecting and the handshake. Default 10 s.
	DialTimeout time.Duration
	// IdleTimeout bounds how long the owner may stay silent, also while it waits for the
	// ledger. Default 1 minute.
	IdleTimeout time.Duration
}

// Client calls the gateways of other members. It is safe for concurrent use. It
// implements retrieve.Peer.
type Client struct {
	ClientConfig
	mu    sync.Mutex
	conns map[destination]*http.Client
}

// destination is where and to whom a connection leads.
type destination struct {
	endpoint string
	key      evidence.Digest
}

// maxDestinations bounds the clients kept: old registrations are forgotten.
const maxDestinations = 64

// NewClient checks the configuration and returns a Client.
func NewClient(c ClientConfig) (*Client, error) {
	if len(c.Certificate.Certificate) == 0 || c.Authority == nil {
		return nil, errors.New("gateway: a client needs its certificate and the authority")
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = 10 * time.Second
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = time.Minute
	}
	return &Client{ClientConfig: c, conns: map[destination]*http.Client{}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.conns {
		h.CloseIdleConnections()
	}
	clear(c.conns)
}

// Deliver implements retrieve.Peer.
func (c *Client) Deliver(ctx context.Context, owner retrieve.Party, envelope []byte, handle func(*wire.Reader) error) error {
	target, err := deliveriesURL(owner.Endpoint)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", retrieve.ErrTransfer, owner.MSP, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.IdleTimeout, cancel)
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(envelope))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", retrieve.ErrTransfer, owner.MSP, err)
	}
	req.Header.Set("Content-Type", envelopeType)
	req.Header.Set("Accept", wire.ContentType)
	// An envelope is taken once: a request must never be repeated behind our back.
	req.GetBody = nil
	res, err := c.client(destination{endpoint: owner.Endpoint, key: owner.GatewayKey}).Do(req)
	if err != nil {
		return fmt.Errorf("%w: call %s: %w", retrieve.ErrTransfer, owner.MSP, plain(err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return refusalOf(res, owner.MSP)
	}
	if mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || mediaType != wire.ContentType {
		return fmt.Errorf("%w: %s did not answer with a delivery", retrieve.ErrTransfer, owner.MSP)
	}
	return handle(wire.NewReader(&watched{r: res.Body, timer: silence, limit: c.IdleTimeout}))
}

// plain drops the address from an error of net/http: it stands in the registration.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// watched puts off the end of patience with every byte that comes.
type watched struct {
	r     io.Reader
	timer *time.Timer
	limit time.Duration
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.timer.Reset(w.limit)
	}
	return n, err
}

// deliveriesURL checks an endpoint from the ledger, where a dishonest member may have put
// anything.
func deliveriesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the registered endpoint is not an https address")
	}
	return u.JoinPath(DeliveriesPath).String(), nil
}

func (c *Client) client(d destination) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.conns[d]; h != nil {
		return h
	}
	if len(c.conns) >= maxDestinations {
		for old, h := range c.conns {
			h.CloseIdleConnections()
			delete(c.conns, old)
			break
		}
	}
	dialer := &net.Dialer{Timeout: c.DialTimeout}
	h := &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: clientTLS(c.Certificate, c.Authority, d.key),
			TLSHandshakeTimeout: c.DialTimeout, DisableCompression: true, MaxIdleConnsPerHost: 4,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.conns[d] = h
	return h
}

// HTTP returns a client that reaches the registered gateway of a member and nobody else, and
// the address of that gateway, for package gateway/research.
func (c *Client) HTTP(to retrieve.Party) (*http.Client, string, error) {
	if _, err := deliveriesURL(to.Endpoint); err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w", retrieve.ErrTransfer, to.MSP, err)
	}
	return c.client(destination{endpoint: to.Endpoint, key: to.GatewayKey}), to.Endpoint, nil
}

// codeText is what a code of another member may look like before it is shown or logged.
var codeText = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func refusalOf(res *http.Response, msp string) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, problemMaxSize))
	var p problem
	if err != nil || json.Unmarshal(body, &p) != nil || !codeText.MatchString(string(p.Code)) {
		return fmt.Errorf("%w: %s answers with status %d", retrieve.ErrTransfer, msp, res.StatusCode)
	}
	if p.Reason != "" && !codeText.MatchString(p.Reason) {
		p.Reason = "unreadable"
	}
	refused := &retrieve.RefusedError{Code: p.Code, Reason: p.Reason}
	if res.StatusCode == http.StatusTooManyRequests || p.Code == CodeGuard {
		return fmt.Errorf("%w: %w", retrieve.ErrTransfer, refused) // the same may succeed later
	}
	return refused
}
