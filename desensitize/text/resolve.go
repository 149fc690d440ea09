package text

import (
	"cmp"
	"slices"
)

// resolve settles what several recognisers claim: the surer claim stands, and of a weaker one
// that overlaps it what is left over. Nothing that was claimed stays uncovered.
func (s *scan) resolve() []Span {
	s.retype()
	s.widen()
	slices.SortStableFunc(s.out, func(a, b found) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), -cmp.Compare(a.to-a.from, b.to-b.from), cmp.Compare(a.from, b.from))
	})
	owner := s.reach[:0]
	owner = slices.Grow(owner, s.v.len()+1)[:s.v.len()+1]
	clear(owner)
	for n, f := range s.out {
		if f.score < s.min && !f.known {
			continue
		}
		for i := f.from; i < f.to; i++ {
			if owner[i] == 0 {
				owner[i] = int32(n + 1)
			}
		}
	}
	return s.spans(owner)
}

// retype gives a known number the type that the label before it names.
func (s *scan) retype() {
	var labels map[int]found // by place
	for _, g := range s.out {
		if !g.known && g.score >= 0.96 {
			if labels == nil {
				labels = map[int]found{}
			}
			labels[g.from] = g
		}
	}
	for i, f := range s.out {
		if !f.known || f.typ != RecordNo && f.typ != OtherID && f.typ != IDCard && f.typ != BankCard {
			continue
		}
		if g, ok := labels[f.from]; ok && g.to >= f.to {
			s.out[i].typ = g.typ
		}
	}
}

// widen lets a known place or institution go with the longer one that it is a part of.
func (s *scan) widen() {
	cover := s.wordEnd[:0]
	cover = slices.Grow(cover, s.v.len()+1)[:s.v.len()+1]
	clear(cover)
	broad := func(t Type) bool { return t == Address || t == Hospital || t == Employer }
	for n, f := range s.out {
		if f.known || !broad(f.typ) {
			continue
		}
		for i := f.from; i < f.to; i++ {
			if c := cover[i]; c == 0 || s.out[c-1].to-s.out[c-1].from < f.to-f.from {
				cover[i] = int32(n + 1)
			}
		}
	}
	for n, f := range s.out {
		if !f.known || !broad(f.typ) {
			continue
		}
		if c := int(cover[f.from]) - 1; c >= 0 && s.out[c].to >= f.to && s.out[c].to-s.out[c].from > f.to-f.from {
			s.out[c].known = true
			s.out[n].from = s.out[n].to
		}
	}
}

// rank orders claims: known values first, then by score; where they are equal, the longer
// one.
func rank(f found) float32 {
	if f.typ == Email || f.typ == URL { // go as a whole, whatever known value they hold
		return 4
	}
	if f.known {
		return 2 + f.score
	}
	return f.score
}

// spans turns the owners of characters into spans of the source.
func (s *scan) spans(owner []int32) []Span {
	var spans []Span
	for i := 0; i < s.v.len(); {
		n := owner[i]
		j := i + 1
		for j < s.v.len() && owner[j] == n {
			j++
		}
		if n != 0 {
			spans = s.span(spans, i, j, s.out[n-1])
		}
		i = j
	}
	return spans
}

// span appends one span, without the marks that a surer neighbour has left over.
func (s *scan) span(spans []Span, from, to int, f found) []Span {
	whole := from == f.from && to == f.to
	for from < to && trimmed(s.v.r[from]) {
		from++
	}
	for to > from && trimmed(s.v.r[to-1]) {
		to--
	}
	if from == to || !whole && f.typ == Name && to-from == 1 {
		return spans
	}
	start, end := s.v.bytes(from, to)
	if n := len(spans); n > 0 && spans[n-1].Type == f.typ && spans[n-1].End == start && (f.typ == Address || f.typ == Hospital) {
		spans[n-1].End = end
		return spans
	}
	return append(spans, Span{Start: start, End: end, Type: f.typ, Known: f.known, Score: min(f.score, 1)})
}
