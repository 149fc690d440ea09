package hl7

import (
	"bytes"
	"encoding/hex"
	"unicode/utf8"
)

// Unescape resolves the escape sequences of a value (HL7 v2 chapter 2, §2.7): the
// delimiters \F\ \S\ \T\ \R\ \E\ \P\ in their declared form, \Xhh..\ where the result is
// valid UTF-8, and the line break \.br\ as a line feed. Every other sequence (highlighting,
// formatting, charset switches, local ones, damaged ones) is kept as it stands, so nothing
// is lost. The result shares memory with v if there was nothing to resolve.
func (d *Delimiters) Unescape(v []byte) []byte {
	if d.Escape == 0 {
		return v
	}
	i := bytes.IndexByte(v, d.Escape)
	if i < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i >= 0 {
		out = append(out, v[:i]...)
		v = v[i:]
		j := bytes.IndexByte(v[1:], d.Escape)
		if j < 0 {
			break
		}
		if text, ok := d.resolve(v[1 : 1+j]); ok {
			out = append(out, text...)
			v = v[2+j:]
		} else {
			out = append(out, v[:1+j]...)
			v = v[1+j:]
			if recognised(v, d.Escape, out) {
				out, v = append(out, v[0]), v[1:]
			}
		}
		i = bytes.IndexByte(v, d.Escape)
	}
	return append(out, v...)
}

// recognised reports whether the escape character at the head of v closes a sequence that
// was kept, rather than opening the next one. A kept sequence is short and has no blank
// inside; a lone escape character in running text is not a sequence.
func recognised(v []byte, esc byte, kept []byte) bool {
	i := bytes.LastIndexByte(kept, esc)
	if i < 0 || len(v) == 0 || v[0] != esc {
		return false
	}
	body := kept[i+1:]
	if len(body) == 0 {
		return false
	}
	switch body[0] {
	case 'H', 'N':
		return len(body) == 1
	case '.', 'X', 'C', 'M', 'Z':
		return !bytes.ContainsAny(body, " ")
	}
	return false
}

// resolve returns the text of the escape sequence with the given body.
func (d *Delimiters) resolve(body []byte) ([]byte, bool) {
	if len(body) == 1 {
		var c byte
		switch body[0] {
		case 'F':
			c = d.Field
		case 'S':
			c = d.Component
		case 'T':
			c = d.Subcomponent
		case 'R':
			c = d.Repetition
		case 'E':
			c = d.Escape
		case 'P':
			c = d.Truncation
		}
		return []byte{c}, c != 0
	}
	if string(body) == ".br" {
		return []byte{'\n'}, true
	}
	if len(body) > 1 && body[0] == 'X' && len(body)%2 == 1 {
		text := make([]byte, hex.DecodedLen(len(body)-1))
		if _, err := hex.Decode(text, body[1:]); err == nil && utf8.Valid(text) {
			return text, true
		}
	}
	return nil, false
}

// EscapeText returns text as it may stand in a value: delimiters become escape sequences and
// line ends become \.br\. Without a declared escape character those bytes become blanks,
// because there is no way to write them.
func (d *Delimiters) EscapeText(text string) []byte { return d.appendEscaped(nil, text) }

func (d *Delimiters) appendEscaped(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		name := d.escapeName(c)
		switch {
		case name == "" && c >= ' ' || c == '\t':
			dst = append(dst, c)
		case name == "" || d.Escape == 0:
			dst = append(dst, ' ')
		default:
			dst = append(dst, d.Escape)
			dst = append(dst, name...)
			dst = append(dst, d.Escape)
		}
	}
	return dst
}

// escapeName returns the body of the sequence that stands for c, "" if c needs none.
func (d *Delimiters) escapeName(c byte) string {
	switch {
	case c == '\r' || c == '\n':
		return ".br"
	case c < ' ':
		return ""
	case c == d.Field:
		return "F"
	case c == d.Component:
		return "S"
	case c == d.Subcomponent:
		return "T"
	case c == d.Repetition:
		return "R"
	case c == d.Escape:
		return "E"
	case c == d.Truncation:
		return "P"
	}
	return ""
}
