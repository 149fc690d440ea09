package local

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/emrbridge/emrbridge/bridge/project"
	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	projects "github.com/emrbridge/emrbridge/research/project"
)

// Projects is the desk for research projects; project.Desk is one.
type Projects interface {
	Decide(ctx context.Context, d project.Decision) (evidence.Nonce, error)
	Reidentify(ctx context.Context, l project.Lookup) (evidence.Nonce, record.Patient, error)
}

// DecisionRequest is the word of the hospital's committee on a project.
type DecisionRequest struct {
	Approved  bool            `json:"approved"`
	Reason    string          `json:"reason,omitempty"`
	Committee []string        `json:"committee"`      // staff identities
	Terms     evidence.Digest `json:"terms,omitzero"` // of the application that was seen
	NotAfter  time.Time       `json:"until,omitzero"`
}

// LogValue implements slog.LogValuer.
func (r DecisionRequest) LogValue() slog.Value { return slog.BoolValue(r.Approved) }

// LookupRequest asks who a subject is.
type LookupRequest struct {
	Subject string          `json:"subject"` // pseudonym
	Reason  string          `json:"reason"`
	Finding evidence.Digest `json:"finding,omitzero"`
	Staff   []string        `json:"staff"`
}

// LogValue implements slog.LogValuer.
func (r LookupRequest) LogValue() slog.Value { return slog.StringValue(r.Reason) }

// StatementResponse names a statement on the ledger.
type StatementResponse struct {
	ID evidence.Nonce `json:"id"`
}

// LookupResponse tells who a subject is, to this hospital alone. It redacts itself in logs.
type LookupResponse struct {
	ID      evidence.Nonce `json:"id"` // of the statement
	Patient record.Patient `json:"patient"`
}

// LogValue implements slog.LogValuer.
func (r LookupResponse) LogValue() slog.Value { return slog.StringValue(r.ID.String()) }

func (s *Server) projects(mux *http.ServeMux) {
	mux.HandleFunc("POST /internal/v1/research/projects/{id}/decisions", func(w http.ResponseWriter, r *http.Request) {
		var body DecisionRequest
		if s.Projects == nil {
			absent(w)
			return
		}
		if !read(w, r, &body) {
			return
		}
		id, err := s.Projects.Decide(r.Context(), project.Decision{Project: r.PathValue("id"), Terms: body.Terms,
			Approved: body.Approved, Reason: body.Reason, Committee: body.Committee, NotAfter: body.NotAfter})
		if err != nil {
			undecided(w, err)
			return
		}
		reply(w, http.StatusCreated, StatementResponse{ID: id})
	})
	mux.HandleFunc("POST /internal/v1/research/projects/{id}/lookups", func(w http.ResponseWriter, r *http.Request) {
		var body LookupRequest
		if s.Projects == nil {
			absent(w)
			return
		}
		if !read(w, r, &body) {
			return
		}
		id, patient, err := s.Projects.Reidentify(r.Context(), project.Lookup{Project: r.PathValue("id"),
			Subject: body.Subject, Reason: body.Reason, Finding: body.Finding, Staff: body.Staff})
		if err != nil {
			undecided(w, err)
			return
		}
		reply(w, http.StatusCreated, LookupResponse{ID: id, Patient: patient})
	})
}

func undecided(w http.ResponseWriter, err error) {
	var refusal *evidence.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Code == evidence.CodeNotFound:
		fail(w, http.StatusNotFound, CodeNotFound, refusal.Message)
	case errors.As(err, &refusal):
		fail(w, http.StatusConflict, CodeRefused, string(refusal.Code)+": "+refusal.Message)
	case errors.Is(err, project.ErrPersons), errors.Is(err, project.ErrRequest), errors.Is(err, evidence.ErrMalformed):
		fail(w, http.StatusBadRequest, CodeQuery, err.Error())
	case errors.Is(err, project.ErrChanged):
		fail(w, http.StatusConflict, CodeRefused, err.Error())
	case errors.Is(err, release.ErrUnknownSubject):
		fail(w, http.StatusNotFound, CodeNotFound, err.Error())
	case errors.Is(err, projects.ErrUntrusted):
		fail(w, http.StatusBadGateway, CodeUntrusted, err.Error())
	default:
		fail(w, http.StatusInternalServerError, CodeInternal, err.Error())
	}
}

// Decide records the word of this hospital's committee on a project.
func (c *Client) Decide(ctx context.Context, id string, r DecisionRequest) (evidence.Nonce, error) {
	var out StatementResponse
	err := c.ask(ctx, http.MethodPost, "/internal/v1/research/projects/"+url.PathEscape(id)+"/decisions", r, &out)
	return out.ID, err
}

// Reidentify states on the ledger that a subject is looked up, and returns who it is.
func (c *Client) Reidentify(ctx context.Context, id string, r LookupRequest) (LookupResponse, error) {
	var out LookupResponse
	err := c.ask(ctx, http.MethodPost, "/internal/v1/research/projects/"+url.PathEscape(id)+"/lookups", r, &out)
	return out, err
}
