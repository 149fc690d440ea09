// Package elide copies a document without its long runs of base64, so that what is left of a
// document too long for memory can be parsed: its skeleton. It knows no format. In the place of
// a run stands a marker, random and of the characters of base64, so that a parser sees in the
// skeleton the same tokens as in the document. Whether a marker stands where a value in base64
// may stand, alone and whole, is for the caller to say; where it does not, the caller has to
// read the document itself.
//
// The encodings of documents do not matter: a run that begins in the middle of a character
// leaves a marker that stands beside something else, and UTF-16 has no runs.
package elide

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
)

// Options bound a scanner. Zero fields take the defaults.
type Options struct {
	// Min is the length from which a run is left out, in bytes; default 64 KiB.
	Min int
	// MaxText bounds the skeleton, in bytes; default 4 MiB.
	MaxText int
	// Space lets white space stand in a run, as it does in XML.
	Space bool
	// Marker stands for each run: a multiple of four characters of base64. Default: 48 random
	// ones. It is for tests.
	Marker string
}

// Run is what a skeleton lacks.
type Run struct {
	// At is where its marker begins in the skeleton.
	At int
	// Offset and Length are where it stood in the document, in bytes.
	Offset, Length int64
	// Digits are the characters of it that carry bits.
	Digits int64
	// Strict says that it is base64 as RFC 4648 §4 has it: padded, with no bits left over, and
	// without white space.
	Strict bool
}

// Bytes is how many bytes the run stands for.
func (r Run) Bytes() int64 { return r.Digits * 3 / 4 }

// Skeleton is what is left of a document. It holds patient data.
type Skeleton struct {
	Text   []byte
	Marker string
	Runs   []Run // in the order of the document
}

// LogValue implements slog.LogValuer: the text never reaches a log.
func (s *Skeleton) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("bytes", len(s.Text)), slog.Int("runs", len(s.Runs)))
}

// Origin returns where in the document a place of the skeleton is. Places inside a marker are
// those of the beginning of its run.
func (s *Skeleton) Origin(at int) int64 {
	out := int64(at)
	for _, r := range s.Runs {
		if at < r.At+len(s.Marker) {
			break
		}
		out += r.Length - int64(len(s.Marker))
	}
	return out
}

// Scanner is an io.Writer that makes a skeleton of what is written to it. It belongs to one
// goroutine.
type Scanner struct {
	o    Options
	out  []byte
	pos  int64 // in the document
	full bool
	runs []Run

	// Of the run at hand.
	in     bool
	start  int // in out
	left   bool
	run    Run
	last   byte // value of the last digit
	pads   int
	spaces int
	broken bool // a digit behind the padding
}

// New returns a scanner.
func New(o Options) *Scanner {
	if o.Min <= 0 {
		o.Min = 64 << 10
	}
	if o.MaxText <= 0 {
		o.MaxText = 4 << 20
	}
	if o.Marker == "" {
		var b [36]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		o.Marker = base64.StdEncoding.EncodeToString(b[:])
	}
	return &Scanner{o: o}
}

// Classes of bytes: digits have their value plus one.
const (
	other = 0
	pad   = 65
	space = 66
)

var classes = func() (t [256]byte) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(digits) {
		t[digits[i]] = byte(i + 1)
	}
	t['='] = pad
	for _, c := range []byte(" \t\r\n") {
		t[c] = space
	}
	return t
}()

func (s *Scanner) belongs(c byte) bool {
	k := classes[c]
	return k != other && (k != space || s.o.Space)
}

// Write implements io.Writer. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		from := at
		if s.belongs(p[at]) {
			for at < len(p) && s.belongs(p[at]) {
				at++
			}
			s.add(p[from:at])
		} else {
			for at < len(p) && !s.belongs(p[at]) {
				at++
			}
			s.end()
			s.copy(p[from:at])
		}
		s.pos += int64(at - from)
	}
	return len(p), nil
}

// add takes bytes of a run.
func (s *Scanner) add(b []byte) {
	if !s.in {
		s.in, s.left, s.start, s.run = true, false, len(s.out), Run{Offset: s.pos}
		s.last, s.pads, s.spaces, s.broken = 0, 0, 0, false
	}
	for _, c := range b {
		switch k := classes[c]; k {
		case pad:
			s.pads++
		case space:
			s.spaces++
		default:
			s.broken = s.broken || s.pads > 0
			s.last = k - 1
			s.run.Digits++
		}
	}
	s.run.Length += int64(len(b))
	switch {
	case s.left:
	case s.run.Length > int64(s.o.Min):
		s.left = true
		s.out = s.out[:min(s.start, len(s.out))]
	default:
		s.copy(b)
	}
}

// end closes a run.
func (s *Scanner) end() {
	if s.in && s.left && !s.full {
		s.run.At = len(s.out)
		s.run.Strict = s.strict()
		s.runs = append(s.runs, s.run)
		s.copy([]byte(s.o.Marker))
	}
	s.in, s.left = false, false
}

func (s *Scanner) strict() bool {
	if s.broken || s.spaces > 0 || (s.run.Digits+int64(s.pads))%4 != 0 {
		return false
	}
	switch s.pads {
	case 0:
		return true
	case 1:
		return s.last&3 == 0
	case 2:
		return s.last&15 == 0
	}
	return false
}

func (s *Scanner) copy(b []byte) {
	if s.full || len(s.out)+len(b) > s.o.MaxText {
		s.full, s.out, s.runs = true, nil, nil
		return
	}
	s.out = append(s.out, b...)
}

// Skeleton ends the document. ok is false where the skeleton would be longer than MaxText.
func (s *Scanner) Skeleton() (sk *Skeleton, ok bool) {
	s.end()
	if s.full {
		return nil, false
	}
	return &Skeleton{Text: s.out, Marker: s.o.Marker, Runs: s.runs}, true
}
