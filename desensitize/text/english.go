package text

import (
	"slices"

	"github.com/emrbridge/emrbridge/desensitize/text/english"
)

// Scores of what the English recognisers report. They stand below a label with its number and
// above a guess.
const (
	englishSure  = 0.86
	englishGuess = 0.72
)

// english adds what package english finds in the source, in places of the view.
func (s *scan) english() {
	english.Find(s.v.src, func(start, end int, t english.Type, strong bool) {
		score := float32(englishGuess)
		if strong {
			score = englishSure
		}
		if from, to := s.v.place(start), s.v.place(end); from < to && !s.drugWord(to) {
			s.add(from, to, Type(t), score)
		}
	})
}

// place is the first character of the view that begins at or behind an offset of the source.
func (v *view) place(offset int) int {
	i, _ := slices.BinarySearch(v.off[:v.len()], int32(offset))
	return i
}

// latinName claims up to four capitalised words behind a Chinese label: 姓名：John Smith.
func (s *scan) latinName(at int) {
	v, end := s.v, at
	for n, i := 0, at; n < 4 && v.is(i, upper); n++ {
		for v.is(i, alpha) || (v.at(i) == '\'' || v.at(i) == '-' || v.at(i) == '.') && v.is(i-1, alpha) {
			i++
		}
		if end = i; v.at(i) != ' ' && v.at(i) != ',' {
			break
		}
		for v.at(i) == ' ' || v.at(i) == ',' {
			i++
		}
	}
	if end-at >= 2 && !v.is(end, digit) {
		s.claim(at, end, Name, englishSure)
		s.names[v.text(at, end)] = strongName
	}
}
