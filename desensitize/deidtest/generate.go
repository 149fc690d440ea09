package deidtest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

var grammars = sync.OnceValue(func() map[string]*grammar {
	return map[string]*grammar{"zh": loadGrammar("zh.grammar", "zh_held.grammar", "zh_fresh.grammar"), "en": loadGrammar("en.grammar", "en_held.grammar", "en_fresh.grammar")}
})

func (s Set) String() string { return strings.TrimSuffix(string(s), ".") }

// Sets are all sets, in the order of how well they are known.
var Sets = []Set{Open, Held, Fresh}

// Languages are the languages of notes.
var Languages = []string{"zh", "en"}

// Set names a set of kinds of notes.
type Set string

const (
	// Open are the notes with which recognisers may be made and tuned.
	Open Set = "open."
	// Held are notes of other kinds and wording. What an engine missed in them was looked at,
	// and rules were made more general after it, but not for their words.
	Held Set = "held."
	// Fresh are notes of which nobody has looked at what an engine missed: the difference to
	// Open shows how far a result depends on the notes. Keep it so: add to Open or Held what
	// is to be worked on.
	Fresh Set = "fresh."
)

// Kinds lists the kinds of notes of a language in a set, such as admission, in order.
func Kinds(language string, set Set) []string {
	var kinds []string
	for name := range grammars()[language].rules {
		if kind, is := strings.CutPrefix(name, string(set)); is {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Make grows note number index of a language from the open set.
func Make(language string, seed uint64, index int) *Note {
	return MakeFrom(Open, language, seed, index)
}

// MakeFrom grows note number index of a language from a set. Half of the notes come with the
// knowledge of a structured header. It panics for a language that is not in Languages.
func MakeFrom(set Set, language string, seed uint64, index int) *Note {
	r := &rng{state: seed*0x9e3779b97f4a7c15 ^ uint64(index)<<20 ^ uint64(language[0])}
	for range 3 {
		r.next()
	}
	g := grammars()[language]
	kinds := Kinds(language, set)
	n := &Note{ID: fmt.Sprintf("%s-%05d", language, index), Language: language, Kind: kinds[index%len(kinds)], Header: r.percent(50)}
	s := newScene(r, n, g)
	s.expand(string(set) + n.Kind)
	n.Text = s.out.String()
	n.Noise = s.noise.name
	return n
}

// Notes grows count notes of a language from the open set, one after the other.
func Notes(language string, seed uint64, count int) iter.Seq[*Note] {
	return NotesFrom(Open, language, seed, count)
}

// NotesFrom grows count notes of a language from a set, one after the other.
func NotesFrom(set Set, language string, seed uint64, count int) iter.Seq[*Note] {
	return func(yield func(*Note) bool) {
		for i := range count {
			if !yield(MakeFrom(set, language, seed, i)) {
				return
			}
		}
	}
}
