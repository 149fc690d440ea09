// Package rtf reads the text of Rich Text Format documents (RTF specification 1.9.1) that
// strangers send: for de-identification, so the text is what a reader would see, headers and
// footers included, pictures, embedded objects and properties left out.
//
// Chinese text comes as bytes of a code page (\ansicpg936, or a font of \fcharset134) or as
// \u escapes; both are read. Groups are bounded in depth and the work is linear. Errors
// never hold content. Nothing in this package logs.
package rtf

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Why a document is refused.
var (
	// ErrSyntax: the bytes are not an RTF document, or its groups do not close.
	ErrSyntax = errors.New("not a readable RTF document")
	// ErrTooLarge: larger than MaxBytes, or nested deeper than MaxDepth.
	ErrTooLarge = errors.New("the RTF document exceeds a limit")
)

// The limits.
const (
	MaxBytes = 64 << 20 // size of a document
	MaxDepth = 512      // groups within each other
)

// Is reports that data begins like an RTF document.
func Is(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data[:min(len(data), 64)], "\xef\xbb\xbf \t\r\n"), []byte(`{\rtf`))
}

// group is what a brace opens.
type group struct {
	skip   bool // a destination without visible text
	ucSkip int  // characters that stand in for a \u escape
	page   encoding.Encoding
}

type reader struct {
	data  []byte
	pos   int
	stack []group
	now   group
	fonts map[int]encoding.Encoding
	ansi  encoding.Encoding
	out   []byte

	fontTable int // depth at which the font table was opened; 0: not in it
	font      int // the font that the table is describing
	bytes     []byte
	units     []uint16
	stars     bool // the control symbol \* came: an unknown destination may be skipped
	skipChars int
}

// Text returns the text of a document in UTF-8, paragraphs and rows ended by a line feed.
func Text(data []byte) (string, error) {
	switch {
	case len(data) > MaxBytes:
		return "", ErrTooLarge
	case !Is(data):
		return "", ErrSyntax
	}
	r := &reader{data: data, ansi: charmap.Windows1252, fonts: map[int]encoding.Encoding{}, now: group{ucSkip: 1}}
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		r.pos++
		if err := r.take(c); err != nil {
			return "", err
		}
	}
	r.flush()
	if len(r.stack) > 0 {
		return "", ErrSyntax
	}
	return string(r.out), nil
}

func (r *reader) take(c byte) error {
	switch c {
	case '{':
		r.flush()
		if len(r.stack) >= MaxDepth {
			return ErrTooLarge
		}
		r.stack = append(r.stack, r.now)
		r.skipChars = 0
	case '}':
		r.flush()
		if len(r.stack) == 0 {
			return nil // bytes after the document
		}
		r.now, r.stack = r.stack[len(r.stack)-1], r.stack[:len(r.stack)-1]
		if len(r.stack) < r.fontTable {
			r.fontTable = 0
		}
		r.skipChars, r.stars = 0, false
	case '\\':
		r.control()
	case '\r', '\n', 0:
	default:
		r.char(c)
	}
	return nil
}

// char takes one byte of text.
func (r *reader) char(c byte) {
	if r.skipChars > 0 {
		r.skipChars--
		return
	}
	if r.now.skip || r.fontTable > 0 || len(r.stack) == 0 {
		return
	}
	r.flushUnits()
	r.bytes = append(r.bytes, c)
}

// flush decodes the bytes and units collected so far, in the code page they came in.
func (r *reader) flush() {
	if len(r.bytes) > 0 {
		page := r.now.page
		if page == nil {
			page = r.ansi
		}
		if b, err := page.NewDecoder().Bytes(r.bytes); err == nil {
			r.out = append(r.out, b...)
		}
		r.bytes = r.bytes[:0]
	}
	r.flushUnits()
}

func (r *reader) flushUnits() {
	if len(r.units) > 0 {
		r.out = append(r.out, string(utf16.Decode(r.units))...)
		r.units = r.units[:0]
	}
}

func (r *reader) emit(s string) {
	r.flush()
	if !r.now.skip && r.fontTable == 0 && len(r.stack) > 0 {
		r.out = append(r.out, s...)
	}
}

// control reads a control word or symbol.
func (r *reader) control() {
	if r.pos >= len(r.data) {
		return
	}
	c := r.data[r.pos]
	if !isLetter(c) {
		r.pos++
		r.symbol(c)
		return
	}
	start := r.pos
	for r.pos < len(r.data) && isLetter(r.data[r.pos]) && r.pos-start < 32 {
		r.pos++
	}
	word := string(r.data[start:r.pos])
	start = r.pos
	if r.pos < len(r.data) && r.data[r.pos] == '-' {
		r.pos++
	}
	for r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' && r.pos-start < 12 {
		r.pos++
	}
	n, err := strconv.Atoi(string(r.data[start:r.pos]))
	if r.pos < len(r.data) && r.data[r.pos] == ' ' {
		r.pos++
	}
	r.word(word, n, err == nil)
	r.stars = false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (r *reader) symbol(c byte) {
	switch c {
	case '\'':
		if r.pos+2 <= len(r.data) {
			if b, err := strconv.ParseUint(string(r.data[r.pos:r.pos+2]), 16, 8); err == nil {
				r.pos += 2
				r.char(byte(b))
			}
		}
	case '\\', '{', '}':
		r.char(c)
	case '~':
		r.emit(" ")
	case '_':
		r.emit("-")
	case '\r', '\n':
		r.emit("\n")
	case '*':
		r.stars = true
	}
}

// breaks are control words that stand for white space or a character.
var breaks = map[string]string{
	"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "cell": "\t", "nestcell": "\t", "nestrow": "\n",
	"tab": "\t", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
	"emspace": " ", "enspace": " ",
}

// unseen are destinations whose text is not shown.
var unseen = map[string]bool{
	"fonttbl": true, "colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "themedata": true,
	"colorschememapping": true, "latentstyles": true, "datastore": true, "listtable": true, "listoverridetable": true,
	"revtbl": true, "rsidtbl": true, "generator": true, "xmlnstbl": true, "filetbl": true, "fldinst": true, "bkmkstart": true, "bkmkend": true,
}

// shown are destinations behind \* that hold text.
var shown = map[string]bool{"shptxt": true, "shpinst": true, "annotation": true, "footnote": true}

func (r *reader) word(word string, n int, given bool) {
	if s, ok := breaks[word]; ok {
		r.emit(s)
		return
	}
	switch {
	case word == "fonttbl":
		r.fontTable = len(r.stack)
	case unseen[word], r.stars && !shown[word]:
		r.flush()
		r.now.skip = true
	case word == "u" && given:
		r.unicode(n)
	case word == "bin" && given:
		r.pos = min(len(r.data), r.pos+max(n, 0))
	case word == "uc" && given:
		r.now.ucSkip = min(max(n, 0), 16)
	default:
		r.charset(word, n, given)
	}
}

// unicode takes \uN: a UTF-16 unit, written signed, and the stand-ins that follow it.
func (r *reader) unicode(n int) {
	if r.now.skip || r.fontTable > 0 {
		return
	}
	if len(r.bytes) > 0 {
		r.flush()
	}
	r.units = append(r.units, uint16(n))
	r.skipChars = r.now.ucSkip
}

// charset handles what chooses a code page.
func (r *reader) charset(word string, n int, given bool) {
	switch {
	case word == "ansicpg" && given:
		if page := pages[n]; page != nil {
			r.ansi = page
		}
	case word == "f" && given && r.fontTable > 0:
		r.font = n
	case word == "fcharset" && given && r.fontTable > 0:
		if page := pages[charsets[n]]; page != nil {
			r.fonts[r.font] = page
		}
	case word == "f" && given, word == "plain":
		r.flush()
		r.now.page = r.fonts[n]
	case word == "mac":
		r.ansi = charmap.Macintosh
	}
}

// charsets are the Windows character sets of \fcharset by code page.
var charsets = map[int]int{128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 177: 1255, 178: 1256, 204: 1251, 238: 1250}

// pages are the code pages of \ansicpg.
var pages = map[int]encoding.Encoding{
	936: simplifiedchinese.GBK, 54936: simplifiedchinese.GB18030, 950: traditionalchinese.Big5, 932: japanese.ShiftJIS, 949: korean.EUCKR,
	1250: charmap.Windows1250, 1251: charmap.Windows1251, 1252: charmap.Windows1252, 1253: charmap.Windows1253,
	1254: charmap.Windows1254, 1255: charmap.Windows1255, 1256: charmap.Windows1256, 10000: charmap.Macintosh, 65001: encoding.Nop,
}
