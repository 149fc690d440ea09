package hip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

// ServerConfig says how calls come in. Zero fields take the defaults.
type ServerConfig struct {
	Service *Service
	// Path of the service; default "/hip". Its WSDL is at Path?wsdl.
	Path string
	// TLS is required unless the listener is on a loopback address: plain HTTP would carry
	// patient data. With ClientCAs it should ask for certificates.
	TLS *tls.Config
	// MaxBody bounds a call in bytes; default 64 MiB.
	MaxBody int64
	// MaxConcurrent bounds the calls that are worked on at one time; default 16. Others wait,
	// up to Timeout.
	MaxConcurrent int
	// MaxInFlight bounds the bytes of all calls that are worked on at one time, each of which
	// takes about four times its size in memory; default MaxBody. Calls that do not tell their
	// length count as MaxBody.
	MaxInFlight int64
	// Timeout bounds one call from its first byte to its answer; default 60 s.
	Timeout time.Duration
	// ResultElement is the name of the element in the response; default "payload".
	ResultElement string
	// Observe is told of every call; nil: nobody. It must not block.
	Observe func(Call)
}

// Call is what Observe is told.
type Call struct {
	Outcome Outcome // "" for calls that hold no message
	Peer    string
	Took    time.Duration
	Bytes   int64
}

// Server serves the platform's web service over HTTP.
type Server struct {
	c    ServerConfig
	http *http.Server
	busy chan struct{}
	load *semaphore.Weighted
}

// NewServer returns a server; Serve starts it.
func NewServer(c ServerConfig) (*Server, error) {
	if c.Service == nil {
		return nil, errors.New("hip: no service")
	}
	if c.Path == "" {
		c.Path = "/hip"
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 64 << 20
	}
	if c.MaxConcurrent <= 0 {
		c.MaxConcurrent = 16
	}
	c.MaxInFlight = max(c.MaxInFlight, c.MaxBody)
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.ResultElement == "" {
		c.ResultElement = "payload"
	}
	s := &Server{c: c, busy: make(chan struct{}, c.MaxConcurrent), load: semaphore.NewWeighted(c.MaxInFlight)}
	mux := http.NewServeMux()
	mux.Handle(c.Path, s)
	s.http = &http.Server{Handler: mux, TLSConfig: c.TLS, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: c.Timeout,
		WriteTimeout: c.Timeout + 10*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	return s, nil
}

// ErrNoTLS reports a listener that is open to others without TLS.
var ErrNoTLS = errors.New("hip: without TLS only a loopback address is served; set cert, key and client_ca")

// Serve answers calls on l until ctx ends, then finishes those that are under way. It
// closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.c.TLS == nil && !loopback(l.Addr()) {
		_ = l.Close()
		return ErrNoTLS
	}
	if s.c.TLS != nil {
		l = tls.NewListener(l, s.c.TLS)
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		done <- s.http.Shutdown(stop)
	}()
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet:
		if _, ok := r.URL.Query()["wsdl"]; !ok {
			http.Error(w, "add ?wsdl for the description of the service", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = w.Write(describe(location(r), s.c.ResultElement))
	case http.MethodPost:
		s.call(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
	}
}

func location(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.Path
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), s.c.Timeout)
	defer cancel()
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		http.Error(w, "too many calls at a time; try again", http.StatusServiceUnavailable)
		return
	}
	weight := r.ContentLength
	if weight < 0 || weight > s.c.MaxBody {
		weight = s.c.MaxBody
	}
	if err := s.load.Acquire(ctx, weight); err != nil {
		http.Error(w, "too many calls at a time; try again", http.StatusServiceUnavailable)
		return
	}
	defer s.load.Release(weight)
	reply, status, kind, seen := s.answer(ctx, w, r)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(reply) //nolint:gosec // XML of this package: every value in it went through escape
	if s.c.Observe != nil {
		seen.Peer, seen.Took = r.RemoteAddr, time.Since(start)
		s.c.Observe(seen)
	}
}

// answer reads and handles a call. Faults have status 500, as SOAP asks for, or 400 in SOAP
// 1.2 where the sender is at fault.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) (reply []byte, status int, kind string, seen Call) {
	body, charset, err := s.body(w, r)
	seen.Bytes = int64(len(body))
	var env *envelope
	if err == nil {
		env, err = readEnvelope(body, charset, s.c.Service.c.Limits)
	}
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = &fault{soap: soap11, reason: err.Error()}
		}
		status = http.StatusInternalServerError
		if f.soap == soap12 && !f.server {
			status = http.StatusBadRequest
		}
		seen.Outcome = Rejected
		if len(body) > 0 {
			s.c.Service.refuse(ctx, Refused{Raw: []byte(body), Peer: r.RemoteAddr, ReceivedAt: s.c.Service.c.Now()}, nil, refuse("ENVELOPE", "%s", f.reason))
		}
		return f.envelope(), status, contentType(f.soap), seen
	}
	text, outcome := s.c.Service.Handle(ctx, env.message, r.RemoteAddr)
	seen.Outcome = outcome
	return env.answer(text, s.c.ResultElement), http.StatusOK, contentType(env.soap), seen
}

func contentType(soap string) string {
	if soap == soap12 {
		return "application/soap+xml; charset=utf-8"
	}
	return "text/xml; charset=utf-8"
}

// body reads a call within its bounds.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (body, charset string, err error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "text/xml" && media != "application/soap+xml" && media != "application/xml" {
		return "", "", &fault{soap: soap11, reason: "the content type is not that of SOAP (text/xml or application/soap+xml)"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return "", "", &fault{soap: soap11, reason: "compressed calls are not taken"}
	}
	var text strings.Builder // becomes a string without a copy
	text.Grow(int(min(max(r.ContentLength, 0), s.c.MaxBody)))
	_, err = io.Copy(&text, http.MaxBytesReader(w, r.Body, s.c.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", "", &fault{soap: soap11, reason: fmt.Sprintf("the call is larger than %d bytes", s.c.MaxBody)}
	case err != nil:
		return "", "", &fault{soap: soap11, reason: "the call broke off"}
	}
	return text.String(), params["charset"], nil
}
