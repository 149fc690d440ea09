package hl7

import (
	"bytes"
	"iter"
	"log/slog"
)

// Segment is one line of a message. The zero Segment is an absent one, whose fields are
// all empty.
type Segment struct {
	src              *source
	start, end, next uint32 // the line is text[start:end], its terminator text[end:next]
}

// Name returns the three letters of the segment, "" for an absent one.
func (s Segment) Name() string {
	line := s.Raw()
	if len(line) < 3 {
		return ""
	}
	return string(line[:3])
}

// Is reports whether the segment has the name.
func (s Segment) Is(name string) bool {
	line := s.Raw()
	return len(line) >= 3 && string(line[:3]) == name
}

// Raw returns the line without its terminator. It must not be changed.
func (s Segment) Raw() []byte {
	if s.src == nil {
		return nil
	}
	return s.src.text[s.start:s.end]
}

// Offset returns the position of the segment in the message, in bytes.
func (s Segment) Offset() int { return int(s.start) }

// header reports whether the segment declares the delimiters, so that its first field is
// the separator itself.
func (s Segment) header() bool {
	line := s.Raw()
	if len(line) < 3 {
		return false
	}
	switch string(line[:3]) {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// Field returns field n, from 1; an empty value if there is none. In MSH, FHS and BHS
// field 1 is the separator and field 2 the encoding characters, which are not split.
func (s Segment) Field(n int) Value {
	if n < 1 || s.end-s.start <= 3 {
		return Value{}
	}
	if s.header() {
		switch n {
		case 1:
			return Value{src: s.src, start: s.start + 3, end: s.start + 4}
		case 2:
			v := s.fieldAt(1)
			v.part.has = 0
			return v
		}
		n--
	}
	return s.fieldAt(n)
}

// fieldAt returns the text between the n-th separator and the next.
func (s Segment) fieldAt(n int) Value {
	line, sep, start := s.Raw(), s.src.syn.Field, 0
	for range n {
		i := bytes.IndexByte(line[start:], sep)
		if i < 0 {
			return Value{}
		}
		start += i + 1
	}
	end := len(line)
	if i := bytes.IndexByte(line[start:], sep); i >= 0 {
		end = start + i
	}
	return Value{src: s.src, start: s.start + uint32(start), end: s.start + uint32(end), part: part{has: allMarks}}
}

// Fields iterates over the fields from 1 on, trailing empty ones included.
func (s Segment) Fields() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		for c := s.Cursor(); c.Next(); {
			if !yield(c.Number(), c.Value()) {
				return
			}
		}
	}
}

// Cursor returns a cursor over the fields, for reading without the cost of an iterator.
func (s Segment) Cursor() Cursor {
	if s.end-s.start <= 3 {
		return Cursor{done: true}
	}
	return Cursor{src: s.src, end: s.start + 3, limit: s.end, stop: markField, has: allMarks, depth: AtField, header: s.header()}
}

// NumFields returns the number of fields, trailing empty ones included.
func (s Segment) NumFields() int {
	if s.end-s.start <= 3 {
		return 0
	}
	n := bytes.Count(s.Raw()[3:], []byte{s.src.syn.Field})
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

// Value is a field or a part of one: a position in the message. The zero Value is empty.
type Value struct {
	src        *source
	start, end uint32
	part       part
}

// part says what a value is.
type part struct {
	depth Depth
	has   marks // no other delimiters than these occur in the value
}

// Raw returns the bytes with their escapes. They must not be changed.
func (v Value) Raw() []byte {
	if v.src == nil {
		return nil
	}
	return v.src.text[v.start:v.end]
}

// Depth says what the value is a part of; an absent value counts as a field.
func (v Value) Depth() Depth { return v.part.depth }

// Offset returns the position in the message, in bytes; 0 for an absent value.
func (v Value) Offset() int { return int(v.start) }

// IsEmpty reports that nothing was sent: the receiver keeps what it has.
func (v Value) IsEmpty() bool { return v.start == v.end }

// IsNull reports the value "", which asks the receiver to delete what it has.
func (v Value) IsNull() bool { return v.end-v.start == 2 && string(v.Raw()) == `""` }

// Text returns the value with its escapes resolved (see Unescape); "" for null.
func (v Value) Text() string {
	if v.IsNull() {
		return ""
	}
	if v.part.has&markEscape == 0 {
		return string(v.Raw())
	}
	return string(v.src.syn.Unescape(v.Raw()))
}

// LogValue implements slog.LogValuer: values are patient data.
func (v Value) LogValue() slog.Value { return slog.StringValue("[value]") }

// Rep returns repetition n of a field, from 1.
func (v Value) Rep(n int) Value { return v.nth(n, AtRepetition) }

// Comp returns component n, from 1: of a repetition, or of a field's first repetition.
func (v Value) Comp(n int) Value {
	if v.part.depth == AtField {
		v = v.Rep(1)
	}
	return v.nth(n, AtComponent)
}

// Sub returns subcomponent n, from 1, of a component or of the first one.
func (v Value) Sub(n int) Value {
	if v.part.depth < AtComponent {
		v = v.Comp(1)
	}
	return v.nth(n, AtSubcomponent)
}

// Reps iterates over the repetitions of a field. An empty field has none.
func (v Value) Reps() iter.Seq2[int, Value] { return v.parts(AtRepetition) }

// Comps iterates over the components of a repetition.
func (v Value) Comps() iter.Seq2[int, Value] {
	if v.part.depth == AtField {
		v = v.Rep(1)
	}
	return v.parts(AtComponent)
}

// Subs iterates over the subcomponents of a component.
func (v Value) Subs() iter.Seq2[int, Value] {
	if v.part.depth < AtComponent {
		v = v.Comp(1)
	}
	return v.parts(AtSubcomponent)
}

// nth returns the n-th part of the value at a depth.
func (v Value) nth(n int, d Depth) Value {
	if n < 1 {
		return Value{}
	}
	for c := v.cursor(d); c.Next(); {
		if int(c.n) == n {
			return c.Value()
		}
	}
	return Value{}
}

// parts iterates over the parts of the value at a depth.
func (v Value) parts(d Depth) iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		for c := v.cursor(d); c.Next(); {
			if !yield(c.Number(), c.Value()) {
				return
			}
		}
	}
}
