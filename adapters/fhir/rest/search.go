package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
)

// query is a search as it was asked.
type query struct {
	index.Query
	countOnly bool
	given     url.Values // what the links to other pages repeat
}

// referenceParameters take a reference: Type/id, a URL, or a bare id of the default type.
var referenceParameters = map[string]string{"patient": "Patient", "subject": "Patient", "encounter": "Encounter"}

// bounds of a query.
const (
	maxAlternatives = 100
	maxConditions   = 20
	maxQuery        = 16 << 10
)

func badQuery(parameter, what string) error {
	if !slices.Contains(searchParameters(), parameter) {
		parameter = "a parameter"
	}
	return fail(http.StatusBadRequest, fhir.CodeInvalid, parameter+": "+what)
}

// searchParameters are those that every type is searched by.
func searchParameters() []string {
	return append([]string{"_id", "_lastUpdated", "birthdate", "date", "encounter", "patient", "subject"}, fhir.TokenParameters()...)
}

// parseQuery reads search parameters (FHIR R4 §3.1.1). A parameter that is not known is
// refused: to pass over a condition would show more than was asked for.
func (h *Handler) parseQuery(kind, raw string) (query, error) {
	q := query{Query: index.Query{Type: kind, Limit: h.cfg.PageSize}, given: url.Values{}}
	if len(raw) > maxQuery {
		return q, fail(http.StatusRequestURITooLong, fhir.CodeTooLong, "the query is too long; use POST "+kind+"/_search")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, fail(http.StatusBadRequest, fhir.CodeInvalid, "the query is malformed")
	}
	conditions := 0
	for name, list := range values {
		for _, value := range list {
			if conditions++; conditions > maxConditions {
				return q, fail(http.StatusBadRequest, fhir.CodeTooCostly, "too many conditions")
			}
			if err := h.parameter(&q, name, value); err != nil {
				return q, err
			}
			if name != "_cursor" && name != "_format" {
				q.given.Add(name, value)
			}
		}
	}
	return q, nil
}

func (h *Handler) parameter(q *query, name, value string) (err error) {
	alternatives := splitValue(value)
	if len(alternatives) > maxAlternatives {
		return badQuery(name, "too many values")
	}
	if value == "" {
		return nil // an empty parameter asks for nothing (FHIR R4 §3.1.1.3)
	}
	switch name {
	case "_format", "_pretty":
	case "_count", "_cursor", "_sort", "_total", "_summary":
		err = h.resultParameter(q, name, value)
	case "_id":
		q.IDs = append(q.IDs, alternatives...)
	case "_lastUpdated":
		q.Updated, err = h.dates(q.Updated, name, alternatives, false)
	case "date":
		q.Dates, err = h.dates(q.Dates, name, alternatives, true)
	default:
		err = h.condition(q, name, alternatives)
	}
	return err
}

// resultParameter reads a parameter that shapes the result (FHIR R4 §3.1.1.5).
func (h *Handler) resultParameter(q *query, name, value string) (err error) {
	switch name {
	case "_count":
		if q.Limit, err = h.count(value); q.countOnly || q.Limit == 0 {
			q.countOnly, q.Count, q.Limit = true, true, 0
		}
	case "_cursor":
		q.After = value
	case "_sort":
		q.Sort = value
		if !slices.Contains([]string{"date", "-date", "_lastUpdated", "-_lastUpdated"}, value) {
			err = badQuery("", "_sort takes date, -date, _lastUpdated or -_lastUpdated")
		}
	case "_total":
		q.Count = q.Count || value == "accurate" || value == "estimate"
	case "_summary":
		if value == "count" {
			q.countOnly, q.Count, q.Limit = true, true, 0
		} else if value != "false" {
			err = badQuery("", "_summary takes count or false")
		}
	}
	return err
}

// condition reads a token or reference parameter.
func (h *Handler) condition(q *query, name string, alternatives []string) error {
	base, modifier, _ := strings.Cut(name, ":")
	kind, isReference := referenceParameters[base]
	isToken := slices.Contains(fhir.TokenParameters(), base) || base == "birthdate"
	switch {
	case !isReference && !isToken:
		return fail(http.StatusBadRequest, fhir.CodeNotSupported, "a search parameter that this server does not know; GET /metadata lists them")
	case isToken && modifier != "":
		return badQuery(base, "modifiers are not supported")
	case modifier != "":
		kind = modifier
	}
	var tokens []index.Token
	for _, v := range alternatives {
		t := index.Token{Parameter: base, Value: v}
		if isReference {
			if !strings.Contains(v, "/") {
				v = kind + "/" + v
			}
			of, id, ok := fhir.SplitReference(v)
			if !ok {
				return badQuery(base, "not a reference: Type/id is wanted")
			}
			t.Value = of + "/" + id
		} else if system, code, ok := strings.Cut(v, "|"); ok {
			t.System, t.Value = system, code
		}
		if t.Value == "" {
			return badQuery(base, "a value without a code is not supported")
		}
		tokens = append(tokens, t)
	}
	q.Tokens = append(q.Tokens, tokens)
	return nil
}

// splitValue splits at commas that are not escaped (FHIR R4 §3.1.1.4.0.1).
func splitValue(s string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == ',':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(out, b.String())
}

// dates reads a date condition with its prefix (FHIR R4 §3.1.1.4.4). Alternatives of a date
// are not supported.
func (h *Handler) dates(list []index.Range, name string, alternatives []string, overlap bool) ([]index.Range, error) {
	if len(alternatives) != 1 {
		return nil, badQuery(name, "one date is wanted; repeat the parameter for a span")
	}
	value, prefix := alternatives[0], "eq"
	if len(value) > 2 && value[0] >= 'a' && value[0] <= 'z' {
		prefix, value = value[:2], value[2:]
	}
	from, to, ok := fhir.DateRangeIn(strings.ReplaceAll(value, " ", "+"), h.cfg.Zone) // a + in a query is a space
	if !ok {
		return nil, badQuery(name, "not a date: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz is wanted")
	}
	switch prefix {
	case "eq":
		return append(list, index.Range{From: from, To: to}), nil
	case "gt", "sa":
		return append(list, index.Range{From: to}), nil
	case "ge":
		return append(list, index.Range{From: from}), nil
	case "lt", "eb":
		return append(list, index.Range{To: from}), nil
	case "le":
		return append(list, index.Range{To: to}), nil
	case "ap":
		if overlap {
			const day = 24 * time.Hour
			return append(list, index.Range{From: from.Add(-day), To: to.Add(day)}), nil
		}
	}
	return nil, badQuery(name, "prefixes are eq, gt, ge, lt, le, sa, eb")
}

func (h *Handler) count(value string) (int, error) {
	if value == "" {
		return h.cfg.PageSize, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, badQuery("", "_count takes a number from 0")
	}
	return min(n, h.cfg.MaxPage), nil
}

// search answers a search (FHIR R4 §3.1.0.9).
func (h *Handler) search(req *request, kind string) (answer, error) {
	if err := h.may(req, kind, Search); err != nil {
		return answer{}, err
	}
	raw, err := rawQuery(req)
	if err != nil {
		return answer{}, err
	}
	q, err := h.parseQuery(kind, raw)
	if err != nil {
		return answer{}, err
	}
	out, err := h.searchset(req, q)
	if err != nil {
		return answer{}, err
	}
	a := answer{}
	a.body, err = out.encode()
	return a, err
}

func rawQuery(req *request) (string, error) {
	if req.Method != http.MethodPost {
		return req.URL.RawQuery, nil
	}
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", fail(http.StatusUnsupportedMediaType, fhir.CodeNotSupported, "_search takes application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxQuery))
	if err != nil {
		return "", bodyError(req.Context(), err)
	}
	return strings.Trim(req.URL.RawQuery+"&"+string(body), "&"), nil
}

func (h *Handler) searchset(req *request, q query) (bundleOut, error) {
	page, err := h.cfg.Index.Search(req.Context(), q.Query)
	if errors.Is(err, index.ErrQuery) {
		return bundleOut{}, fail(http.StatusBadRequest, fhir.CodeInvalid, "the query or its cursor is not supported")
	}
	if err != nil {
		return bundleOut{}, err
	}
	out := bundleOut{ID: h.cfg.NewID(), Type: "searchset", Timestamp: fhir.Instant(h.now())}
	if page.Total >= 0 {
		out.Total = &page.Total
	}
	self := h.cfg.Base + "/" + q.Type
	// The links repeat the query, which may hold numbers of patients: they go to the caller alone.
	out.Link = append(out.Link, linkOut{"self", address(self, q.given)})
	if page.Next != "" {
		q.given.Set("_cursor", page.Next)
		out.Link = append(out.Link, linkOut{"next", address(self, q.given)})
	}
	c := newContents(h)
	for _, e := range page.Entries {
		body, err := h.content(req.Context(), e, c)
		if errors.Is(err, index.ErrGone) {
			continue // erased
		}
		if err != nil {
			return out, err
		}
		out.Entry = append(out.Entry, entryOut{FullURL: h.cfg.Base + "/" + e.Type + "/" + e.ID, Resource: body, Search: &searchOut{"match"}})
	}
	return out, nil
}

func address(base string, v url.Values) string {
	if len(v) == 0 {
		return base
	}
	return base + "?" + v.Encode()
}
