package deidtest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

var grammars = sync.OnceValue(func() map[string]*grammar {
	return map[string]*grammar{"zh": loadGrammar("zh.grammar"), "en": loadGrammar("en.grammar")}
})

// Languages are the languages of notes.
var Languages = []string{"zh", "en"}

// Kinds lists the kinds of notes of a language, such as admission, in order.
func Kinds(language string) []string {
	var kinds []string
	for name := range grammars()[language].rules {
		if kind, is := strings.CutPrefix(name, "note."); is {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Make grows note number index of a language. Half of the notes come with the knowledge of
// a structured header. It panics for a language that is not in Languages.
func Make(language string, seed uint64, index int) *Note {
	r := &rng{state: seed*0x9e3779b97f4a7c15 ^ uint64(index)<<20 ^ uint64(language[0])}
	for range 3 {
		r.next()
	}
	g := grammars()[language]
	kinds := Kinds(language)
	n := &Note{ID: fmt.Sprintf("%s-%05d", language, index), Language: language, Kind: kinds[index%len(kinds)], Header: r.percent(50)}
	s := newScene(r, n, g)
	s.expand("note." + n.Kind)
	n.Text = s.out.String()
	n.Noise = s.noise.name
	return n
}

// Notes grows count notes of a language, one after the other.
func Notes(language string, seed uint64, count int) iter.Seq[*Note] {
	return func(yield func(*Note) bool) {
		for i := range count {
			if !yield(Make(language, seed, i)) {
				return
			}
		}
	}
}
