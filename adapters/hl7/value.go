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
			return Value{raw: s.line[3:4], offset: s.offset + 3}
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
	return Value{raw: s.line[start:end], offset: s.offset + start, delims: s.delims}
}

// Fields iterates over the fields from 1 on, trailing empty ones included.
func (s Segment) Fields() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if len(s.line) <= 3 {
			return
		}
		n, start := 1, 4
		if s.header() {
			if !yield(1, s.Field(1)) {
				return
			}
			n = 2
		}
		for {
			end := len(s.line)
			if i := bytes.IndexByte(s.line[start:], s.delims.Field); i >= 0 {
				end = start + i
			}
			v := Value{raw: s.line[start:end], offset: s.offset + start, delims: s.delims}
			if n == 2 && s.header() {
				v.delims = nil
			}
			if !yield(n, v) || end == len(s.line) {
				return
			}
			n, start = n+1, end+1
		}
	}
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
	offset int
	delims *Delimiters // nil: not to be split or unescaped
	depth  Depth
}

// Raw returns the bytes with their escapes. They must not be changed.
func (v Value) Raw() []byte { return v.raw }

// Offset returns the position in the message, in bytes; 0 for an absent value.
func (v Value) Offset() int { return v.offset }

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
	for i, p := range v.parts(d) {
		if i == n {
			return p
		}
	}
	return Value{}
}

// parts splits the value. Where the separator is not declared the value is one part.
func (v Value) parts(d Depth) iter.Seq2[int, Value] {
	sep := v.separator(d)
	return func(yield func(int, Value) bool) {
		if len(v.raw) == 0 {
			return
		}
		for n, start := 1, 0; ; n++ {
			end := len(v.raw)
			if sep != 0 {
				if i := bytes.IndexByte(v.raw[start:], sep); i >= 0 {
					end = start + i
				}
			}
			p := Value{raw: v.raw[start:end], offset: v.offset + start, delims: v.delims, depth: d}
			if !yield(n, p) || end == len(v.raw) {
				return
			}
			start = end + 1
		}
	}
}
