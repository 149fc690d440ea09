package fhir

import (
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

const hexDigits = "0123456789abcdef"

// appendString quotes a string as JSON does. Bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		case c < ' ' || c == '"' || c == '\\':
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			start = i + 1
		}
		i++
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendNode writes a parsed value as compact JSON.
func appendNode(dst []byte, n *fhir.Node) []byte {
	switch n.Kind {
	case fhir.Null:
		return append(dst, "null"...)
	case fhir.String:
		return appendString(dst, n.Text)
	case fhir.Array, fhir.Object:
		open, closed := byte('['), byte(']')
		if n.Kind == fhir.Object {
			open, closed = '{', '}'
		}
		dst = append(dst, open)
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			if n.Kind == fhir.Object {
				dst = append(appendString(dst, n.Names[i]), ':')
			}
			dst = appendNode(dst, item)
		}
		return append(dst, closed)
	}
	return append(dst, n.Text...)
}
