package local

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/emrbridge/emrbridge/bridge/release"
)

// Releases makes releases to research institutes in the running process.
type Releases interface {
	// Start begins a release, or joins the one that is under way, and returns at once.
	Start(ctx context.Context, r ReleaseRequest) error
	// Status tells what was released for a project and what is under way.
	Status(ctx context.Context, project string) (ReleaseStatus, error)
}

// ReleaseRequest asks for a release.
type ReleaseRequest struct {
	Project string `json:"project"`
	// Sequence is the number of the release; 0 the unfinished one, else the last, else the first.
	Sequence uint32 `json:"sequence,omitempty"`
	// Next asks for the one after the last.
	Next bool `json:"next,omitempty"`
	// NoticesOnly tells the institute of withdrawals and releases nothing.
	NoticesOnly bool `json:"notices_only,omitempty"`
}

// ReleaseStatus is the state of a project at this hospital.
type ReleaseStatus struct {
	Project  string           `json:"project"`
	Releases []*release.State `json:"releases"`
	Notices  []*release.State `json:"notices"`
	// Running says that something is under way for the project; Progress is what.
	Running  bool             `json:"running"`
	Progress release.Progress `json:"progress"`
	// Error is why the last attempt ended, "" if it came to its end.
	Error string `json:"error,omitempty"`
}

// ErrBusy reports that another project's release is under way.
var ErrBusy = errors.New("another release is under way: wait until it is done")

func (s *Server) releases(mux *http.ServeMux) {
	mux.HandleFunc("POST /internal/v1/research/releases", func(w http.ResponseWriter, r *http.Request) {
		var body ReleaseRequest
		if s.Releases == nil {
			absent(w)
		} else if read(w, r, &body) {
			released(w, s.Releases.Start(r.Context(), body))
		}
	})
	mux.HandleFunc("GET /internal/v1/research/releases", func(w http.ResponseWriter, r *http.Request) {
		if s.Releases == nil {
			absent(w)
			return
		}
		status, err := s.Releases.Status(r.Context(), r.URL.Query().Get("project"))
		if err != nil {
			released(w, err)
			return
		}
		reply(w, http.StatusOK, status)
	})
}

func released(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.Is(err, ErrBusy), errors.Is(err, release.ErrSequence):
		fail(w, http.StatusConflict, CodeRefused, err.Error())
	case errors.Is(err, release.ErrNotApproved):
		fail(w, http.StatusForbidden, CodeDenied, err.Error())
	default:
		status, code := classify(err)
		fail(w, status, code, err.Error())
	}
}

// StartRelease begins a release, or joins the one that is under way.
func (c *Client) StartRelease(ctx context.Context, r ReleaseRequest) error {
	return c.ask(ctx, http.MethodPost, "/internal/v1/research/releases", r, nil)
}

// Releases tells what was released for a project and what is under way.
func (c *Client) Releases(ctx context.Context, project string) (ReleaseStatus, error) {
	var out ReleaseStatus
	err := c.ask(ctx, http.MethodGet, "/internal/v1/research/releases?"+url.Values{"project": {project}}.Encode(), nil, &out)
	return out, err
}
