package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

// Paths of the service.
const (
	DeliveriesPath = "/v1/deliveries"
	HealthPath     = "/v1/health"
	ResearchPath   = "/v1/research/"
)

// Codes of refusals that the gateway itself makes, beside those of package retrieve.
const (
	CodeMalformed  retrieve.Code = "malformed"      // the envelope is not one
	CodeCaller     retrieve.Code = "unknown-caller" // no active member with this certificate's key
	CodeSignature  retrieve.Code = "bad-signature"  // the envelope is not signed by the caller
	CodeStale      retrieve.Code = "stale"          // the envelope's time is too far from ours
	CodeReplayed   retrieve.Code = "replayed"       // the envelope was used before
	CodeRate       retrieve.Code = "rate-limit"     // too many requests
	CodeBusy       retrieve.Code = "busy"           // too many deliveries under way
	CodeGuard      retrieve.Code = "guard"          // replay cache or rate limit unavailable; try again
	CodeMisrouted  retrieve.Code = "wrong-owner"    // the envelope is for another hospital
	CodeOversize   retrieve.Code = "oversize"       // the envelope is too large
	CodeContent    retrieve.Code = "content-type"   // not the media type of an envelope
	envelopeType                 = "application/vnd.emrbridge.request"
	problemType                  = "application/json"
	problemMaxSize               = 4 << 10
)

// problem is the body of an answer without a delivery.
type problem struct {
	Code   retrieve.Code `json:"code"`
	Reason string        `json:"reason,omitempty"`
}

// statusOf maps refusals to HTTP.
var statusOf = map[retrieve.Code]int{
	CodeMalformed: http.StatusBadRequest, CodeCaller: http.StatusForbidden, CodeSignature: http.StatusForbidden,
	CodeStale: http.StatusForbidden, CodeReplayed: http.StatusConflict, CodeRate: http.StatusTooManyRequests,
	CodeBusy: http.StatusTooManyRequests, CodeGuard: http.StatusServiceUnavailable, CodeMisrouted: http.StatusMisdirectedRequest,
	CodeOversize: http.StatusRequestEntityTooLarge, CodeContent: http.StatusUnsupportedMediaType,
	retrieve.CodeUnknown: http.StatusNotFound, retrieve.CodeForeign: http.StatusForbidden,
	retrieve.CodeUntrusted: http.StatusForbidden, retrieve.CodeDenied: http.StatusForbidden,
	retrieve.CodeClosed: http.StatusConflict, retrieve.CodeExpired: http.StatusForbidden,
	retrieve.CodeWithdrawn: http.StatusForbidden, retrieve.CodeGone: http.StatusGone,
	retrieve.CodeTooMany: http.StatusRequestEntityTooLarge, retrieve.CodeKey: http.StatusForbidden,
	retrieve.CodeLedger: http.StatusServiceUnavailable, retrieve.CodeInternal: http.StatusInternalServerError,
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+DeliveriesPath, s.deliveries)
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if s.Research != nil {
		mux.Handle(ResearchPath, s.Research)
	}
	return mux
}

func (s *Server) deliveries(w http.ResponseWriter, r *http.Request) {
	start := s.Now()
	w.Header().Set("Cache-Control", "no-store")
	requester, req, err := s.admit(w, r)
	var outcome retrieve.Outcome
	if err == nil {
		outcome, err = s.deliver(w, r, requester, req)
	}
	attrs := []slog.Attr{slog.String("requester", requester.MSP), slog.String("access", req.Access.String()),
		slog.Bool("granted", outcome.Granted), slog.Bool("emergency", outcome.Emergency), slog.Int("delivered", outcome.Delivered),
		slog.Any("absent", outcome.Absent), slog.Duration("took", s.Now().Sub(start))}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if !errors.As(err, new(*retrieve.RefusedError)) {
			level = slog.LevelWarn
		}
	}
	s.Logger.LogAttrs(r.Context(), level, "delivery", attrs...)
}

func refuse(code retrieve.Code, err error) error { return &retrieve.RefusedError{Code: code, Err: err} }

// admit lets in who a certificate, the ledger and a signature say it is, once. The answer
// to a refusal is written.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (requester retrieve.Party, req wire.Request, err error) {
	wait := time.Duration(0)
	if wait, err = s.limit(r); err == nil {
		requester, req, err = s.identify(r)
	}
	if err != nil {
		s.answer(w, err, wait)
	}
	return requester, req, err
}

// limit comes first and goes by the certificate's key: what the envelope says is not
// believed yet, so no caller can use up another's share.
func (s *Server) limit(r *http.Request) (time.Duration, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return 0, refuse(CodeCaller, nil)
	}
	ok, wait, err := s.Guard.Allow(r.Context(), "gateway/"+KeyOf(r.TLS.PeerCertificates[0]).String())
	switch {
	case err != nil:
		return 0, refuse(CodeGuard, err)
	case !ok:
		return wait, refuse(CodeRate, nil)
	}
	return 0, nil
}

func (s *Server) identify(r *http.Request) (retrieve.Party, wire.Request, error) {
	var nobody retrieve.Party
	if r.Header.Get("Content-Type") != envelopeType {
		return nobody, wire.Request{}, refuse(CodeContent, nil)
	}
	if r.ContentLength > wire.MaxRequest {
		return nobody, wire.Request{}, refuse(CodeOversize, nil)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxRequest+1))
	if err != nil {
		return nobody, wire.Request{}, refuse(CodeMalformed, err)
	}
	if len(body) > wire.MaxRequest {
		return nobody, wire.Request{}, refuse(CodeOversize, nil)
	}
	signed, req, err := wire.ParseRequest(body)
	if err != nil {
		return nobody, wire.Request{}, refuse(CodeMalformed, err)
	}
	if req.Owner != s.MSP {
		return nobody, req, refuse(CodeMisrouted, nil)
	}
	if age := s.Now().Sub(time.UnixMilli(req.IssuedAt)); age.Abs() > s.Skew {
		return nobody, req, refuse(CodeStale, nil)
	}
	party, err := s.caller(r, req.Requester)
	if err != nil {
		return nobody, req, err
	}
	if err := s.Provider.Verify(party.Sign, wire.RequestSigningBytes(signed.Request), signed.Signature); err != nil {
		return party, req, refuse(CodeSignature, err)
	}
	// Only now is the nonce spent: nobody can spend another's.
	fresh, err := s.Guard.UseNonce(r.Context(), "delivery/"+party.MSP, req.Nonce[:], 2*s.Skew+time.Minute)
	switch {
	case err != nil:
		return party, req, refuse(CodeGuard, err)
	case !fresh:
		return party, req, refuse(CodeReplayed, nil)
	}
	return party, req, nil
}

// caller finds the member that the envelope names and compares its registered gateway key
// with the certificate of the connection.
func (s *Server) caller(r *http.Request, msp string) (retrieve.Party, error) {
	party, err := s.Members.Active(r.Context(), msp)
	var unknown *evidence.Refusal
	switch {
	case errors.Is(err, retrieve.ErrInactive), errors.Is(err, retrieve.ErrUntrusted), errors.As(err, &unknown):
		return retrieve.Party{}, refuse(CodeCaller, err)
	case err != nil:
		return retrieve.Party{}, refuse(retrieve.CodeLedger, err)
	case !sameKey(r.TLS.PeerCertificates[0], party.GatewayKey):
		return retrieve.Party{}, refuse(CodeCaller, ErrPeerKey)
	}
	return party, nil
}

// deliver hands the request to the owner's side and streams what it writes.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, requester retrieve.Party, req wire.Request) (retrieve.Outcome, error) {
	if !s.slots.take(requester.MSP) {
		err := refuse(CodeBusy, nil)
		s.answer(w, err, time.Second)
		return retrieve.Outcome{}, err
	}
	defer s.slots.release(requester.MSP)
	ctx, cancel := context.WithTimeout(r.Context(), s.DeliveryTimeout)
	defer cancel()
	control := http.NewResponseController(w)
	// The deadline for reading the request would also end the watch over the connection.
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", wire.ContentType)
	out := wire.NewWriter(&patientWriter{w: w, control: control, timeout: s.WriteTimeout})
	outcome, err := s.Owner.Deliver(ctx, requester, req, out, control.Flush)
	if err != nil && !out.Begun() {
		s.answer(w, err, 0)
	}
	return outcome, err
}

// answer writes a refusal. Only codes leave the house, never the cause.
func (s *Server) answer(w http.ResponseWriter, err error, wait time.Duration) {
	p := problem{Code: retrieve.CodeInternal}
	var refused *retrieve.RefusedError
	if errors.As(err, &refused) {
		p.Code, p.Reason = refused.Code, refused.Reason
	}
	status, ok := statusOf[p.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.WriteTimeout))
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

// patientWriter gives every write a deadline of its own.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
}

// Write implements io.Writer.
func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}
