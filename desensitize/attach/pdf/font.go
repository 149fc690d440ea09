package pdf

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// glyph is one shown code: its characters and its advance in thousandths of the font size.
type glyph struct {
	text    string
	advance float64
	known   bool
	space   bool // the single-byte code 32, which word spacing applies to
}

// font turns the bytes of a shown string into glyphs.
type font struct {
	composite bool
	toUnicode *cmap
	codes     *cmap             // code lengths of an embedded CMap
	charset   encoding.Encoding // of a predefined CMap
	simple    [256]string
	widths    map[uint32]float64
	byCID     bool // widths are by CID; codes are CIDs
	width     float64
	symbolic  bool // pictures such as bullets: a code without characters is no letter
}

// font reads a font dictionary, once.
func (f *file) font(v any) (*font, error) {
	number, isRef := v.(ref)
	if isRef {
		if known, ok := f.fonts[int(number)]; ok {
			return known, nil
		}
	}
	d := f.dictOf(v)
	out := &font{widths: map[uint32]float64{}, width: 500}
	base, _ := f.resolve(d["BaseFont"]).(name)
	out.symbolic = strings.Contains(string(base), "Dingbats") || strings.Contains(string(base), "Wingdings") || strings.HasSuffix(string(base), "Symbol")
	if s, ok := f.resolve(d["ToUnicode"]).(stream); ok {
		body, err := f.decode(s)
		if err != nil {
			return nil, err
		}
		out.toUnicode = parseCMap(body)
	}
	var err error
	if d["Subtype"] == name("Type0") {
		err = f.compositeFont(out, d)
	} else {
		f.simpleFont(out, d)
	}
	if err == nil && isRef {
		f.fonts[int(number)] = out
	}
	return out, err
}

func (f *file) compositeFont(out *font, d dict) error {
	out.composite, out.width = true, 1000
	switch enc := f.resolve(d["Encoding"]).(type) {
	case name:
		stem := strings.TrimSuffix(strings.TrimSuffix(string(enc), "-H"), "-V")
		out.charset = predefined[name(stem)]
		out.byCID = stem == "Identity"
	case stream:
		body, err := f.decode(enc)
		if err != nil {
			return err
		}
		out.codes = parseCMap(body)
	}
	descendants, _ := f.resolve(d["DescendantFonts"]).(array)
	if len(descendants) == 0 {
		return nil
	}
	cid := f.dictOf(descendants[0])
	if w, ok := f.resolve(cid["DW"]).(float64); ok {
		out.width = w
	}
	if widths, ok := f.resolve(cid["W"]).(array); ok && out.byCID {
		f.cidWidths(out, widths)
	}
	return nil
}

// cidWidths reads "first [w …]" and "first last w" (§9.7.4.3).
func (f *file) cidWidths(out *font, list array) {
	for i := 0; i+1 < len(list) && len(out.widths) < 1<<16; {
		first := f.integer(list[i])
		if each, ok := f.resolve(list[i+1]).(array); ok {
			for j, w := range each {
				out.widths[uint32(first+j)] = f.number(w)
			}
			i += 2
			continue
		}
		if i+2 >= len(list) {
			return
		}
		last, w := f.integer(list[i+1]), f.number(list[i+2])
		for c := first; c >= 0 && c <= last && c-first < 1<<16; c++ {
			out.widths[uint32(c)] = w
		}
		i += 3
	}
}

func (f *file) simpleFont(out *font, d dict) {
	base := charmap.Windows1252
	enc := f.resolve(d["Encoding"])
	encName, _ := enc.(name)
	differences, _ := enc.(dict)
	if differences != nil {
		encName, _ = f.resolve(differences["BaseEncoding"]).(name)
	}
	if encName == "MacRomanEncoding" {
		base = charmap.Macintosh
	}
	for i := 0x20; i < 256; i++ {
		if r := base.DecodeByte(byte(i)); r != utf8.RuneError {
			out.simple[i] = string(r)
		}
	}
	if differences != nil {
		f.differences(out, differences["Differences"])
	}
	first := f.integer(d["FirstChar"])
	if widths, ok := f.resolve(d["Widths"]).(array); ok && first >= 0 {
		scale := 1.0
		if matrix, ok := f.resolve(d["FontMatrix"]).(array); ok && len(matrix) > 0 {
			scale = 1000 * f.number(matrix[0]) // Type 3: glyph space of its own
		}
		for i, w := range widths[:min(len(widths), 256)] {
			out.widths[uint32(first+i)] = f.number(w) * scale
		}
	}
}

func (f *file) differences(out *font, v any) {
	list, _ := f.resolve(v).(array)
	code := 0
	for _, item := range list {
		switch item := f.resolve(item).(type) {
		case float64:
			code = int(item)
		case name:
			if code >= 0 && code < 256 {
				out.simple[code] = glyphText(string(item))
			}
			code++
		}
	}
}

// glyphs splits a shown string.
func (t *font) glyphs(s []byte, emit func(glyph)) {
	for len(s) > 0 {
		var code []byte
		switch {
		case !t.composite:
			code, s = s[:1], s[1:]
		case t.charset != nil:
			n := charLength(t.charset, s)
			code, s = s[:n], s[n:]
		case t.codes != nil:
			code, s = t.codes.next(s)
		default:
			code, s = (*cmap)(nil).next(s)
		}
		emit(t.glyph(code))
	}
}

func (t *font) glyph(code []byte) glyph {
	n := number(code)
	g := glyph{advance: t.width, space: len(code) == 1 && n == ' '}
	if w, ok := t.widths[n]; ok {
		g.advance = w
	} else if t.charset != nil && len(code) == 1 {
		g.advance = t.width / 2
	}
	g.text, g.known = t.text(code, n)
	return g
}

// text finds the characters of a code: ToUnicode first (§9.10.2).
func (t *font) text(code []byte, n uint32) (string, bool) {
	if t.toUnicode != nil {
		if s, ok := t.toUnicode.chars[n]; ok {
			return clean(s), true
		}
	}
	switch {
	case !t.composite:
		s := t.simple[code[0]]
		return s, s != "" || t.symbolic || n < ' '
	case t.charset != nil:
		b, err := t.charset.NewDecoder().Bytes(code)
		return clean(string(b)), err == nil && !strings.ContainsRune(string(b), utf8.RuneError)
	}
	return "", t.symbolic || n == 0
}

// clean takes out what no text holds.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0xFEFF || r == utf8.RuneError:
			return -1
		case r == 0xA0:
			return ' '
		}
		return r
	}, s)
}

// glyphText reads a glyph name by the rules of the Adobe Glyph List: a name of the table,
// uniXXXX, uXXXXXX, parts joined by "_", a suffix after ".".
func glyphText(glyph string) string {
	glyph, _, _ = strings.Cut(glyph, ".")
	var out strings.Builder
	for part := range strings.SplitSeq(glyph, "_") {
		switch {
		case len([]rune(part)) == 1:
			out.WriteString(part)
		case glyphNames[part] != "":
			out.WriteString(glyphNames[part])
		case strings.HasPrefix(part, "uni") && len(part) >= 7 && (len(part)-3)%4 == 0:
			out.WriteString(utf16BE(unhex([]byte(part[3:]))))
		case strings.HasPrefix(part, "u") && len(part) >= 5:
			if r, err := strconv.ParseUint(part[1:], 16, 21); err == nil {
				out.WriteString(string(rune(r)))
			}
		}
	}
	return clean(out.String())
}
