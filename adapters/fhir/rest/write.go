package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/record"
)

// whole is the Part of content that is a record of its own.
const whole = -1

// conditionalCreate takes a new resource unless one matches If-None-Exist (FHIR R4
// §3.1.0.8.1).
func (h *Handler) conditionalCreate(req *request, kind string) (answer, error) {
	condition := req.Header.Get("If-None-Exist")
	if condition == "" {
		return h.create(req, kind)
	}
	defer h.conditions.lock(kind + "?" + condition)()
	match, err := h.conditional(req, kind, condition)
	if err != nil {
		return answer{}, err
	}
	if match != nil {
		return h.written(req, http.StatusOK, *match, nil)
	}
	return h.create(req, kind)
}

// create takes a new resource (FHIR R4 §3.1.0.8).
func (h *Handler) create(req *request, kind string) (out answer, err error) {
	if err := h.may(req, kind, Create); err != nil {
		return answer{}, err
	}
	r, err := h.take(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { out, err = r.released(out, err) }()
	if err := sameType(r.Resource, kind); err != nil {
		return answer{}, err
	}
	e := h.entry(r.Root, kind, h.cfg.NewID(), 1, http.MethodPost)
	if err := h.storeContent(req, r, fhir.KindOf(r.Root), []index.Entry{e}, e); err != nil {
		return answer{}, err
	}
	return h.writtenContent(req, http.StatusCreated, e, r)
}

func sameType(r *fhir.Resource, kind string) error {
	if r.Type() != kind {
		return &Refusal{Status: http.StatusBadRequest, Code: fhir.CodeInvalid, Expression: r.Type(), Diagnostics: "the resource is not of the type of the address"}
	}
	return nil
}

// conditional finds the one resource that matches a query; nil if none does.
func (h *Handler) conditional(req *request, kind, query string) (*index.Entry, error) {
	if err := h.may(req, kind, Search); err != nil {
		return nil, err
	}
	q, err := h.parseQuery(kind, query)
	if err != nil {
		return nil, err
	}
	if len(q.IDs)+len(q.Tokens)+len(q.Dates)+len(q.Updated) == 0 {
		return nil, fail(http.StatusPreconditionFailed, fhir.CodeRequired, "the condition names nothing to look for")
	}
	q.Limit = 2
	page, err := h.cfg.Index.Search(req.Context(), q.Query)
	if err != nil {
		return nil, err
	}
	switch len(page.Entries) {
	case 0:
		return nil, nil
	case 1:
		return &page.Entries[0], nil
	}
	return nil, fail(http.StatusPreconditionFailed, fhir.CodeMultiple, "several resources match the condition")
}

// conditionalUpdate is PUT with a query in place of an id (FHIR R4 §3.1.0.8.2).
func (h *Handler) conditionalUpdate(req *request, kind string) (answer, error) {
	if req.URL.RawQuery == "" {
		return answer{}, fail(http.StatusBadRequest, fhir.CodeRequired, "PUT needs an id in the address, or a condition behind it")
	}
	defer h.conditions.lock(kind + "?" + req.URL.RawQuery)()
	match, err := h.conditional(req, kind, req.URL.RawQuery)
	if err != nil {
		return answer{}, err
	}
	if match == nil {
		return h.create(req, kind)
	}
	return h.update(req, kind, match.ID)
}

// update takes a version of a resource (FHIR R4 §3.1.0.7). A client may choose the id.
func (h *Handler) update(req *request, kind, id string) (out answer, err error) {
	if err := h.may(req, kind, Update); err != nil {
		return answer{}, err
	}
	r, err := h.take(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { out, err = r.released(out, err) }()
	if err := sameType(r.Resource, kind); err != nil {
		return answer{}, err
	}
	if err := sameID(r.Resource, id, req.URL.RawQuery != ""); err != nil {
		return answer{}, err
	}
	defer h.locks.lock(kind + "/" + id)()
	version, existed, err := h.next(req.Context(), kind, id, req.Header.Get("If-Match"))
	if err != nil {
		return answer{}, err
	}
	e := h.entry(r.Root, kind, id, version, http.MethodPut)
	if err := h.storeContent(req, r, fhir.KindOf(r.Root), []index.Entry{e}, e); err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	if !existed {
		status = http.StatusCreated
	}
	return h.writtenContent(req, status, e, r)
}

func sameID(r *fhir.Resource, id string, conditional bool) error {
	refuse := func(what string) error {
		return &Refusal{Status: http.StatusBadRequest, Code: fhir.CodeInvalid, Expression: r.Type() + ".id", Diagnostics: what}
	}
	switch {
	case !validID(id):
		return refuse("the id in the address is not valid: 1 to 64 letters, digits, hyphens and dots are wanted")
	case isPersonal(id):
		return refuse("the number of a person may not be an id: it would stand in addresses; use Patient.identifier")
	case r.ID() == "" && !conditional:
		return refuse("the resource has no id; it must be that of the address")
	case r.ID() != "" && r.ID() != id:
		return refuse("the id of the resource is not that of the address")
	}
	return nil
}

func validID(id string) bool {
	_, _, _, ok := fhir.ParseControlID("X/" + id + "/_history/1")
	return ok
}

// next is the version that follows the newest. ifMatch is the header, "" if there is none.
func (h *Handler) next(ctx context.Context, kind, id, ifMatch string) (version int, existed bool, err error) {
	current, err := h.cfg.Index.Current(ctx, kind, id)
	switch {
	case errors.Is(err, index.ErrNotFound):
	case err != nil:
		return 0, false, err
	default:
		version, existed = current.Version, !current.Deleted
	}
	if ifMatch != "" && (!existed || !matches(ifMatch, version)) {
		return 0, false, fail(http.StatusPreconditionFailed, fhir.CodeConflict, "the current version is not the one that If-Match names")
	}
	return version + 1, existed, nil
}

// matches reports whether an entity tag list names a version.
func matches(header string, version int) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) == strconv.Itoa(version) {
			return true
		}
	}
	return false
}

// remove writes a deletion (FHIR R4 §3.1.0.7.1). Earlier versions stay readable by number.
func (h *Handler) remove(req *request, kind, id string) (answer, error) {
	if err := h.may(req, kind, Delete); err != nil {
		return answer{}, err
	}
	defer h.locks.lock(kind + "/" + id)()
	version, existed, err := h.next(req.Context(), kind, id, req.Header.Get("If-Match"))
	if err != nil {
		return answer{}, err
	}
	header := http.Header{}
	if !existed {
		return answer{status: http.StatusNoContent, header: header}, nil
	}
	e := index.Entry{Type: kind, ID: id, Version: version, Updated: h.now(), Deleted: true, Method: http.MethodDelete, Part: whole}
	if err := h.store(req, deletion(e), "Bundle/history", []index.Entry{e}, e); err != nil {
		return answer{}, err
	}
	header.Set("ETag", etag(version))
	return answer{status: http.StatusNoContent, header: header}, nil
}

// deletion is the content of a deletion's record: the request has no body, so a history
// Bundle tells it.
func deletion(e index.Entry) []byte {
	name := e.Type + "/" + e.ID
	return []byte(`{"resourceType":"Bundle","type":"history","entry":[{"request":{"method":"DELETE","url":"` + name +
		`"},"response":{"status":"204","etag":"W/\"` + strconv.Itoa(e.Version) + `\"","lastModified":"` + fhir.Instant(e.Updated) + `"}}]}`)
}

func (h *Handler) now() time.Time { return h.cfg.Now().UTC().Truncate(time.Millisecond) }

// entry describes a version of a resource for the index.
func (h *Handler) entry(n *fhir.Node, kind, id string, version int, method string) index.Entry {
	e := index.Entry{Type: kind, ID: id, Version: version, Updated: h.now(), Method: method, Part: whole}
	h.describe(&e, n, nil)
	return e
}

// describe fills in by what a resource is found. links are references resolved within its
// Bundle.
func (h *Handler) describe(e *index.Entry, n *fhir.Node, links map[string]string) {
	for _, t := range fhir.TokensOf(n) {
		e.Tokens = append(e.Tokens, index.Token(t))
	}
	add := func(parameter, reference string) {
		if to, ok := links[reference]; ok {
			reference = to
		}
		kind, id, ok := fhir.SplitReference(reference)
		if !ok {
			return
		}
		e.Tokens = append(e.Tokens, index.Token{Parameter: parameter, Value: kind + "/" + id})
		if parameter == "subject" && kind == "Patient" {
			e.Tokens = append(e.Tokens, index.Token{Parameter: "patient", Value: kind + "/" + id})
		}
	}
	subject, _ := fhir.SubjectOf(n)
	add("subject", subject)
	add("encounter", fhir.EncounterOf(n))
	if e.Type == "Patient" {
		e.Tokens = append(e.Tokens, index.Token{Parameter: "birthdate", Value: n.Get("birthDate").Str()})
	}
	e.From, e.To, _, _ = fhir.DatesOf(n, h.cfg.Zone)
}

// store makes content durable: reserve, submit, commit. named is the version that the
// record is named after; entries are all versions in it.
func (h *Handler) store(req *request, raw []byte, kind string, entries []index.Entry, named index.Entry) error {
	return h.storeContent(req, &content{Resource: &fhir.Resource{Raw: raw}}, kind, entries, named)
}

// storeContent is store for content in memory or in a body.
func (h *Handler) storeContent(req *request, c *content, kind string, entries []index.Entry, named index.Entry) error {
	ctx := req.Context()
	s := index.Submission{Raw: c.Raw, Sender: "fhir/" + req.caller.Name(), ControlID: fhir.ControlID(named.Type, named.ID, named.Version), Kind: kind,
		RoutingHint: hintOf(entries), ReceivedAt: h.now()}
	origin := record.Origin{HospitalNumber: h.cfg.HospitalNumber, HospitalMSP: h.cfg.HospitalMSP, Sender: s.Sender, ControlID: s.ControlID, Payload: c.Raw}
	if c.body != nil {
		s.Body, s.Claim, s.Skeleton = c.body, c.body.ID(), c.skeleton
		s.Record = record.NewIDFromDigest(origin, c.body.Digest())
	} else {
		s.Record = record.NewID(origin)
	}
	for i := range entries {
		entries[i].Record = s.Record
	}
	if err := h.cfg.Index.Reserve(ctx, s, entries); err != nil {
		return err
	}
	if err := h.cfg.Submit(ctx, s); err != nil {
		h.abandon(ctx, s)
		return err
	}
	// It is durable: the view follows even if the caller has gone, and heals itself if not.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.Timeout)
	defer cancel()
	if err := h.cfg.Index.Commit(after, s.Record); err != nil {
		return err
	}
	if h.cfg.OnWritten != nil {
		for _, e := range entries {
			h.cfg.OnWritten(e)
		}
	}
	return nil
}

// Restore enters content that is durable, but that the index has no entry of, under the name
// that it was submitted by: the caller gave it up, or the index was lost. Only single
// resources can be restored; anything else, and what this handler would not take, is left
// alone.
func (h *Handler) Restore(ctx context.Context, s index.Submission) error {
	kind, id, version, ok := fhir.ParseControlID(s.ControlID)
	r, issues := h.cfg.Validator.Validate(ctx, s.Raw)
	if !ok || issues.Failed() || r.Type() != kind || kind == "Bundle" && r.Root.Get("type").Str() == "transaction" {
		return nil
	}
	e := h.entry(r.Root, kind, id, version, http.MethodPut)
	e.Updated, e.Record = s.ReceivedAt.UTC(), s.Record
	s.RoutingHint = hintOf([]index.Entry{e})
	err := h.cfg.Index.Reserve(ctx, s, []index.Entry{e})
	if errors.Is(err, index.ErrConflict) { // the sender has sent it again meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	return h.cfg.Index.Commit(ctx, s.Record)
}

func (h *Handler) abandon(ctx context.Context, s index.Submission) {
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.Timeout)
	defer cancel()
	if err := h.cfg.Index.Abandon(after, s.Record); err != nil {
		h.cfg.Logger.Error("a refused resource is still reserved; it will be submitted again", "submission", s, "err", err)
	}
}

// hintOf keeps the messages of one patient in order.
func hintOf(entries []index.Entry) string {
	for _, e := range entries {
		if e.Type == "Patient" {
			return "Patient/" + e.ID
		}
		for _, t := range e.Tokens {
			if t.Parameter == "patient" {
				return t.Value
			}
		}
	}
	return ""
}

func etag(version int) string { return `W/"` + strconv.Itoa(version) + `"` }

// written answers a create or update after the caller's preference (FHIR R4 §3.1.0.1.10).
// r is what was sent, nil where a resource was there already.
func (h *Handler) written(req *request, status int, e index.Entry, r *fhir.Resource) (answer, error) {
	a := answer{status: status, header: versionHeader(e)}
	a.header.Set("Location", h.cfg.Base+"/"+fhir.ControlID(e.Type, e.ID, e.Version))
	switch req.prefer {
	case "minimal":
	case "OperationOutcome":
		a.body = fhir.Outcome(fhir.Issue{Severity: fhir.Information, Code: fhir.CodeInformation, Diagnostics: "taken; it is on disk"})
	default:
		if r == nil {
			var err error
			if a.body, err = h.content(req.Context(), e, newContents(h)); err != nil {
				return answer{}, err
			}
			break
		}
		a.body = fhir.Present(r.Raw, r.Root, identityOf(e))
	}
	return a, nil
}

func versionHeader(e index.Entry) http.Header {
	header := http.Header{}
	header.Set("ETag", etag(e.Version))
	header.Set("Last-Modified", e.Updated.UTC().Format(http.TimeFormat))
	return header
}

func identityOf(e index.Entry) fhir.Identity {
	return fhir.Identity{ID: e.ID, Version: strconv.Itoa(e.Version), Updated: e.Updated, Links: e.Links}
}
