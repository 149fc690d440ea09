package msfhir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

// MaxBytes is the size limit of a configuration.
const MaxBytes = 1 << 20

// Error lists everything that is wrong with a configuration.
type Error struct{ Faults []string }

func (e *Error) Error() string { return "configuration: " + strings.Join(e.Faults, "; ") }

// Config is a configuration that was read and checked. It is read-only and safe for
// concurrent use.
type Config struct {
	rules  []rule
	skip   bool // a resource that fails becomes empty instead of an error
	params parameters
	source []byte
}

// rule is one of fhirPathRules.
type rule struct {
	path, method string
	// replaceWith as text, or as an object.
	text   string
	object *fhir.Node
	// generalize
	cases     []generalCase
	keepOther bool
	// perturb
	span         float64
	proportional bool
	round        int
	// cryptoHash
	truncate int
	// pseudonymize
	domain string
}

type generalCase struct{ when, then *path.Expression }

type parameters struct {
	dateShiftKey, cryptoHashKey        string
	dateShiftScope                     string
	fixedOffset                        *int
	encryptKey                         string
	partialAges, partialDates, partial bool
	restricted                         []string
}

var methods = []string{"keep", "redact", "dateshift", "cryptohash", "encrypt", "substitute", "perturb", "generalize", "remove", "pseudonymize"}

// Parse reads a configuration in JSON (commas before a closing bracket are passed over, as
// the original does) or YAML. The error is an *Error with all faults.
func Parse(data []byte) (*Config, error) {
	if len(data) > MaxBytes {
		return nil, &Error{[]string{fmt.Sprintf("more than %d bytes", MaxBytes)}}
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	root, err := decode(data)
	if err != nil {
		return nil, &Error{[]string{err.Error()}}
	}
	r := &reader{cfg: &Config{source: data}}
	r.root(root)
	if len(r.faults) > 0 {
		return nil, &Error{r.faults}
	}
	return r.cfg, nil
}

// Read is Parse for a reader.
func Read(in io.Reader) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(in, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(data)
}

func decode(data []byte) (map[string]any, error) {
	var root map[string]any
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		dec := json.NewDecoder(bytes.NewReader(withoutTrailingCommas(trimmed)))
		dec.UseNumber()
		if err := dec.Decode(&root); err != nil {
			return nil, errors.New("this is no JSON object")
		}
		return root, nil
	}
	if err := yaml.Unmarshal(data, &root); err != nil || root == nil {
		return nil, errors.New("this is neither a JSON object nor YAML")
	}
	return root, nil
}

// withoutTrailingCommas blanks commas that stand before a closing bracket.
func withoutTrailingCommas(data []byte) []byte {
	out := bytes.Clone(data)
	comma, quoted := -1, false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted, comma = !quoted, -1
		case quoted || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == ',':
			comma = i
		case (c == ']' || c == '}') && comma >= 0:
			out[comma], comma = ' ', -1
		default:
			comma = -1
		}
	}
	return out
}

type reader struct {
	cfg    *Config
	faults []string
	at     string
}

func (r *reader) bad(format string, args ...any) {
	place := ""
	if r.at != "" {
		place = r.at + ": "
	}
	r.faults = append(r.faults, place+fmt.Sprintf(format, args...))
}

// maxRules bounds the rules of a configuration.
const maxRules = 2000

func (r *reader) root(root map[string]any) {
	if v := r.text(root, "fhirVersion"); v != "" && !strings.EqualFold(v, "R4") {
		r.bad("fhirVersion %q is not R4", v)
	}
	switch v := r.text(root, "processingErrors"); strings.ToLower(v) {
	case "", "raise":
	case "skip":
		r.cfg.skip = true
	default:
		r.bad("processingErrors %q is neither raise nor skip", v)
	}
	rules, ok := root["fhirPathRules"].([]any)
	switch {
	case !ok || len(rules) == 0:
		r.bad("fhirPathRules are missing")
	case len(rules) > maxRules:
		r.bad("more than %d rules", maxRules)
		return
	}
	for i, v := range rules {
		r.at = fmt.Sprintf("fhirPathRules[%d]", i)
		m, ok := v.(map[string]any)
		if !ok {
			r.bad("a rule is an object")
			continue
		}
		r.rule(m)
	}
	r.at = "parameters"
	if p, ok := root["parameters"].(map[string]any); ok {
		r.parameters(p)
	} else if root["parameters"] != nil {
		r.bad("must be an object")
	}
}

func (r *reader) rule(m map[string]any) {
	out := rule{path: r.text(m, "path"), method: strings.ToLower(r.text(m, "method")), round: -1}
	if out.path == "" {
		r.bad("path is missing")
	}
	if !slices.Contains(methods, out.method) {
		r.bad("method %q is not supported; supported are %s", r.text(m, "method"), strings.Join(methods, ", "))
		return
	}
	switch out.method {
	case "substitute":
		r.substitute(&out, m)
	case "generalize":
		r.generalize(&out, m)
	case "perturb":
		r.perturb(&out, m)
	case "cryptohash":
		if n, ok := r.number(m, "truncateToMaxLength"); ok {
			out.truncate = int(n)
		}
		if out.truncate < 0 || m["truncateToMaxLength"] != nil && out.truncate < 8 {
			r.bad("truncateToMaxLength must be 8 characters or more")
		}
	case "pseudonymize":
		out.domain = r.text(m, "domain")
	}
	r.cfg.rules = append(r.cfg.rules, out)
}

func (r *reader) substitute(out *rule, m map[string]any) {
	v, ok := m["replaceWith"]
	if !ok || v == nil {
		r.bad("substitute needs replaceWith")
		return
	}
	if s, ok := v.(string); ok {
		out.text = s
		if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, "{") {
			if n, err := fhir.Parse([]byte(trimmed), fhir.Limits{}); err == nil {
				out.object = n
			}
		}
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		r.bad("replaceWith is no JSON")
		return
	}
	n, err := fhir.Parse(b, fhir.Limits{})
	if err != nil {
		r.bad("replaceWith is no value of FHIR")
		return
	}
	if n.Kind == fhir.Object {
		out.object = n
		return
	}
	out.text = n.Text
}

func (r *reader) generalize(out *rule, m map[string]any) {
	switch v := r.text(m, "otherValues"); strings.ToLower(v) {
	case "", "redact":
	case "keep":
		out.keepOther = true
	default:
		r.bad("otherValues %q is neither redact nor keep", v)
	}
	cases, ok := m["cases"].(map[string]any)
	if !ok || len(cases) == 0 {
		r.bad("generalize needs cases")
		return
	}
	for _, when := range r.caseOrder(cases) {
		then, ok := cases[when].(string)
		if !ok {
			r.bad("the value of a case is an expression in quotes")
			continue
		}
		w, err := path.Compile(when)
		if err != nil {
			r.bad("cases: %v", err)
			continue
		}
		t, err := path.Compile(then)
		if err != nil {
			r.bad("cases: %v", err)
			continue
		}
		out.cases = append(out.cases, generalCase{w, t})
	}
}

// caseOrder returns the cases in the order in which they stand in the configuration.
func (r *reader) caseOrder(cases map[string]any) []string {
	var out []string
	for k := range cases {
		out = append(out, k)
	}
	position := func(k string) int {
		quoted, _ := json.Marshal(k)
		if at := bytes.Index(r.cfg.source, quoted[1:len(quoted)-1]); at >= 0 {
			return at
		}
		return bytes.Index(r.cfg.source, []byte(k))
	}
	slices.Sort(out)
	slices.SortStableFunc(out, func(a, b string) int { return position(a) - position(b) })
	return out
}

func (r *reader) perturb(out *rule, m map[string]any) {
	span, ok := r.number(m, "span")
	switch {
	case !ok:
		r.bad("perturb needs a number as span")
	case span < 0 || span > 1e12:
		r.bad("span must be 0 or more, and at most 1e12")
	}
	out.span = span
	switch v := r.text(m, "rangeType"); strings.ToLower(v) {
	case "", "fixed":
	case "proportional":
		out.proportional = true
	default:
		r.bad("rangeType %q is neither fixed nor proportional", v)
	}
	out.round = 2
	if m["roundTo"] != nil {
		n, ok := r.number(m, "roundTo")
		if !ok || n != float64(int(n)) || n < 0 || n > 28 {
			r.bad("roundTo must be a whole number from 0 to 28")
			return
		}
		out.round = int(n)
	}
}

func (r *reader) parameters(p map[string]any) {
	out := &r.cfg.params
	out.dateShiftKey, out.cryptoHashKey, out.encryptKey = r.text(p, "dateShiftKey"), r.text(p, "cryptoHashKey"), r.text(p, "encryptKey")
	switch v := strings.ToLower(r.text(p, "dateShiftScope")); v {
	case "", "resource", "file", "folder":
		out.dateShiftScope = v
	default:
		r.bad("dateShiftScope must be resource, file or folder")
	}
	if n := len(out.encryptKey); n != 0 && n != 16 && n != 24 && n != 32 {
		r.bad("encryptKey must have 16, 24 or 32 bytes (128, 192 or 256 bits), not %d", n)
	}
	if a := r.text(p, "cryptoHashAlgorithm"); a != "" && !strings.EqualFold(a, "sha256") && !strings.EqualFold(a, "hmacsha256") {
		r.bad("cryptoHashAlgorithm %q is not offered; HMAC-SHA256 is", a)
	}
	out.fixedOffset = r.offset(p)
	out.partialAges, out.partialDates, out.partial = r.flag(p, "enablePartialAgesForRedact"), r.flag(p, "enablePartialDatesForRedact"), r.flag(p, "enablePartialZipCodesForRedact")
	out.restricted = r.areas(p)
}

// offset reads the days by which all dates move.
func (r *reader) offset(p map[string]any) *int {
	if p["dateShiftFixedOffsetInDays"] == nil {
		return nil
	}
	n, ok := r.number(p, "dateShiftFixedOffsetInDays")
	if !ok || n != float64(int(n)) || n < -36500 || n > 36500 {
		r.bad("dateShiftFixedOffsetInDays must be a whole number of days, up to 36500")
		return nil
	}
	days := int(n)
	return &days
}

// areas reads the ZIP codes of areas in which few people live.
func (r *reader) areas(p map[string]any) []string {
	list, _ := p["restrictedZipCodeTabulationAreas"].([]any)
	var out []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok || len(s) != 3 || strings.Trim(s, "0123456789") != "" {
			r.bad("restrictedZipCodeTabulationAreas are texts of three digits")
			break
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	}
	r.bad("%s must be a text", key)
	return ""
}

func (r *reader) flag(m map[string]any, key string) bool {
	switch v := m[key].(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

// number takes numbers in quotes too, as the original does.
func (r *reader) number(m map[string]any, key string) (float64, bool) {
	switch v := m[key].(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && f == f
	case int:
		return float64(v), true
	case float64:
		return v, v == v
	}
	return 0, false
}
