package text

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is a set of properties of a character.
type class uint32

const (
	digit        class = 1 << iota // 0 to 9
	alpha                          // a letter of the Latin script
	upper                          // the letter was a capital
	han                            // a Chinese character
	space                          // a blank that was kept
	newline                        // a line end that was kept
	numeral                        // Chinese numeral
	surname                        // may be a surname of one character
	compoundHead                   // begins a surname of two characters
	frequent                       // is one of the frequent surnames
	wordlike                       // a surname that is an everyday character as well
	often                          // common in given names
	seldom                         // supports a given name
	never                          // speaks against a given name
	function                       // a word of one character
	uncommon                       // beyond the first level of GB/T 2312, and in no list
	lexical                        // occurs in listed words
	translit                       // used in names from other languages
	wide                           // of Chinese script, characters or punctuation
)

// gap tells what blanks were dropped before a character of the view.
type gap uint8

const (
	noGap   gap = iota
	blank       // spaces
	lineEnd     // one line end, perhaps with spaces
	parting     // an empty line
)

// view is the text as the recognisers see it: letters in lower case, full-width forms and
// traditional characters folded, blanks next to Chinese characters dropped.
type view struct {
	src string
	r   []rune  // folded characters
	off []int32 // where each begins in src; one more for the end
	cls []class
	gap []gap
}

var views = sync.Pool{New: func() any { return new(view) }}

// free gives the view back without the text.
func (v *view) free() {
	v.src = ""
	if cap(v.r) <= 1<<20 {
		views.Put(v)
	}
}

// look makes the view of s.
func (t *tables) look(s string) *view {
	v := views.Get().(*view)
	v.src = s
	v.r, v.off, v.cls, v.gap = v.r[:0], v.off[:0], v.cls[:0], v.gap[:0]
	pending, at := noGap, 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		folded, c := t.fold(r)
		switch {
		case c&space != 0:
			if pending == noGap {
				pending, at = blank, i
			}
		case c&newline != 0:
			if pending == noGap {
				at = i
			}
			if pending >= lineEnd && folded == '\n' {
				pending = parting
			} else if folded == '\n' {
				pending = lineEnd
			}
		case folded != 0:
			v.put(folded, c, int32(i), pending, int32(at))
			pending = noGap
		}
		i += n
	}
	v.off = append(v.off, int32(len(s)))
	return v
}

// put appends a character. The blanks before it become a character of their own where both
// sides are Western, and a note in gap in any case.
func (v *view) put(r rune, c class, off int32, g gap, at int32) {
	if g != noGap && c&wide == 0 && len(v.r) > 0 && v.cls[len(v.r)-1]&wide == 0 {
		if g == blank {
			v.r, v.cls = append(v.r, ' '), append(v.cls, space)
		} else {
			v.r, v.cls = append(v.r, '\n'), append(v.cls, newline)
		}
		v.off, v.gap = append(v.off, at), append(v.gap, noGap)
	}
	v.r, v.cls = append(v.r, r), append(v.cls, c)
	v.off, v.gap = append(v.off, off), append(v.gap, g)
}

func (v *view) len() int { return len(v.r) }

// at returns the character at i, or 0 outside.
func (v *view) at(i int) rune {
	if i < 0 || i >= len(v.r) {
		return 0
	}
	return v.r[i]
}

// is tells whether the character at i has one of the properties.
func (v *view) is(i int, c class) bool {
	return i >= 0 && i < len(v.cls) && v.cls[i]&c != 0
}

// gapAt returns the gap before i; both ends of the text are parted from what is outside.
func (v *view) gapAt(i int) gap {
	if i <= 0 || i >= len(v.gap) {
		return parting
	}
	return v.gap[i]
}

// wrappedLine is the number of characters from which on a line was probably broken because it
// was full.
const wrappedLine = 30

// wrapped tells whether the text before i was broken in the middle of a sentence.
func (v *view) wrapped(i int) bool {
	if v.gapAt(i) != lineEnd || !v.is(i-1, han|digit|alpha) {
		return false
	}
	for j := i - 1; j > i-wrappedLine; j-- {
		if v.gapAt(j) >= lineEnd {
			return false
		}
	}
	return true
}

// bytes turns a range of the view into one of the source.
func (v *view) bytes(from, to int) (start, end int) {
	if to <= from {
		return 0, 0
	}
	start, end = int(v.off[from]), int(v.off[to-1])
	_, n := utf8.DecodeRuneInString(v.src[end:])
	return start, end + n
}

// has tells whether the view reads s at i.
func (v *view) has(i int, s string) bool {
	for _, r := range s {
		if v.at(i) != r {
			return false
		}
		i++
	}
	return true
}

// oneOf tells whether the character at i is one of a set.
func (v *view) oneOf(i int, set string) bool {
	r := v.at(i)
	if r == 0 {
		return false
	}
	// The sets are short: a loop is several times as fast as strings.ContainsRune.
	for _, c := range set {
		if c == r {
			return true
		}
	}
	return false
}

// firsts holds roughly which characters something begins with: what it does not hold, nothing
// begins with. It spares most lookups in maps, of which there is one for each character.
type firsts [16]uint64

func (f *firsts) add(r rune)      { f[r>>6&15] |= 1 << (uint(r) & 63) }        //nolint:gosec // bits of a character
func (f *firsts) may(r rune) bool { return f[r>>6&15]&(1<<(uint(r)&63)) != 0 } //nolint:gosec // bits of a character

// before tells whether the view reads s just before i.
func (v *view) before(i int, s string) bool {
	return v.has(i-utf8.RuneCountInString(s), s)
}

// text returns the folded characters of a range.
func (v *view) text(from, to int) string { return string(v.r[from:to]) }

// foldRune folds what is the same in all scripts; 0 drops the character.
func foldRune(r rune) rune {
	switch {
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xfee0
	case r == '\r', r == 0x85, r == 0x2028, r == 0x2029, r == '\v', r == '\f':
		return '\n'
	case r == '\t' || unicode.Is(unicode.Zs, r):
		return ' '
	case r == 0xad, r >= 0x200b && r <= 0x200f, r == 0x2060, r == 0xfeff, r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0xfe63, r == 0xfe58:
		return '-'
	case r == 0x2022, r == 0x2027, r == 0x2219, r == 0x30fb, r == 0xff65, r == 0x22c5:
		return '·'
	case r == 0x2018, r == 0x2019, r == 0x02bc:
		return '\''
	case r == 0x201c, r == 0x201d:
		return '"'
	}
	return r
}
