package local

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
)

// Parked is what stages have set aside; bridge.Aside is one.
type Parked interface {
	List(ctx context.Context) ([]bridge.AsideItem, error)
	Release(ctx context.Context, id string) error
	Drop(ctx context.Context, id string) error
}

// Replayer takes a quarantined item in once more.
type Replayer interface {
	Replay(ctx context.Context, id string, r ReplayRequest) (ReplayResponse, error)
}

// ParkedResponse lists what is parked, the oldest first.
type ParkedResponse struct {
	Items []bridge.AsideItem `json:"items"`
}

// ReplayRequest says how a quarantined item is to be read.
type ReplayRequest struct {
	// Charset is used in place of what the message says; empty: as it came.
	Charset string `json:"charset,omitempty"`
	// Keep leaves the item in the quarantine even if it is taken.
	Keep bool `json:"keep,omitempty"`
}

// ReplayResponse is what became of the item. One that is refused again stays where it was.
type ReplayResponse struct {
	Code      string `json:"code"` // AA, AE or AR
	ErrorCode int    `json:"error_code,omitempty"`
	Error     string `json:"error,omitempty"`
	ControlID string `json:"control_id,omitempty"`
	Kind      string `json:"kind,omitempty"`
}

// Codes of failures of operations.
const (
	CodeNotFound = "not-found"
	CodeAbsent   = "not-served" // this process does not do that
)

// ErrNotWhole reports a quarantined item of which only a part was kept.
var ErrNotWhole = errors.New("gateway/local: only a part of the item was kept, so it cannot be taken in: ask its sender to send it again")

func (s *Server) operations(mux *http.ServeMux) {
	mux.HandleFunc("GET /internal/v1/parked", s.parked)
	mux.HandleFunc("POST /internal/v1/parked/{id}/release", func(w http.ResponseWriter, r *http.Request) {
		s.setFree(w, r, Parked.Release)
	})
	mux.HandleFunc("POST /internal/v1/parked/{id}/drop", func(w http.ResponseWriter, r *http.Request) {
		s.setFree(w, r, Parked.Drop)
	})
	mux.HandleFunc("POST /internal/v1/quarantine/{id}/replay", s.replay)
	mux.HandleFunc("POST /internal/v1/patients/corrections", s.correct)
}

func (s *Server) parked(w http.ResponseWriter, r *http.Request) {
	if s.Parked == nil {
		absent(w)
		return
	}
	items, err := s.Parked.List(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, CodeInternal, err.Error())
		return
	}
	reply(w, http.StatusOK, ParkedResponse{Items: append([]bridge.AsideItem{}, items...)})
}

func (s *Server) setFree(w http.ResponseWriter, r *http.Request, do func(Parked, context.Context, string) error) {
	if s.Parked == nil {
		absent(w)
		return
	}
	operated(w, do(s.Parked, r.Context(), r.PathValue("id")))
}

func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	if s.Replayer == nil {
		absent(w)
		return
	}
	var body ReplayRequest
	if !read(w, r, &body) {
		return
	}
	out, err := s.Replayer.Replay(r.Context(), r.PathValue("id"), body)
	if err != nil {
		operated(w, err)
		return
	}
	reply(w, http.StatusOK, out)
}

func operated(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, bridge.ErrNotAside), errors.Is(err, intake.ErrNotQuarantined):
		fail(w, http.StatusNotFound, CodeNotFound, err.Error())
	case errors.Is(err, ErrNotWhole), errors.Is(err, intake.ErrDamaged):
		fail(w, http.StatusConflict, CodeRefused, err.Error())
	default:
		fail(w, http.StatusInternalServerError, CodeInternal, err.Error())
	}
}

func absent(w http.ResponseWriter) {
	fail(w, http.StatusNotFound, CodeAbsent, "the running process does not do that: it has no pipeline, or no gateway to other hospitals")
}

// Parked lists what stages have set aside.
func (c *Client) Parked(ctx context.Context) ([]bridge.AsideItem, error) {
	var out ParkedResponse
	err := c.ask(ctx, http.MethodGet, "/internal/v1/parked", nil, &out)
	return out.Items, err
}

// Release puts a parked item back to where it came from.
func (c *Client) Release(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodPost, "/internal/v1/parked/"+url.PathEscape(id)+"/release", nil, nil)
}

// Drop removes a parked item for good.
func (c *Client) Drop(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodPost, "/internal/v1/parked/"+url.PathEscape(id)+"/drop", nil, nil)
}

// Replay takes a quarantined item in once more.
func (c *Client) Replay(ctx context.Context, id string, r ReplayRequest) (ReplayResponse, error) {
	var out ReplayResponse
	err := c.ask(ctx, http.MethodPost, "/internal/v1/quarantine/"+url.PathEscape(id)+"/replay", r, &out)
	return out, err
}
