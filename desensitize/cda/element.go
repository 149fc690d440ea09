package cda

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// element writes what becomes of an element. above is the rule that decides for an element
// around it, nil if there is none.
func (r *run) element(n *safexml.Node, above *compiled) {
	if r.err != nil {
		return
	}
	if n.Parent != nil {
		if err := r.session.Context().Err(); r.fault(err) {
			return
		}
		r.path = append(r.path, r.stepName(n))
		defer func() { r.path = r.path[:len(r.path)-1] }()
	}
	s := sort{kind: unknown}
	if n.Name.Space == r.space || n.Name.Space == sdtcSpace {
		s = classify(n)
	}
	rule := r.decide(n, s, above)
	switch {
	case s.kind == unknown:
		r.note(s, ruleOf(rule), desensitize.Redact)
	case s.kind == structure:
		if rule != nil && rule.rule.Method == desensitize.Redact && n.Parent != nil {
			r.note(s, rule.rule, desensitize.Redact)
			return
		}
		r.structure(n, rule)
	case emptied(n):
		r.open(n, nil, true)
	default:
		r.typed(n, s, rule)
	}
}

// stepName is the name of an element as paths in reports have it: names that are not of the
// vocabulary are anybody's words.
func (r *run) stepName(n *safexml.Node) string {
	if n.Name.Space != r.space && n.Name.Space != sdtcSpace || kinds[n.Name.Local] == unknown {
		return "other"
	}
	return n.Name.Local
}

// emptied reports an element that says only that there is no value.
func emptied(n *safexml.Node) bool {
	return n.Attr("nullFlavor") != "" && len(n.Attrs) == 1 && len(n.Children) == 0
}

// structure writes an element that holds others.
func (r *run) structure(n *safexml.Node, rule *compiled) {
	var extra []string
	if id := n.Attr("ID"); id != "" {
		extra = []string{"ID", r.id(id)}
	}
	r.open(n, extra, false)
	for _, c := range n.Children {
		if c.IsText() {
			if strings.TrimSpace(c.Text) != "" {
				r.note(sort{}, nil, desensitize.Redact)
			}
			continue
		}
		r.out = append(r.out, '\n')
		r.element(c, rule)
	}
	r.out = append(r.out, '\n')
	r.close(n)
}

// typed writes an element of a data type.
func (r *run) typed(n *safexml.Node, s sort, rule *compiled) {
	m := r.method(rule)
	switch {
	case s.kind == structOID, s.kind == version:
		r.token(n, s, rule)
		return
	case n.Name.Local == "reference" && strings.HasPrefix(n.Attr("value"), "#"): // to a place in the document
		r.open(n, []string{"value", "#" + r.id(n.Attr("value")[1:])}, true)
		return
	}
	if m == desensitize.Redact {
		r.note(s, ruleOf(rule), m)
		r.masked(n, s)
		return
	}
	write, ok := writers[s.kind]
	if !ok {
		write = (*run).text
	}
	write(r, n, s, rule)
}

// writers write the elements of the data types; all others are texts.
var writers map[kind]func(r *run, n *safexml.Node, s sort, rule *compiled)

func init() { // the writers of parts come back to the table
	writers = map[kind]func(r *run, n *safexml.Node, s sort, rule *compiled){
		identifier: (*run).identifier, coded: (*run).coded, timed: (*run).timed, telecom: (*run).telecom, address: (*run).address,
		name: (*run).name, data: (*run).data, narrative: (*run).narrative, quantity: (*run).quantity, flag: (*run).flag, age: (*run).age,
	}
}

// masked writes an element whose value is withheld. An identifier keeps its root if that says
// only what kind of number it is.
func (r *run) masked(n *safexml.Node, s sort) {
	if s.kind == narrative {
		r.open(n, nil, true)
		return
	}
	extra := []string{"nullFlavor", "MSK"}
	if root := strings.TrimSpace(n.Attr("root")); s.kind == identifier && n.Attr("extension") != "" && guard.PublicRoot(r.people, root) {
		extra = append([]string{"root", root}, extra...)
	}
	r.open(n, extra, true)
}

// plainAttrs are attributes that hold codes of the standard; they are kept on every element
// if they are tokens.
var plainAttrs = set(`classCode moodCode typeCode determinerCode contextControlCode contextConductionInd inversionInd negationInd
	nullFlavor use operator qualifier partType institutionSpecified alignment inclusive isCriterionInd independentInd displayable
	mediaType representation language unsorted currency`)

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(names) {
		out[n] = true
	}
	return out
}

// open writes a start tag with the attributes that may stay and extra ones (name, value …),
// which take the place of those of the element.
func (r *run) open(n *safexml.Node, extra []string, empty bool) {
	r.out = append(r.out, '<')
	r.tagName(n)
	if n.Parent == nil {
		r.namespaces()
	}
	for _, a := range n.Attrs {
		if a.Name.Space == xsiSpace && a.Name.Local == "type" {
			if t := a.Value[strings.LastIndexByte(a.Value, ':')+1:]; valueKinds[t] != unknown {
				r.attr("xsi:type", t)
			}
			continue
		}
		if a.Name.Space != "" || !plainAttrs[a.Name.Local] || replaced(extra, a.Name.Local) || !r.standard(a.Value) {
			continue
		}
		r.attr(a.Name.Local, a.Value)
	}
	for i := 0; i+1 < len(extra); i += 2 {
		r.attr(extra[i], extra[i+1])
	}
	if empty {
		r.out = append(r.out, '/')
	}
	r.out = append(r.out, '>')
}

func replaced(extra []string, name string) bool {
	for i := 0; i < len(extra); i += 2 {
		if extra[i] == name {
			return true
		}
	}
	return false
}

// maxCode bounds values of attributes that hold codes of the standard, in bytes.
const maxCode = 80

// standard reports a value of letters, digits and few signs, that is no number and no name.
func (r *run) standard(v string) bool {
	if len(v) > maxCode || guard.Digits(v) > guard.MaxPlainDigits {
		return false
	}
	for i := range len(v) {
		c := v[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_.+/ ;=", c) < 0 {
			return false
		}
	}
	return !guard.Names(r.people, v)
}

func (r *run) tagName(n *safexml.Node) {
	if n.Name.Space == sdtcSpace {
		r.out = append(r.out, "sdtc:"...)
	}
	r.out = append(r.out, n.Name.Local...)
}

// namespaces declares what the document uses, with the usual prefixes.
func (r *run) namespaces() {
	if r.space != "" {
		r.attr("xmlns", r.space)
	}
	r.attr("xmlns:xsi", xsiSpace)
	r.attr("xmlns:sdtc", sdtcSpace)
}

func (r *run) close(n *safexml.Node) {
	r.out = append(r.out, '<', '/')
	r.tagName(n)
	r.out = append(r.out, '>')
}

func (r *run) attr(name, value string) {
	r.out = append(r.out, ' ')
	r.out = append(r.out, name...)
	r.out = append(r.out, '=', '"')
	r.escape(value, true)
	r.out = append(r.out, '"')
}

// escape writes character data; what XML cannot hold becomes U+FFFD.
func (r *run) escape(s string, attribute bool) {
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '&':
			r.out = append(r.out, "&amp;"...)
		case c == '<':
			r.out = append(r.out, "&lt;"...)
		case c == '>':
			r.out = append(r.out, "&gt;"...)
		case c == '"' && attribute:
			r.out = append(r.out, "&quot;"...)
		case c == '\r', (c == '\n' || c == '\t') && attribute:
			r.out = append(r.out, "&#"+strconv.Itoa(int(c))+";"...)
		case c < ' ' && c != '\n' && c != '\t', c == 0xfffe, c == 0xffff, c == utf8.RuneError && size < 2:
			r.out = append(r.out, "\uFFFD"...)
		default:
			r.out = append(r.out, s[i:i+size]...)
		}
		i += size
	}
}

// leaf writes an element with text, or an empty one.
func (r *run) leaf(n *safexml.Node, extra []string, text string) {
	if text == "" {
		r.open(n, extra, true)
		return
	}
	r.open(n, extra, false)
	r.escape(text, false)
	r.close(n)
}

// templateDate is the version of a template of C-CDA: a day.
var templateDate = regexp.MustCompile(`^20[0-9]{2}-[01][0-9](-[0-3][0-9])?$`)

// token writes an element whose attributes say what the document is: templateId, typeId and
// versionNumber. They stay whatever the policy says, if they are what they claim to be.
func (r *run) token(n *safexml.Node, s sort, rule *compiled) {
	var extra []string
	for _, name := range []string{"root", "extension", "value"} {
		v := strings.TrimSpace(n.Attr(name))
		switch {
		case v == "":
		case name == "root" && guard.OID(r.people, v), name == "extension" && (guard.Token(r.people, v) || templateDate.MatchString(v) && !guard.Names(r.people, v)), name == "value" && guard.Number(r.people, v):
			extra = append(extra, name, v)
		default:
			r.note(s, ruleOf(rule), desensitize.Redact)
		}
	}
	content := n.Trimmed()
	if s.kind != version || !guard.Number(r.people, content) {
		content = ""
	}
	r.leaf(n, extra, content)
}
