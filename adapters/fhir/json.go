package fhir

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound what is parsed. Zero fields mean the defaults.
type Limits struct {
	MaxBytes  int // default 8 MiB
	MaxDepth  int // objects and arrays within one another; default 64
	MaxValues int // JSON values in all; default 500,000
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.MaxBytes, 8<<20)
	set(&l.MaxDepth, 64)
	set(&l.MaxValues, 500_000)
	return l
}

// SyntaxError says where bytes stop being JSON that FHIR allows. It quotes no content.
type SyntaxError struct {
	Offset       int    // bytes from the start
	Line, Column int    // from 1; columns count bytes
	Path         string // FHIRPath of the value that was being read
	Problem      string
	Limit        bool // a limit was exceeded, the bytes may be well formed
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("fhir: line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// Parse reads one JSON value with nothing but white space around it. A byte order mark is
// passed over (RFC 8259 §8.1). The error is a *SyntaxError.
func Parse(data []byte, limits Limits) (*Node, error) {
	limits = limits.withDefaults()
	p := &parser{data: data, limits: limits}
	if len(data) > limits.MaxBytes {
		return nil, p.failLimit(0, fmt.Sprintf("the resource has %d bytes, the limit is %d", len(data), limits.MaxBytes))
	}
	if len(data) >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF {
		p.pos = 3
	}
	p.space()
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(data) {
		return nil, p.fail(p.pos, "there is something behind the end of the resource")
	}
	return n, nil
}

type parser struct {
	data   []byte
	pos    int
	values int
	limits Limits
	trail  []step // where the value being read stands
}

// step is a member name or, with an empty name, an index.
type step struct {
	name  string
	index int
}

func (p *parser) fail(at int, problem string) error {
	line, column := 1, 1
	for _, c := range p.data[:min(at, len(p.data))] {
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
	return &SyntaxError{Offset: at, Line: line, Column: column, Path: p.path(), Problem: problem}
}

func (p *parser) failLimit(at int, problem string) error {
	err := p.fail(at, problem)
	if s, ok := err.(*SyntaxError); ok { //nolint:errorlint // fail returns it unwrapped
		s.Limit = true
	}
	return err
}

func (p *parser) path() string {
	var b []byte
	for _, s := range p.trail {
		switch {
		case s.name == "":
			b = fmt.Appendf(b, "[%d]", s.index)
		case isName(s.name):
			if len(b) > 0 {
				b = append(b, '.')
			}
			b = append(b, s.name...)
		default:
			return string(b) // a name that is no FHIR name could be content
		}
	}
	return string(b)
}

// isName reports whether a member name can be the name of a FHIR element, so that it may be
// shown in a path.
func isName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (*Node, error) {
	if p.pos >= len(p.data) {
		return nil, p.fail(p.pos, "the resource ends too early")
	}
	if p.values++; p.values > p.limits.MaxValues {
		return nil, p.failLimit(p.pos, fmt.Sprintf("more than %d JSON values", p.limits.MaxValues))
	}
	n := &Node{Start: p.pos}
	var err error
	switch c := p.data[p.pos]; {
	case c == '{' || c == '[':
		if depth >= p.limits.MaxDepth {
			return nil, p.failLimit(p.pos, fmt.Sprintf("nested deeper than %d levels", p.limits.MaxDepth))
		}
		if c == '{' {
			err = p.object(n, depth)
		} else {
			err = p.array(n, depth)
		}
	case c == '"':
		n.Kind = String
		n.Text, err = p.text()
	case c == '-' || c >= '0' && c <= '9':
		n.Kind = Number
		n.Text, err = p.number()
	default:
		err = p.word(n)
	}
	if err != nil {
		return nil, err
	}
	n.End = p.pos
	return n, nil
}

func (p *parser) word(n *Node) error {
	for _, w := range []struct {
		text string
		kind NodeKind
	}{{"true", Bool}, {"false", Bool}, {"null", Null}} {
		if end := p.pos + len(w.text); end <= len(p.data) && string(p.data[p.pos:end]) == w.text {
			n.Kind, n.Text, p.pos = w.kind, w.text, end
			return nil
		}
	}
	switch p.data[p.pos] {
	case '/', '#':
		return p.fail(p.pos, "comments are not allowed in JSON")
	case '<':
		return p.fail(p.pos, "this is XML; send the resource in JSON (application/fhir+json)")
	case ',', ']', '}':
		return p.fail(p.pos, "a value is missing, or there is a comma too many")
	}
	return p.fail(p.pos, "a value must be quoted text, a number, true, false, null, an object or an array")
}

// next passes white space and the expected byte.
func (p *parser) next(want byte, problem string) error {
	p.space()
	if p.pos >= len(p.data) {
		return p.fail(p.pos, "the resource ends too early")
	}
	if p.data[p.pos] != want {
		return p.fail(p.pos, problem)
	}
	p.pos++
	return nil
}

// more passes a comma, or the end of an object or array.
func (p *parser) more(end byte, what string) (bool, error) {
	p.space()
	if p.pos >= len(p.data) {
		return false, p.fail(p.pos, "the resource ends too early")
	}
	switch p.data[p.pos] {
	case ',':
		p.pos++
		p.space()
		if p.pos < len(p.data) && (p.data[p.pos] == '}' || p.data[p.pos] == ']') {
			return false, p.fail(p.pos, "there is a comma too many before the end of the "+what)
		}
		return true, nil
	case end:
		p.pos++
		return false, nil
	case '}', ']':
		return false, p.fail(p.pos, "the "+what+" is closed by the wrong bracket")
	}
	return false, p.fail(p.pos, "a comma is missing in the "+what)
}

// isEmpty passes the end of an object or array that holds nothing.
func (p *parser) isEmpty(end byte) bool {
	p.space()
	if p.pos < len(p.data) && p.data[p.pos] == end {
		p.pos++
		return true
	}
	return false
}

func (p *parser) array(n *Node, depth int) error {
	n.Kind = Array
	p.pos++
	if p.isEmpty(']') {
		return nil
	}
	at := len(p.trail)
	defer func() { p.trail = p.trail[:at] }()
	for {
		p.trail = append(p.trail[:at], step{index: len(n.Items)})
		p.space()
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, item)
		more, err := p.more(']', "array")
		if err != nil || !more {
			return err
		}
	}
}

// manyNames is from how many members on an object's names are looked up in a map.
const manyNames = 24

func (p *parser) object(n *Node, depth int) error {
	n.Kind = Object
	p.pos++
	if p.isEmpty('}') {
		return nil
	}
	at := len(p.trail)
	defer func() { p.trail = p.trail[:at] }()
	var seen map[string]bool
	for {
		name, err := p.memberName()
		if err != nil {
			return err
		}
		p.trail = append(p.trail[:at], step{name: name})
		if seen, err = p.unique(n, seen, name); err != nil {
			return err
		}
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.Names, n.Items = append(n.Names, name), append(n.Items, v)
		more, err := p.more('}', "object")
		if err != nil || !more {
			return err
		}
	}
}

func (p *parser) memberName() (string, error) {
	p.space()
	if p.pos >= len(p.data) {
		return "", p.fail(p.pos, "the resource ends too early")
	}
	switch p.data[p.pos] {
	case '"':
	case '/', '#':
		return "", p.fail(p.pos, "comments are not allowed in JSON")
	default:
		return "", p.fail(p.pos, "the name of a property must be in double quotes")
	}
	name, err := p.text()
	if err != nil {
		return "", err
	}
	return name, p.next(':', "a colon is missing behind the name of a property")
}

// unique refuses a repeated name: readers disagree on which value counts.
func (p *parser) unique(n *Node, seen map[string]bool, name string) (map[string]bool, error) {
	repeated := false
	switch {
	case seen != nil:
		repeated, seen[name] = seen[name], true
	case len(n.Names) >= manyNames:
		seen = make(map[string]bool, 2*manyNames)
		for _, m := range n.Names {
			seen[m] = true
		}
		repeated, seen[name] = seen[name], true
	default:
		for _, m := range n.Names {
			repeated = repeated || m == name
		}
	}
	if repeated {
		return seen, p.fail(p.pos, "the property stands twice in its object")
	}
	return seen, nil
}

// number reads a number and keeps its digits as they are.
func (p *parser) number() (string, error) {
	start := p.pos
	digits := func() int {
		from := p.pos
		for p.pos < len(p.data) && p.data[p.pos] >= '0' && p.data[p.pos] <= '9' {
			p.pos++
		}
		return p.pos - from
	}
	at := func(set string) bool {
		if p.pos < len(p.data) {
			for i := range len(set) {
				if p.data[p.pos] == set[i] {
					p.pos++
					return true
				}
			}
		}
		return false
	}
	at("-")
	first := p.pos
	n := digits()
	ok := n == 1 || n > 1 && p.data[first] != '0'
	if ok && at(".") {
		ok = digits() > 0
	}
	if ok && at("eE") {
		at("+-")
		ok = digits() > 0
	}
	if !ok {
		return "", p.fail(start, "not a number as JSON writes it")
	}
	const longest = 1024
	if p.pos-start > longest {
		return "", p.failLimit(start, fmt.Sprintf("a number of more than %d characters", longest))
	}
	return string(p.data[start:p.pos]), nil
}

// text reads quoted text.
func (p *parser) text() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			raw := p.data[start:p.pos]
			if !utf8.Valid(raw) {
				return "", p.fail(start, "the text is not UTF-8")
			}
			p.pos++
			return string(raw), nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail(p.pos, "a control character in quoted text must be escaped")
		}
		p.pos++
	}
	return "", p.fail(start-1, "the quoted text has no end")
}

// escaped reads quoted text from its first escape on.
func (p *parser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", p.fail(start, "the text is not UTF-8")
			}
			p.pos++
			return string(out), nil
		case c < 0x20:
			return "", p.fail(p.pos, "a control character in quoted text must be escaped")
		case c != '\\':
			out = append(out, c)
			p.pos++
		default:
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
		}
	}
	return "", p.fail(start-1, "the quoted text has no end")
}

var simpleEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(out []byte) ([]byte, error) {
	at := p.pos
	p.pos++
	if p.pos >= len(p.data) {
		return nil, p.fail(at, "the quoted text has no end")
	}
	c := p.data[p.pos]
	p.pos++
	if plain, ok := simpleEscapes[c]; ok {
		return append(out, plain), nil
	}
	if c != 'u' {
		return nil, p.fail(at, "an escape that JSON does not know")
	}
	r, ok := p.hex()
	if !ok {
		return nil, p.fail(at, "an escape \\u without four hexadecimal digits")
	}
	if utf16.IsSurrogate(r) {
		if p.pos+1 >= len(p.data) || p.data[p.pos] != '\\' || p.data[p.pos+1] != 'u' {
			return nil, p.fail(at, "half of a surrogate pair is no character")
		}
		p.pos += 2
		low, ok := p.hex()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return nil, p.fail(at, "half of a surrogate pair is no character")
		}
	}
	return utf8.AppendRune(out, r), nil
}

func (p *parser) hex() (rune, bool) {
	if p.pos+4 > len(p.data) {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.pos += 4
	return r, true
}
