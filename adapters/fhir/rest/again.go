package rest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// operator sends content in the name of whoever sent it first.
type operator struct{ name string }

func (o operator) Name() string          { return o.name }
func (operator) May(string, Action) bool { return true }

// Again takes content in that was refused before, as its sender would: a transaction or batch
// at the base, anything else as a new resource. The error says what is still wrong, and quotes
// no content.
func (h *Handler) Again(ctx context.Context, sender string, raw []byte) error {
	root, err := fhir.Parse(raw, h.cfg.Validator.Limits())
	if err != nil {
		return err
	}
	path, kind := "/", root.Get("resourceType").Str()
	if bundle := root.Get("type").Str(); kind != "Bundle" || bundle != "transaction" && bundle != "batch" {
		path += kind
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(raw))
	if err != nil {
		return errors.New("fhir: the content names no resource type")
	}
	r.Header.Set("Content-Type", fhir.MediaType)
	req := &request{Request: r, again: true, caller: operator{strings.TrimPrefix(sender, "fhir/")}, format: format{prefer: "minimal"}}
	_, err = h.route(req, strings.Split(strings.Trim(path, "/"), "/"))
	return err
}
