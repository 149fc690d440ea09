package path

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	end kind = iota
	ident
	text   // a string literal, unescaped
	number // digits
	date   // @2024-01-01T00:00:00Z without the @
	symbol
)

type token struct {
	kind kind
	text string
	at   int
}

// Error is an expression that is not understood. It quotes the expression, which comes from a
// policy and not from a record.
type Error struct {
	Expression string
	Offset     int
	Problem    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (byte %d of %q)", e.Problem, e.Offset+1, e.Expression)
}

type lexer struct {
	src string
	pos int
}

func (l *lexer) fail(at int, format string, args ...any) error {
	return &Error{l.src, at, fmt.Sprintf(format, args...)}
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.src) && strings.ContainsRune(" \t\r\n", rune(l.src[l.pos])) {
		l.pos++
	}
	at := l.pos
	if at >= len(l.src) {
		return token{kind: end, at: at}, nil
	}
	switch c := l.src[at]; {
	case c == '\'':
		return l.quoted('\'', text)
	case c == '`':
		return l.quoted('`', ident)
	case c >= '0' && c <= '9':
		return l.number(), nil
	case c == '@':
		return l.run(1, date, "0123456789-:.TZ+"), nil
	case isLetter(c) || c == '$' || c == '%':
		return l.run(1, ident, letters+"0123456789").behind(c), nil
	}
	return l.symbol()
}

// behind puts the byte that began a token in front of it.
func (t token) behind(c byte) token {
	t.text = string(c) + t.text
	return t
}

func (l *lexer) symbol() (token, error) {
	at := l.pos
	for _, s := range []string{"!=", "<=", ">="} {
		if strings.HasPrefix(l.src[at:], s) {
			l.pos += 2
			return token{symbol, s, at}, nil
		}
	}
	if strings.IndexByte("().,=<>|+-*/&[]", l.src[at]) < 0 {
		return token{}, l.fail(at, "a character that has no meaning here")
	}
	l.pos++
	return token{symbol, l.src[at:l.pos], at}, nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func (l *lexer) run(skip int, k kind, set string) token {
	at := l.pos
	l.pos += skip
	for l.pos < len(l.src) && strings.IndexByte(set, l.src[l.pos]) >= 0 {
		l.pos++
	}
	return token{k, l.src[at+skip : l.pos], at}
}

func (l *lexer) number() token {
	t := l.run(0, number, "0123456789")
	if l.pos+1 < len(l.src) && l.src[l.pos] == '.' && l.src[l.pos+1] >= '0' && l.src[l.pos+1] <= '9' {
		l.pos++
		f := l.run(0, number, "0123456789")
		t.text += "." + f.text
	}
	return t
}

var escapes = map[byte]string{'\'': "'", '"': "\"", '`': "`", '\\': "\\", '/': "/", 'n': "\n", 'r': "\r", 't': "\t", 'f': "\f"}

func (l *lexer) quoted(q byte, k kind) (token, error) {
	at := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; c {
		case q:
			l.pos++
			if k == ident && b.Len() == 0 {
				return token{}, l.fail(at, "a name without a character")
			}
			return token{k, b.String(), at}, nil
		case '\\':
			l.pos++
			if l.pos >= len(l.src) {
				return token{}, l.fail(at, "a text without an end")
			}
			e, ok := escapes[l.src[l.pos]]
			if !ok {
				// Unknown escapes stand for themselves: regular expressions are written so.
				e = "\\" + l.src[l.pos:l.pos+1]
			}
			b.WriteString(e)
		default:
			b.WriteByte(c)
		}
	}
	if !utf8.ValidString(l.src) {
		return token{}, l.fail(at, "not UTF-8")
	}
	return token{}, l.fail(at, "a text without an end")
}
