package deidtest

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed data
var data embed.FS

// A grammar is a set of rules; a rule has alternatives; an alternative is a sequence of parts.
//
//	== rule        begins a rule; every following line is one alternative
//	== !rule       the same, and what it makes is a clinical term that must stay
//	<rule>         expands the rule; <rule?> in half of the cases
//	{leaf a b}     calls a maker of identifiers or numbers
//	«a|b|c»        one of the pieces, which may hold the forms above but not another «»
//	⟦text⟧         a clinical term or value that must stay; it may hold «» and {}
//	~text~         not judged
//	\n             a new line
//
// Lines that begin with # and empty lines are skipped.
type grammar struct {
	rules map[string]rule
}

type rule struct {
	keep bool
	alts [][]part
}

type partKind int

const (
	partText partKind = iota
	partKeep
	partNeutral
	partRule
	partMaybe
	partLeaf
	partChoice
)

type part struct {
	kind   partKind
	text   string   // text, or the name of the rule or leaf
	args   []int    // of a leaf
	pieces [][]part // of a choice
}

// loadGrammar reads a file of data. It panics on a faulty one: the files are part of the
// package, and its tests read them all.
func loadGrammar(files ...string) *grammar {
	g := &grammar{rules: map[string]rule{}}
	for _, file := range files {
		raw, err := data.ReadFile("data/" + file)
		if err != nil {
			panic(err)
		}
		name := ""
		for line := range strings.Lines(string(raw)) {
			line = strings.TrimRight(line, "\r\n")
			head, isHead := strings.CutPrefix(line, "== ")
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
			case isHead:
				bare, keep := strings.CutPrefix(head, "!")
				name = bare
				r := g.rules[name]
				r.keep = keep
				g.rules[name] = r
			default:
				r := g.rules[name]
				r.alts = append(r.alts, parseParts(strings.ReplaceAll(line, `\n`, "\n")))
				g.rules[name] = r
			}
		}
	}
	return g
}

var brackets = map[rune]struct {
	end  string
	kind partKind
}{
	'<': {">", partRule}, '{': {"}", partLeaf}, '«': {"»", partChoice}, '⟦': {"⟧", partKeep}, '~': {"~", partNeutral},
}

func parseParts(s string) []part {
	var parts []part
	text := ""
	flush := func() {
		if text != "" {
			parts, text = append(parts, part{kind: partText, text: text}), ""
		}
	}
	for s != "" {
		r := []rune(s[:min(len(s), 4)])[0]
		open := string(r)
		b, special := brackets[r]
		if !special {
			text, s = text+open, s[len(open):]
			continue
		}
		flush()
		body, rest, found := strings.Cut(s[len(open):], b.end)
		if !found {
			panic(fmt.Sprintf("grammar: %s is not closed in %q", open, s))
		}
		parts, s = append(parts, parsePart(b.kind, body)), rest
	}
	flush()
	return parts
}

func parsePart(kind partKind, body string) part {
	switch kind {
	case partRule:
		if name, maybe := strings.CutSuffix(body, "?"); maybe {
			return part{kind: partMaybe, text: name}
		}
	case partKeep, partNeutral:
		return part{kind: kind, pieces: [][]part{parseParts(body)}}
	case partChoice:
		p := part{kind: kind}
		for piece := range strings.SplitSeq(body, "|") {
			p.pieces = append(p.pieces, parseParts(piece))
		}
		return p
	case partLeaf:
		fields := strings.Fields(body)
		p := part{kind: kind, text: fields[0]}
		for _, f := range fields[1:] {
			n, err := strconv.Atoi(f)
			if err != nil {
				panic(fmt.Sprintf("grammar: %q of {%s} is no number", f, body))
			}
			p.args = append(p.args, n)
		}
		return p
	}
	return part{kind: kind, text: body}
}
