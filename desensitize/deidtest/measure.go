package deidtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Finder returns what an engine would remove from a note. It looks at Text and, if Header is
// set, at Known or Subject; never at the spans.
type Finder func(*Note) []Found

// Measure scores an engine over count notes of a language from a set and returns what went
// wrong.
func Measure(set Set, language string, seed uint64, count int, find Finder) (*Score, []Miss) {
	s, misses := &Score{}, []Miss(nil)
	for n := range NotesFrom(set, language, seed, count) {
		misses = append(misses, s.Add(n, find(n))...)
	}
	return s, misses
}

// Sorted lists the types of a score, those with the most identifiers first.
func (s *Score) Sorted() []Type {
	return slices.SortedFunc(maps.Keys(s.Types), func(a, b Type) int {
		return cmp.Or(cmp.Compare(s.Types[b].Recall.Of, s.Types[a].Recall.Of), strings.Compare(string(a), string(b)))
	})
}

// Percent writes a share in percent with its interval, such as 99.1 (98.7–99.4); a dash when
// there were no cases.
func (s Share) Percent() string {
	if s.Of == 0 {
		return "–"
	}
	low, high := s.Wilson()
	return fmt.Sprintf("%.1f (%.1f–%.1f)", 100*s.Value(), 100*low, 100*high)
}

// Columns name the figures of Row.
var Columns = []string{"identifiers", "removed", "exact bounds", "and type", "characters removed", "precision", "characters, precision"}

// Row are the figures of a type, in percent.
func (t *TypeScore) Row() []string {
	row := []string{fmt.Sprint(t.Recall.Of)}
	for _, s := range []Share{t.Recall, t.Strict, t.Typed, t.Chars, t.Precision, t.CharPrecision} {
		row = append(row, s.Percent())
	}
	return row
}

// WriteTable writes the figures of each type and of all together.
func (s *Score) WriteTable(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "type\t%s\n", strings.Join(Columns, "\t"))
	for _, t := range s.Sorted() {
		fmt.Fprintf(out, "%s\t%s\n", t, strings.Join(s.Types[t].Row(), "\t"))
	}
	fmt.Fprintf(out, "all\t%s\n", strings.Join(s.All.Row(), "\t"))
	fmt.Fprintf(out, "notes with a leak\t%d of %d\t%s\n", s.Leaky.Hits, s.Leaky.Of, s.Leaky.Percent())
	fmt.Fprintf(out, "clinical terms damaged\t%d of %d\t%s\n", s.Damage.Hits, s.Damage.Of, s.Damage.Percent())
	if err := out.Flush(); err != nil {
		return fmt.Errorf("deidtest: write the table: %w", err)
	}
	return nil
}
