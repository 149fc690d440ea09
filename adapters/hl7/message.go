package hl7

import (
	"bytes"
	"fmt"
	"iter"
	"log/slog"
	"math"
)

// Message is a parsed message. It is immutable and safe for concurrent use. It shares the
// memory of the text it was parsed from, which must not be changed afterwards.
type Message struct {
	source
	segs []span
}

// source is what parts of a message point back to: the text, in which they are positions,
// and its delimiters.
type source struct {
	text []byte
	syn  *syntax
}

// span is one segment: text[start:end] is the line, text[end:next start] its terminator.
type span struct{ start, end uint32 }

// utf8BOM may precede the MSH segment; it is kept when encoding.
var utf8BOM = []byte{0xef, 0xbb, 0xbf}

// Parse reads one message from decoded UTF-8 text.
//
// Segments end with CR, LF or CRLF, the last one optionally; blank lines are kept. In a
// message whose MSH segment ends with CR a bare LF inside a line belongs to the value
// unless a segment follows it. A byte order mark and blank lines before MSH are kept.
//
// Errors are *ParseError and match ErrNoHeader (with ErrXML for XML), ErrDelimiters,
// ErrSegment or ErrTooLarge.
func Parse(text []byte) (*Message, error) {
	if len(text) > math.MaxUint32>>1 {
		return nil, &ParseError{Kind: ErrTooLarge, Code: CodeInternal, Problem: "more than 2 GiB"}
	}
	start := leadIn(text)
	if !bytes.HasPrefix(text[start:], []byte("MSH")) {
		return nil, noHeader(text, start)
	}
	line := text[start : start+lineLength(text[start:])]
	d, problem := parseDelimiters(line)
	if problem != "" {
		return nil, &ParseError{Kind: ErrDelimiters, Code: CodeRequiredFieldMissing, Segment: "MSH",
			Sequence: 1, Field: 2, Offset: start + 3, Problem: problem}
	}
	m := &Message{source: source{text, syntaxOf(d)}}
	if err := m.scan(start); err != nil {
		return nil, err
	}
	return m, nil
}

// noHeader says why text without MSH at start is no message, and what to do about it.
func noHeader(text []byte, start int) *ParseError {
	e := &ParseError{Kind: ErrNoHeader, Code: CodeSegmentSequence, Offset: start, Problem: "a message begins with MSH"}
	switch rest := bytes.TrimLeft(text[start:], " \t\r\n"); {
	case len(rest) == 0:
		e.Problem = "the input is empty"
	case rest[0] == '<':
		e.Kind, e.Code = ErrXML, CodeUnsupportedMessage
		e.Problem = "this is XML; set the sender to ER7, the encoding with vertical bars, which is the only one taken for HL7 v2"
	case rest[0] == '{' || rest[0] == '[':
		e.Problem = "this is JSON; HL7 v2 is taken in ER7, the encoding with vertical bars, FHIR at its own address"
	case len(rest) < len(text[start:]) && bytes.HasPrefix(rest, []byte("MSH")):
		e.Problem = "blanks before MSH: a message begins with MSH at the head of a line"
	}
	return e
}

// leadIn returns the length of a byte order mark and blank lines before the header.
func leadIn(text []byte) int {
	n := 0
	if bytes.HasPrefix(text, utf8BOM) {
		n = len(utf8BOM)
	}
	for n < len(text) && (text[n] == '\r' || text[n] == '\n') {
		n++
	}
	return n
}

// lineLength returns the number of bytes before the first CR or LF.
func lineLength(b []byte) int {
	if n := bytes.IndexAny(b, "\r\n"); n >= 0 {
		return n
	}
	return len(b)
}

// scan finds the segments from the header on.
func (m *Message) scan(pos int) error {
	text := m.text
	m.segs = make([]span, 0, 4+len(text)/192)
	headerEnd := pos + lineLength(text[pos:])
	lfEnds := headerEnd >= len(text) || text[headerEnd] == '\n'
	cr, lf := -1, -1
	for pos < len(text) {
		cr, lf = nextIndex(text, cr, pos, '\r'), nextIndex(text, lf, pos, '\n')
		for lf < cr && !lfEnds && !segmentFollows(text[lf+1:], m.syn.Field) {
			lf = nextIndex(text, lf, lf+1, '\n')
		}
		end := min(cr, lf)
		if err := m.checkLine(pos, end); err != nil {
			return err
		}
		m.segs = append(m.segs, span{uint32(pos), uint32(end)})
		for pos = end; pos < len(text) && (text[pos] == '\r' || text[pos] == '\n'); pos++ {
		}
	}
	return nil
}

// nextIndex returns the first position of c at or after from, len(text) if there is none.
// last is the previous answer, which is still good if it is not behind.
func nextIndex(text []byte, last, from int, c byte) int {
	if last >= from {
		return last
	}
	if n := bytes.IndexByte(text[from:], c); n >= 0 {
		return from + n
	}
	return len(text)
}

// segmentFollows reports whether the bytes after a line feed begin a segment, a blank
// line or the end of the message.
func segmentFollows(rest []byte, sep byte) bool {
	if len(rest) == 0 || rest[0] == '\r' || rest[0] == '\n' {
		return true
	}
	return len(rest) >= 3 && segmentName(rest[:3]) &&
		(len(rest) == 3 || rest[3] == sep || rest[3] == '\r' || rest[3] == '\n')
}

// segmentName reports whether b is a legal segment name: a letter and two letters or
// digits, upper case (HL7 v2 chapter 2, §2.5.2).
func segmentName(b []byte) bool {
	if len(b) != 3 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for _, c := range b[1:] {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// checkLine refuses a line that is not a segment, a second header, and the framing bytes
// of MLLP, which mean that a sender started again in the middle of a message.
func (m *Message) checkLine(start, end int) error {
	line := m.text[start:end]
	fail := func(kind error, offset int, problem string) error {
		return &ParseError{Kind: kind, Code: CodeSegmentSequence, Offset: offset,
			Problem: fmt.Sprintf("segment %d: %s", len(m.segs)+1, problem)}
	}
	if len(line) < 3 || !segmentName(line[:3]) {
		return fail(ErrSegment, start, "the line does not begin with a segment name (a capital letter and two capital letters or digits)")
	}
	if len(line) > 3 && line[3] != m.syn.Field {
		return fail(ErrSegment, start+3, "no field separator after the segment name")
	}
	if len(m.segs) > 0 && string(line[:3]) == "MSH" {
		return fail(ErrSegment, start, "a second MSH: send one message per frame")
	}
	if n := bytes.IndexByte(line, 0x0b); n >= 0 {
		return fail(ErrSegment, start+n, "a start-of-block byte (0x0B) inside the message")
	}
	if n := bytes.IndexByte(line, 0x1c); n >= 0 {
		return fail(ErrSegment, start+n, "an end-of-block byte (0x1C) inside the message")
	}
	return nil
}

// Rebuild returns the message put together again from its smallest parts. It is the same
// text as Encode, which copies it, and serves to prove that no part was lost in reading.
func (m *Message) Rebuild() []byte {
	out := make([]byte, 0, len(m.text))
	out = append(out, m.text[:m.segs[0].start]...)
	for _, s := range m.Segments() {
		header := s.header()
		out = append(out, s.Name()...)
		for f := s.Cursor(); f.Next(); {
			if !header || f.Number() != 2 {
				out = append(out, m.syn.Field)
			}
			if !header || f.Number() != 1 {
				out = appendParts(out, f.Value(), m.syn)
			}
		}
		out = append(out, m.text[s.end:s.next]...)
	}
	return out
}

// appendParts joins the parts of a value with their separators, down to the smallest.
func appendParts(out []byte, v Value, syn *syntax) []byte {
	if v.part.depth == AtSubcomponent {
		return append(out, v.Raw()...)
	}
	separator := [...]byte{syn.Repetition, syn.Component, syn.Subcomponent}[v.part.depth]
	for c := v.Cursor(); c.Next(); {
		if c.Number() > 1 {
			out = append(out, separator)
		}
		out = appendParts(out, c.Value(), syn)
	}
	return out
}

// Encode returns the message as text: the bytes that were parsed.
func (m *Message) Encode() []byte { return m.AppendTo(make([]byte, 0, len(m.text))) }

// AppendTo appends the message to dst.
func (m *Message) AppendTo(dst []byte) []byte {
	dst = append(dst, m.text[:m.segs[0].start]...)
	for i := range m.segs {
		s := m.Segment(i)
		dst = append(dst, m.text[s.start:s.next]...)
	}
	return dst
}

// Delimiters returns what MSH-1 and MSH-2 declare.
func (m *Message) Delimiters() Delimiters { return m.syn.Delimiters }

// Len returns the length of the message in bytes of UTF-8 text.
func (m *Message) Len() int { return len(m.text) }

// NumSegments returns the number of segments, at least 1.
func (m *Message) NumSegments() int { return len(m.segs) }

// Segment returns the i-th segment, from 0 (MSH). It panics if there is none.
func (m *Message) Segment(i int) Segment {
	next := uint32(len(m.text))
	if i+1 < len(m.segs) {
		next = m.segs[i+1].start
	}
	s := m.segs[i]
	return Segment{src: &m.source, start: s.start, end: s.end, next: next}
}

// Segments iterates over all segments in order.
func (m *Message) Segments() iter.Seq2[int, Segment] {
	return func(yield func(int, Segment) bool) {
		for i := range m.segs {
			if !yield(i, m.Segment(i)) {
				return
			}
		}
	}
}

// Find returns the n-th segment (from 1) of a name; ok is false if there is none.
func (m *Message) Find(name string, n int) (s Segment, ok bool) {
	for i, sp := range m.segs {
		if string(m.text[sp.start:sp.start+3]) != name {
			continue
		}
		if n--; n == 0 {
			return m.Segment(i), true
		}
	}
	return Segment{}, false
}

// LogValue implements slog.LogValuer: a message holds patient data.
func (m *Message) LogValue() slog.Value {
	if m == nil {
		return slog.StringValue("<nil>")
	}
	return slog.GroupValue(slog.Int("segments", len(m.segs)), slog.Int("bytes", len(m.text)))
}
