package deidtest

import (
	"strings"
	"sync"
)

// lexicon is a file of data: sections, each a list of lines.
type lexicon map[string][]string

var lexicons = sync.OnceValue(func() map[string]lexicon {
	all := map[string]lexicon{}
	for _, file := range []string{"zh_surnames", "zh_given", "zh_places", "en_names", "en_places"} {
		all[file] = readLexicon(file + ".txt")
	}
	return all
})

func readLexicon(file string) lexicon {
	raw, err := data.ReadFile("data/" + file)
	if err != nil {
		panic(err)
	}
	l, section := lexicon{}, ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if head, is := strings.CutPrefix(line, "== "); is {
			section = head
		} else if line != "" && !strings.HasPrefix(line, "#") {
			l[section] = append(l[section], line)
		}
	}
	return l
}

// word is a line of a section, by chance.
func (r *rng) word(file, section string) string {
	return pick(r, lexicons()[file][section])
}
