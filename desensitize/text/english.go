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
	if !s.v.latin() {
		return
	}
	english.Find(s.v.src, func(start, end int, t english.Type, strong bool) {
		score := float32(englishGuess)
		if strong {
			score = englishSure
		}
		if from, to := s.v.place(start), s.v.place(end); from < to {
			s.add(from, to, Type(t), score)
		}
	})
}

// latin says that the text has three letters of the Latin script in a row, or a number that
// stands in no Chinese text.
func (v *view) latin() bool {
	run := 0
	for i := range v.r {
		if v.cls[i]&alpha == 0 {
			run = 0
		} else if run++; run == 3 {
			return true
		}
	}
	return false
}

// place is the first character of the view that begins at or behind an offset of the source.
func (v *view) place(offset int) int {
	i, _ := slices.BinarySearch(v.off[:v.len()], int32(offset))
	return i
}
