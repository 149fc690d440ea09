package pdf

import (
	"bytes"
	"math"
)

// matrix is a transformation [a b c d e f] (§8.3.3).
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// textState is what q saves and Q restores (§9.3).
type textState struct {
	ctm                                 matrix
	font                                *font
	size, chars, words, scale, lead, up float64
}

// page writes the text of one page after the other.
type page struct {
	file       *file
	out        []byte
	unmapped   int
	state      textState
	saved      []textState
	text, line matrix
	rows       []*row
	row        *row // the one written last
	written    int
}

// row is a piece of one line of a page: glyphs that follow each other without a wide gap.
type row struct {
	text       []byte
	endX, endY float64 // where its last glyph ended, in page space
	size       float64
}

// maxRows bounds the rows that are looked at for one that a glyph continues.
const maxRows = 400

// maxForms bounds form objects within each other.
const maxForms = 12

func (w *page) show(p dict) error {
	w.state = textState{ctm: identity, scale: 1}
	w.saved, w.text, w.line, w.rows, w.row = nil, identity, identity, nil, nil
	var body []byte
	parts, ok := w.file.resolve(p["Contents"]).(array)
	if !ok {
		parts = array{p["Contents"]}
	}
	for _, part := range parts {
		s, ok := w.file.resolve(part).(stream)
		if !ok {
			continue
		}
		b, err := w.file.decode(s)
		if err != nil {
			return err
		}
		body = append(append(body, b...), '\n')
	}
	if err := w.run(body, w.file.dictOf(p["Resources"]), 0); err != nil {
		return err
	}
	for i, r := range w.rows {
		if i > 0 {
			w.out = append(w.out, '\n')
		}
		w.out = append(w.out, r.text...)
	}
	return w.annotations(p)
}

// run interprets a content stream.
func (w *page) run(body []byte, resources dict, depth int) error {
	l := &lexer{data: body}
	var args []any
	for {
		v, ok := l.next(0)
		if !ok {
			return nil
		}
		op, isOp := v.(keyword)
		if !isOp || op == "true" || op == "false" || op == "null" {
			if len(args) < 64 {
				args = append(args, v)
			}
			continue
		}
		if op == "BI" {
			skipImage(l)
		} else if err := w.operator(op, args, resources, depth); err != nil {
			return err
		}
		args = args[:0]
	}
}

// operator carries one operator out, within the limits.
func (w *page) operator(op keyword, args []any, resources dict, depth int) error {
	if w.file.ops++; w.file.ops > w.file.limits.MaxOps || w.written > w.file.limits.MaxText {
		return ErrTooLarge
	}
	switch op {
	case "Do":
		return w.form(args, resources, depth)
	case "Tf":
		return w.setFont(args, resources)
	}
	w.operate(op, args)
	return nil
}

// skipImage passes an inline image: its data ends at a lone EI (§8.9.7).
func skipImage(l *lexer) {
	for at := l.pos; ; {
		i := bytes.Index(l.data[at:], []byte("EI"))
		if i < 0 {
			l.pos = len(l.data)
			return
		}
		at += i + 2
		if isSpace(l.data[at-3]) && (at == len(l.data) || isSpace(l.data[at])) {
			l.pos = at
			return
		}
	}
}

// operate handles the operators without resources.
func (w *page) operate(op keyword, args []any) {
	switch op {
	case "q":
		if len(w.saved) < 256 {
			w.saved = append(w.saved, w.state)
		}
	case "Q":
		if n := len(w.saved); n > 0 {
			w.state, w.saved = w.saved[n-1], w.saved[:n-1]
		}
	case "cm":
		w.state.ctm = matrixOf(args).times(w.state.ctm)
	case "BT":
		w.text, w.line = identity, identity
	case "Tm":
		w.line = matrixOf(args)
		w.text = w.line
	case "Td", "TD":
		if op == "TD" {
			w.state.lead = -arg(args, 1)
		}
		w.move(arg(args, 0), arg(args, 1))
	case "T*":
		w.move(0, -w.state.lead)
	default:
		w.showText(op, args)
	}
}

// showText handles the text-showing and text-state operators (tables 105 and 109).
func (w *page) showText(op keyword, args []any) {
	switch op {
	case "Tj":
		w.string(args, 0)
	case "'":
		w.move(0, -w.state.lead)
		w.string(args, 0)
	case `"`:
		w.state.words, w.state.chars = arg(args, 0), arg(args, 1)
		w.move(0, -w.state.lead)
		w.string(args, 2)
	case "TJ":
		w.strings(args)
	case "Tc":
		w.state.chars = arg(args, 0)
	case "Tw":
		w.state.words = arg(args, 0)
	case "Tz":
		w.state.scale = arg(args, 0) / 100
	case "TL":
		w.state.lead = arg(args, 0)
	case "Ts":
		w.state.up = arg(args, 0)
	}
}

func arg(args []any, i int) float64 {
	if i >= len(args) {
		return 0
	}
	n, _ := args[i].(float64)
	return n
}

func matrixOf(args []any) matrix {
	var m matrix
	for i := range m {
		m[i] = arg(args, i)
	}
	return m
}

func (w *page) move(x, y float64) {
	w.line = matrix{1, 0, 0, 1, x, y}.times(w.line)
	w.text = w.line
}

func (w *page) setFont(args []any, resources dict) error {
	if len(args) < 2 {
		return nil
	}
	key, _ := args[0].(name)
	w.state.size = arg(args, 1)
	fonts := w.file.dictOf(resources["Font"])
	t, err := w.file.font(fonts[key])
	if err != nil {
		return err
	}
	w.state.font = t
	return nil
}

// form runs a form object in its own resources (§8.10).
func (w *page) form(args []any, resources dict, depth int) error {
	if len(args) == 0 {
		return nil
	}
	key, _ := args[0].(name)
	s, ok := w.file.resolve(w.file.dictOf(resources["XObject"])[key]).(stream)
	if !ok || s.dict["Subtype"] != name("Form") {
		return nil
	}
	return w.runForm(s, resources, depth)
}

func (w *page) runForm(s stream, resources dict, depth int) error {
	if depth >= maxForms {
		return ErrTooLarge
	}
	body, err := w.file.decode(s)
	if err != nil {
		return err
	}
	if own := w.file.dictOf(s.dict["Resources"]); own != nil {
		resources = own
	}
	kept, saved := w.state, w.saved
	w.saved = nil
	if m, ok := w.file.resolve(s.dict["Matrix"]).(array); ok {
		w.state.ctm = matrixOf(m).times(w.state.ctm)
	}
	err = w.run(body, resources, depth+1)
	w.state, w.saved = kept, saved
	return err
}

func (w *page) strings(args []any) {
	if len(args) == 0 {
		return
	}
	list, _ := args[0].(array)
	for _, v := range list {
		switch v := v.(type) {
		case str:
			w.glyphs(v)
		case float64:
			w.advance(-v / 1000 * w.state.size * w.state.scale)
		}
	}
}

func (w *page) string(args []any, i int) {
	if i < len(args) {
		if s, ok := args[i].(str); ok {
			w.glyphs(s)
		}
	}
}

func (w *page) advance(x float64) { w.text = matrix{1, 0, 0, 1, x, 0}.times(w.text) }

// glyphs writes a shown string, each glyph to the row that it continues.
func (w *page) glyphs(s str) {
	t := w.state.font
	if t == nil {
		t = &font{width: 500}
	}
	t.glyphs(s, func(g glyph) {
		if g.text != "" {
			if !w.place(g) {
				w.row.text = append(w.row.text, g.text...)
				w.written += len(g.text)
			}
		} else if !g.known {
			w.unmapped++
		}
		step := g.advance/1000*w.state.size + w.state.chars
		if g.space {
			step += w.state.words
		}
		w.advance(step * w.state.scale)
		if g.text != "" {
			at := w.text.times(w.state.ctm)
			w.row.endX, w.row.endY = at[4], at[5]
		}
	})
}

// place finds the row for a glyph: the last one, or an earlier one that ends where the glyph
// stands, since programs draw a line in pieces and in any order; else a new one. It reports
// a glyph that is drawn again over the last one of the row, for a bold look or because the
// page is drawn in overlapping tiles.
func (w *page) place(g glyph) (again bool) {
	at := w.text.times(w.state.ctm)
	size := math.Abs(w.state.size) * math.Hypot(at[2], at[3])
	if size == 0 {
		size = 1
	}
	width := g.advance / 1000 * size
	if w.row != nil {
		along, across, em := w.row.gap(at, size)
		if across <= 0.6*em && along > -2*em {
			again = w.row.repeats(along, width, em, g)
			w.row.space(along, em, g)
			w.row.size = size
			return again
		}
	}
	for i := len(w.rows) - 1; i >= max(0, len(w.rows)-maxRows); i-- {
		r := w.rows[i]
		along, across, em := r.gap(at, size)
		if again = r.repeats(along, width, em, g); across <= 0.3*em && (again || math.Abs(along) <= 0.6*em) {
			w.row = r
			r.space(along, em, g)
			return again
		}
	}
	w.row = &row{size: size}
	w.rows = append(w.rows, w.row)
	return false
}

// repeats reports that a glyph is the last one of the row once more.
func (r *row) repeats(along, width, em float64, g glyph) bool {
	return bytes.HasSuffix(r.text, []byte(g.text)) && along < 0 && math.Abs(along+width) < 0.1*em
}

// gap measures from the end of a row to a glyph, along the direction of writing and across,
// and says how wide an em is.
func (r *row) gap(at matrix, size float64) (along, across, em float64) {
	dx, dy := at[4]-r.endX, at[5]-r.endY
	along, across = dx, math.Abs(dy)
	if n := math.Hypot(at[0], at[1]); n > 0 {
		along, across = (dx*at[0]+dy*at[1])/n, math.Abs(dy*at[0]-dx*at[1])/n
	}
	return along, across, max(min(size, r.size), 1e-6)
}

// space writes a space where the gap is as wide as one.
func (r *row) space(along, em float64, g glyph) {
	if n := len(r.text); n > 0 && along > spaceWidth(g)*em && r.text[n-1] != ' ' && g.text != " " {
		r.text = append(r.text, ' ')
	}
}

// spaceWidth is the gap, in ems, that reads as a space: characters of full width are often
// spread to fill a line.
func spaceWidth(g glyph) float64 {
	if r := []rune(g.text); len(r) > 0 && r[0] >= 0x2E80 {
		return 0.8
	}
	return 0.22
}

// annotations adds what notes on the page say (§12.5): their own appearance is not run,
// since Contents holds the same text.
func (w *page) annotations(p dict) error {
	notes, _ := w.file.resolve(p["Annots"]).(array)
	for i, v := range notes {
		if i > 10_000 {
			return ErrTooLarge
		}
		d := w.file.dictOf(v)
		for _, key := range []name{"Contents", "V"} {
			w.plain(d[key])
		}
	}
	return nil
}

// fields adds the values of form fields that no page shows (§12.7).
func (w *page) fields() {
	root := w.file.dictOf(w.file.trailer["Root"])
	list, _ := w.file.resolve(w.file.dictOf(root["AcroForm"])["Fields"]).(array)
	for _, v := range list[:min(len(list), 10_000)] {
		d := w.file.dictOf(v)
		if _, shown := d["Rect"]; !shown {
			w.plain(d["V"])
		}
	}
}

// plain writes a text string: UTF-16 with a byte order mark, UTF-8 with one, or Latin
// (§7.9.2.2).
func (w *page) plain(v any) {
	s, ok := w.file.resolve(v).(str)
	if !ok || len(s) == 0 {
		return
	}
	if len(w.out) > 0 && w.out[len(w.out)-1] != '\n' {
		w.out = append(w.out, '\n')
	}
	switch {
	case bytes.HasPrefix(s, []byte{0xFE, 0xFF}):
		w.out = append(w.out, utf16BE(s[2:])...)
	case bytes.HasPrefix(s, []byte{0xEF, 0xBB, 0xBF}):
		w.out = append(w.out, clean(string(s[3:]))...)
	default:
		for _, c := range s {
			w.out = append(w.out, string(rune(c))...)
		}
	}
}
