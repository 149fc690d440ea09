package text

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Options adapts an engine to a hospital.
type Options struct {
	// Terms are words that must stay, such as the names of products and methods used in the
	// house. They are added to the built-in lists; a known value is removed all the same.
	Terms []string
	// Hospitals are names by which institutions are called without "医院" behind them.
	Hospitals []string
	// MinScore drops what is less sure, from 0 to 1. The default is 0: everything that the
	// engine reports is likely enough to go.
	MinScore float32
}

// Engine finds identifiers. It does not change after New; it is safe for concurrent use.
type Engine struct {
	*tables
	*trie
	min float32
}

// lists are loaded once in a process; engines without words of their own share them.
var (
	sharedTables = sync.OnceValue(newTables)
	sharedTrie   = sync.OnceValue(func() *trie { return loadTrie(sharedTables()) })
)

// New makes an engine. Without terms of its own it shares its lists with all others.
func New(o Options) *Engine {
	e := &Engine{tables: sharedTables(), trie: sharedTrie(), min: o.MinScore}
	if len(o.Terms)+len(o.Hospitals) == 0 {
		return e
	}
	e.trie = loadTrie(e.tables)
	for _, w := range o.Terms {
		e.add(e.plain(w), word, 0)
	}
	for _, w := range o.Hospitals {
		e.add(e.plain(w), orgName, 0)
	}
	return e
}

// plain folds a word as the view does and drops its blanks.
func (t *tables) plain(w string) string {
	var b strings.Builder
	for _, r := range w {
		if r, c := t.fold(r); r != 0 && c&(space|newline) == 0 {
			b.WriteRune(r)
		} else if c&space != 0 {
			b.WriteByte(' ')
		}
	}
	return strings.TrimSpace(b.String())
}

var scans = sync.Pool{New: func() any { return &scan{names: map[string]float32{}} }}

// block is the number of bytes that are looked at in one piece. Longer texts are cut at the
// end of a line, so that the memory needed does not grow with them.
const block = 1 << 20

// Find returns what identifies in text, sorted by place and disjoint. Text that is not UTF-8
// is read as far as it is. It keeps nothing of text or k; a k from Prepare saves time. Names
// that the text itself announces are looked for again within the same megabyte.
func (e *Engine) Find(text string, k *Known) []Span {
	known := e.knowledgeOf(k)
	if len(text) <= block {
		return e.find(text, known)
	}
	var spans []Span
	for at := 0; at < len(text); {
		end := cut(text, at)
		for _, s := range e.find(text[at:end], known) {
			s.Start, s.End = s.Start+at, s.End+at
			spans = append(spans, s)
		}
		at = end
	}
	return spans
}

// cut returns the end of the block that begins at at: behind the last line end in it, or
// before a character where there is none.
func cut(text string, at int) int {
	if len(text)-at <= block {
		return len(text)
	}
	end := at + block
	if n := strings.LastIndexByte(text[at:end], '\n'); n > block/2 {
		return at + n + 1
	}
	for end > at+block-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return end
}

func (e *Engine) find(text string, k *knowledge) []Span {
	s := scans.Get().(*scan)
	defer scans.Put(s)
	s.Engine, s.v = e, e.look(text)
	defer func() {
		s.v.free()
		s.v = nil
	}()
	s.run(k)
	return s.resolve()
}

// Replace appends text to dst with each span replaced by what by returns for it and for the
// text it covers, and returns the spans as they were found in text.
func (e *Engine) Replace(dst []byte, text string, k *Known, by func(Span, string) string) ([]byte, []Span) {
	spans := e.Find(text, k)
	at := 0
	for _, s := range spans {
		dst = append(dst, text[at:s.Start]...)
		dst = append(dst, by(s, text[s.Start:s.End])...)
		at = s.End
	}
	return append(dst, text[at:]...), spans
}

// Prepare returns a copy of k with its values made ready for search, for use with many texts
// of the same person, also concurrently.
func (e *Engine) Prepare(k Known) *Known {
	k.compiled = e.compile(&k)
	return &k
}

func (e *Engine) knowledgeOf(k *Known) *knowledge {
	if k == nil {
		return nil
	}
	if k.compiled != nil {
		return k.compiled
	}
	return e.compile(k)
}
