package projects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// ErrTransfer reports a call that brought no answer; the same may succeed later.
var ErrTransfer = errors.New("gateway/projects: the proxy hospital cannot be asked")

// RefusedError is a refusal of the proxy hospital, or of the contract behind it.
type RefusedError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Message == "" {
		return "the proxy hospital refuses: " + e.Code
	}
	return fmt.Sprintf("refused (%s): %s", e.Code, e.Message)
}

// Client asks a proxy hospital in the name of an institute. HTTP shows the institute's TLS
// certificate and trusts the authority of the gateways. It implements the Ledger of package
// research/project.
type Client struct {
	HTTP *http.Client
	Base string // https URL of the proxy hospital's gateway
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body []byte, answer any) error {
	base, err := url.Parse(c.Base)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return fmt.Errorf("%w: its address is not an https URL", ErrTransfer)
	}
	target := base.JoinPath(path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", statementType)
		req.GetBody = nil // a statement is taken once
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	defer func() { _ = res.Body.Close() }()
	dec := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK {
		refused := &RefusedError{Status: res.StatusCode}
		if err := dec.Decode(refused); err != nil || refused.Code == "" || len(refused.Code) > 64 || len(refused.Message) > 512 {
			return fmt.Errorf("%w: status %d", ErrTransfer, res.StatusCode)
		}
		return refused
	}
	if err := dec.Decode(answer); err != nil {
		return fmt.Errorf("%w: the answer is not the JSON that is expected", ErrTransfer)
	}
	return nil
}

func get[T any](ctx context.Context, c *Client, query url.Values, path string, parts ...string) (T, error) {
	var out T
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return out, c.do(ctx, http.MethodGet, path, query, nil, &out)
}

func pageOf(size int, bookmark string) url.Values {
	return url.Values{"size": {strconv.Itoa(size)}, "bookmark": {bookmark}}
}

// Submit brings a signed statement of the institute to the ledger.
func (c *Client) Submit(ctx context.Context, signed evidence.Signed) (Receipt, error) {
	var out Receipt
	raw, err := signed.Encode()
	if err != nil {
		return out, err
	}
	return out, c.do(ctx, http.MethodPost, StatementsPath, nil, raw, &out)
}

// Institute returns the institute's own registration.
func (c *Client) Institute(ctx context.Context, id string) (evidence.Institute, error) {
	return get[evidence.Institute](ctx, c, nil, "/v1/research/institutes", id)
}

// Member returns the registration of a hospital.
func (c *Client) Member(ctx context.Context, msp string) (evidence.Member, error) {
	return get[evidence.Member](ctx, c, nil, "/v1/research/members", msp)
}

// Project returns a project of the institute.
func (c *Client) Project(ctx context.Context, id string) (evidence.Project, error) {
	return get[evidence.Project](ctx, c, nil, ProjectsPath, id)
}

// Projects returns a page of the institute's projects. party is the institute itself.
func (c *Client) Projects(ctx context.Context, _ string, size int, bookmark string) (evidence.Page[evidence.Project], error) {
	return get[evidence.Page[evidence.Project]](ctx, c, pageOf(size, bookmark), ProjectsPath)
}

// Release returns one release.
func (c *Client) Release(ctx context.Context, id, msp string, sequence uint32) (evidence.Release, error) {
	return get[evidence.Release](ctx, c, nil, ProjectsPath, id, "releases", msp, strconv.FormatUint(uint64(sequence), 10))
}

// Releases returns a page of the releases to a project.
func (c *Client) Releases(ctx context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Release], error) {
	return get[evidence.Page[evidence.Release]](ctx, c, pageOf(size, bookmark), ProjectsPath, id, "releases")
}

// Withdrawals returns a page of the notices of withdrawal to a project.
func (c *Client) Withdrawals(ctx context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
	return get[evidence.Page[evidence.Withdrawal]](ctx, c, pageOf(size, bookmark), ProjectsPath, id, "withdrawals")
}
