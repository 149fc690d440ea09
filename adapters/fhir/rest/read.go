package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/record"
)

// contents opens each record once for one request.
type contents struct {
	h      *Handler
	opened map[record.ID]*fhir.Resource
}

func newContents(h *Handler) *contents {
	return &contents{h: h, opened: map[record.ID]*fhir.Resource{}}
}

// mostOpened bounds the records that one request holds.
const mostOpened = 16

func (c *contents) open(ctx context.Context, id record.ID) (*fhir.Resource, error) {
	if r, ok := c.opened[id]; ok {
		return r, nil
	}
	raw, err := c.h.cfg.Index.Payload(ctx, id)
	if err != nil {
		return nil, err
	}
	root, err := fhir.Parse(raw, fhir.Limits{MaxBytes: len(raw)})
	if err != nil {
		return nil, err
	}
	if len(c.opened) >= mostOpened {
		clear(c.opened)
	}
	r := &fhir.Resource{Root: root, Raw: raw}
	c.opened[id] = r
	return r, nil
}

var errPart = errors.New("fhir: the record has no such entry")

// content is a version of a resource as it is shown.
func (h *Handler) content(ctx context.Context, e index.Entry, c *contents) ([]byte, error) {
	r, err := c.open(ctx, e.Record)
	if err != nil {
		return nil, err
	}
	n := r.Root
	if e.Part != whole {
		entries := r.Root.Get("entry").List()
		if e.Part < 0 || e.Part >= len(entries) || entries[e.Part].Get("resource") == nil {
			return nil, errPart
		}
		n = entries[e.Part].Get("resource")
	}
	return fhir.Present(r.Raw, n, identityOf(e)), nil
}

// read returns the current version (FHIR R4 §3.1.0.2).
func (h *Handler) read(req *request, kind, id string) (answer, error) {
	if err := h.may(req, kind, Read); err != nil {
		return answer{}, err
	}
	e, err := h.cfg.Index.Current(req.Context(), kind, id)
	if err != nil {
		return answer{}, err
	}
	return h.show(req, e)
}

// vread returns one version (FHIR R4 §3.1.0.3).
func (h *Handler) vread(req *request, kind, id string, version int) (answer, error) {
	if err := h.may(req, kind, Read); err != nil {
		return answer{}, err
	}
	e, err := h.cfg.Index.Version(req.Context(), kind, id, version)
	if err != nil {
		return answer{}, err
	}
	return h.show(req, e)
}

func (h *Handler) show(req *request, e index.Entry) (answer, error) {
	a := answer{header: versionHeader(e)}
	if e.Deleted {
		a.status = http.StatusGone
		a.body = fhir.Outcome(fhir.Issue{Severity: fhir.Error, Code: fhir.CodeDeleted, Diagnostics: "the resource was deleted; earlier versions are in its history"})
		return a, nil
	}
	if unchanged(req.Request, e) {
		a.status = http.StatusNotModified
		return a, nil
	}
	var err error
	a.body, err = h.content(req.Context(), e, newContents(h))
	return a, err
}

// Current returns the current resources of a type as they are shown, at most limit of them,
// for the server's own use: what a caller may see is not asked.
func (h *Handler) Current(ctx context.Context, kind string, limit int) ([]*fhir.Node, error) {
	page, err := h.cfg.Index.Search(ctx, index.Query{Type: kind, Limit: limit})
	if err != nil {
		return nil, err
	}
	c := newContents(h)
	var out []*fhir.Node
	for _, e := range page.Entries {
		text, err := h.content(ctx, e, c)
		if errors.Is(err, index.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n, err := fhir.Parse(text, fhir.Limits{MaxBytes: len(text)})
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// unchanged answers If-None-Match and If-Modified-Since (RFC 9110 §13.1).
func unchanged(r *http.Request, e index.Entry) bool {
	if tags := r.Header.Get("If-None-Match"); tags != "" {
		return matches(tags, e.Version)
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !e.Updated.Truncate(time.Second).After(since)
}

// bundleOut is a Bundle that the server sends.
type bundleOut struct {
	ResourceType string     `json:"resourceType"`
	ID           string     `json:"id,omitempty"`
	Type         string     `json:"type"`
	Timestamp    string     `json:"timestamp,omitempty"`
	Total        *int       `json:"total,omitempty"`
	Link         []linkOut  `json:"link,omitempty"`
	Entry        []entryOut `json:"entry,omitempty"`
}

type linkOut struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entryOut struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *searchOut      `json:"search,omitempty"`
	Request  *requestOut     `json:"request,omitempty"`
	Response *responseOut    `json:"response,omitempty"`
}

type searchOut struct {
	Mode string `json:"mode"`
}

type requestOut struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

type responseOut struct {
	Status       string          `json:"status"`
	Location     string          `json:"location,omitempty"`
	ETag         string          `json:"etag,omitempty"`
	LastModified string          `json:"lastModified,omitempty"`
	Outcome      json.RawMessage `json:"outcome,omitempty"`
}

func (b bundleOut) encode() ([]byte, error) {
	b.ResourceType = "Bundle"
	return json.Marshal(b)
}

// history returns the versions of a resource, the newest first (FHIR R4 §3.1.0.12).
func (h *Handler) history(req *request, kind, id string) (answer, error) {
	if err := h.may(req, kind, Read); err != nil {
		return answer{}, err
	}
	count, err := h.count(req.URL.Query().Get("_count"))
	if err != nil {
		return answer{}, err
	}
	before, _ := strconv.Atoi(req.URL.Query().Get("_before"))
	list, err := h.cfg.Index.History(req.Context(), kind, id, before, max(count, 1)+1)
	if err != nil {
		return answer{}, err
	}
	out := bundleOut{Type: "history", Timestamp: fhir.Instant(h.now())}
	self := h.cfg.Base + "/" + kind + "/" + id + "/_history"
	out.Link = append(out.Link, linkOut{"self", self})
	if len(list) > max(count, 1) {
		list = list[:max(count, 1)]
		next := url.Values{"_count": {strconv.Itoa(count)}, "_before": {strconv.Itoa(list[len(list)-1].Version)}}
		out.Link = append(out.Link, linkOut{"next", self + "?" + next.Encode()})
	}
	c := newContents(h)
	for _, e := range list {
		entry, err := h.historyEntry(req.Context(), e, c)
		if err != nil {
			return answer{}, err
		}
		out.Entry = append(out.Entry, entry)
	}
	a := answer{}
	a.body, err = out.encode()
	return a, err
}

func (h *Handler) historyEntry(ctx context.Context, e index.Entry, c *contents) (entryOut, error) {
	name := e.Type + "/" + e.ID
	out := entryOut{FullURL: h.cfg.Base + "/" + name, Request: &requestOut{e.Method, name},
		Response: &responseOut{Status: "200", ETag: etag(e.Version), LastModified: fhir.Instant(e.Updated)}}
	switch {
	case e.Method == http.MethodPost:
		out.Request.URL = e.Type
		out.Response.Status = "201"
	case e.Deleted:
		out.Response.Status = "204"
		return out, nil
	}
	body, err := h.content(ctx, e, c)
	if errors.Is(err, index.ErrGone) { // erased: the version stays, its content is gone
		out.Response.Status = "410"
		return out, nil
	}
	out.Resource = body
	return out, err
}
