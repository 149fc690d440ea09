package pdf

import (
	"bytes"
	"strconv"
)

// The objects of §7.3. Numbers are float64, booleans and null are keywords.
type (
	name    string
	str     []byte
	array   []any
	dict    map[name]any
	ref     int // number of an indirect object; generations are not told apart
	keyword string
	stream  struct {
		dict dict
		raw  []byte
	}
)

// maxDepth bounds arrays and dictionaries within each other.
const maxDepth = 64

// lexer reads objects one after the other.
type lexer struct {
	data []byte
	pos  int
	refs bool // "1 0 R" is one object; content streams have none
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool {
	return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0
}

// skip passes white space and comments.
func (l *lexer) skip() {
	for l.pos < len(l.data) {
		switch c := l.data[l.pos]; {
		case isSpace(c):
			l.pos++
		case c == '%':
			for l.pos < len(l.data) && l.data[l.pos] != '\n' && l.data[l.pos] != '\r' {
				l.pos++
			}
		default:
			return
		}
	}
}

// next reads one object; ok is false at the end. What is damaged becomes a keyword, so that
// reading goes on.
func (l *lexer) next(depth int) (v any, ok bool) {
	l.skip()
	if l.pos >= len(l.data) {
		return nil, false
	}
	if depth > maxDepth {
		l.pos = len(l.data)
		return nil, false
	}
	switch c := l.data[l.pos]; {
	case c == '/':
		return l.name(), true
	case c == '(':
		return l.literal(), true
	case c == '[':
		l.pos++
		return l.array(depth), true
	case c == '<' && l.peek(1) == '<':
		l.pos += 2
		return l.dict(depth), true
	case c == '<':
		return l.hex(), true
	case c == '>' && l.peek(1) == '>':
		l.pos += 2
		return keyword(">>"), true
	case isDelimiter(c):
		l.pos++
		return keyword(c), true
	}
	return l.word(), true
}

func (l *lexer) peek(n int) byte {
	if l.pos+n < len(l.data) {
		return l.data[l.pos+n]
	}
	return 0
}

// token returns the regular characters from here on.
func (l *lexer) token() []byte {
	start := l.pos
	for l.pos < len(l.data) && !isSpace(l.data[l.pos]) && !isDelimiter(l.data[l.pos]) {
		l.pos++
	}
	return l.data[start:l.pos]
}

func (l *lexer) name() name {
	l.pos++
	raw := l.token()
	if bytes.IndexByte(raw, '#') < 0 {
		return name(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) {
			if b, err := strconv.ParseUint(string(raw[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, raw[i])
	}
	return name(out)
}

// word reads a number, a reference or a keyword.
func (l *lexer) word() any {
	tok := l.token()
	if len(tok) == 0 {
		l.pos++
		return keyword("?")
	}
	c := tok[0]
	if c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return keyword(tok)
	}
	n, err := strconv.ParseFloat(string(tok), 64)
	if err != nil {
		return keyword(tok)
	}
	if l.refs && c >= '0' && c <= '9' && n == float64(int32(n)) {
		if l.referenceFollows() {
			return ref(n)
		}
	}
	return n
}

// referenceFollows consumes "generation R" if that comes next.
func (l *lexer) referenceFollows() bool {
	at := l.pos
	l.skip()
	if gen := l.token(); len(gen) > 0 && len(gen) <= 5 && digits(gen) {
		l.skip()
		if r := l.token(); len(r) == 1 && r[0] == 'R' {
			return true
		}
	}
	l.pos = at
	return false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func (l *lexer) array(depth int) array {
	out := array{}
	for {
		v, ok := l.next(depth + 1)
		if !ok || v == keyword("]") {
			return out
		}
		out = append(out, v)
	}
}

func (l *lexer) dict(depth int) dict {
	out := dict{}
	for {
		k, ok := l.next(depth + 1)
		if !ok || k == keyword(">>") {
			return out
		}
		key, isName := k.(name)
		if !isName {
			continue
		}
		v, ok := l.next(depth + 1)
		if !ok || v == keyword(">>") {
			return out
		}
		out[key] = v
	}
}

// hex reads a hexadecimal string (§7.3.4.3).
func (l *lexer) hex() str {
	l.pos++
	end := bytes.IndexByte(l.data[l.pos:], '>')
	if end < 0 {
		end = len(l.data) - l.pos
	}
	out := unhex(l.data[l.pos : l.pos+end])
	l.pos = min(l.pos+end+1, len(l.data))
	return out
}

// unhex decodes digits and passes over what is not a digit; a missing last digit is 0.
func unhex(in []byte) []byte {
	out := make([]byte, 0, len(in)/2+1)
	half, have := byte(0), false
	for _, c := range in {
		d, ok := nibble(c)
		switch {
		case !ok:
		case have:
			out = append(out, half<<4|d)
			have = false
		default:
			half, have = d, true
		}
	}
	if have {
		out = append(out, half<<4)
	}
	return out
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// literal reads a string in parentheses (§7.3.4.2).
func (l *lexer) literal() str {
	l.pos++
	out := str{}
	for nested := 1; l.pos < len(l.data); {
		c := l.data[l.pos]
		l.pos++
		switch c {
		case '(':
			nested++
		case ')':
			if nested--; nested == 0 {
				return out
			}
		case '\\':
			out = l.escape(out)
			continue
		}
		out = append(out, c)
	}
	return out
}

// escapes are the characters behind a backslash that stand for another.
var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}

// escape reads what follows a backslash.
func (l *lexer) escape(out str) str {
	if l.pos >= len(l.data) {
		return out
	}
	c := l.data[l.pos]
	l.pos++
	if to, ok := escapes[c]; ok {
		return append(out, to)
	}
	switch {
	case c == '\n':
		return out
	case c == '\r':
		if l.peek(0) == '\n' {
			l.pos++
		}
		return out
	case c < '0' || c > '7':
		return append(out, c)
	}
	octal := int(c - '0')
	for n := 0; n < 2 && l.peek(0) >= '0' && l.peek(0) <= '7'; n++ {
		octal = octal*8 + int(l.data[l.pos]-'0')
		l.pos++
	}
	return append(out, byte(octal))
}
