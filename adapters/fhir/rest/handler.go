package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
)

// Handler serves the FHIR REST surface. It is safe for concurrent use.
type Handler struct {
	cfg   Config
	slots chan struct{}
	large chan struct{} // taken by large bodies
	// conditions are taken before locks, so that two requests never wait for each other.
	conditions, locks locks
	prefix            string // path of the base
}

// New returns a handler for Config.
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.defaults()
	base, err := url.Parse(cfg.Base)
	if err != nil {
		return nil, fmt.Errorf("fhir: base: %w", err)
	}
	return &Handler{cfg: cfg, slots: make(chan struct{}, cfg.Concurrent), large: make(chan struct{}, cfg.Large), prefix: strings.TrimRight(base.Path, "/")}, nil
}

// request is one request on its way.
type request struct {
	*http.Request
	caller Caller
	name   string // of the interaction, for metrics
	again  bool   // an operator sends refused content in again; it is in the quarantine already
	format
}

// answer is what is sent back. The zero status is 200.
type answer struct {
	status int
	header http.Header
	body   []byte
	// stream writes a body too long for memory, in the place of body; size is its length.
	stream func(io.Writer) error
	size   int64
	end    func() // releases what stream reads; nil: nothing
}

// fail is a Refusal with the fields that most have.
func fail(status int, code fhir.Code, diagnostics string) *Refusal {
	return &Refusal{Status: status, Code: code, Diagnostics: diagnostics}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.cfg.Now()
	req := &request{Request: r, name: "other"}
	a, err := h.serve(w, req)
	if err != nil {
		a = h.refuse(err)
	}
	if a.end != nil {
		defer a.end()
	}
	h.write(w, r, a)
	if h.cfg.Observe != nil {
		h.cfg.Observe(req.name, max(a.status, http.StatusOK), h.cfg.Now().Sub(start))
	}
}

func (h *Handler) serve(w http.ResponseWriter, req *request) (answer, error) {
	path := strings.Trim(h.relative(req.URL.Path), "/")
	var err error
	if req.format, err = negotiate(req.Request); err != nil {
		return answer{}, err
	}
	if path == "metadata" && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		req.name = "capabilities"
		return h.metadata()
	}
	if req.caller, err = h.cfg.Authorize(req.Request); err != nil {
		return answer{}, unauthorized(err)
	}
	release, err := h.admit(req)
	if err != nil {
		return answer{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(req.Context(), h.cfg.Timeout)
	defer cancel()
	_ = http.NewResponseController(w).SetReadDeadline(h.cfg.Now().Add(h.cfg.Timeout)) // a recorder in a test has none
	req.Request = req.WithContext(ctx)
	req.Body = http.MaxBytesReader(w, req.Body, h.cfg.MaxBody)
	if !isGet(req) && (req.ContentLength > largeBody || req.ContentLength < 0) {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
	return h.route(req, strings.Split(path, "/"))
}

// largeBody is the length from which on bodies share the slots for large ones, in bytes.
const largeBody = 1 << 20

// relative takes the path of the base off a request's path.
func (h *Handler) relative(path string) string {
	rest, ok := strings.CutPrefix(path, h.prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return rest
}

func unauthorized(err error) error {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{Status: http.StatusUnauthorized, Code: fhir.CodeLogin, Diagnostics: "the caller is not known", Challenge: "Bearer"}
}

// admit takes a slot and asks the rate limit.
func (h *Handler) admit(req *request) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
	default:
		return nil, &Refusal{Status: http.StatusTooManyRequests, Code: fhir.CodeThrottled, RetryAfter: time.Second, Diagnostics: "too many requests at once"}
	}
	release = func() { <-h.slots }
	if h.cfg.Allow == nil {
		return release, nil
	}
	ok, retry, err := h.cfg.Allow(req.Context(), req.caller.Name())
	if err == nil && ok {
		return release, nil
	}
	release()
	if err != nil {
		return nil, fmt.Errorf("fhir: rate limit: %w", err)
	}
	return nil, &Refusal{Status: http.StatusTooManyRequests, Code: fhir.CodeThrottled, RetryAfter: max(retry, time.Second), Diagnostics: "too many requests of this caller"}
}

// route finds the interaction (FHIR R4 §3.1.0).
func (h *Handler) route(req *request, path []string) (answer, error) {
	switch {
	case path[0] == "" && len(path) == 1:
		return h.onBase(req)
	case strings.HasPrefix(path[0], "$"):
		return h.onOperation(req, "", path)
	case !slices.Contains(h.cfg.Resources, path[0]):
		return answer{}, fail(http.StatusNotFound, fhir.CodeNotSupported, "no resource type of this server; GET /metadata lists them")
	case len(path) > 1 && strings.HasPrefix(path[1], "$"):
		return h.onOperation(req, path[0], path[1:])
	}
	switch len(path) {
	case 1:
		return h.onType(req, path[0])
	case 2:
		if path[1] == "_search" {
			return h.onSearch(req, path[0])
		}
		return h.onInstance(req, path[0], path[1])
	case 3, 4:
		if path[2] == "_history" {
			return h.onHistory(req, path)
		}
	}
	return answer{}, fail(http.StatusNotFound, fhir.CodeNotFound, "no such address on this server")
}

func notAllowed(methods ...string) error {
	r := fail(http.StatusMethodNotAllowed, fhir.CodeNotSupported, "the method is not supported here; allowed: "+strings.Join(methods, ", "))
	return &methodError{r, methods}
}

// methodError is a 405 with the methods that would do.
type methodError struct {
	*Refusal
	methods []string
}

func (e *methodError) Unwrap() error { return e.Refusal }

func isGet(r *request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func (h *Handler) onBase(req *request) (answer, error) {
	if req.Method != http.MethodPost {
		return answer{}, notAllowed(http.MethodPost)
	}
	req.name = "transaction"
	return h.bundle(req)
}

func (h *Handler) onType(req *request, kind string) (answer, error) {
	switch {
	case isGet(req):
		return h.onSearch(req, kind)
	case req.Method == http.MethodPost:
		req.name = "create"
		return h.conditionalCreate(req, kind)
	case req.Method == http.MethodPut:
		req.name = "update"
		return h.conditionalUpdate(req, kind)
	}
	return answer{}, notAllowed(http.MethodGet, http.MethodPost, http.MethodPut)
}

func (h *Handler) onSearch(req *request, kind string) (answer, error) {
	req.name = "search"
	if !isGet(req) && (req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/_search")) {
		return answer{}, notAllowed(http.MethodGet, http.MethodPost)
	}
	return h.search(req, kind)
}

func (h *Handler) onInstance(req *request, kind, id string) (answer, error) {
	switch {
	case isGet(req):
		req.name = "read"
		return h.read(req, kind, id)
	case req.Method == http.MethodPut:
		req.name = "update"
		return h.update(req, kind, id)
	case req.Method == http.MethodDelete:
		req.name = "delete"
		return h.remove(req, kind, id)
	}
	return answer{}, notAllowed(http.MethodGet, http.MethodPut, http.MethodDelete)
}

func (h *Handler) onHistory(req *request, path []string) (answer, error) {
	if !isGet(req) {
		return answer{}, notAllowed(http.MethodGet)
	}
	if len(path) == 3 {
		req.name = "history"
		return h.history(req, path[0], path[1])
	}
	req.name = "vread"
	version, err := strconv.Atoi(path[3])
	if err != nil || version < 1 {
		return answer{}, fail(http.StatusNotFound, fhir.CodeNotFound, "no such version")
	}
	return h.vread(req, path[0], path[1], version)
}

func (h *Handler) may(req *request, kind string, a Action) error {
	if req.caller.May(kind, a) {
		return nil
	}
	return fail(http.StatusForbidden, fhir.CodeForbidden, "the caller's scopes do not allow this for "+kind)
}

// body reads and judges the resource that a request carries.
func (h *Handler) body(req *request) (*fhir.Resource, error) {
	if err := contentType(req.Request); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, bodyError(req.Context(), err)
	}
	return h.judgeWhole(req, raw)
}

// judgeWhole judges a resource in memory.
func (h *Handler) judgeWhole(req *request, raw []byte) (*fhir.Resource, error) {
	if len(raw) == 0 {
		return nil, fail(http.StatusBadRequest, fhir.CodeRequired, "the body is empty")
	}
	r, issues := h.cfg.Validator.Validate(req.Context(), raw)
	if !issues.Failed() {
		issues = h.cfg.Further(r.Root)
	}
	return r, h.kept(req, raw, r, issues)
}

// kept is judged for content that was sent to be kept: what is refused goes to the quarantine.
func (h *Handler) kept(req *request, raw []byte, r *fhir.Resource, issues fhir.Issues) error {
	err := judged(r, issues)
	if err == nil || h.cfg.Quarantine == nil || req.again {
		return err
	}
	refused := Refused{Raw: raw, Sender: "fhir/" + req.caller.Name(), Kind: "Resource", Issue: worst(issues), ReceivedAt: h.now()}
	if r != nil {
		refused.Kind = fhir.KindOf(r.Root)
	}
	if failure := h.cfg.Quarantine(req.Context(), refused); failure != nil {
		h.cfg.Logger.Error("refused content could not be kept; the sender still has it", "refused", refused, "err", failure)
	}
	return err
}

// worst is the first issue that is an error.
func worst(issues fhir.Issues) fhir.Issue {
	for _, i := range issues {
		if (fhir.Issues{i}).Failed() {
			return i
		}
	}
	return fhir.Issue{}
}

// invalid is a body that was judged and found wanting.
type invalid struct {
	status int
	issues fhir.Issues
}

func (e *invalid) Error() string { return e.issues.Error() }

// judged turns issues into an error: 400 for what is no FHIR JSON, 422 for what breaks its
// rules (FHIR R4 §3.1.0.8).
func judged(r *fhir.Resource, issues fhir.Issues) error {
	if !issues.Failed() {
		return nil
	}
	status := http.StatusUnprocessableEntity
	if r == nil {
		status = http.StatusBadRequest
		if issues[0].Code == fhir.CodeTooLong {
			status = http.StatusRequestEntityTooLarge
		}
	}
	for _, i := range issues {
		if i.Code == fhir.CodeTimeout {
			status = http.StatusServiceUnavailable
		}
	}
	return &invalid{status, issues}
}

func bodyError(ctx context.Context, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fail(http.StatusRequestEntityTooLarge, fhir.CodeTooLong, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case ctx.Err() != nil, isTimeout(err):
		return fail(http.StatusRequestTimeout, fhir.CodeTimeout, "the body did not arrive in time")
	}
	return fail(http.StatusBadRequest, fhir.CodeStructure, "the body broke off")
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// refuse turns an error into an answer.
func (h *Handler) refuse(err error) answer {
	a := answer{header: http.Header{}}
	var wrong *invalid
	var method *methodError
	var r *Refusal
	switch {
	case errors.As(err, &wrong):
		a.status, a.body = wrong.status, fhir.Outcome(wrong.issues...)
		return a
	case errors.As(err, &r):
	case errors.Is(err, index.ErrNotFound):
		r = fail(http.StatusNotFound, fhir.CodeNotFound, "there is no such resource")
	case errors.Is(err, index.ErrGone):
		r = fail(http.StatusGone, fhir.CodeDeleted, "the content was erased")
	case errors.Is(err, index.ErrConflict):
		r = fail(http.StatusConflict, fhir.CodeConflict, "another version was written meanwhile; read it and try again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r = &Refusal{Status: http.StatusServiceUnavailable, Code: fhir.CodeTimeout, RetryAfter: 5 * time.Second, Diagnostics: "it took too long; try again"}
	default:
		h.cfg.Logger.Error("fhir request failed", "err", err)
		r = &Refusal{Status: http.StatusServiceUnavailable, Code: fhir.CodeTransient, RetryAfter: 5 * time.Second, Diagnostics: "not available now; nothing was promised, try again"}
	}
	if errors.As(err, &method) {
		a.header.Set("Allow", strings.Join(method.methods, ", "))
	}
	if r.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
	if r.Challenge != "" {
		a.header.Set("WWW-Authenticate", r.Challenge)
	}
	a.status = r.Status
	a.body = fhir.Outcome(fhir.Issue{Severity: fhir.Error, Code: r.Code, Diagnostics: r.Diagnostics, Expression: r.Expression})
	return a
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, a answer) {
	out := w.Header()
	for name, values := range a.header {
		out[name] = values
	}
	out.Set("Cache-Control", "no-store")
	out.Set("X-Content-Type-Options", "nosniff")
	if a.size = max(a.size, int64(len(a.body))); a.size > 0 {
		out.Set("Content-Type", fhir.MediaType+"; charset=utf-8; fhirVersion=4.0")
		out.Set("Content-Length", strconv.FormatInt(a.size, 10))
	}
	w.WriteHeader(max(a.status, http.StatusOK))
	switch {
	case r.Method == http.MethodHead:
	case a.stream != nil:
		_ = a.stream(w) // whoever asked may be gone; the length tells that something is missing
	default:
		_, _ = w.Write(a.body) // whoever asked may be gone
	}
}
