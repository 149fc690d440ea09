// Package projects lets research institutes speak through their proxy hospital: it carries
// their signed statements to the ledger and shows them what the ledger says of their own
// projects. Mutual TLS tells who calls: the key of the certificate is the one that the
// authority registered for the institute. An institute believes nothing of the answers
// unverified; package research/project reads them.
//
//	POST /v1/research/statements                                  a signed statement, CBOR
//	GET  /v1/research/institutes/{id}                             the caller's own registration
//	GET  /v1/research/members/{msp}                               a hospital's registration
//	GET  /v1/research/projects                                    the caller's own, newest first
//	GET  /v1/research/projects/{id}
//	GET  /v1/research/projects/{id}/releases
//	GET  /v1/research/projects/{id}/releases/{msp}/{sequence}
//	GET  /v1/research/projects/{id}/withdrawals
//
// Lists take ?size= and ?bookmark= and answer with evidence.Page. Answers are the views of
// package evidence in JSON.
package projects

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/research/project"
)

// Addresses of the service.
const (
	StatementsPath = "/v1/research/statements"
	InstitutesPath = "/v1/research/institutes/"
	MembersPath    = "/v1/research/members/"
	ProjectsPath   = "/v1/research/projects"
)

// Codes of refusals that the gateway itself makes; a refusal of the contract has its own
// code, in capitals.
const (
	CodeCaller    = "unknown-caller" // no active institute with this certificate's key
	CodeForeign   = "not-yours"      // a statement or project of somebody else
	CodeKind      = "not-carried"    // not a statement that institutes make
	CodeMalformed = "malformed"
	CodeRate      = "rate-limit"
	CodeGuard     = "guard" // rate limit unavailable; try again
	CodeNotFound  = "not-found"
	CodeLedger    = "ledger" // unreachable, or it did not commit; try again
)

// statementType is the media type of a signed statement.
const statementType = "application/vnd.emrbridge.statement"

// Ledger is what the service asks; chainclient.Client has it.
type Ledger interface {
	project.Ledger
	Institutes(ctx context.Context) ([]evidence.Institute, error)
	Projects(ctx context.Context, party string, size int, bookmark string) (evidence.Page[evidence.Project], error)
}

// Limiter bounds callers; gateway.Guard has it.
type Limiter interface {
	Allow(ctx context.Context, caller string) (ok bool, retryAfter time.Duration, err error)
}

// Receipt tells where a statement stands on the ledger.
type Receipt struct {
	TxID  string         `json:"tx"`
	Block uint64         `json:"block"`
	Nonce evidence.Nonce `json:"nonce"`
}

// Config is what a handler works with. All but the last three are required.
type Config struct {
	Ledger Ledger
	// Verify checks the registration of an institute; (*project.Reader).VerifyInstitute does.
	Verify func(id string, view evidence.Institute) (project.Party, error)
	// Carry brings a statement to the ledger and waits for its block. A refusal of the
	// contract is found in its error as *evidence.Refusal.
	Carry   func(ctx context.Context, signed evidence.Signed) (Receipt, error)
	Limit   Limiter
	Timeout time.Duration // bounds a request. Default 1 minute
	Logger  *slog.Logger  // default: discard
	Now     func() time.Time
}

// remember is how long an institute found by its key is believed to be active.
const remember = 15 * time.Second

type handler struct {
	Config
	mu    sync.Mutex
	known map[evidence.Digest]string // institute by TLS key
	until time.Time
}

// NewHandler checks the configuration and returns the handler, which expects requests over
// mutual TLS.
func NewHandler(c Config) (http.Handler, error) {
	if c.Ledger == nil || c.Verify == nil || c.Carry == nil || c.Limit == nil {
		return nil, errors.New("gateway/projects: ledger, verification, carrier or limit is missing")
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &handler{Config: c}
	mux := http.NewServeMux()
	for route, do := range map[string]call{
		"POST " + StatementsPath:                                h.carry,
		"GET " + InstitutesPath + "{id}":                        h.institute,
		"GET " + MembersPath + "{msp}":                          h.member,
		"GET " + ProjectsPath:                                   h.projects,
		"GET " + ProjectsPath + "/{id}":                         h.project,
		"GET " + ProjectsPath + "/{id}/releases":                h.releases,
		"GET " + ProjectsPath + "/{id}/releases/{msp}/{number}": h.release,
		"GET " + ProjectsPath + "/{id}/withdrawals":             h.withdrawals,
	} {
		mux.HandleFunc(route, h.served(do))
	}
	return mux, nil
}

// call answers a request of an institute.
type call func(r *http.Request, institute string) (any, error)

// refusal is an answer that is no success. It holds nothing of a request's content.
type refusal struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// Error implements error.
func (r *refusal) Error() string { return r.Code }

func (h *handler) served(do call) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := h.Now()
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := context.WithTimeout(r.Context(), h.Timeout)
		defer cancel()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.Timeout + 10*time.Second))
		inner := r.WithContext(ctx)
		institute, err := h.caller(inner, w)
		var answer any
		if err == nil {
			answer, err = do(inner, institute)
		}
		attrs := []slog.Attr{slog.String("institute", institute), slog.String("route", r.Pattern), slog.Duration("took", h.Now().Sub(start))}
		if err != nil {
			h.Logger.LogAttrs(ctx, slog.LevelWarn, "institute refused", append(attrs, slog.String("error", err.Error()))...)
			refuse(w, err)
			return
		}
		h.Logger.LogAttrs(ctx, slog.LevelInfo, "institute", attrs...)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// refuse maps an error to an answer. What the ledger said of itself is not passed on.
func refuse(w http.ResponseWriter, err error) {
	out := &refusal{status: http.StatusServiceUnavailable, Code: CodeLedger}
	var own *refusal
	var contract *evidence.Refusal
	switch {
	case errors.As(err, &own):
		out = own
	case errors.As(err, &contract) && contract.Code == evidence.CodeNotFound:
		out = &refusal{status: http.StatusNotFound, Code: CodeNotFound, Message: contract.Message}
	case errors.As(err, &contract):
		out = &refusal{status: http.StatusConflict, Code: string(contract.Code), Message: contract.Message}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(out.status)
	_ = json.NewEncoder(w).Encode(out)
}

// caller limits by the certificate's key, and finds the institute that it is registered for.
func (h *handler) caller(r *http.Request, w http.ResponseWriter) (string, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", &refusal{status: http.StatusForbidden, Code: CodeCaller}
	}
	key := gateway.KeyOf(r.TLS.PeerCertificates[0])
	ok, wait, err := h.Limit.Allow(r.Context(), "research/"+key.String())
	switch {
	case err != nil:
		return "", &refusal{status: http.StatusServiceUnavailable, Code: CodeGuard}
	case !ok:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		return "", &refusal{status: http.StatusTooManyRequests, Code: CodeRate}
	}
	id, err := h.lookUp(r.Context(), key)
	if err == nil && id == "" {
		err = &refusal{status: http.StatusForbidden, Code: CodeCaller}
	}
	return id, err
}

// lookUp finds the active institute of a TLS key. The list is read again when it is old,
// and when it does not hold the key: an institute may have been registered just now.
func (h *handler) lookUp(ctx context.Context, key evidence.Digest) (string, error) {
	h.mu.Lock()
	id, fresh := h.known[key], h.Now().Before(h.until)
	h.mu.Unlock()
	if id != "" && fresh {
		return id, nil
	}
	list, err := h.Ledger.Institutes(ctx)
	if err != nil {
		return "", err
	}
	known := map[evidence.Digest]string{}
	for _, view := range list {
		p, err := h.Verify(view.ID, view)
		if err == nil && p.Active && !p.TLSKey.IsZero() {
			known[p.TLSKey] = p.ID
		}
	}
	h.mu.Lock()
	h.known, h.until = known, h.Now().Add(remember)
	h.mu.Unlock()
	return known[key], nil
}

// carried are the statements that institutes make.
var carried = map[evidence.Kind]bool{
	evidence.KindApplyProject: true, evidence.KindCloseProject: true, evidence.KindConfirmDeletion: true,
}

func (h *handler) carry(r *http.Request, institute string) (any, error) {
	if r.Header.Get("Content-Type") != statementType {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, Code: CodeMalformed, Message: "the body is " + statementType}
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, evidence.MaxStatement+1))
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, Code: CodeMalformed}
	}
	signed, st, err := evidence.ParseSigned(raw)
	switch {
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, Code: CodeMalformed, Message: "not a signed statement"}
	case st.Actor != institute:
		return nil, &refusal{status: http.StatusForbidden, Code: CodeForeign, Message: "the statement is of another institute"}
	case !carried[st.Kind]:
		return nil, &refusal{status: http.StatusForbidden, Code: CodeKind}
	}
	return h.Carry(r.Context(), signed)
}

// own refuses projects of others.
func own(r *http.Request, institute string) (string, error) {
	id := r.PathValue("id")
	if !evidence.ValidProject(id) {
		return "", &refusal{status: http.StatusBadRequest, Code: CodeMalformed, Message: "not a project's id"}
	}
	if evidence.InstituteOf(id) != institute {
		return "", &refusal{status: http.StatusForbidden, Code: CodeForeign}
	}
	return id, nil
}

func page(r *http.Request) (int, string) {
	size, err := strconv.Atoi(r.URL.Query().Get("size"))
	if err != nil || size < 1 || size > evidence.MaxPageSize {
		size = evidence.MaxPageSize
	}
	return size, r.URL.Query().Get("bookmark")
}

func (h *handler) institute(r *http.Request, institute string) (any, error) {
	if r.PathValue("id") != institute {
		return nil, &refusal{status: http.StatusForbidden, Code: CodeForeign}
	}
	return h.Ledger.Institute(r.Context(), institute)
}

func (h *handler) member(r *http.Request, _ string) (any, error) {
	msp := r.PathValue("msp")
	if !evidence.ValidMSP(msp) {
		return nil, &refusal{status: http.StatusBadRequest, Code: CodeMalformed, Message: "not an MSP id"}
	}
	return h.Ledger.Member(r.Context(), msp)
}

func (h *handler) projects(r *http.Request, institute string) (any, error) {
	size, bookmark := page(r)
	return h.Ledger.Projects(r.Context(), institute, size, bookmark)
}

func (h *handler) project(r *http.Request, institute string) (any, error) {
	id, err := own(r, institute)
	if err != nil {
		return nil, err
	}
	return h.Ledger.Project(r.Context(), id)
}

func (h *handler) releases(r *http.Request, institute string) (any, error) {
	id, err := own(r, institute)
	if err != nil {
		return nil, err
	}
	size, bookmark := page(r)
	return h.Ledger.Releases(r.Context(), id, size, bookmark)
}

func (h *handler) withdrawals(r *http.Request, institute string) (any, error) {
	id, err := own(r, institute)
	if err != nil {
		return nil, err
	}
	size, bookmark := page(r)
	return h.Ledger.Withdrawals(r.Context(), id, size, bookmark)
}

func (h *handler) release(r *http.Request, institute string) (any, error) {
	id, err := own(r, institute)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 32)
	if err != nil || number == 0 || !evidence.ValidMSP(r.PathValue("msp")) {
		return nil, &refusal{status: http.StatusBadRequest, Code: CodeMalformed, Message: "not a hospital and the number of a release"}
	}
	return h.Ledger.Release(r.Context(), id, r.PathValue("msp"), uint32(number))
}
