package hl7

// Walker goes through all the smallest parts of a message that are not empty, in order and
// in one pass over the bytes, without allocating:
//
//	for w := m.Walk(); w.Next(); {
//		use(w.Segment(), w.Field(), w.Repetition(), w.Component(), w.Subcomponent(), w.Value())
//	}
//
// In a header segment MSH-1 and MSH-2 are one part each. A Walker is not safe for
// concurrent use; several may walk one message.
type Walker struct {
	m     *Message
	seg   int
	pos   uint32 // where the scan goes on
	limit uint32 // end of the segment's line

	start, end            uint32 // the current part
	field, rep, comp, sub uint32
	seen                  marks
	head                  uint8 // 1 or 2: the field of a header segment that comes next
}

// Walk begins a walk through the message.
func (m *Message) Walk() Walker { return Walker{m: m, seg: -1} }

// Next goes to the next part that is not empty and reports whether there is one.
func (w *Walker) Next() bool {
	for {
		if w.head > 0 && w.headPart() {
			return true
		}
		if w.pos < w.limit && w.scan() {
			return true
		}
		if w.pos >= w.limit && !w.nextSegment() {
			return false
		}
	}
}

// scan steps over separators, and then over one part. It reports whether there was one.
func (w *Walker) scan() bool {
	text, class := w.m.text[:w.limit], &w.m.syn.class
	pos := w.pos
	for pos < uint32(len(text)) {
		m := class[text[pos]] &^ markEscape
		if m == 0 {
			break
		}
		w.step(m)
		pos++
	}
	start, seen := pos, marks(0)
	for pos < uint32(len(text)) {
		m := class[text[pos]]
		if m&^markEscape != 0 {
			break
		}
		seen |= m
		pos++
	}
	w.start, w.end, w.pos, w.seen = start, pos, pos, seen
	return start < pos
}

// step counts a separator.
func (w *Walker) step(m marks) {
	switch m {
	case markField:
		w.field, w.rep, w.comp, w.sub = w.field+1, 1, 1, 1
	case markComponent:
		w.comp, w.sub = w.comp+1, 1
	case markRepetition:
		w.rep, w.comp, w.sub = w.rep+1, 1, 1
	case markSubcomponent:
		w.sub++
	}
}

// nextSegment goes to the next segment, past the name of it.
func (w *Walker) nextSegment() bool {
	if w.seg++; w.seg >= len(w.m.segs) {
		return false
	}
	s := w.m.segs[w.seg]
	w.pos, w.limit, w.field, w.rep, w.comp, w.sub = s.start+3, s.end, 0, 1, 1, 1
	if w.Segment().header() && w.pos < w.limit {
		w.head = 1
	}
	return true
}

// headPart takes the two fields of a header segment that declare the delimiters.
func (w *Walker) headPart() bool {
	w.start, w.end, w.seen, w.field = w.pos, w.pos+1, 0, uint32(w.head)
	w.head++
	if w.field == 2 {
		w.head = 0
		for w.end = w.start; w.end < w.limit && w.m.syn.class[w.m.text[w.end]]&markField == 0; w.end++ {
		}
	}
	w.pos = w.end
	return w.start < w.end
}

// Segment returns the segment of the current part.
func (w *Walker) Segment() Segment { return w.m.Segment(w.seg) }

// SegmentIndex returns the number of the segment in the message, from 0.
func (w *Walker) SegmentIndex() int { return w.seg }

// Field returns the number of the field, from 1.
func (w *Walker) Field() int { return int(w.field) }

// Repetition returns the number of the repetition in its field, from 1.
func (w *Walker) Repetition() int { return int(w.rep) }

// Component returns the number of the component in its repetition, from 1.
func (w *Walker) Component() int { return int(w.comp) }

// Subcomponent returns the number of the subcomponent in its component, from 1.
func (w *Walker) Subcomponent() int { return int(w.sub) }

// Raw returns the bytes of the current part with their escapes. They must not be changed.
func (w *Walker) Raw() []byte { return w.m.text[w.start:w.end] }

// Value returns the current part.
func (w *Walker) Value() Value {
	return Value{src: &w.m.source, start: w.start, end: w.end, part: part{AtSubcomponent, w.seen}}
}
