package v2tofhir

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// span is a run of bytes of the message.
type span struct{ from, to int }

// tracker remembers which bytes of a message a mapping has read, so that what it has not
// read can be kept as it stands.
type tracker struct{ read []span }

func (t *tracker) mark(v hl7.Value) {
	if n := len(v.Raw()); n > 0 {
		t.read = append(t.read, span{v.Offset(), v.Offset() + n})
	}
}

// settle sorts and joins the spans.
func (t *tracker) settle() {
	slices.SortFunc(t.read, func(a, b span) int { return a.from - b.from })
	out := t.read[:0]
	for _, s := range t.read {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	t.read = out
}

// covers reports whether a value was read, after settle.
func (t *tracker) covers(v hl7.Value) bool {
	i, ok := slices.BinarySearchFunc(t.read, v.Offset(), func(s span, at int) int { return s.from - at })
	if !ok {
		i--
	}
	return i >= 0 && t.read[i].to >= v.Offset()+len(v.Raw())
}

// leftover is a value that no mapping read.
type leftover struct {
	path string // as PID-5.9 or ZPI
	raw  string // as it stands in the message
	null bool   // the sender asks to delete what the receiver has
}

// leftovers walks a segment and returns what was not read of it, in as few pieces as
// possible: a field, a repetition, a component or a subcomponent.
func (t *tracker) leftovers(s hl7.Segment, name string, emit func(leftover)) {
	for n, f := range s.Fields() {
		if structural(s.Name(), n) {
			continue
		}
		t.walk(f, name+"-"+strconv.Itoa(n), hl7.AtField, emit)
	}
}

// walk emits v if nothing in it was read, or its unread parts. It reports whether
// anything in it was read.
func (t *tracker) walk(v hl7.Value, path string, depth hl7.Depth, emit func(leftover)) (touched bool) {
	if len(bytes.TrimSpace(v.Raw())) == 0 {
		return false
	}
	if v.IsNull() {
		emit(leftover{path: path, raw: `""`, null: true})
		return true
	}
	if t.covers(v) {
		return true
	}
	var inside []leftover
	c := v.Cursor()
	parts := 0
	for c.Next() && depth < hl7.AtSubcomponent {
		parts++
		at := path
		switch depth {
		case hl7.AtField:
			if c.Number() > 1 {
				at += "[" + strconv.Itoa(c.Number()) + "]"
			}
		default:
			at += "." + strconv.Itoa(c.Number())
		}
		if t.walk(c.Value(), at, depth+1, func(l leftover) { inside = append(inside, l) }) {
			touched = true
		}
	}
	switch {
	case touched:
		for _, l := range inside {
			emit(l)
		}
	case !separatorsOnly(inside, parts):
		emit(leftover{path: path, raw: string(v.Raw())})
	}
	return touched
}

// separatorsOnly reports a value whose parts are all empty.
func separatorsOnly(inside []leftover, parts int) bool { return parts > 0 && len(inside) == 0 }
