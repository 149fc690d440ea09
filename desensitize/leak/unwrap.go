package leak

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"archive/zip"

	"github.com/emrbridge/emrbridge/desensitize/attach"
	"github.com/emrbridge/emrbridge/desensitize/attach/dicom"
)

// unwrap takes one layer off a text in every way that applies, and looks at the result.
func (s *search) unwrap(path, text string, r role, depth int) {
	if strings.IndexByte(text, '<') >= 0 || strings.IndexByte(text, '&') >= 0 {
		if plain := stripMarkup(text); plain != text {
			s.part(path+" › markup", plain, r, depth)
		}
	}
	if strings.IndexByte(text, '%') >= 0 {
		if plain, ok := escaped(text, '%', 2); ok {
			s.part(path+" › percent", plain, r, depth)
		}
	}
	if strings.IndexByte(text, '=') >= 0 {
		if plain, ok := escaped(strings.ReplaceAll(strings.ReplaceAll(text, "=\r\n", ""), "=\n", ""), '=', 2); ok {
			s.part(path+" › quoted-printable", plain, r, depth)
		}
	}
	if strings.IndexByte(text, '\\') >= 0 {
		if plain, ok := backslashes(text); ok {
			s.part(path+" › escapes", plain, r, depth)
		}
	}
	if plain, ok := misread(text); ok {
		s.part(path+" › charset", plain, r, depth)
	}
	s.packed(path, text, depth)
}

// stripMarkup resolves character references and takes tags out; the values of attributes
// and comments stay, as text of their own lines.
func stripMarkup(s string) string {
	var b, aside strings.Builder
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 || open == len(s)-1 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:open])
		s = s[open:]
		if c := s[1]; c != '/' && c != '!' && c != '?' && (c < 'A' || c > 'z') {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		end := strings.IndexByte(s, '>')
		if strings.HasPrefix(s, "<!--") {
			if end = strings.Index(s, "-->"); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			b.WriteString(s)
			break
		}
		tag := s[1:end]
		if strings.ContainsAny(tag, "=!?") {
			aside.WriteString("\n" + tag)
		}
		name := strings.ToLower(strings.Trim(tag, "/ "))
		if cut := strings.IndexAny(name, " \t\n"); cut >= 0 {
			name = name[:cut]
		}
		if blockEnds[name] {
			b.WriteByte('\n')
		}
		s = s[end+1:]
	}
	return html.UnescapeString(b.String() + aside.String())
}

// escaped resolves %E7 or =E7 where at least one is well formed.
func escaped(s string, mark byte, width int) (string, bool) {
	out, found := make([]byte, 0, len(s)), false
	for i := 0; i < len(s); i++ {
		if s[i] == mark && i+width < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+1+width], 16, 8); err == nil {
				out, found = append(out, byte(b)), true
				i += width
				continue
			}
		}
		out = append(out, s[i])
	}
	if !found {
		return "", false
	}
	return decode(out), true
}

// backslashes resolves \u738B, \xE7 and \X E78E8B \ of HL7.
func backslashes(s string) (string, bool) {
	out, found := make([]byte, 0, len(s)), false
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+3 >= len(s) {
			out = append(out, s[i])
			continue
		}
		width := map[byte]int{'u': 4, 'U': 4, 'x': 2}[s[i+1]]
		if width > 0 && i+2+width <= len(s) {
			if n, err := strconv.ParseUint(s[i+2:i+2+width], 16, 32); err == nil {
				if width == 4 {
					out = utf8.AppendRune(out, rune(n))
				} else {
					out = append(out, byte(n))
				}
				i, found = i+1+width, true
				continue
			}
		}
		if end := strings.IndexByte(s[i+2:], '\\'); s[i+1] == 'X' && end > 0 && end < 4096 {
			if b := unhex(s[i+2 : i+2+end]); len(b) > 0 {
				out, found = append(out, b...), true
				i += 2 + end
				continue
			}
		}
		out = append(out, s[i])
	}
	if !found {
		return "", false
	}
	return decode(out), true
}

// misread turns text that was read as Latin-1, though it is UTF-8 or GB 18030, back.
func misread(s string) (string, bool) {
	high, out := 0, make([]byte, 0, 16)
	for _, r := range s {
		if r > 0xFF {
			return "", false
		}
		if r >= 0xA1 {
			high++
		}
	}
	if high < 4 {
		return "", false
	}
	for _, r := range s {
		out = append(out, byte(r))
	}
	text := decode(out)
	return text, text != s
}

func unhex(s string) []byte {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
	b, err := hex.DecodeString(s[:len(s)/2*2])
	if err != nil {
		return nil
	}
	return b
}

// packed looks into base64 and hexadecimal: every long word of the text, and words that
// follow each other line by line, or with blanks if the text is nothing else, as one.
func (s *search) packed(path, text string, depth int) {
	if whole := strings.Join(strings.Fields(text), ""); len(whole) != len(text) && len(whole) >= 24 && onlyPacking(whole) {
		s.word(path, whole, depth)
	}
	run, words := 0, 0 // start of the words that follow each other, and how many they are
	for i := 0; i < len(text) && !s.done(); {
		if !packing[text[i]] {
			if !lineEnd(text, i) {
				words = 0
			}
			i++
			continue
		}
		end := wordOf(text, i)
		if words == 0 {
			run = i
		}
		words++
		if end-i >= 12 {
			s.word(path, text[i:end], depth)
		}
		last := !lineEnd(text, end) || strings.TrimLeft(text[end:], "\r\n") == ""
		if last && words > 1 && end-run >= 24 {
			s.word(path, strings.Join(strings.Fields(text[run:end]), ""), depth)
		}
		i = end
	}
}

// wordOf returns where the characters of base64 from i on end.
func wordOf(text string, i int) int {
	for i < len(text) && packing[text[i]] {
		i++
	}
	return i
}

func lineEnd(text string, i int) bool { return i < len(text) && (text[i] == '\n' || text[i] == '\r') }

// packing are the characters of base64 in both alphabets.
var packing = func() (out [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_") {
		out[c] = true
	}
	return out
}()

func onlyPacking(s string) bool {
	for _, c := range []byte(s) {
		if !packing[c] {
			return false
		}
	}
	return true
}

// word decodes one word and looks at it if it makes sense.
func (s *search) word(path, w string, depth int) {
	if i := strings.LastIndexByte(strings.TrimRight(w, "="), '='); i >= 0 {
		w = w[i+1:] // key=value
	}
	if b, err := hex.DecodeString(w); err == nil {
		s.hexWord(path, w, b, depth)
		return
	}
	std := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(w, "="))
	b, err := base64.RawStdEncoding.DecodeString(std[:len(std)-remainder(len(std))])
	if err != nil || len(b) < 8 {
		return
	}
	kind := attach.Sniff("", b)
	binary := kind != attach.Text && kind != attach.Unknown && kind != attach.Empty
	switch {
	case sensible(b), binary && len(b) >= 16:
		s.bytes(path+" › base64", b, depth)
	case len(b) >= 1024:
		s.add(Finding{Type: Unreadable, Path: path + " › base64", Length: len(w)}, "")
	}
}

// hexWord looks at a word in hexadecimal: a plain digest of something known, or text.
func (s *search) hexWord(path, w string, b []byte, depth int) {
	switch {
	case s.known != nil && (len(b) == 16 || len(b) == 20 || len(b) == 32) && s.known.digestOf(w):
		s.add(Finding{Type: Digest, Known: true, Path: path, Length: len(w)}, w)
	case sensible(b):
		s.bytes(path+" › hex", b, depth)
	}
}

// remainder is what is over of groups of four: one character alone holds no byte.
func remainder(n int) int {
	if n%4 == 1 {
		return 1
	}
	return 0
}

// sensible reports bytes that are text.
func sensible(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	if utf8.Valid(b) {
		return true
	}
	text := decode(b)
	han := 0
	for _, r := range text {
		if isHan(r) && !isTraditional(r) {
			han++
		}
	}
	return han*3 >= utf8.RuneCountInString(text)
}

// bytes looks at decoded bytes by what they are.
func (s *search) bytes(path string, b []byte, depth int) {
	if s.binary(path, b, depth) {
		return
	}
	s.unit(Detect(b), path, b, depth)
}

// binary looks at formats that are not text and reports whether b is of one.
func (s *search) binary(path string, b []byte, depth int) bool {
	kind := attach.Sniff("", b)
	unreadable := func() { s.add(Finding{Type: Unreadable, Path: path + " › " + string(kind), Length: len(b)}, "") }
	switch kind {
	case attach.PDF, attach.RTF:
		text, err := attach.PlainText(kind, b)
		if err != nil {
			unreadable()
			return true
		}
		s.part(path+" › "+string(kind), text, free, depth+1)
	case attach.DICOM:
		s.dicom(path, b, depth)
	case attach.Archive:
		s.archive(path, b, depth)
	case attach.Image, attach.Video, attach.Audio:
		if !s.gate.config.Images {
			unreadable()
		}
	case attach.Genomic:
		if !s.gate.config.Genomic {
			s.add(Finding{Type: Genomic, Path: path, Length: len(b)}, "")
		}
	case attach.Unknown:
		unreadable()
	default:
		return false
	}
	return true
}

// dicom looks at all attributes with text.
func (s *search) dicom(path string, b []byte, depth int) {
	pixels, err := dicom.Values(b, func(tag, value string) {
		if value != "" {
			s.part(path+" › "+tag, decode([]byte(value)), legendOrFree(tag), depth+1)
		}
	})
	if err != nil || pixels && !s.gate.config.Images {
		s.add(Finding{Type: Unreadable, Path: path + " › dicom", Length: len(b)}, "")
	}
}

// legendOrFree: UIDs are long numbers with dots.
func legendOrFree(tag string) role {
	if strings.HasSuffix(tag, ",0018)") || strings.HasPrefix(tag, "(0002,") || tag == "(0020,000D)" || tag == "(0020,000E)" || tag == "(0020,0052)" || tag == "(0008,0016)" {
		return legend
	}
	return free
}

// archive looks into compressed data and ZIP files, within the limit of the unit.
func (s *search) archive(path string, b []byte, depth int) {
	left := int64(s.gate.config.MaxBytes - s.read)
	read := func(where string, r io.Reader, err error) {
		var inner []byte
		if err == nil {
			inner, err = io.ReadAll(io.LimitReader(r, left+1))
		}
		if err != nil || int64(len(inner)) > left || depth > maxLayers {
			s.add(Finding{Type: Unreadable, Path: where, Length: len(b)}, "")
			return
		}
		left -= int64(len(inner))
		s.bytes(where, inner, depth+1)
	}
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(bytes.NewReader(b))
		read(path+" › gzip", z, err)
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(z.File) > 1000 {
			s.add(Finding{Type: Unreadable, Path: path + " › zip", Length: len(b)}, "")
			return
		}
		for i, f := range z.File {
			s.part(path+" › zip › name", f.Name+"\n"+f.Comment, legend, depth+1)
			if f.FileInfo().IsDir() {
				continue
			}
			r, err := f.Open()
			read(path+" › zip › file "+strconv.Itoa(i+1), r, err)
			if s.done() {
				return
			}
		}
	case len(b) > 2 && b[0] == 0x78:
		z, err := zlib.NewReader(bytes.NewReader(b))
		read(path+" › zlib", z, err)
	default:
		s.add(Finding{Type: Unreadable, Path: path + " › archive", Length: len(b)}, "")
	}
}
