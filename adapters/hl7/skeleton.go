package hl7

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Bounds of a skeleton, in bytes of UTF-8 unless they count something else.
const (
	// MaxSkeleton is what a skeleton never exceeds.
	MaxSkeleton = 4 << 20
	// longValue is the longest value that stays.
	longValue = 64 << 10
	// longSegment is the length at which the rest of a segment is left out.
	longSegment = 256 << 10
	// fullSkeleton is the length from which only segments are kept that say who and what a
	// message is about; above lastSkeleton none is.
	fullSkeleton = 1 << 20
	lastSkeleton = MaxSkeleton - longSegment - longValue - headSize
	// maxElisions is how many elisions are listed.
	maxElisions = 100
)

// Skeleton is what stays of a message that is too long for memory: all segments, without
// the values that make it long. It parses like the message, and all that a mapping reads of
// ordinary length is in it. It holds patient data.
type Skeleton struct {
	// Text is the skeleton in UTF-8, MaxSkeleton bytes at most.
	Text []byte
	// Charset is that of the message.
	Charset Charset
	// Elided lists the values left out, the first 100 of them.
	Elided []Elision
	// Left counts segments that were left out as a whole, of messages with very many.
	Left int
	// Partial says that among what was left out may be facts that decide about whom the
	// message is.
	Partial bool
}

// LogValue implements slog.LogValuer: the text never reaches a log.
func (s *Skeleton) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("bytes", len(s.Text)), slog.Int("elided", len(s.Elided)), slog.Int("left", s.Left))
}

// Elision is a value that a skeleton lacks.
type Elision struct {
	Path  string // as OBX[3]-5[1].5.1
	Bytes int64  // of UTF-8
}

// Skim reads a body once and returns its skeleton. What CharsetPolicy.Decode and Parse
// would refuse is refused with the same kind of error. open opens the body at its
// beginning; it may be called twice. The memory needed is that of the skeleton.
func (p CharsetPolicy) Skim(ctx context.Context, open func() (io.ReadCloser, error)) (*Skeleton, error) {
	cs, declared, err := p.resolveStream(open)
	if err != nil {
		return nil, err
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	s := &skimmer{ctx: ctx, in: bufio.NewReaderSize(newTextReader(r, cs, !p.Force), headSize+16), out: &Skeleton{Charset: cs}}
	err = s.run()
	var ce *CharsetError
	if errors.As(err, &ce) {
		ce.Declared = declared
	}
	if err != nil {
		return nil, err
	}
	return s.out, nil
}

// skimmer copies a message without its long values.
type skimmer struct {
	ctx    context.Context
	in     *bufio.Reader
	d      Delimiters
	lfEnds bool // a line feed ends every segment
	stop   [256]bool
	out    *Skeleton
	pos    int64 // in the text of the message
	segs   int

	// Of the segment at hand.
	name    string
	start   int  // in out.Text
	kept    bool // it is copied
	cut     bool // its rest is not
	counts  map[string]int
	at      [4]int // field, repetition, component, subcomponent
	value   int    // begin of the value in out.Text
	length  int64  // of the value
	elision bool   // the value is left out
}

func (s *skimmer) run() error {
	if err := s.begin(); err != nil {
		return err
	}
	s.counts = map[string]int{}
	for {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if _, err := s.in.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.segment(); err != nil {
			return err
		}
		s.segs++
	}
}

// begin reads what comes before the header, and the delimiters from it.
func (s *skimmer) begin() error {
	head, err := s.in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	lead := leadIn(head)
	fail := func(kind error, code ErrorCode, field, offset int, problem string) error {
		e := &ParseError{Kind: kind, Code: code, Offset: offset, Problem: problem}
		if field > 0 {
			e.Segment, e.Sequence, e.Field = "MSH", 1, field
		}
		return e
	}
	if !bytes.HasPrefix(head[lead:], []byte("MSH")) {
		return fail(ErrNoHeader, CodeSegmentSequence, 0, lead, "a message begins with MSH")
	}
	line := head[lead : lead+lineLength(head[lead:])]
	if lead+len(line) == len(head) && err == nil {
		return fail(ErrHeader, CodeDataType, 1, lead, fmt.Sprintf("the header of a large message is longer than %d bytes", headSize))
	}
	d, problem := parseDelimiters(line)
	if problem != "" {
		return fail(ErrDelimiters, CodeRequiredFieldMissing, 2, lead+3, problem)
	}
	s.d = d
	s.lfEnds = lead+len(line) >= len(head) || head[lead+len(line)] == '\n'
	for _, c := range []byte{d.Field, d.Component, d.Repetition, d.Subcomponent, '\r', '\n', 0x0b, 0x1c} {
		s.stop[c] = c != 0
	}
	s.out.Text = append(make([]byte, 0, headSize), head[:lead]...)
	return s.skip(lead)
}

// skip steps over bytes that were looked at.
func (s *skimmer) skip(n int) error {
	s.pos += int64(n)
	_, err := s.in.Discard(n)
	return err
}

// telling are the segments that say who and what a message is about.
var telling = map[string]bool{"MSH": true, "EVN": true, "PID": true, "PD1": true, "MRG": true, "PV1": true, "PV2": true, "ORC": true, "OBR": true, "TXA": true}

// segment copies one segment with its end.
func (s *skimmer) segment() error {
	if err := s.open(); err != nil {
		return err
	}
	for {
		buf, err := s.in.Peek(max(1, s.in.Buffered()))
		if errors.Is(err, io.EOF) && len(buf) == 0 {
			s.endValue()
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		n := 0
		for n < len(buf) && !s.stop[buf[n]] {
			n++
		}
		s.add(buf[:n])
		if n == len(buf) {
			if err := s.skip(n); err != nil {
				return err
			}
			continue
		}
		c := buf[n]
		if err := s.skip(n); err != nil {
			return err
		}
		if ended, err := s.special(c); ended || err != nil {
			return err
		}
	}
}

// open checks the beginning of a segment and decides whether it is kept.
func (s *skimmer) open() error {
	name, err := s.segmentName()
	if err != nil {
		return err
	}
	s.name = name
	if len(s.counts) < 1000 || s.counts[s.name] > 0 {
		s.counts[s.name]++
	}
	s.start, s.cut, s.at = len(s.out.Text), false, [4]int{0, 1, 1, 1}
	s.value, s.length, s.elision = s.start, 0, false
	s.kept = len(s.out.Text) < fullSkeleton || telling[s.name] && len(s.out.Text) < lastSkeleton
	if !s.kept {
		s.out.Left++
		s.out.Partial = s.out.Partial || telling[s.name]
	}
	return nil
}

// segmentName looks at the beginning of a segment and refuses what Message.checkLine does.
func (s *skimmer) segmentName() (string, error) {
	head, err := s.in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	fail := func(offset int, problem string) (string, error) {
		return "", &ParseError{Kind: ErrSegment, Code: CodeSegmentSequence, Offset: int(s.pos) + offset, Problem: problem}
	}
	switch {
	case len(head) < 3 || !segmentName(head[:3]):
		return fail(0, "the line does not begin with a segment name (a capital letter and two capital letters or digits)")
	case len(head) > 3 && head[3] != s.d.Field && head[3] != '\r' && head[3] != '\n':
		return fail(3, "no field separator after the segment name")
	case s.segs > 0 && string(head[:3]) == "MSH":
		return fail(0, "a second MSH: send one message per frame")
	}
	return string(head[:3]), nil
}

// special takes a byte that separates or ends. It has been looked at and is the next one.
func (s *skimmer) special(c byte) (ended bool, err error) {
	switch c {
	case 0x0b, 0x1c:
		what := map[byte]string{0x0b: "a start-of-block byte (0x0B)", 0x1c: "an end-of-block byte (0x1C)"}[c]
		return true, &ParseError{Kind: ErrSegment, Code: CodeSegmentSequence, Offset: int(s.pos), Problem: what + " inside the message"}
	case '\r':
		return true, s.end()
	case '\n':
		next, err := s.in.Peek(5)
		if err != nil && !errors.Is(err, io.EOF) {
			return true, err
		}
		if s.lfEnds || segmentFollows(next[1:], s.d.Field) {
			return true, s.end()
		}
		s.add([]byte{c})
		return false, s.skip(1)
	}
	s.endValue()
	s.step(c)
	if s.kept && !s.cut {
		s.out.Text = append(s.out.Text, c)
		if len(s.out.Text)-s.start > longSegment {
			s.cut = true
			s.out.Partial = s.out.Partial || telling[s.name]
		}
	}
	s.value = len(s.out.Text)
	return false, s.skip(1)
}

// step moves the path on to the value after a separator.
func (s *skimmer) step(c byte) {
	level := 3
	switch c {
	case s.d.Field:
		level = 0
	case s.d.Repetition:
		level = 1
	case s.d.Component:
		level = 2
	}
	s.at[level]++
	for i := level + 1; i < len(s.at); i++ {
		s.at[i] = 1
	}
}

// add takes bytes of a value.
func (s *skimmer) add(b []byte) {
	s.length += int64(len(b))
	switch {
	case !s.kept || s.cut || s.elision:
	case s.length > longValue && s.name != "MSH":
		s.elision = true
		s.out.Text = s.out.Text[:s.value]
	default:
		s.out.Text = append(s.out.Text, b...)
	}
}

// endValue notes a value that was left out.
func (s *skimmer) endValue() {
	if s.elision && len(s.out.Elided) < maxElisions {
		p := Path{Segment: s.name, Occurrence: s.counts[s.name], Field: s.at[0], Repetition: s.at[1], Component: s.at[2], Subcomponent: s.at[3]}
		s.out.Elided = append(s.out.Elided, Elision{Path: p.String(), Bytes: s.length})
	}
	s.length, s.elision = 0, false
}

// end takes the line ends behind a segment; of many only two are kept.
func (s *skimmer) end() error {
	s.endValue()
	for n := 0; ; n++ {
		c, err := s.in.Peek(1)
		if errors.Is(err, io.EOF) || err == nil && c[0] != '\r' && c[0] != '\n' {
			return nil
		}
		if err != nil {
			return err
		}
		if s.kept && n < 2 {
			s.out.Text = append(s.out.Text, c[0])
		}
		if err := s.skip(1); err != nil {
			return err
		}
	}
}
