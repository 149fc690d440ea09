package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

// Client calls the running process of the own hospital. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// maxAnswer bounds an answer, in bytes: payloads of 256 MiB as base64, and some.
const maxAnswer = 400 << 20

// Dial returns a client of the Unix socket at path. It does not connect yet.
func Dial(path, token string) *Client {
	return newClient("http://emrbridge", token, func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
}

// DialTCP returns a client of a loopback address.
func DialTCP(addr, token string) *Client {
	return newClient("http://"+addr, token, (&net.Dialer{}).DialContext)
}

func newClient(base, token string, dial func(context.Context, string, string) (net.Conn, error)) *Client {
	return &Client{base: base, token: token, http: &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// StatusError is an answer that is no success.
type StatusError struct {
	Status int
	Failure
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("the process answers with status %d (%s)", e.Status, e.Code)
}

// Retrieve fetches records. If the request was understood but brought nothing, as with a
// denial, the response is filled and the error is a *StatusError.
func (c *Client) Retrieve(ctx context.Context, r RetrieveRequest) (RetrieveResponse, error) {
	var out RetrieveResponse
	status, body, err := c.call(ctx, http.MethodPost, "/internal/v1/retrieve", r)
	if err != nil {
		return out, err
	}
	if status == http.StatusOK {
		return out, decode(body, &out)
	}
	if json.Unmarshal(body, &out) == nil && len(out.Deliveries) > 0 {
		d := out.Deliveries[0]
		return out, &StatusError{Status: status, Failure: Failure{Code: d.Error, Message: d.Message}}
	}
	return out, failure(status, body)
}

// Grant records a consent.
func (c *Client) Grant(ctx context.Context, r ConsentRequest) (evidence.Nonce, error) {
	var out ConsentResponse
	err := c.ask(ctx, http.MethodPost, "/internal/v1/consents", r, &out)
	return out.ID, err
}

// Revoke ends a consent.
func (c *Client) Revoke(ctx context.Context, consent evidence.Nonce) error {
	return c.ask(ctx, http.MethodPost, "/internal/v1/consents/"+consent.String()+"/revoke", nil, nil)
}

// Emergencies lists the emergency accesses that await review.
func (c *Client) Emergencies(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	var out evidence.Page[evidence.Access]
	q := url.Values{"size": {strconv.Itoa(size)}, "bookmark": {bookmark}}
	err := c.ask(ctx, http.MethodGet, "/internal/v1/emergencies?"+q.Encode(), nil, &out)
	return out, err
}

// Review closes the review of an emergency access.
func (c *Client) Review(ctx context.Context, request evidence.Nonce, r ReviewRequest) error {
	return c.ask(ctx, http.MethodPost, "/internal/v1/emergencies/"+request.String()+"/review", r, nil)
}

func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	status, body, err := c.call(ctx, method, path, in)
	switch {
	case err != nil:
		return err
	case status >= http.StatusMultipleChoices:
		return failure(status, body)
	case out == nil:
		return nil
	}
	return decode(body, out)
}

func decode(body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("gateway/local: the answer is not the expected JSON")
	}
	return nil
}

func failure(status int, body []byte) error {
	e := &StatusError{Status: status}
	if json.Unmarshal(body, &e.Failure) != nil {
		e.Code = CodeInternal
	}
	return e
}

func (c *Client) call(ctx context.Context, method, path string, in any) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, nil, fmt.Errorf("gateway/local: encode: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body) //nolint:gosec // the base is the own process, and ids are escaped
	if err != nil {
		return 0, nil, fmt.Errorf("gateway/local: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req) //nolint:gosec // as above
	if err != nil {
		return 0, nil, fmt.Errorf("gateway/local: is the process running? %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("gateway/local: read the answer: %w", err)
	}
	return res.StatusCode, answer, nil
}
