package local

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
)

// Retriever fetches records; retrieve.Requester is one.
type Retriever interface {
	Retrieve(ctx context.Context, q retrieve.Query) (retrieve.Result, error)
}

// Desk records consents and reviews; retrieve.Desk is one.
type Desk interface {
	Grant(ctx context.Context, c retrieve.ConsentTerms) (evidence.Nonce, error)
	Revoke(ctx context.Context, consent evidence.Nonce) error
	Emergencies(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Access], error)
	Review(ctx context.Context, request evidence.Nonce, justified bool, reviewer string) error
}

// Config is what a Server works with. Calls for what is nil are answered with
// CodeAbsent.
type Config struct {
	Retriever Retriever // together with Desk
	Desk      Desk
	Parked    Parked
	Replayer  Replayer
	Corrector Corrector
	Releases  Releases
	Projects  Projects
	// Token, if set, must come with every call as a bearer token. It is required for TCP.
	Token string
	// Timeout bounds a call. Default 5 minutes.
	Timeout time.Duration
	Logger  *slog.Logger // default: discard
}

// maxBody bounds the body of a call, in bytes.
const maxBody = 256 << 10

// minToken is the shortest token that is accepted, in characters.
const minToken = 32

// Server serves the hospital's own commands. It is safe for concurrent use.
type Server struct {
	Config
	tokenSum [sha256.Size]byte
}

// NewServer checks the configuration and returns a Server.
func NewServer(c Config) (*Server, error) {
	if (c.Retriever == nil) != (c.Desk == nil) || c.Retriever == nil && c.Parked == nil && c.Replayer == nil {
		return nil, errors.New("gateway/local: a server needs a retriever and a desk, or operations on messages")
	}
	if c.Token != "" && len(c.Token) < minToken {
		return nil, fmt.Errorf("gateway/local: the token must have at least %d characters", minToken)
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{Config: c, tokenSum: sha256.Sum256([]byte(c.Token))}, nil
}

// Serve accepts calls until ctx ends, and closes listener. Without a token it accepts a
// Unix socket only.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	if addr := listener.Addr(); addr.Network() != "unix" && (s.Token == "" || !loopback(addr)) {
		_ = listener.Close()
		return fmt.Errorf("gateway/local: %s: serving on TCP needs a token and a loopback address", addr)
	}
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: s.Timeout + 30*time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, callerOf(c))
		},
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("gateway/local: serve: %w", err)
}

func loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

type callerKey struct{}

// Handler returns the routes behind the check of the token.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for route, handle := range map[string]http.HandlerFunc{
		"POST /internal/v1/retrieve":                s.retrieve,
		"POST /internal/v1/consents":                s.grant,
		"POST /internal/v1/consents/{id}/revoke":    s.revoke,
		"GET /internal/v1/emergencies":              s.emergencies,
		"POST /internal/v1/emergencies/{id}/review": s.review,
	} {
		if s.Retriever == nil {
			handle = func(w http.ResponseWriter, _ *http.Request) { absent(w) }
		}
		mux.HandleFunc(route, handle)
	}
	s.operations(mux)
	s.releases(mux)
	s.projects(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		r = r.WithContext(ctx) // the same request for the routes, which note their pattern in it
		out := &answer{ResponseWriter: w, status: http.StatusOK}
		out.Header().Set("Cache-Control", "no-store")
		// A page in a browser on the same machine must not reach this interface.
		if r.Header.Get("Origin") != "" || !s.authorized(r) {
			fail(out, http.StatusUnauthorized, CodeUnauthorized, "")
		} else {
			r.Body = http.MaxBytesReader(out, r.Body, maxBody)
			mux.ServeHTTP(out, r)
		}
		caller, _ := r.Context().Value(callerKey{}).(string)
		s.Logger.InfoContext(r.Context(), "command", "caller", caller, "method", r.Method, "route", r.Pattern,
			"status", out.status, "code", out.code, "took", time.Since(start))
	})
}

// authorized compares the token in constant time.
func (s *Server) authorized(r *http.Request) bool {
	if s.Token == "" {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], s.tokenSum[:]) == 1 && ok
}

// answer remembers what was answered, for the log.
type answer struct {
	http.ResponseWriter
	status int
	code   string
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	if a, ok := w.(*answer); ok {
		a.code = code
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Failure{Code: code, Message: message})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// read decodes the body of a call strictly.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil || dec.More() {
		// The decoder's words may quote the body, which holds patient data.
		fail(w, http.StatusBadRequest, CodeMalformed, "the body is not the JSON object that this call takes")
		return false
	}
	return true
}

func (s *Server) retrieve(w http.ResponseWriter, r *http.Request) {
	var body RetrieveRequest
	if !read(w, r, &body) {
		return
	}
	q := retrieve.Query{Patient: body.Patient.identity(), Owners: body.Owners, Kinds: body.Kinds, Records: body.Records, Purpose: body.Purpose,
		Bare: !body.Payloads && !body.Proofs}
	if e := body.Emergency; e != nil {
		q.Emergency = &retrieve.Emergency{Reason: e.Reason, Staff: e.Staff}
	}
	res, err := s.Retriever.Retrieve(r.Context(), q)
	if len(res.Deliveries) == 0 && err != nil {
		status, code := classify(err)
		fail(w, status, code, err.Error())
		return
	}
	status := http.StatusOK
	if err != nil {
		var code string
		if status, code = classify(err); w.(*answer).code == "" {
			w.(*answer).code = code
		}
	}
	var long splices
	replySpliced(w, status, response(res, body.Payloads, body.Proofs, &long), &long)
}

// classify maps an error to HTTP and a code.
func classify(err error) (int, string) {
	var denied *retrieve.DeniedError
	var refused *retrieve.RefusedError
	var refusal *evidence.Refusal
	switch {
	case errors.Is(err, retrieve.ErrQuery), errors.Is(err, keystore.ErrIdentity):
		return http.StatusBadRequest, CodeQuery
	case errors.Is(err, retrieve.ErrNothing):
		return http.StatusNotFound, CodeNothing
	case errors.As(err, &denied):
		return http.StatusForbidden, CodeDenied
	case errors.Is(err, retrieve.ErrUntrusted):
		return http.StatusBadGateway, CodeUntrusted
	case errors.Is(err, retrieve.ErrLimit):
		return http.StatusRequestEntityTooLarge, CodeLimit
	case errors.As(err, &refused), errors.As(err, &refusal):
		return http.StatusConflict, CodeRefused
	case errors.Is(err, retrieve.ErrTransfer):
		return http.StatusBadGateway, CodeTransfer
	}
	return http.StatusInternalServerError, CodeInternal
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	var body ConsentRequest
	if !read(w, r, &body) {
		return
	}
	if len(body.Purposes) == 0 {
		body.Purposes = []evidence.Purpose{evidence.Treatment}
	}
	id, err := s.Desk.Grant(r.Context(), retrieve.ConsentTerms{Patient: body.Patient.identity(), Grantees: body.Grantees,
		Owners: body.Owners, Purposes: body.Purposes, Kinds: body.Kinds, NotAfter: body.NotAfter.UnixMilli(), Form: body.Form})
	if err != nil {
		status, code := classify(err)
		fail(w, status, code, err.Error())
		return
	}
	reply(w, http.StatusCreated, ConsentResponse{ID: id})
}

// named reads the id in the address.
func named(w http.ResponseWriter, r *http.Request) (evidence.Nonce, bool) {
	id, err := evidence.ParseNonce(r.PathValue("id"))
	if err != nil {
		fail(w, http.StatusBadRequest, CodeMalformed, "the id must be 32 hexadecimal digits")
	}
	return id, err == nil
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		status, code := classify(err)
		fail(w, status, code, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if id, ok := named(w, r); ok {
		done(w, s.Desk.Revoke(r.Context(), id))
	}
}

func (s *Server) emergencies(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.URL.Query().Get("size"))
	page, err := s.Desk.Emergencies(r.Context(), size, r.URL.Query().Get("bookmark"))
	if err != nil {
		done(w, err)
		return
	}
	reply(w, http.StatusOK, page)
}

func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	id, ok := named(w, r)
	var body ReviewRequest
	if ok && read(w, r, &body) {
		done(w, s.Desk.Review(r.Context(), id, body.Justified, body.Reviewer))
	}
}
