package safexml

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxReference bounds the text between "&" and ";".
const maxReference = 16

// resolve replaces the references of s, which starts at offset at of the document.
func (p *parser) resolve(at int, s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	done := 0
	for {
		i := strings.IndexByte(s[done:], '&')
		if i < 0 {
			b.WriteString(s[done:])
			return b.String(), nil
		}
		b.WriteString(s[done : done+i])
		from := done + i + 1
		n := strings.IndexByte(s[from:min(len(s), from+maxReference)], ';')
		if n < 0 {
			return "", p.syntax(at+from-1, `"&" that begins no reference`)
		}
		r, ok := reference(s[from : from+n])
		if !ok {
			return "", p.badReference(at+from-1, s[from:from+n])
		}
		b.WriteRune(r)
		done = from + n + 1
	}
}

func (p *parser) badReference(at int, name string) error {
	if strings.HasPrefix(name, "#") || name == "" {
		return p.syntax(at, "a reference to a character that is not allowed")
	}
	return p.fail(Forbidden, at, "a reference to an entity other than the five predefined ones")
}

var predefined = map[string]rune{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// reference returns the character of a predefined entity or a character reference.
func reference(name string) (rune, bool) {
	if r, ok := predefined[name]; ok {
		return r, true
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil || v > utf8.MaxRune || !allowed(rune(v)) {
		return 0, false
	}
	return rune(v), true
}

// allowed is the production Char (XML 1.0, 2.2).
func allowed(r rune) bool {
	if r < 0x20 {
		return r == '\t' || r == '\n' || r == '\r'
	}
	return utf8.ValidRune(r) && r != 0xfffe && r != 0xffff
}
