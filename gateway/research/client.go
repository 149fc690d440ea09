package research

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/depot"
)

// ErrTransfer reports a transfer that did not come to its end; the same may succeed later.
var ErrTransfer = errors.New("gateway/research: transfer")

// RefusedError is a refusal of the other side.
type RefusedError struct {
	Code string
	Have int64 // for CodeOffset
}

// Error implements error.
func (e *RefusedError) Error() string { return "the proxy hospital refuses: " + e.Code }

// maxAnswer bounds an answer that is no volume, in bytes.
const maxAnswer = dataset.MaxEnvelope

// Client calls the research addresses of one proxy hospital.
type Client struct {
	HTTP *http.Client
	Base string // https URL of its gateway
}

// NewInstituteClient returns a client for an institute, which shows its TLS certificate and
// trusts servers of the gateways' authority.
func NewInstituteClient(base string, certificate tls.Certificate, authority *x509.CertPool) (*Client, error) {
	if authority == nil || len(certificate.Certificate) == 0 {
		return nil, errors.New("gateway/research: a client needs its TLS certificate and the gateways' authority")
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("gateway/research: the address of the proxy hospital is not an https URL")
	}
	return &Client{Base: base, HTTP: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, RootCAs: authority},
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

func (c *Client) address(parts ...string) (string, error) {
	u, err := url.Parse(c.Base)
	if err != nil {
		return "", fmt.Errorf("%w: address: %w", ErrTransfer, err)
	}
	return u.JoinPath(append([]string{Path}, parts...)...).String(), nil
}

// do sends a request; an answer that is no success becomes a *RefusedError.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	res, err := c.HTTP.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	if res.StatusCode < http.StatusMultipleChoices {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	var p problem
	if err := json.NewDecoder(io.LimitReader(res.Body, 4<<10)).Decode(&p); err != nil || p.Code == "" || len(p.Code) > 64 {
		return nil, fmt.Errorf("%w: status %d", ErrTransfer, res.StatusCode)
	}
	refused := &RefusedError{Code: p.Code, Have: p.Have}
	switch p.Code {
	case CodeRate, CodeGuard, CodeInternal:
		return nil, fmt.Errorf("%w: %w", ErrTransfer, refused)
	}
	return nil, refused
}

// ask makes a request of one piece and decodes the answer.
func (c *Client) ask(ctx context.Context, method string, body []byte, answer any, query url.Values, parts ...string) error {
	address, err := c.address(parts...)
	if err != nil {
		return err
	}
	if query != nil {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	res, err := c.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("%w: the answer is not the JSON that is expected", ErrTransfer)
	}
	return nil
}

// Put brings a delivery to the proxy hospital and sends only what is not there yet.
func (c *Client) Put(ctx context.Context, envelope []byte, d dataset.Delivery, open func(volume int) (io.ReadSeekCloser, error)) error {
	p := depot.PlaceOf(d)
	var s depot.Status
	if err := c.ask(ctx, http.MethodPut, envelope, &s, nil, p.Project, p.Hospital, p.Part()); err != nil {
		return err
	}
	if len(s.Sizes) != len(d.Volumes) {
		return fmt.Errorf("%w: the proxy hospital tells of another delivery", ErrTransfer)
	}
	for i, v := range d.Volumes {
		if s.Sizes[i] == v.Size {
			continue
		}
		if err := c.putVolume(ctx, p, i, s.Sizes[i], v.Size, open); err != nil {
			return fmt.Errorf("volume %d: %w", i+1, err)
		}
	}
	return nil
}

func (c *Client) putVolume(ctx context.Context, p depot.Place, i int, have, size int64, open func(int) (io.ReadSeekCloser, error)) error {
	f, err := open(i)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, min(MaxPiece, size))
	for restarts := 0; have < size; {
		if _, err := f.Seek(have, io.SeekStart); err != nil {
			return err
		}
		piece := buf[:min(int64(len(buf)), size-have)]
		if _, err := io.ReadFull(f, piece); err != nil {
			return err
		}
		var now problem
		err := c.ask(ctx, http.MethodPut, piece, &now, url.Values{"offset": {strconv.FormatInt(have, 10)}}, p.Project, p.Hospital, p.Part(), strconv.Itoa(i+1))
		var refused *RefusedError
		if errors.As(err, &refused) && refused.Code == CodeOffset && restarts < 8 && refused.Have <= size {
			restarts++
			have = refused.Have // an earlier piece had arrived although its answer had not
			continue
		}
		if err != nil {
			return err
		}
		if now.Have <= have || now.Have > size {
			return fmt.Errorf("%w: the proxy hospital does not take what it is sent", ErrTransfer)
		}
		have = now.Have
	}
	return nil
}

// List returns the complete deliveries of a project.
func (c *Client) List(ctx context.Context, project string) ([]depot.Status, error) {
	var out []depot.Status
	return out, c.ask(ctx, http.MethodGet, nil, &out, nil, project)
}

// Fetch brings one delivery into dir/hospital/part and returns that folder. What is there
// already is not fetched again, and a volume goes on where it broke off. Nothing in it is
// believed yet: whoever opens it verifies it.
func (c *Client) Fetch(ctx context.Context, p depot.Place, dir string, progress func(have, of int64)) (string, error) {
	out := filepath.Join(dir, p.Hospital, p.Part())
	if err := fsatomic.MkdirPrivate(out); err != nil {
		return "", fmt.Errorf("gateway/research: %w", err)
	}
	envelope, err := c.envelope(ctx, p)
	if err != nil {
		return "", err
	}
	_, d, err := dataset.ParseEnvelope(envelope)
	if err != nil {
		return "", err
	}
	if depot.PlaceOf(d) != p {
		return "", fmt.Errorf("%w: the proxy hospital sent another delivery", ErrTransfer)
	}
	if err := fsatomic.WriteFile(filepath.Join(out, dataset.EnvelopeName), envelope, 0o600); err != nil {
		return "", fmt.Errorf("gateway/research: %w", err)
	}
	var done int64
	for i, v := range d.Volumes {
		at := func(have int64) {
			if progress != nil {
				progress(done+have, d.Size())
			}
		}
		if err := c.fetchVolume(ctx, p, i, v.Size, filepath.Join(out, dataset.VolumeName(i)), at); err != nil {
			return "", fmt.Errorf("volume %d: %w", i+1, err)
		}
		done += v.Size
	}
	return out, fsatomic.SyncDir(out)
}

func (c *Client) envelope(ctx context.Context, p depot.Place) ([]byte, error) {
	address, err := c.address(p.Project, p.Hospital, p.Part())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	res, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, dataset.MaxEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	return b, nil
}

// idle is how long the proxy hospital may stay silent within a volume.
const idle = time.Minute

func (c *Client) fetchVolume(ctx context.Context, p depot.Place, i int, size int64, path string, at func(int64)) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("gateway/research: %w", err)
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("gateway/research: %w", err)
	}
	if have > size {
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("gateway/research: %w", err)
		}
		have, _ = f.Seek(0, io.SeekStart)
	}
	at(have)
	if have == size {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(idle, cancel)
	defer silence.Stop()
	address, err := c.address(p.Project, p.Hospital, p.Part(), strconv.Itoa(i+1))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	res, err := c.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusPartialContent && have > 0 {
		return fmt.Errorf("%w: the proxy hospital does not go on where the volume broke off", ErrTransfer)
	}
	in := &watched{r: io.LimitReader(res.Body, size-have), each: func(n int) { silence.Reset(idle); have += int64(n); at(have) }}
	if _, err := io.Copy(f, in); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrTransfer, err), f.Sync())
	}
	if have != size {
		return errors.Join(fmt.Errorf("%w: the volume broke off at byte %d of %d; fetch again", ErrTransfer, have, size), f.Sync())
	}
	return f.Sync()
}

// watched tells of every piece that comes.
type watched struct {
	r    io.Reader
	each func(n int)
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.each(n)
	}
	return n, err
}
