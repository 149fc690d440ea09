package deidtest

import (
	"cmp"
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Found is what an engine would remove, in bytes of the note's text.
type Found struct {
	Start, End int
	Type       Type
}

// Share is a count out of a number of cases.
type Share struct{ Hits, Of int }

// Value is the share from 0 to 1; not a number when there were no cases.
func (s Share) Value() float64 { return float64(s.Hits) / float64(s.Of) }

// Wilson is the score interval for a confidence of 95 %; 0 to 1 when there were no cases.
// E. B. Wilson, Probable inference, the law of succession, and statistical inference,
// Journal of the American Statistical Association 22 (1927).
func (s Share) Wilson() (low, high float64) {
	if s.Of == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	n, p := float64(s.Of), s.Value()
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

func (s *Share) add(hit bool) {
	s.Of++
	if hit {
		s.Hits++
	}
}

func (s *Share) addMany(hits, of int) { s.Hits, s.Of = s.Hits+hits, s.Of+of }

// TypeScore is how one type of identifiers fared.
type TypeScore struct {
	// Recall counts identifiers of this type that are removed wholly, whatever they were
	// taken for. Strict counts those found with exactly their bounds; characters that are not
	// judged may lie at the ends. Only letters and digits are judged. Typed counts those of Strict that have their own type.
	Recall, Strict, Typed Share
	// Chars counts characters of identifiers of this type that are removed.
	Chars Share
	// Precision counts what was found as this type and lies in identifiers wholly, but for
	// characters that are not judged; CharPrecision counts its characters in identifiers.
	Precision, CharPrecision Share
}

// Score is how an engine fared over notes.
type Score struct {
	Notes  int
	Bytes  int
	Leaky  Share // notes with any character of an identifier left
	Damage Share // clinical terms, values and traps of which a part was removed
	Types  map[Type]*TypeScore
	All    TypeScore
}

// Miss is an identifier that was not removed wholly, or a removal that was wrong.
type Miss struct {
	Note  *Note
	Span  Span
	Wrong bool // removed, but no identifier, or a clinical term
}

// Text is the part of the note with what stands around it.
func (m Miss) Text() (before, text, after string) {
	t := m.Note.Text
	from, to := m.Span.Start, m.Span.End
	for i := 0; i < 12 && from > 0; i++ {
		_, n := utf8.DecodeLastRuneInString(t[:from])
		from -= n
	}
	for i := 0; i < 8 && to < len(t); i++ {
		_, n := utf8.DecodeRuneInString(t[to:])
		to += n
	}
	return t[from:m.Span.Start], t[m.Span.Start:m.Span.End], t[m.Span.End:to]
}

// Add scores what was found in a note and returns what went wrong.
func (s *Score) Add(n *Note, found []Found) []Miss {
	if s.Types == nil {
		s.Types = map[Type]*TypeScore{}
	}
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Start, b.Start) })
	marks := newMarks(n, found)
	s.Notes++
	s.Bytes += len(n.Text)
	var misses []Miss
	for _, g := range n.Gold {
		if !s.addGold(marks, g, found) {
			misses = append(misses, Miss{Note: n, Span: g})
		}
	}
	s.Leaky.add(len(misses) > 0)
	for _, k := range n.Keep {
		damaged := marks.removed(k) > 0
		s.Damage.add(damaged)
		if damaged {
			misses = append(misses, Miss{Note: n, Span: k, Wrong: true})
		}
	}
	return append(misses, s.addFound(marks, found)...)
}

func (s *Score) of(t Type) *TypeScore {
	if s.Types[t] == nil {
		s.Types[t] = &TypeScore{}
	}
	return s.Types[t]
}

func (s *Score) addGold(m *marks, g Span, found []Found) bool {
	removed := m.removed(g)
	total := judged(m.note.Text[g.Start:g.End])
	strict, typed := m.exact(g, found)
	for _, t := range []*TypeScore{s.of(g.Type), &s.All} {
		t.Chars.addMany(removed, total)
		t.Recall.add(removed == total)
		t.Strict.add(strict)
		t.Typed.add(typed)
	}
	return removed == total
}

func (s *Score) addFound(m *marks, found []Found) []Miss {
	var wrong []Miss
	for _, f := range found {
		in, out, kept := m.judge(f)
		if in+out == 0 {
			continue // wholly in what is not judged
		}
		for _, t := range []*TypeScore{s.of(f.Type), &s.All} {
			t.Precision.add(out == 0)
			t.CharPrecision.addMany(in, in+out)
		}
		if out > 0 && !kept {
			wrong = append(wrong, Miss{Note: m.note, Span: Span(f), Wrong: true})
		}
	}
	return wrong
}

// marks say for each byte of a note what it belongs to and whether it was removed.
type marks struct {
	note  *Note
	class []class
	gone  []bool
}

func newMarks(n *Note, found []Found) *marks {
	m := &marks{note: n, class: make([]class, len(n.Text)), gone: make([]bool, len(n.Text))}
	for c, spans := range map[class][]Span{gold: n.Gold, keep: n.Keep, neutral: n.Neutral} {
		for _, s := range spans {
			for i := s.Start; i < s.End; i++ {
				m.class[i] = c
			}
		}
	}
	for _, f := range found {
		for i := max(0, f.Start); i < min(f.End, len(m.gone)); i++ {
			m.gone[i] = true
		}
	}
	return m
}

// judged counts letters and digits: a bracket or a full stop that stays tells nothing, and
// one that goes is no loss.
func judged(s string) int {
	n := 0
	for _, r := range s {
		if isJudged(r) {
			n++
		}
	}
	return n
}

func isJudged(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// removed counts the letters and digits of a span that were removed.
func (m *marks) removed(s Span) int {
	n := 0
	for i, r := range m.note.Text[s.Start:s.End] {
		if m.gone[s.Start+i] && isJudged(r) {
			n++
		}
	}
	return n
}

// exact says whether the findings that touch the span cover it and nothing that is judged
// beside it, and whether one of them has its type.
func (m *marks) exact(g Span, found []Found) (strict, typed bool) {
	strict = m.removed(g) == judged(m.note.Text[g.Start:g.End])
	for _, f := range found {
		if f.End <= g.Start || f.Start >= g.End {
			continue
		}
		typed = typed || f.Type == g.Type
		start := max(0, f.Start)
		for k, r := range m.note.Text[start:min(f.End, len(m.class))] {
			i := start + k
			if outside := i < g.Start || i >= g.End; outside && m.class[i] != neutral && isJudged(r) {
				strict = false
			}
		}
	}
	return strict, strict && typed
}

// judge counts the letters and digits of a finding that lie in identifiers and those that do not;
// kept says that some lie in a clinical term.
func (m *marks) judge(f Found) (in, out int, kept bool) {
	start, end := max(0, f.Start), min(f.End, len(m.note.Text))
	for i, r := range m.note.Text[start:end] {
		switch c := m.class[start+i]; {
		case c == neutral || !isJudged(r):
		case c == gold:
			in++
		default:
			out++
			kept = kept || c == keep
		}
	}
	return in, out, kept
}
