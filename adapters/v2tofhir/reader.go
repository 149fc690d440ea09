package v2tofhir

import (
	"iter"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// seg is a segment that is being read.
type seg struct {
	hl7.Segment
	path string // as OBX[3]
	t    *tracker
}

// f returns field n.
func (s seg) f(n int) val { return val{s.Field(n), s.t} }

// valued reports whether any field behind the first, which numbers the segment, holds
// something.
func (s seg) valued() bool {
	for n, v := range s.Fields() {
		if n > 1 && !blank(v) {
			return true
		}
	}
	return false
}

// val is a value that is being read: taking its text marks it as read.
type val struct {
	hl7.Value
	t *tracker
}

func (v val) first() val  { return val{v.Rep(1), v.t} }
func (v val) c(n int) val { return val{v.Comp(n), v.t} }
func (v val) s(n int) val { return val{v.Sub(n), v.t} }

// maxRepetitions bounds the repetitions of a field that are mapped; the others are kept as
// unmapped.
const maxRepetitions = 1000

// reps iterates over the repetitions that hold something, maxRepetitions at most.
func (v val) reps() iter.Seq2[int, val] {
	return func(yield func(int, val) bool) {
		for i, r := range v.Reps() {
			if i > maxRepetitions || (!blank(r) && !yield(i, val{r, v.t})) {
				return
			}
		}
	}
}

// whole returns the text of the whole value, whatever its parts, and marks it as read.
func (v val) whole() string {
	if blank(v.Value) {
		return ""
	}
	v.t.mark(v.Value)
	return clean(v.Text())
}

// text returns the text of a simple value: the first component of a field or repetition.
func (v val) text() string { return v.c(1).whole() }

// peek returns what text would, without marking it as read.
func (v val) peek() string { return clean(v.Comp(1).Text()) }

// has reports whether the value holds something other than separators and null.
func (v val) has() bool { return !blank(v.Value) }

// done marks a value as read whose meaning went into the result in another form.
func (v val) done() { v.t.mark(v.Value) }

// blank reports a value that is absent, null or nothing but separators and blanks.
func blank(v hl7.Value) bool {
	if v.IsEmpty() || v.IsNull() {
		return true
	}
	c, leaf := v.Cursor(), true
	for c.Next() {
		leaf = false
		if !blank(c.Value()) {
			return false
		}
	}
	return !leaf || tree.Blank(string(v.Raw()))
}

// clean trims a text; FHIR strings neither begin nor end with white space.
func clean(s string) string { return tree.Trim(s) }
