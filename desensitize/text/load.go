package text

import (
	"strings"
	"sync"
)

// compounds are the surnames of two characters.
var compounds = sync.OnceValue(func() []string { return section("surnames.txt", "compound") })

// loadTrie reads all lists.
func loadTrie(t *tables) *trie {
	x := newTrie()
	for _, w := range section("words.txt", "") {
		if w = t.plain(w); len([]rune(w)) > 1 {
			x.add(w, word, 0)
		}
	}
	for _, w := range section("places.txt", "province") {
		x.add(w, province, 0)
	}
	for _, w := range section("places.txt", "city") {
		x.add(w, city, 0)
	}
	for _, w := range section("places.txt", "county") {
		x.add(w, county, 0)
	}
	for _, w := range section("ethnic.txt", "") {
		x.add(w, ethnic, 0)
	}
	for _, w := range section("given.txt", "pairs") {
		x.add(w, givenPair, 0)
	}
	x.addLabels()
	x.addNames()
	x.addPlaces()
	x.addOrganisations()
	return x
}

// addAll enters the words of a list that is written with blanks between; an underscore stands
// for a blank inside a word.
func (t *trie) addAll(list string, k kind) {
	for w := range strings.FieldsSeq(list) {
		t.add(strings.ReplaceAll(w, "_", " "), k, 0)
	}
}
