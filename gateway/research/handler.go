// Package research carries sealed parts of datasets: from the hospitals to the proxy
// hospital, and from there to the institute. What travels is ciphertext and signed; mutual
// TLS says who may put and who may get.
//
//	PUT /v1/research/parts/{project}/{hospital}/{part}            the envelope of a delivery
//	PUT /v1/research/parts/{project}/{hospital}/{part}/{volume}   a piece of a volume, ?offset=N
//	GET /v1/research/parts/{project}                              what is complete
//	GET /v1/research/parts/{project}/{hospital}/{part}            the envelope
//	GET /v1/research/parts/{project}/{hospital}/{part}/{volume}   a volume, Range allowed
//
// A hospital puts its own parts only: the certificate of the connection has the key that the
// ledger shows as its gateway key. An institute gets the parts of its own projects: by the
// TLS key of its registration. Every piece has a deadline and a bound, and both directions
// go on where they broke off.
package research

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/depot"
)

// Path begins all addresses of this package.
const Path = "/v1/research/parts/"

// MaxPiece bounds the bytes of one PUT of a volume.
const MaxPiece = 8 << 20

// Codes of refusals.
const (
	CodeCaller    = "unknown-caller"
	CodeRate      = "rate-limit"
	CodeGuard     = "guard"
	CodeNotFound  = "not-found"
	CodeMalformed = "malformed"
	CodeConflict  = "conflict"
	CodeLimit     = "limit"
	CodeAltered   = "altered"
	CodeOffset    = "offset"
	CodeRefused   = "refused"
	CodeInternal  = "internal"
)

// ErrCaller is what Config.Hospital and Config.Institute return for somebody who may not.
var ErrCaller = errors.New("gateway/research: the caller has no right to this")

// problem is the body of a refusal.
type problem struct {
	Code string `json:"code"`
	Have int64  `json:"have,omitempty"` // for CodeOffset
}

// Limiter bounds callers; gateway.Guard has it.
type Limiter interface {
	Allow(ctx context.Context, caller string) (ok bool, retryAfter time.Duration, err error)
}

// Config is what a Handler works with. All fields but Logger and Idle are required.
type Config struct {
	Depot *depot.Depot
	Limit Limiter
	// Hospital returns nil if key is the gateway key of the active member msp, else ErrCaller.
	Hospital func(ctx context.Context, msp string, key evidence.Digest) error
	// Institute returns nil if key is the TLS key of the institute of a project, else ErrCaller.
	Institute func(ctx context.Context, project string, key evidence.Digest) error
	// Accept checks a delivery against the ledger before its envelope is kept.
	Accept func(ctx context.Context, e dataset.Envelope, d dataset.Delivery) error
	// Idle is how long a caller may stay silent within a request. Default 30 s.
	Idle   time.Duration
	Logger *slog.Logger // default: discard
}

// handler serves the addresses of this package.
type handler struct{ Config }

// NewHandler checks the configuration and returns the handler, which expects requests over
// mutual TLS.
func NewHandler(c Config) (http.Handler, error) {
	if c.Depot == nil || c.Limit == nil || c.Hospital == nil || c.Institute == nil || c.Accept == nil {
		return nil, errors.New("gateway/research: depot, limit or checks are missing")
	}
	if c.Idle <= 0 {
		c.Idle = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{c}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+Path+"{project}/{hospital}/{part}", h.served(h.putEnvelope))
	mux.HandleFunc("PUT "+Path+"{project}/{hospital}/{part}/{volume}", h.served(h.putVolume))
	mux.HandleFunc("GET "+Path+"{project}", h.served(h.list))
	mux.HandleFunc("GET "+Path+"{project}/{hospital}/{part}", h.served(h.getEnvelope))
	mux.HandleFunc("GET "+Path+"{project}/{hospital}/{part}/{volume}", h.served(h.getVolume))
	return mux, nil
}

// served limits the caller, gives the request its deadlines and logs it.
func (h *handler) served(do func(w http.ResponseWriter, r *http.Request, key evidence.Digest) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		control := http.NewResponseController(w)
		// The server's deadline is for requests of one envelope; here each piece has its own.
		_ = control.SetReadDeadline(time.Now().Add(h.Idle))
		r.Body = struct {
			io.Reader
			io.Closer
		}{&patientReader{r.Body, control, h.Idle}, r.Body}
		err := h.limited(w, r, do)
		attrs := []any{"route", r.Pattern, "project", r.PathValue("project"), "hospital", r.PathValue("hospital"), "part", r.PathValue("part")}
		if err != nil {
			h.Logger.WarnContext(r.Context(), "research part refused", append(attrs, "error", err.Error())...)
			answer(w, err)
			return
		}
		h.Logger.InfoContext(r.Context(), "research part", attrs...)
	}
}

type codeError struct {
	status int
	code   string
	err    error
}

func (e *codeError) Error() string { return e.code }
func (e *codeError) Unwrap() error { return e.err }

func (h *handler) limited(w http.ResponseWriter, r *http.Request, do func(http.ResponseWriter, *http.Request, evidence.Digest) error) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ErrCaller
	}
	key := gateway.KeyOf(r.TLS.PeerCertificates[0])
	ok, wait, err := h.Limit.Allow(r.Context(), "research/"+key.String())
	switch {
	case err != nil:
		return &codeError{http.StatusServiceUnavailable, CodeGuard, err}
	case !ok:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		return &codeError{http.StatusTooManyRequests, CodeRate, nil}
	}
	return do(w, r, key)
}

// answer writes a refusal. Codes leave the house, causes do not.
func answer(w http.ResponseWriter, err error) {
	p, status := problem{Code: CodeInternal}, http.StatusInternalServerError
	var coded *codeError
	var offset *depot.OffsetError
	switch {
	case errors.As(err, &coded):
		p.Code, status = coded.code, coded.status
	case errors.As(err, &offset):
		p.Code, p.Have, status = CodeOffset, offset.Have, http.StatusConflict
	case errors.Is(err, ErrCaller):
		p.Code, status = CodeCaller, http.StatusForbidden
	case errors.Is(err, depot.ErrNotFound):
		p.Code, status = CodeNotFound, http.StatusNotFound
	case errors.Is(err, depot.ErrConflict):
		p.Code, status = CodeConflict, http.StatusConflict
	case errors.Is(err, depot.ErrLimit), errors.Is(err, dataset.ErrLimit):
		p.Code, status = CodeLimit, http.StatusRequestEntityTooLarge
	case errors.Is(err, depot.ErrAltered):
		p.Code, status = CodeAltered, http.StatusConflict
	case errors.Is(err, dataset.ErrMalformed):
		p.Code, status = CodeMalformed, http.StatusBadRequest
	case errors.Is(err, dataset.ErrUntrusted), errors.Is(err, dataset.ErrAltered):
		p.Code, status = CodeRefused, http.StatusForbidden
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

// place reads the address and lets only the hospital itself in.
func (h *handler) place(r *http.Request, key evidence.Digest) (depot.Place, error) {
	p, err := depot.ParsePlace(r.PathValue("project"), r.PathValue("hospital"), r.PathValue("part"))
	if err != nil {
		return p, err
	}
	return p, h.Hospital(r.Context(), p.Hospital, key)
}

func (h *handler) putEnvelope(w http.ResponseWriter, r *http.Request, key evidence.Digest) error {
	p, err := h.place(r, key)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, dataset.MaxEnvelope+1))
	if err != nil {
		return &codeError{http.StatusBadRequest, CodeMalformed, err}
	}
	e, d, err := dataset.ParseEnvelope(b)
	if err != nil {
		return err
	}
	if depot.PlaceOf(d) != p {
		return dataset.ErrMalformed
	}
	if err := h.Accept(r.Context(), e, d); err != nil {
		return &codeError{http.StatusForbidden, CodeRefused, err}
	}
	s, err := h.Depot.Begin(b)
	if err != nil {
		return err
	}
	return reply(w, s)
}

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func volumeOf(r *http.Request) (int, error) {
	n, err := strconv.ParseUint(r.PathValue("volume"), 10, 16)
	if err != nil || n == 0 || n > dataset.MaxVolumes {
		return 0, depot.ErrNotFound
	}
	return int(n - 1), nil
}

func (h *handler) putVolume(w http.ResponseWriter, r *http.Request, key evidence.Digest) error {
	p, err := h.place(r, key)
	if err != nil {
		return err
	}
	i, err := volumeOf(r)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if err != nil || offset < 0 {
		return dataset.ErrMalformed
	}
	if r.ContentLength > MaxPiece {
		return depot.ErrLimit
	}
	size, err := h.Depot.Append(p, i, offset, io.LimitReader(r.Body, MaxPiece))
	if err != nil {
		return err
	}
	return reply(w, problem{Have: size})
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, key evidence.Digest) error {
	project := r.PathValue("project")
	if err := h.Institute(r.Context(), project, key); err != nil {
		return err
	}
	list, err := h.Depot.List(project)
	if err != nil {
		return err
	}
	return reply(w, append([]depot.Status{}, list...))
}

// taken reads the address and lets only the project's institute in.
func (h *handler) taken(r *http.Request, key evidence.Digest) (depot.Place, error) {
	p, err := depot.ParsePlace(r.PathValue("project"), r.PathValue("hospital"), r.PathValue("part"))
	if err != nil {
		return p, err
	}
	return p, h.Institute(r.Context(), p.Project, key)
}

func (h *handler) getEnvelope(w http.ResponseWriter, r *http.Request, key evidence.Digest) error {
	p, err := h.taken(r, key)
	if err != nil {
		return err
	}
	b, err := h.Depot.Envelope(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(b) //nolint:gosec // JSON of a parsed envelope, sent as application/json
	return err
}

func (h *handler) getVolume(w http.ResponseWriter, r *http.Request, key evidence.Digest) error {
	p, err := h.taken(r, key)
	if err != nil {
		return err
	}
	i, err := volumeOf(r)
	if err != nil {
		return err
	}
	f, err := h.Depot.Volume(p, i)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(&patientWriter{w, http.NewResponseController(w), h.Idle}, r, "", time.Time{}, f)
	return nil
}

// patientReader gives every read a deadline of its own.
type patientReader struct {
	r       io.Reader
	control *http.ResponseController
	idle    time.Duration
}

// Read implements io.Reader.
func (p *patientReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.idle))
	return p.r.Read(b)
}

// patientWriter gives every write a deadline of its own.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
}

// Write implements io.Writer.
func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.idle))
	return p.ResponseWriter.Write(b)
}
