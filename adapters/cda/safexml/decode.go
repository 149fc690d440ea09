package safexml

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/unicode"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Encoding says how bytes become text when the document itself does not say it, or says
// something wrong.
type Encoding struct {
	// Default is the encoding of documents without declaration and byte order mark: "UTF-8"
	// (also when empty), "GBK", "GB18030" …
	Default string
	// Force makes Default the encoding of every document, whatever it declares. It is meant
	// for text that was decoded before, such as a document inside a SOAP envelope, and for
	// partners whose declaration is wrong.
	Force bool
}

var (
	declared = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.[0-9]+"|'1\.[0-9]+')` +
		`(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([A-Za-z][A-Za-z0-9._\-]*)"|'([A-Za-z][A-Za-z0-9._\-]*)'))?`)
	bom = []byte("\xef\xbb\xbf")
)

// maxDeclaration bounds the search for the declaration, in bytes.
const maxDeclaration = 256

// Decode returns the document as UTF-8 without byte order mark, and the name of the
// encoding it was in: byte order mark first, then the declaration, then e.Default. Every
// byte must fit; nothing is replaced. UTF-16 is recognised by its byte order mark or by the
// zero bytes of "<". The result shares memory with raw where nothing changes.
func Decode(raw []byte, e Encoding) (text []byte, name string, err error) {
	switch {
	case bytes.HasPrefix(raw, bom):
		return decodeAs("UTF-8", raw[len(bom):])
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}), bytes.HasPrefix(raw, []byte{0, '<'}):
		return decodeUTF16(raw, unicode.BigEndian)
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}), bytes.HasPrefix(raw, []byte{'<', 0}):
		return decodeUTF16(raw, unicode.LittleEndian)
	}
	name = e.Default
	if name == "" {
		name = "UTF-8"
	}
	if m := declared.FindSubmatch(raw[:min(len(raw), maxDeclaration)]); m != nil && !e.Force {
		if said := string(m[1]) + string(m[2]); said != "" {
			name = said
		}
	}
	return decodeAs(name, raw)
}

// isUTF8 reports whether a document that begins with head is in UTF-8 by its own word, or by
// that of e.
func isUTF8(head string, e Encoding) bool {
	name := e.Default
	if m := declared.FindStringSubmatch(head); m != nil && !e.Force && m[1]+m[2] != "" {
		name = m[1] + m[2]
	}
	return strings.HasPrefix(head, "\ufeff") || strings.HasPrefix(head, "<") && !strings.HasPrefix(head, "<\x00") && (name == "" || strings.EqualFold(name, "UTF-8"))
}

func decodeAs(name string, raw []byte) ([]byte, string, error) {
	if strings.HasPrefix(strings.ToUpper(name), "UTF-16") {
		return nil, name, &Error{Kind: Charset, Line: 1, Column: 1, Problem: "UTF-16 is declared, but the bytes are not UTF-16"}
	}
	cs, ok := hl7.CharsetByName(name)
	if !ok {
		return nil, "", &Error{Kind: Charset, Line: 1, Column: 1,
			Problem: "the declared encoding is not supported (UTF-8, GB18030, GBK, GB2312, Big5, UTF-16, ISO-8859)"}
	}
	text, err := cs.Decode(raw)
	if err != nil {
		return nil, plainName(cs), charsetFault(raw, plainName(cs), err)
	}
	return text, plainName(cs), nil
}

// plainName returns the name of a charset as XML writes it.
func plainName(cs hl7.Charset) string {
	switch name := cs.String(); name {
	case "UNICODE UTF-8":
		return "UTF-8"
	case "GB 18030-2000":
		return "GB18030"
	case "BIG-5":
		return "Big5"
	default:
		return strings.Replace(name, "8859/", "ISO-8859-", 1)
	}
}

func charsetFault(raw []byte, name string, err error) error {
	e := &Error{Kind: Charset, Problem: fmt.Sprintf("the bytes are not %s", name)}
	if c, ok := err.(*hl7.CharsetError); ok && c.Offset >= 0 { //nolint:errorlint // the concrete type is documented
		e.Line, e.Column = position(string(raw[:min(c.Offset, len(raw))]), c.Offset)
		e.Problem = fmt.Sprintf("the bytes from offset %d are not %s", c.Offset, name)
	}
	return e
}

func decodeUTF16(raw []byte, order unicode.Endianness) ([]byte, string, error) {
	if len(raw)%2 != 0 {
		return nil, "UTF-16", &Error{Kind: Charset, Problem: "UTF-16 with half a character at its end"}
	}
	text, err := unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(raw)
	if err != nil || bytes.Contains(text, []byte("\uFFFD")) {
		return nil, "UTF-16", &Error{Kind: Charset, Problem: "the bytes are not UTF-16"}
	}
	return bytes.TrimPrefix(text, bom), "UTF-16", nil
}
