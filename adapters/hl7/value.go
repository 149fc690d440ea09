package hl7

import (
	"bytes"
	"iter"
	"log/slog"
)

// Segment is one line of a message. The zero Segment is an absent one, whose fields are
// all empty.
type Segment struct {
	line   []byte
	term   []byte
	offset int
	delims *Delimiters
}

// Name returns the three letters of the segment, "" for an absent one.
func (s Segment) Name() string {
	if len(s.line) < 3 {
		return ""
	}
	return string(s.line[:3])
}

// Raw returns the line without its terminator. It must not be changed.
func (s Segment) Raw() []byte { return s.line }

// Offset returns the position of the segment in the message, in bytes.
func (s Segment) Offset() int { return s.offset }

// header reports whether the segment declares the delimiters, so that its first field is
// the separator itself.
func (s Segment) header() bool {
	name := s.Name()
	return name == "MSH" || name == "FHS" || name == "BHS"
}

// Field returns field n, from 1; an empty value if there is none. In MSH, FHS and BHS
// field 1 is the separator and field 2 the encoding characters, which are not split.
func (s Segment) Field(n int) Value {
	if n < 1 || len(s.line) <= 3 {
		return Value{}
	}
	if s.header() {
		switch n {
		case 1:
			return Value{raw: s.line[3:4], offset: int32(s.offset + 3)}
		case 2:
			v := s.fieldAt(1)
			v.delims = nil
			return v
		}
		n--
	}
	return s.fieldAt(n)
}

// fieldAt returns the text between the n-th separator and the next.
func (s Segment) fieldAt(n int) Value {
	start := 0
	for range n {
		i := bytes.IndexByte(s.line[start:], s.delims.Field)
		if i < 0 {
			return Value{}
		}
		start += i + 1
	}
	end := len(s.line)
	if i := bytes.IndexByte(s.line[start:], s.delims.Field); i >= 0 {
		end = start + i
	}
	return Value{raw: s.line[start:end], offset: int32(s.offset + start), delims: s.delims}
}

// Fields iterates over the fields from 1 on, trailing empty ones included.
func (s Segment) Fields() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		c := s.Cursor()
		for c.Next() {
			if !yield(int(c.n), c.Value()) {
				return
			}
		}
	}
}

// Cursor returns a cursor over the fields, for reading whole messages without the cost of
// an iterator.
func (s Segment) Cursor() Cursor {
	if len(s.line) <= 3 {
		return Cursor{done: true}
	}
	c := Cursor{raw: s.line, end: 3, offset: int32(s.offset), delims: s.delims, sep: s.delims.Field, depth: AtField}
	if s.header() {
		c.header = true
	}
	return c
}

// NumFields returns the number of fields, trailing empty ones included.
func (s Segment) NumFields() int {
	if len(s.line) <= 3 {
		return 0
	}
	n := bytes.Count(s.line[3:], []byte{s.delims.Field})
	if s.header() {
		n++
	}
	return n
}

// LogValue implements slog.LogValuer: fields hold patient data.
func (s Segment) LogValue() slog.Value { return slog.StringValue("[" + s.Name() + "]") }

// Depth says what a Value is a part of.
type Depth uint8

// Depths of a value, from the outside in.
const (
	AtField Depth = iota
	AtRepetition
	AtComponent
	AtSubcomponent
)

// Value is a field or a part of one: a view into the message. The zero Value is empty.
type Value struct {
	raw    []byte
	delims *Delimiters // nil: not to be split or unescaped
	offset int32
	depth  Depth
}

// Raw returns the bytes with their escapes. They must not be changed.
func (v Value) Raw() []byte { return v.raw }

// Offset returns the position in the message, in bytes; 0 for an absent value.
func (v Value) Offset() int { return int(v.offset) }

// IsEmpty reports that nothing was sent: the receiver keeps what it has.
func (v Value) IsEmpty() bool { return len(v.raw) == 0 }

// IsNull reports the value "", which asks the receiver to delete what it has.
func (v Value) IsNull() bool { return string(v.raw) == `""` }

// Text returns the value with its escapes resolved (see Unescape); "" for null.
func (v Value) Text() string {
	if v.IsNull() {
		return ""
	}
	if v.delims == nil {
		return string(v.raw)
	}
	return string(v.delims.Unescape(v.raw))
}

// LogValue implements slog.LogValuer: values are patient data.
func (v Value) LogValue() slog.Value { return slog.StringValue("[value]") }

// Rep returns repetition n of a field, from 1.
func (v Value) Rep(n int) Value { return v.part(n, AtRepetition) }

// Comp returns component n, from 1: of a repetition, or of a field's first repetition.
func (v Value) Comp(n int) Value {
	if v.depth == AtField {
		v = v.Rep(1)
	}
	return v.part(n, AtComponent)
}

// Sub returns subcomponent n, from 1, of a component or of the first one.
func (v Value) Sub(n int) Value {
	if v.depth < AtComponent {
		v = v.Comp(1)
	}
	return v.part(n, AtSubcomponent)
}

// Reps iterates over the repetitions of a field. An empty field has none.
func (v Value) Reps() iter.Seq2[int, Value] { return v.parts(AtRepetition) }

// Comps iterates over the components of a repetition.
func (v Value) Comps() iter.Seq2[int, Value] {
	if v.depth == AtField {
		v = v.Rep(1)
	}
	return v.parts(AtComponent)
}

// Subs iterates over the subcomponents of a component.
func (v Value) Subs() iter.Seq2[int, Value] {
	if v.depth < AtComponent {
		v = v.Comp(1)
	}
	return v.parts(AtSubcomponent)
}

// separator returns the byte that separates parts of a depth, 0 if there is none.
func (v Value) separator(d Depth) byte {
	if v.delims == nil {
		return 0
	}
	switch d {
	case AtRepetition:
		return v.delims.Repetition
	case AtComponent:
		return v.delims.Component
	case AtSubcomponent:
		return v.delims.Subcomponent
	}
	return 0
}

// part returns the n-th part of the value at a depth.
func (v Value) part(n int, d Depth) Value {
	if n < 1 {
		return Value{}
	}
	c := v.cursor(d)
	for c.Next() {
		if int(c.n) == n {
			return c.Value()
		}
	}
	return Value{}
}

// parts iterates over the parts of the value at a depth.
func (v Value) parts(d Depth) iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		c := v.cursor(d)
		for c.Next() {
			if !yield(int(c.n), c.Value()) {
				return
			}
		}
	}
}

// Cursor returns a cursor over the next smaller parts: the repetitions of a field, the
// components of a repetition, the subcomponents of a component.
func (v Value) Cursor() Cursor { return v.cursor(v.depth + 1) }

func (v Value) cursor(d Depth) Cursor {
	return Cursor{raw: v.raw, end: -1, offset: v.offset, delims: v.delims, sep: v.separator(d), depth: d,
		done: len(v.raw) == 0 || d > AtSubcomponent}
}

// Cursor steps through the parts of a segment or value without allocating:
//
//	for c := v.Cursor(); c.Next(); {
//		use(c.Value())
//	}
//
// Where the separator of the parts is not declared the value is its only part.
type Cursor struct {
	raw        []byte
	delims     *Delimiters
	start, end int32 // of the current part in raw; end is where the separator stands
	offset     int32 // of raw in the message
	n          int32
	sep        byte
	depth      Depth
	header     bool // in a header segment the first two fields are not split
	done       bool
}

// Next goes to the next part and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.done {
		return false
	}
	c.n++
	if c.header && c.n == 1 {
		c.start, c.end = 3, 4
		c.done = len(c.raw) == 4
		return true
	}
	c.start = c.end + 1
	if c.header && c.n == 2 {
		c.start = 4
	}
	c.end = c.start + c.length()
	c.done = int(c.end) == len(c.raw)
	return true
}

// length returns the distance from start to the next separator or the end. Parts are
// short as a rule, so the first bytes are looked at one by one.
func (c *Cursor) length() int32 {
	rest := c.raw[c.start:]
	if c.sep == 0 {
		return int32(len(rest))
	}
	const short = 16
	for i, b := range rest[:min(len(rest), short)] {
		if b == c.sep {
			return int32(i)
		}
	}
	if len(rest) > short {
		if i := bytes.IndexByte(rest[short:], c.sep); i >= 0 {
			return int32(short + i)
		}
	}
	return int32(len(rest))
}

// Value returns the current part.
func (c *Cursor) Value() Value {
	v := Value{raw: c.raw[c.start:c.end], offset: c.offset + c.start, delims: c.delims, depth: c.depth}
	if c.header && c.n <= 2 {
		v.delims = nil
	}
	return v
}

// Number returns the position of the current part, from 1.
func (c *Cursor) Number() int { return int(c.n) }
