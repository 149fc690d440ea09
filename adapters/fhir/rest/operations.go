package rest

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
)

func (h *Handler) onOperation(req *request, kind string, path []string) (answer, error) {
	if len(path) != 1 {
		return answer{}, fail(http.StatusNotFound, fhir.CodeNotFound, "no such address on this server")
	}
	switch {
	case path[0] == "$validate":
		req.name = "validate"
	case path[0] == "$process-message" && kind == "":
		req.name = "process-message"
	default:
		return answer{}, fail(http.StatusNotFound, fhir.CodeNotSupported, "no operation of this server; GET /metadata lists them")
	}
	if req.Method != http.MethodPost {
		return answer{}, notAllowed(http.MethodPost)
	}
	if req.name == "validate" {
		return h.validate(req, kind)
	}
	return h.message(req)
}

// validate judges a resource and keeps nothing (operation Resource-validate).
func (h *Handler) validate(req *request, kind string) (answer, error) {
	r, err := h.readBody(req)
	var wrong *invalid
	if errors.As(err, &wrong) && wrong.status == http.StatusBadRequest {
		return answer{body: fhir.Outcome(wrong.issues...)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	r, profile := fromParameters(r)
	if kind != "" && r.Type() != kind {
		return answer{}, sameType(r, kind)
	}
	if !req.caller.May(r.Type(), Create) && !req.caller.May(r.Type(), Read) {
		return answer{}, fail(http.StatusForbidden, fhir.CodeForbidden, "the caller's scopes do not allow this")
	}
	issues := h.cfg.Validator.Judge(req.Context(), r)
	if profile {
		issues = append(issues, fhir.Issue{Severity: fhir.Warning, Code: fhir.CodeNotSupported, Diagnostics: "profiles are not judged"})
	}
	return answer{body: fhir.Outcome(issues...)}, nil
}

// fromParameters takes the resource out of the Parameters of the operation.
func fromParameters(r *fhir.Resource) (_ *fhir.Resource, profile bool) {
	if r.Type() != "Parameters" {
		return r, false
	}
	out := r
	for _, p := range r.Root.Get("parameter").List() {
		switch inner := p.Get("resource"); {
		case p.Get("name").Str() == "resource" && inner != nil:
			// The bytes of the resource alone, since an engine reads them; positions in them are
			// found again by parsing.
			raw := r.Raw[inner.Start:inner.End]
			if root, err := fhir.Parse(raw, fhir.Limits{MaxBytes: len(raw)}); err == nil {
				out = &fhir.Resource{Root: root, Raw: raw}
			}
		case p.Get("name").Str() == "profile":
			profile = true
		}
	}
	return out, profile
}

// message takes a message (FHIR R4 §2.4, operation MessageHeader-process-message). The same
// message again is answered again and taken once.
func (h *Handler) message(req *request) (answer, error) {
	if err := h.may(req, "Bundle", Create); err != nil {
		return answer{}, err
	}
	if req.URL.Query().Get("async") == "true" {
		return answer{}, fail(http.StatusBadRequest, fhir.CodeNotSupported, "asynchronous messages are not supported; leave async out")
	}
	r, err := h.body(req)
	if err != nil {
		return answer{}, err
	}
	if r.Type() != "Bundle" || r.Root.Get("type").Str() != "message" {
		return answer{}, &Refusal{Status: http.StatusBadRequest, Code: fhir.CodeInvalid, Expression: r.Type(), Diagnostics: "a Bundle of type message is wanted"}
	}
	id := h.messageID(req, r)
	defer h.locks.lock("Bundle/" + id)()
	e := h.entry(r.Root, "Bundle", id, 1, http.MethodPost)
	was, err := h.cfg.Index.Current(req.Context(), "Bundle", id)
	switch {
	case err == nil:
		same, err := h.sameContent(req, was, r.Raw)
		if err != nil {
			return answer{}, err
		}
		if !same {
			return answer{}, fail(http.StatusConflict, fhir.CodeDuplicate, "another message was sent under this identifier")
		}
	case !errors.Is(err, index.ErrNotFound):
		return answer{}, err
	default:
		if err := h.store(req, r.Raw, fhir.KindOf(r.Root), []index.Entry{e}, e); err != nil {
			return answer{}, err
		}
	}
	return h.messageAnswer(r)
}

func (h *Handler) sameContent(req *request, e index.Entry, raw []byte) (bool, error) {
	was, err := h.cfg.Index.Payload(req.Context(), e.Record)
	return string(was) == string(raw), err
}

// messageID names a message by its sender and its own identifier.
func (h *Handler) messageID(req *request, r *fhir.Resource) string {
	own := r.Root.At("identifier", "value").Str()
	if own == "" {
		own = r.ID()
	}
	if own == "" {
		return h.cfg.NewID()
	}
	return partID("message\n"+req.caller.Name()+"\n"+r.Root.At("identifier", "system").Str()+"\n"+own, 0)
}

// messageAnswer is the response message (FHIR R4 §2.4.4).
func (h *Handler) messageAnswer(r *fhir.Resource) (answer, error) {
	header := r.Root.At("entry", "resource")
	reply := map[string]any{
		"resourceType": "MessageHeader", "id": h.cfg.NewID(), "source": map[string]any{"name": "emrbridge", "endpoint": h.cfg.Base},
		"response": map[string]any{"identifier": identifierOf(header), "code": "ok"},
	}
	if uri := header.Get("eventUri").Str(); uri != "" {
		reply["eventUri"] = uri
	} else {
		reply["eventCoding"] = map[string]string{"system": header.At("eventCoding", "system").Str(), "code": header.At("eventCoding", "code").Str()}
	}
	body, err := json.Marshal(reply)
	if err != nil {
		return answer{}, err
	}
	out := bundleOut{ID: h.cfg.NewID(), Type: "message", Timestamp: fhir.Instant(h.now()),
		Entry: []entryOut{{FullURL: "urn:uuid:" + h.cfg.NewID(), Resource: body}}}
	a := answer{}
	a.body, err = out.encode()
	return a, err
}

func identifierOf(header *fhir.Node) string {
	if id := header.Get("id").Str(); id != "" {
		return id
	}
	return "unknown"
}
