package local

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/emrbridge/emrbridge/bridge/correction"
	"github.com/emrbridge/emrbridge/record"
)

// Corrector takes an operator's word about who is who and returns the record that it became.
// It is durable then; that it is carried out is seen on the record's trail.
type Corrector interface {
	Correct(ctx context.Context, c correction.Correction) (record.ID, error)
}

// CorrectionRequest merges two persons, or undoes what a record joined. It redacts itself.
type CorrectionRequest struct {
	// Of is the record whose joins and merges are undone, 32 hexadecimal digits; else
	// Survivor and Prior are merged.
	Of       string   `json:"of,omitempty"`
	Survivor []Number `json:"survivor,omitempty"`
	Prior    []Number `json:"prior,omitempty"`
	Reason   string   `json:"reason"`
	Operator string   `json:"operator"`
}

// Number is one number of a patient, as messages of this hospital give it.
type Number struct {
	Authority string `json:"authority,omitempty"`
	Type      string `json:"type"`
	Value     string `json:"value"`
}

// LogValue implements slog.LogValuer.
func (Number) LogValue() slog.Value { return slog.StringValue("[number]") }

// LogValue implements slog.LogValuer.
func (r CorrectionRequest) LogValue() slog.Value { return slog.StringValue(r.Of) }

// CorrectionResponse names the record that the correction became.
type CorrectionResponse struct {
	Record string `json:"record"`
}

func (r CorrectionRequest) correction() (correction.Correction, error) {
	c := correction.Correction{Survivor: numbers(r.Survivor), Prior: numbers(r.Prior), Reason: r.Reason, Operator: r.Operator}
	if r.Of == "" {
		return c, nil
	}
	var err error
	c.Of, err = record.ParseID(r.Of)
	return c, err
}

func numbers(list []Number) (out []record.Identifier) {
	for _, n := range list {
		out = append(out, record.Identifier{Authority: n.Authority, Type: record.IdentifierType(n.Type), Value: n.Value})
	}
	return out
}

func (s *Server) correct(w http.ResponseWriter, r *http.Request) {
	if s.Corrector == nil {
		absent(w)
		return
	}
	var body CorrectionRequest
	if !read(w, r, &body) {
		return
	}
	c, err := body.correction()
	if err != nil {
		fail(w, http.StatusBadRequest, CodeMalformed, err.Error())
		return
	}
	id, err := s.Corrector.Correct(r.Context(), c)
	switch {
	case errors.Is(err, correction.ErrInvalid):
		fail(w, http.StatusBadRequest, CodeMalformed, err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, CodeInternal, err.Error())
	default:
		reply(w, http.StatusOK, CorrectionResponse{Record: id.String()})
	}
}

// Correct says who is who.
func (c *Client) Correct(ctx context.Context, r CorrectionRequest) (CorrectionResponse, error) {
	var out CorrectionResponse
	err := c.ask(ctx, http.MethodPost, "/internal/v1/patients/corrections", r, &out)
	return out, err
}
