package deidtest

import (
	"strings"
	"unicode/utf8"
)

// class says what becomes of a piece of text.
type class int

const (
	plain class = iota
	gold
	keep
	neutral
)

// writer appends pieces to a note's text and remembers where each class lies. Noise is put
// on piece by piece, so that no offset has to be corrected afterwards.
type writer struct {
	out    strings.Builder
	note   *Note
	rng    *rng
	noise  noise
	column int
	// within, if not plain, is the class of everything written: inside a kept term.
	within class
}

// put writes a piece. A gold piece of several parts (such as a name with spaces) is one span.
func (w *writer) put(s string, c class, t Type) {
	if s == "" {
		return
	}
	if w.within != plain && c != gold {
		c = w.within
	}
	start := w.out.Len()
	for _, r := range w.noise.apply(s, c, t, w.rng) {
		w.wrap(r)
		w.out.WriteRune(r)
	}
	w.mark(Span{Start: start, End: w.out.Len(), Type: t}, c)
}

// wrap breaks the line where the noise says so, even within a piece, as text taken from a
// printed page is broken.
func (w *writer) wrap(next rune) {
	if next == '\n' {
		w.column = -1
	} else if w.noise.width > 0 && w.column >= w.noise.width && !w.splitsWord(next) {
		w.out.WriteByte('\n')
		w.column = 0
	}
	w.column++
}

// splitsWord: Latin words and numbers are not broken, Chinese text is broken anywhere.
func (w *writer) splitsWord(next rune) bool {
	last, _ := utf8.DecodeLastRuneInString(w.out.String()[max(0, w.out.Len()-utf8.UTFMax):])
	return isWord(next) && isWord(last)
}

func isWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("'-.,@/:()", r)
}

func (w *writer) mark(s Span, c class) {
	var list *[]Span
	switch c {
	case gold:
		list = &w.note.Gold
	case keep:
		list = &w.note.Keep
	case neutral:
		list = &w.note.Neutral
	default:
		return
	}
	// A line broken before the piece belongs to no span.
	for s.Start < s.End && w.out.String()[s.Start] == '\n' {
		s.Start++
	}
	if n := len(*list); c != gold && n > 0 && (*list)[n-1].End == s.Start {
		(*list)[n-1].End = s.End
		return
	}
	*list = append(*list, s)
}
