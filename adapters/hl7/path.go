package hl7

import (
	"fmt"
	"strconv"
	"strings"
)

// Path names a place in a message: SEG[n]-field[repetition].component.subcomponent. Parts
// after the field may be left out; [n] and [repetition] count from 1 and default to 1.
// Zero in Repetition, Component or Subcomponent means the whole.
type Path struct {
	Segment      string
	Occurrence   int
	Field        int
	Repetition   int
	Component    int
	Subcomponent int
}

// ParsePath reads a path such as PID-3[2].4.2 or OBX[3]-5.
func ParsePath(s string) (Path, error) {
	bad := func(why string) (Path, error) {
		return Path{}, fmt.Errorf("hl7: path %q: %s; write it as in PID-3[2].4.2", s, why)
	}
	p := Path{Occurrence: 1}
	seg, rest, found := strings.Cut(s, "-")
	if !found {
		return bad("no field")
	}
	seg, n, err := indexed(seg)
	if err != nil {
		return bad(err.Error())
	}
	if !segmentName([]byte(seg)) {
		return bad("no segment name")
	}
	p.Segment, p.Occurrence = seg, max(n, 1)
	parts := strings.Split(rest, ".")
	if len(parts) > 3 {
		return bad("more than field, component and subcomponent")
	}
	field, rep, err := indexed(parts[0])
	if err != nil {
		return bad(err.Error())
	}
	p.Repetition = rep
	for i, slot := range []*int{&p.Field, &p.Component, &p.Subcomponent} {
		if i >= len(parts) {
			break
		}
		if i > 0 {
			field = parts[i]
		}
		if *slot, err = number(field); err != nil {
			return bad(err.Error())
		}
	}
	return p, nil
}

// indexed splits name[n]; n is 0 if there is no index.
func indexed(s string) (name string, n int, err error) {
	name, index, found := strings.Cut(s, "[")
	if !found {
		return s, 0, nil
	}
	index, closed := strings.CutSuffix(index, "]")
	if !closed {
		return "", 0, fmt.Errorf("the bracket is not closed")
	}
	n, err = number(index)
	return name, n, err
}

// number reads a position: 1 to 9999, digits only.
func number(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 9999 || s[0] == '+' {
		return 0, fmt.Errorf("a position is a number from 1 to 9999")
	}
	return n, nil
}

// String returns the path in the form that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString(p.Segment)
	if p.Occurrence > 1 {
		fmt.Fprintf(&b, "[%d]", p.Occurrence)
	}
	fmt.Fprintf(&b, "-%d", p.Field)
	if p.Repetition > 0 {
		fmt.Fprintf(&b, "[%d]", p.Repetition)
	}
	if p.Component > 0 {
		fmt.Fprintf(&b, ".%d", p.Component)
	}
	if p.Subcomponent > 0 {
		fmt.Fprintf(&b, ".%d", p.Subcomponent)
	}
	return b.String()
}

// At returns the value at a path, an empty one if the message has none.
func (m *Message) At(p Path) Value {
	s, ok := m.Find(p.Segment, max(p.Occurrence, 1))
	if !ok {
		return Value{}
	}
	v := s.Field(p.Field)
	if p.Repetition > 0 {
		v = v.Rep(p.Repetition)
	}
	if p.Component > 0 {
		v = v.Comp(p.Component)
	}
	if p.Subcomponent > 0 {
		v = v.Sub(p.Subcomponent)
	}
	return v
}

// Get returns the value at a path given as text. A path that cannot be read gives an
// empty value; use ParsePath where paths come from outside.
func (m *Message) Get(path string) Value {
	p, err := ParsePath(path)
	if err != nil {
		return Value{}
	}
	return m.At(p)
}
