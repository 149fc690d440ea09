package hl7

import "bytes"

// checkTexts looks at every value for what a sender wrote without escaping it.
func (v *validator) checkTexts() {
	seen, last := map[string]int{}, -1
	var path Path
	for w := v.m.Walk(); w.Next(); {
		if w.SegmentIndex() != last {
			last = w.SegmentIndex()
			path = Path{Segment: w.Segment().Name()}
			seen[path.Segment]++
			path.Occurrence = seen[path.Segment]
		}
		value := w.Value()
		if value.part.has&markEscape != 0 && !wellEscaped(value.Raw(), v.m.syn.Escape) {
			v.report(Warning, CodeDataType, w.path(path).String(), value.Offset(),
				"an escape character that belongs to no escape sequence; written as it is, it must be \\E\\ (chapter 2, §2.7)")
		}
		if i := bytes.IndexFunc(value.Raw(), control); i >= 0 {
			v.report(Warning, CodeDataType, w.path(path).String(), value.Offset()+i,
				"a control character inside a value; it must be written as \\Xhh\\ (chapter 2, §2.7)")
		}
	}
}

// path completes the path of a segment with the place of the current part.
func (w *Walker) path(p Path) Path {
	p.Field, p.Component = w.Field(), w.Component()
	if w.Repetition() > 1 {
		p.Repetition = w.Repetition()
	}
	if w.Subcomponent() > 1 {
		p.Subcomponent = w.Subcomponent()
	}
	return p
}

// control reports the characters that may not stand in a value: all below the blank but
// the tabulator, and DEL.
func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// wellEscaped reports whether every escape character opens or closes a sequence that has
// the form of one, known or not.
func wellEscaped(v []byte, esc byte) bool {
	for {
		i := bytes.IndexByte(v, esc)
		if i < 0 {
			return true
		}
		v = v[i+1:]
		n := bytes.IndexByte(v, esc)
		if n < 0 || !sequenceForm(v[:n]) {
			return false
		}
		v = v[n+1:]
	}
}

// sequenceForm reports the body of an escape sequence of HL7 v2 chapter 2, §2.7.
func sequenceForm(body []byte) bool {
	if len(body) == 0 {
		return false
	}
	switch body[0] {
	case 'E', 'F', 'H', 'N', 'P', 'R', 'S', 'T':
		return len(body) == 1
	case 'C', 'M', 'X':
		return len(body)%2 == 1 && len(bytes.Trim(body[1:], "0123456789ABCDEFabcdef")) == 0
	case '.':
		return len(body) >= 3 && !bytes.ContainsAny(body, " ")
	case 'Z':
		return true
	}
	return false
}
