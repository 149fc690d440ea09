package hl7

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Charset is a character encoding that frames may come in. The zero Charset is none.
type Charset struct{ def *charsetDef }

// family says how a charset's characters are found in raw bytes.
type family uint8

const (
	singleByte family = iota // every byte below 0x80 is ASCII, wherever it stands
	doubleByte               // a lead byte from 0x81 takes the next byte with it, even if that is ASCII
)

type charsetDef struct {
	name   string // as HL7 table 0211 spells it
	family family
	codec  encoding.Encoding // nil for UTF-8 and ASCII
	ascii  bool
}

// Charsets that frames are accepted in. GBK and GB2312 are decoded as their superset
// GB18030; what senders call GB2312 is GBK in practice.
var (
	UTF8    = Charset{&charsetDef{name: "UNICODE UTF-8"}}
	ASCII   = Charset{&charsetDef{name: "ASCII", ascii: true}}
	GB18030 = Charset{&charsetDef{name: "GB 18030-2000", family: doubleByte, codec: simplifiedchinese.GB18030}}
	Big5    = Charset{&charsetDef{name: "BIG-5", family: doubleByte, codec: traditionalchinese.Big5}}
	Latin1  = Charset{&charsetDef{name: "8859/1", codec: charmap.ISO8859_1}}

	korea    = Charset{&charsetDef{name: "KS X 1001", family: doubleByte, codec: korean.EUCKR}}
	windows1 = Charset{&charsetDef{name: "WINDOWS-1252", codec: charmap.Windows1252}}
)

// charsetNames maps names as MSH-18 and configurations spell them, reduced by foldName.
var charsetNames = map[string]Charset{
	"UTF8": UTF8, "UNICODEUTF8": UTF8, "UNICODE": UTF8,
	"ASCII": ASCII, "USASCII": ASCII, "ISOIR6": ASCII,
	"GB180302000": GB18030, "GB180302005": GB18030, "GB180302022": GB18030, "GB18030": GB18030,
	"GBK": GB18030, "GB2312": GB18030, "GB23121980": GB18030, "CP936": GB18030, "EUCCN": GB18030,
	"BIG5":  Big5,
	"88591": Latin1, "ISO88591": Latin1, "LATIN1": Latin1, "ISOIR100": Latin1,
	"KSX1001": korea, "EUCKR": korea,
	"WINDOWS1252": windows1, "CP1252": windows1,
}

func init() {
	for part, codec := range map[int]encoding.Encoding{
		2: charmap.ISO8859_2, 3: charmap.ISO8859_3, 4: charmap.ISO8859_4, 5: charmap.ISO8859_5,
		6: charmap.ISO8859_6, 7: charmap.ISO8859_7, 8: charmap.ISO8859_8, 9: charmap.ISO8859_9,
		15: charmap.ISO8859_15,
	} {
		cs := Charset{&charsetDef{name: fmt.Sprintf("8859/%d", part), codec: codec}}
		charsetNames[fmt.Sprintf("8859%d", part)] = cs
		charsetNames[fmt.Sprintf("ISO8859%d", part)] = cs
	}
}

// foldName reduces a charset name to its capital letters and digits.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}

// printableName reduces a charset name from a message to what an error may show.
func printableName(name []byte) string {
	out := make([]byte, 0, 20)
	for _, c := range bytes.ToUpper(name) {
		if len(out) == 20 {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ' ' || c == '/' || c == '-' {
			out = append(out, c)
		}
	}
	return string(out)
}

// CharsetByName finds a charset by any of its usual names: "GB 18030-2000", "GB18030",
// "GBK", "GB2312", "UNICODE UTF-8", "UTF-8", "8859/1" … "8859/15", "ASCII", "BIG5",
// "KS X 1001", "WINDOWS-1252".
func CharsetByName(name string) (Charset, bool) {
	cs, ok := charsetNames[foldName(name)]
	return cs, ok
}

// String returns the name of HL7 table 0211, "" for the zero Charset.
func (c Charset) String() string {
	if c.def == nil {
		return ""
	}
	return c.def.name
}

// IsZero reports whether no charset is set.
func (c Charset) IsZero() bool { return c.def == nil }

// Decode returns raw as UTF-8. Every byte must fit: nothing is replaced. A byte order mark
// is kept. The result shares memory with raw where nothing changes.
//
// Text in another charset than UTF-8 whose every non-ASCII byte belongs to a UTF-8
// sequence is refused as well: it is UTF-8 under a wrong name, and decoding it would give
// readable nonsense.
func (c Charset) Decode(raw []byte) ([]byte, error) {
	first := firstNonASCII(raw)
	if first == len(raw) {
		return raw, nil
	}
	misfit := func(offset int, problem string) error {
		return &CharsetError{Charset: c.String(), Offset: offset, Problem: problem}
	}
	switch {
	case c.def == nil:
		return nil, misfit(first, "no charset configured")
	case c.def.ascii:
		return nil, misfit(first, "a byte above 0x7F in ASCII; declare the charset in MSH-18 or configure it for the endpoint")
	case c.def.codec == nil:
		if n := invalidUTF8(raw); n >= 0 {
			return nil, misfit(n, "not UTF-8; check MSH-18 against what the sender writes")
		}
		return raw, nil
	}
	if looksLikeUTF8(raw[first:], c.def.family) {
		return nil, misfit(first, "the text is UTF-8, not the charset declared or configured")
	}
	if c == GB18030 {
		text, n := decodeGB18030(raw)
		if n >= 0 {
			return nil, misfit(n, "not a character of this charset")
		}
		return text, nil
	}
	text, err := c.def.codec.NewDecoder().Bytes(raw)
	if err != nil || bytes.Contains(text, []byte("\uFFFD")) {
		return nil, misfit(c.misfitOffset(raw), "not a character of this charset")
	}
	return text, nil
}

// Encode returns text in the charset. A character that the charset lacks is an error.
func (c Charset) Encode(text []byte) ([]byte, error) {
	n := firstNonASCII(text)
	if n == len(text) {
		return text, nil
	}
	fail := func(offset int) error {
		return &CharsetError{Charset: c.String(), Offset: offset, Problem: "the charset lacks a character of the text"}
	}
	switch {
	case c.def == nil || c.def.ascii:
		return nil, fail(n)
	case c.def.codec == nil:
		if n := invalidUTF8(text); n >= 0 {
			return nil, fail(n)
		}
		return text, nil
	}
	if c == GB18030 {
		out, n := encodeGB18030(text)
		if n >= 0 {
			return nil, fail(n)
		}
		return out, nil
	}
	out, err := c.def.codec.NewEncoder().Bytes(text)
	if err != nil {
		return nil, fail(n)
	}
	return out, nil
}

// misfitOffset finds the first character that does not decode, for the error only.
func (c Charset) misfitOffset(raw []byte) int {
	dec := c.def.codec.NewDecoder()
	for pos := 0; pos < len(raw); {
		n := c.def.family.width(raw[pos:])
		if raw[pos] >= 0x80 {
			text, err := dec.Bytes(raw[pos : pos+n])
			if err != nil || bytes.Contains(text, []byte("\uFFFD")) {
				return pos
			}
		}
		pos += n
	}
	return -1
}

// width returns the number of bytes of the character at the head of b, which is not
// empty. Bytes that form no character count one by one.
func (f family) width(b []byte) int {
	switch {
	case f == singleByte || b[0] < 0x81 || b[0] == 0xff || len(b) < 2:
		return 1
	case b[1] >= 0x40 && b[1] != 0x7f && b[1] != 0xff:
		return 2
	case b[1] >= 0x30 && b[1] <= 0x39 && len(b) >= 4 && b[2] >= 0x81 && b[3] >= 0x30 && b[3] <= 0x39:
		return 4
	}
	return 1
}

// firstNonASCII returns the position of the first byte above 0x7F, len(b) if there is none.
func firstNonASCII(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := b[i : i+8 : i+8]
		if (w[0]|w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7])&0x80 != 0 {
			break
		}
	}
	for ; i < len(b) && b[i] < 0x80; i++ {
	}
	return i
}

// invalidUTF8 returns the position of the first byte that is not UTF-8, -1 if all are.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for pos := 0; ; {
		r, n := utf8.DecodeRune(b[pos:])
		if r == utf8.RuneError && n <= 1 {
			return pos
		}
		pos += n
	}
}

// looksLikeUTF8 reports whether text in a legacy charset is UTF-8 in truth. In double-byte
// text a two-byte sequence proves nothing, since every pair of bytes is a character there;
// a whole message of nothing but well-formed longer sequences does.
func looksLikeUTF8(b []byte, f family) bool {
	if !utf8.Valid(b) {
		return false
	}
	for i := 0; i < len(b); {
		_, n := utf8.DecodeRune(b[i:])
		if n >= 3 || n == 2 && f == singleByte {
			return true
		}
		i += n
	}
	return false
}
