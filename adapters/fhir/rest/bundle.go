package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
)

// bundle takes a Bundle at the base of the server (FHIR R4 §3.1.0.11): a transaction as
// one, a batch entry by entry, and any other as a resource.
func (h *Handler) bundle(req *request) (answer, error) {
	r, err := h.readBody(req)
	if err != nil {
		return answer{}, err
	}
	kind := r.Root.Get("type").Str()
	switch {
	case r.Type() != "Bundle":
		return answer{}, &Refusal{Status: http.StatusBadRequest, Code: fhir.CodeInvalid, Expression: r.Type(), Diagnostics: "a Bundle is wanted here; send other resources to the address of their type"}
	case len(r.Root.Get("entry").List()) > h.cfg.MaxEntries:
		return answer{}, fail(http.StatusRequestEntityTooLarge, fhir.CodeTooCostly, fmt.Sprintf("the Bundle has more than %d entries", h.cfg.MaxEntries))
	case kind == "batch":
		req.name = "batch"
		return h.batch(req, r)
	}
	if err := h.kept(req, r.Raw, r, h.cfg.Validator.Judge(req.Context(), r)); err != nil {
		return answer{}, err
	}
	if kind == "transaction" {
		return h.transaction(req, r)
	}
	req.name = "create"
	if err := h.may(req, "Bundle", Create); err != nil {
		return answer{}, err
	}
	e := h.entry(r.Root, "Bundle", h.cfg.NewID(), 1, http.MethodPost)
	if err := h.store(req, r.Raw, fhir.KindOf(r.Root), []index.Entry{e}, e); err != nil {
		return answer{}, err
	}
	return h.written(req, http.StatusCreated, e, r)
}

// readBody parses the body without judging it.
func (h *Handler) readBody(req *request) (*fhir.Resource, error) {
	if err := contentType(req.Request); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, bodyError(req.Context(), err)
	}
	root, err := fhir.Parse(raw, h.cfg.Validator.Limits())
	if err != nil {
		return nil, judged(nil, fhir.Issues{fhir.IssueOf(err)})
	}
	return &fhir.Resource{Root: root, Raw: raw}, nil
}

// batch runs each entry as a request of its own; one that fails hinders no other.
func (h *Handler) batch(req *request, r *fhir.Resource) (answer, error) {
	out := bundleOut{Type: "batch-response", Timestamp: fhir.Instant(h.now())}
	for i, e := range r.Root.Get("entry").List() {
		a, err := h.batchEntry(req, r.Raw, e, i)
		if err != nil {
			a = h.refuse(err)
		}
		out.Entry = append(out.Entry, responseEntry(a))
		if err := req.Context().Err(); err != nil {
			return answer{}, err
		}
	}
	a := answer{}
	var err error
	a.body, err = out.encode()
	return a, err
}

func (h *Handler) batchEntry(req *request, raw []byte, e *fhir.Node, i int) (answer, error) {
	var body []byte
	if resource := e.Get("resource"); resource != nil {
		body = raw[resource.Start:resource.End]
	}
	ask := e.Get("request")
	if ask == nil {
		return answer{}, &Refusal{Status: http.StatusBadRequest, Code: fhir.CodeRequired, Expression: "Bundle.entry[" + strconv.Itoa(i) + "].request", Diagnostics: "an entry of a batch needs its request"}
	}
	return h.inner(req, ask.Get("method").Str(), ask.Get("url").Str(), ask, body)
}

// inner runs a request that stands in a Bundle.
func (h *Handler) inner(req *request, method, address string, ask *fhir.Node, body []byte) (answer, error) {
	address = strings.TrimPrefix(strings.TrimPrefix(address, h.cfg.Base), "/")
	if method == http.MethodPost && address == "" {
		return answer{}, fail(http.StatusBadRequest, fhir.CodeInvalid, "a Bundle may not stand in a Bundle")
	}
	r, err := http.NewRequestWithContext(req.Context(), method, "/"+address, io.NopCloser(bytes.NewReader(body)))
	if err != nil || method == "" {
		return answer{}, fail(http.StatusBadRequest, fhir.CodeInvalid, "the request of the entry is malformed")
	}
	r.Header.Set("Content-Type", fhir.MediaType)
	for header, element := range map[string]string{"If-Match": "ifMatch", "If-None-Match": "ifNoneMatch", "If-None-Exist": "ifNoneExist"} {
		if v := ask.Get(element).Str(); v != "" {
			r.Header.Set(header, v)
		}
	}
	prefer := req.prefer
	if prefer == "" && !isGet(&request{Request: r}) {
		prefer = "minimal"
	}
	return h.route(&request{Request: r, caller: req.caller, format: format{prefer: prefer}}, strings.Split(strings.Trim(r.URL.Path, "/"), "/"))
}

func responseEntry(a answer) entryOut {
	status := max(a.status, http.StatusOK)
	out := entryOut{Response: &responseOut{Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Location: a.header.Get("Location"), ETag: a.header.Get("ETag")}}
	if t, err := http.ParseTime(a.header.Get("Last-Modified")); err == nil {
		out.Response.LastModified = fhir.Instant(t)
	}
	if status >= http.StatusBadRequest {
		out.Response.Outcome = a.body
	} else if len(a.body) > 0 {
		out.Resource = a.body
	}
	return out
}

// part is an entry of a transaction.
type part struct {
	number   int
	ask      *fhir.Node
	resource *fhir.Node
	method   string
	kind, id string
	query    string // of a conditional request
	full     string
	entry    index.Entry
	existing *index.Entry // that a conditional create found
	existed  bool
}

func (p *part) at() string { return "Bundle.entry[" + strconv.Itoa(p.number) + "]" }

func (p *part) wrong(status int, code fhir.Code, what string) error {
	return &Refusal{Status: status, Code: code, Expression: p.at(), Diagnostics: what}
}

// transaction takes all entries or none (FHIR R4 §3.1.0.11.2). Its bytes are one submission.
func (h *Handler) transaction(req *request, r *fhir.Resource) (answer, error) {
	id := h.cfg.NewID()
	parts, err := h.parts(req, r.Root, id)
	if err != nil {
		return answer{}, err
	}
	var conditions, names []string
	for _, p := range parts {
		if p.query != "" {
			conditions = append(conditions, p.kind+"?"+p.query)
		}
	}
	defer h.conditions.lock(conditions...)()
	links, err := h.resolve(req, parts)
	if err != nil {
		return answer{}, err
	}
	for _, p := range parts {
		names = append(names, p.kind+"/"+p.id)
	}
	defer h.locks.lock(names...)()
	entries, err := h.decide(req, parts, links)
	if err != nil {
		return answer{}, err
	}
	if len(entries) > 0 {
		named := index.Entry{Type: "Bundle", ID: id, Version: 1}
		if err := h.store(req, r.Raw, fhir.KindOf(r.Root), entries, named); err != nil {
			return answer{}, err
		}
		for i := range entries {
			parts[partIndex(parts, entries[i].Part)].entry = entries[i]
		}
	}
	return h.transactionResponse(req, r, parts)
}

func partIndex(parts []*part, number int) int {
	for i, p := range parts {
		if p.number == number {
			return i
		}
	}
	return 0
}

// parts reads the requests of a transaction.
func (h *Handler) parts(req *request, root *fhir.Node, bundleID string) ([]*part, error) {
	var parts []*part
	seen := map[string]bool{}
	for i, e := range root.Get("entry").List() {
		p := &part{number: i, ask: e.Get("request"), resource: e.Get("resource"), full: e.Get("fullUrl").Str()}
		p.method = p.ask.Get("method").Str()
		if err := h.readPart(p, bundleID); err != nil {
			return nil, err
		}
		if err := h.mayPart(req, p); err != nil {
			return nil, err
		}
		if p.method != http.MethodGet && p.id != "" {
			if name := p.kind + "/" + p.id; seen[name] {
				return nil, p.wrong(http.StatusBadRequest, fhir.CodeInvalid, "the resource stands twice in the transaction")
			}
			seen[p.kind+"/"+p.id] = true
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func (h *Handler) readPart(p *part, bundleID string) error {
	address := strings.Trim(strings.TrimPrefix(p.ask.Get("url").Str(), h.cfg.Base), "/")
	path, query, _ := strings.Cut(address, "?")
	p.kind, p.id, _ = strings.Cut(path, "/")
	switch p.method {
	case http.MethodGet, http.MethodHead:
		p.method = http.MethodGet
		return nil
	case http.MethodPost:
		p.query, p.id = p.ask.Get("ifNoneExist").Str(), partID(bundleID, p.number)
	case http.MethodPut:
		p.query = query
	case http.MethodDelete:
		if query != "" {
			return p.wrong(http.StatusBadRequest, fhir.CodeNotSupported, "conditional deletion is not supported")
		}
	default:
		return p.wrong(http.StatusBadRequest, fhir.CodeNotSupported, "the method is not supported in a transaction; allowed are GET, POST, PUT, DELETE")
	}
	return h.checkPart(p)
}

func (h *Handler) checkPart(p *part) error {
	if p.method == http.MethodDelete {
		if !validID(p.id) {
			return p.wrong(http.StatusBadRequest, fhir.CodeInvalid, "the request must name Type/id")
		}
		return nil
	}
	switch {
	case p.resource == nil:
		return p.wrong(http.StatusBadRequest, fhir.CodeRequired, "the request needs a resource")
	case p.resource.Get("resourceType").Str() != p.kind:
		return p.wrong(http.StatusBadRequest, fhir.CodeInvalid, "the resource is not of the type that the request names")
	case p.method == http.MethodPut && p.query == "" && (!validID(p.id) || p.resource.Get("id").Str() != p.id):
		return p.wrong(http.StatusBadRequest, fhir.CodeInvalid, "the id of the resource is not that of the request")
	case h.cfg.Further(p.resource).Failed():
		return p.wrong(http.StatusUnprocessableEntity, fhir.CodeNotSupported, h.cfg.Further(p.resource)[0].String())
	case p.method == http.MethodPut && isPersonal(p.id):
		return p.wrong(http.StatusBadRequest, fhir.CodeInvalid, "the number of a person may not be an id; use Patient.identifier")
	}
	return nil
}

func (h *Handler) mayPart(req *request, p *part) error {
	action := map[string]Action{http.MethodPost: Create, http.MethodPut: Update, http.MethodDelete: Delete}[p.method]
	if action == 0 {
		return nil // reads are asked when they are run
	}
	if !slices.Contains(h.cfg.Resources, p.kind) {
		return p.wrong(http.StatusBadRequest, fhir.CodeNotSupported, "no resource type of this server")
	}
	if err := h.may(req, p.kind, action); err != nil {
		return p.wrong(http.StatusForbidden, fhir.CodeForbidden, "the caller's scopes do not allow this for "+p.kind)
	}
	return nil
}

// resolve finds what conditional requests match, and what references within the transaction
// mean.
func (h *Handler) resolve(req *request, parts []*part) (map[string]string, error) {
	links := map[string]string{}
	for _, p := range parts {
		if p.method == http.MethodGet || p.method == http.MethodDelete {
			continue
		}
		if err := h.resolveCondition(req, p); err != nil {
			return nil, err
		}
		if p.full == "" {
			continue
		}
		name := p.kind + "/" + p.id
		links[p.full] = name
		if kind, id, ok := fhir.SplitReference(p.full); ok && kind+"/"+id != name {
			links[kind+"/"+id] = name
		}
	}
	for _, p := range parts {
		if p.resource == nil {
			continue
		}
		if err := h.resolveReferences(req, p.resource, p.at()+".resource", links); err != nil {
			return nil, err
		}
	}
	return links, nil
}

func (h *Handler) resolveCondition(req *request, p *part) error {
	if p.query == "" {
		return nil
	}
	match, err := h.conditional(req, p.kind, p.query)
	var r *Refusal
	if errors.As(err, &r) {
		r.Expression = p.at()
		return r
	}
	if err != nil {
		return err
	}
	switch {
	case match != nil && p.method == http.MethodPost:
		p.existing, p.id = match, match.ID
	case match != nil:
		p.id = match.ID
	case p.method == http.MethodPut:
		p.id = h.cfg.NewID()
	}
	return nil
}

// resolveReferences finds references that only the transaction or a search can resolve.
func (h *Handler) resolveReferences(req *request, n *fhir.Node, path string, links map[string]string) error {
	for i, name := range n.Names {
		v := n.Items[i]
		if name == "reference" && v.Kind == fhir.String {
			if err := h.resolveReference(req, v.Text, path+".reference", links); err != nil {
				return err
			}
		}
		for k, item := range v.List() {
			at := path + "." + name
			if v.Kind == fhir.Array {
				at += "[" + strconv.Itoa(k) + "]"
			}
			if err := h.resolveReferences(req, item, at, links); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Handler) resolveReference(req *request, ref, path string, links map[string]string) error {
	if _, known := links[ref]; known {
		return nil
	}
	wrong := func(status int, code fhir.Code, what string) error {
		return &Refusal{Status: status, Code: code, Expression: path, Diagnostics: what}
	}
	if strings.HasPrefix(ref, "urn:uuid:") || strings.HasPrefix(ref, "urn:oid:") {
		return wrong(http.StatusBadRequest, fhir.CodeNotFound, "the reference names no entry of the transaction")
	}
	kind, query, conditional := strings.Cut(ref, "?")
	if !conditional || !slices.Contains(h.cfg.Resources, kind) {
		return nil
	}
	match, err := h.conditional(req, kind, query)
	var r *Refusal
	if errors.As(err, &r) {
		r.Expression = path
		return r
	}
	if err != nil {
		return err
	}
	if match == nil {
		return wrong(http.StatusPreconditionFailed, fhir.CodeNotFound, "the conditional reference matches no resource")
	}
	links[ref] = kind + "/" + match.ID
	return nil
}

// decide gives each write its version.
func (h *Handler) decide(req *request, parts []*part, links map[string]string) ([]index.Entry, error) {
	var entries []index.Entry
	for _, p := range parts {
		if p.method == http.MethodGet || p.existing != nil {
			continue
		}
		version, existed, err := h.next(req.Context(), p.kind, p.id, p.ask.Get("ifMatch").Str())
		var r *Refusal
		if errors.As(err, &r) {
			r.Expression = p.at()
			return nil, r
		}
		if err != nil {
			return nil, err
		}
		p.existed = existed
		if p.method == http.MethodDelete && !existed {
			continue
		}
		e := index.Entry{Type: p.kind, ID: p.id, Version: version, Updated: h.now(), Method: p.method, Part: p.number, Deleted: p.method == http.MethodDelete}
		if p.resource != nil {
			e.Links = usedLinks(p.resource, links, nil)
			h.describe(&e, p.resource, links)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// usedLinks are those of the links that a resource holds.
func usedLinks(n *fhir.Node, links, used map[string]string) map[string]string {
	if n.Kind == fhir.String {
		if to, ok := links[n.Text]; ok {
			if used == nil {
				used = map[string]string{}
			}
			used[n.Text] = to
		}
		return used
	}
	for _, item := range n.Items {
		used = usedLinks(item, links, used)
	}
	return used
}

// transactionResponse answers each entry in its place.
func (h *Handler) transactionResponse(req *request, r *fhir.Resource, parts []*part) (answer, error) {
	out := bundleOut{Type: "transaction-response", Timestamp: fhir.Instant(h.now())}
	for _, p := range parts {
		var a answer
		var err error
		switch {
		case p.method == http.MethodGet:
			if a, err = h.inner(req, p.method, p.ask.Get("url").Str(), p.ask, nil); err != nil {
				a = h.refuse(err)
			}
		case p.method == http.MethodDelete:
			a = answer{status: http.StatusNoContent, header: http.Header{}}
		case p.existing != nil:
			a, err = h.written(minimal(req), http.StatusOK, *p.existing, nil)
		case p.existed:
			a, err = h.written(minimal(req), http.StatusOK, p.entry, &fhir.Resource{Root: p.resource, Raw: r.Raw})
		default:
			a, err = h.written(minimal(req), http.StatusCreated, p.entry, &fhir.Resource{Root: p.resource, Raw: r.Raw})
		}
		if err != nil && p.method != http.MethodGet {
			return answer{}, err
		}
		out.Entry = append(out.Entry, responseEntry(a))
	}
	a := answer{}
	var err error
	a.body, err = out.encode()
	return a, err
}

// minimal answers without the resource unless it was asked for.
func minimal(req *request) *request {
	if req.prefer != "" {
		return req
	}
	copied := *req
	copied.prefer = "minimal"
	return &copied
}
