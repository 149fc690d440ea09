package pdf

import (
	"slices"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// maxMapped bounds the entries of one CMap.
const maxMapped = 400_000

// cmap maps codes of one to four bytes: which bytes are a code, and which characters it is.
type cmap struct {
	spaces []codeSpace
	chars  map[uint32]string
}

// codeSpace is a range of codes of one length, each byte within its own range (§9.7.6.2).
type codeSpace struct{ low, high str }

func (c codeSpace) holds(code str) bool {
	if len(code) != len(c.low) {
		return false
	}
	for i, b := range code {
		if b < c.low[i] || b > c.high[i] {
			return false
		}
	}
	return true
}

// parseCMap reads a CMap stream: code spaces and, for ToUnicode, the characters (§9.10.3).
func parseCMap(data []byte) *cmap {
	c := &cmap{chars: map[uint32]string{}}
	l := &lexer{data: data}
	var args []any
	for {
		v, ok := l.next(0)
		if !ok {
			return c
		}
		word, isWord := v.(keyword)
		if !isWord {
			if len(args) < maxMapped {
				args = append(args, v)
			}
			continue
		}
		switch word {
		case "endcodespacerange":
			c.addSpaces(args)
		case "endbfchar":
			for i := 0; i+1 < len(args); i += 2 {
				c.addChar(args[i], args[i+1])
			}
		case "endbfrange":
			for i := 0; i+2 < len(args); i += 3 {
				c.addRange(args[i], args[i+1], args[i+2])
			}
		}
		args = args[:0]
	}
}

func (c *cmap) addSpaces(args []any) {
	for i := 0; i+1 < len(args) && len(c.spaces) < 256; i += 2 {
		low, ok1 := args[i].(str)
		high, ok2 := args[i+1].(str)
		if ok1 && ok2 && len(low) == len(high) && len(low) >= 1 && len(low) <= 4 {
			c.spaces = append(c.spaces, codeSpace{low, high})
		}
	}
}

func (c *cmap) addChar(code, to any) {
	from, ok := code.(str)
	if text, isText := to.(str); ok && isText && len(c.chars) < maxMapped {
		c.chars[number(from)] = utf16BE(text)
	}
}

func (c *cmap) addRange(low, high, to any) {
	from, ok1 := low.(str)
	last, ok2 := high.(str)
	if !ok1 || !ok2 {
		return
	}
	start, end := number(from), number(last)
	if end < start || end-start > 0xFFFF {
		return
	}
	switch to := to.(type) {
	case array:
		for i, v := range to {
			if text, ok := v.(str); ok && start+uint32(i) <= end && len(c.chars) < maxMapped {
				c.chars[start+uint32(i)] = utf16BE(text)
			}
		}
	case str:
		next := slices.Clone(to)
		for code := start; ; code++ {
			if len(c.chars) >= maxMapped {
				return
			}
			c.chars[code] = utf16BE(next)
			if code == end {
				return
			}
			increment(next)
		}
	}
}

// increment adds one to a number in bytes.
func increment(b []byte) {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return
		}
	}
}

func number(b []byte) uint32 {
	var n uint32
	for _, c := range b[:min(len(b), 4)] {
		n = n<<8 | uint32(c)
	}
	return n
}

func utf16BE(b []byte) string {
	if len(b) == 1 {
		return string(rune(b[0]))
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}

// next takes one code off the front of s by the code spaces; without any, two bytes.
func (c *cmap) next(s []byte) (code []byte, rest []byte) {
	if c == nil || len(c.spaces) == 0 {
		n := min(2, len(s))
		return s[:n], s[n:]
	}
	for n := 1; n <= min(4, len(s)); n++ {
		for _, space := range c.spaces {
			if space.holds(s[:n]) {
				return s[:n], s[n:]
			}
		}
	}
	n := min(len(c.spaces[0].low), len(s))
	return s[:n], s[n:]
}

// predefined are the CMaps of table 118 whose name says a character set: their codes are
// that set's bytes.
var predefined = map[name]encoding.Encoding{
	"GB-EUC": simplifiedchinese.GBK, "GBpc-EUC": simplifiedchinese.GBK, "GBK-EUC": simplifiedchinese.GBK,
	"GBKp-EUC": simplifiedchinese.GBK, "GBK2K": simplifiedchinese.GB18030,
	"B5pc": traditionalchinese.Big5, "ETen-B5": traditionalchinese.Big5, "ETenms-B5": traditionalchinese.Big5, "HKscs-B5": traditionalchinese.Big5,
	"90ms-RKSJ": japanese.ShiftJIS, "90msp-RKSJ": japanese.ShiftJIS, "83pv-RKSJ": japanese.ShiftJIS, "90pv-RKSJ": japanese.ShiftJIS,
	"EUC": japanese.EUCJP, "KSC-EUC": korean.EUCKR, "KSCms-UHC": korean.EUCKR, "KSCpc-EUC": korean.EUCKR,
	"UniGB-UCS2": utf16Encoding, "UniGB-UTF16": utf16Encoding, "UniCNS-UCS2": utf16Encoding, "UniCNS-UTF16": utf16Encoding,
	"UniJIS-UCS2": utf16Encoding, "UniJIS-UTF16": utf16Encoding, "UniJIS2004-UTF16": utf16Encoding,
	"UniKS-UCS2": utf16Encoding, "UniKS-UTF16": utf16Encoding, "UniJIS-UCS2-HW": utf16Encoding,
}

var utf16Encoding = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)

// charLength is how many bytes the next character of a predefined CMap takes.
func charLength(enc encoding.Encoding, s []byte) int {
	switch {
	case enc == utf16Encoding:
		if len(s) >= 4 && s[0]&0xFC == 0xD8 {
			return 4
		}
		return min(2, len(s))
	case s[0] < 0x80, enc == japanese.ShiftJIS && s[0] >= 0xA1 && s[0] <= 0xDF:
		return 1
	case enc == simplifiedchinese.GB18030 && len(s) >= 4 && s[1] >= '0' && s[1] <= '9':
		return 4
	}
	return min(2, len(s))
}
