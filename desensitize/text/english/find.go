package english

import (
	"strings"
	"sync"
)

// tokenKind says what a token is made of.
type tokenKind uint8

const (
	wordToken   tokenKind = iota // letters, with ' and - inside
	numberToken                  // digits
	mixedToken                   // letters and digits
	markToken                    // one character of punctuation
	lineToken                    // the end of a line
)

type token struct {
	start, end int
	kind       tokenKind
	class      *wordClass // of a word; nil for others
	capital    bool       // begins with a capital letter
	upper      bool       // has no small letter
	used       bool       // is part of a name, an address …
}

// pass is the state of one pass.
type pass struct {
	text   string
	tokens []token
	add    func(start, end int, t Type, strong bool)
	names  map[string]bool // parts of names of which the pass is sure
}

var passes = sync.Pool{New: func() any { return &pass{names: map[string]bool{}} }}

// Find reports identifiers in text: offsets in bytes, in any order; they may overlap. strong
// says that a name is beyond doubt. It keeps nothing of the text and is safe for concurrent
// use.
func Find(text string, add func(start, end int, t Type, strong bool)) {
	e := passes.Get().(*pass)
	defer func() {
		e.text, e.add, e.tokens = "", nil, e.tokens[:0]
		clear(e.names)
		passes.Put(e)
	}()
	e.text, e.add = text, add
	e.tokenize()
	for i := range e.tokens {
		e.step(i)
	}
	e.repeatNames()
}

// step looks at one token as the possible beginning of something.
func (e *pass) step(i int) {
	t := &e.tokens[i]
	switch t.kind {
	case numberToken, mixedToken:
		if !t.used {
			e.number(i)
		}
	case wordToken:
		if t.class != nil && t.class.cues != 0 {
			e.cue(i)
		}
		if t.capital && !t.used {
			e.capitalised(i)
		}
	case markToken, lineToken:
	}
}

// wrappedLine is the length in bytes from which a line was probably broken because it was
// full, not because something else begins.
const wrappedLine = 56

func (e *pass) tokenize() {
	s := e.text
	line := 0 // where the line begins
	for i := 0; i < len(s); {
		c := charKinds[s[i]]
		switch {
		case c == spaceChar:
			i++
		case s[i] == '\n' && i-line >= wrappedLine && i+1 < len(s) && s[i+1] != '\n':
			i++
			line = i
		case s[i] == '\n':
			line = i + 1
			e.tokens = append(e.tokens, token{start: i, end: i + 1, kind: lineToken})
			i++
		case c == otherChar:
			i++
			for i < len(s) && charKinds[s[i]] == otherChar {
				i++
			}
			e.tokens = append(e.tokens, token{start: i - 1, end: i, kind: lineToken})
		case c == punctChar:
			e.tokens = append(e.tokens, token{start: i, end: i + 1, kind: markToken})
			i++
		default:
			i = e.word(i)
		}
	}
}

type charKind uint8

const (
	otherChar charKind = iota // not Latin: ends whatever stood before
	spaceChar
	punctChar
	digitChar
	lowerChar
	upperChar
	latinChar // a byte of a Latin letter beyond ASCII
)

var charKinds = func() (table [256]charKind) {
	for c := range 256 {
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			table[c] = spaceChar
		case c >= '0' && c <= '9':
			table[c] = digitChar
		case c >= 'a' && c <= 'z':
			table[c] = lowerChar
		case c >= 'A' && c <= 'Z':
			table[c] = upperChar
		case c > ' ' && c < 0x7f:
			table[c] = punctChar
		case c >= 0xc3 && c <= 0xc9:
			table[c] = latinChar
		}
	}
	return table
}()

// word reads a token of letters and digits from i and returns where it ends.
func (e *pass) word(i int) int {
	s, start := e.text, i
	digits, letters, lower := 0, 0, 0
	for i < len(s) {
		switch charKinds[s[i]] {
		case digitChar:
			digits++
		case lowerChar:
			letters++
			lower++
		case upperChar:
			letters++
		case latinChar:
			if i+1 >= len(s) || s[i+1]&0xc0 != 0x80 {
				return e.closeWord(start, i+1, digits, letters, lower)
			}
			letters++
			lower++
			i++
		default:
			if n := joint(s, i, digits); n > 0 {
				i += n
				continue
			}
			return e.closeWord(start, i, digits, letters, lower)
		}
		i++
	}
	return e.closeWord(start, i, digits, letters, lower)
}

// joint returns how many bytes of punctuation at i hold a word of letters together.
func joint(s string, i, digits int) int {
	if digits > 0 || i == 0 {
		return 0
	}
	n := 0
	switch {
	case s[i] == '\'' || s[i] == '-':
		n = 1
	case strings.HasPrefix(s[i:], "’"):
		n = len("’")
	default:
		return 0
	}
	if i+n < len(s) && (charKinds[s[i+n]] == lowerChar || charKinds[s[i+n]] == upperChar || charKinds[s[i+n]] == latinChar) {
		return n
	}
	return 0
}

func (e *pass) closeWord(start, end, digits, letters, lower int) int {
	t := token{start: start, end: end, kind: mixedToken}
	first := charKinds[e.text[start]]
	t.capital = first == upperChar || first == latinChar && letters > 1
	switch {
	case letters == 0 && digits > 0:
		t.kind = numberToken
	case digits == 0:
		t.kind, t.upper = wordToken, lower == 0
		t.class = lookUp(e.text[start:end])
	}
	e.tokens = append(e.tokens, t)
	return end
}

func (e *pass) str(i int) string {
	if i < 0 || i >= len(e.tokens) {
		return ""
	}
	return e.text[e.tokens[i].start:e.tokens[i].end]
}

func (e *pass) kind(i int) tokenKind {
	if i < 0 || i >= len(e.tokens) {
		return lineToken
	}
	return e.tokens[i].kind
}

// is says whether a token is a given punctuation mark.
func (e *pass) is(i int, mark byte) bool {
	return e.kind(i) == markToken && e.text[e.tokens[i].start] == mark
}

// class is what is known of a token; never nil.
func (e *pass) class(i int) *wordClass {
	if i < 0 || i >= len(e.tokens) || e.tokens[i].class == nil {
		return &noClass
	}
	return e.tokens[i].class
}

func (e *pass) capital(i int) bool { return e.kind(i) == wordToken && e.tokens[i].capital }

// touches says that nothing stands between two neighbouring tokens.
func (e *pass) touches(i int) bool {
	return i > 0 && i < len(e.tokens) && e.tokens[i-1].end == e.tokens[i].start
}

// lower says whether a token is the given word, whatever its case.
func (e *pass) lower(i int, words ...string) bool {
	if e.kind(i) != wordToken {
		return false
	}
	s := e.str(i)
	for _, w := range words {
		if len(s) == len(w) && strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}

// take reports tokens from to to-1 and lets nothing else begin in them.
func (e *pass) take(from, to int, t Type, strong bool) {
	e.add(e.tokens[from].start, e.tokens[to-1].end, t, strong)
	for i := from; i < to; i++ {
		e.tokens[i].used = true
	}
}

// skipLine steps over one end of a line: text that was wrapped goes on behind it.
func (e *pass) skipLine(i int) int {
	if e.kind(i) == lineToken && i < len(e.tokens) && e.str(i) == "\n" {
		return i + 1
	}
	return i
}
