package deidtest

import (
	"strings"
	"sync"
)

// noise says what is done to a note's text, as copying, scanning and old systems do it.
type noise struct {
	name        string
	fullWidth   bool // digits, letters and punctuation in full width
	spaced      bool // blanks within names and numbers
	traditional bool // traditional characters
	ocr         bool // characters misread, punctuation lost
	width       int  // the line is broken after so many characters, 0: never
}

// noises are the kinds of noise with their weights in percent; what is left is clean.
var noises = []struct {
	percent int
	noise   noise
	chinese bool // for Chinese notes only
}{
	{9, noise{name: "full-width", fullWidth: true}, true},
	{9, noise{name: "spaced", spaced: true}, false},
	{10, noise{name: "traditional", traditional: true}, true},
	{6, noise{name: "ocr", ocr: true}, false},
	{8, noise{name: "wrapped", width: 36}, false},
}

func pickNoise(r *rng, chinese bool) noise {
	n := r.intn(100)
	for _, c := range noises {
		if n -= c.percent; n < 0 {
			if c.chinese && !chinese {
				return noise{}
			}
			if !chinese && c.noise.width > 0 {
				c.noise.width = 72
			}
			return c.noise
		}
	}
	return noise{}
}

func (n noise) apply(s string, c class, t Type, r *rng) string {
	if n.traditional {
		s = traditional(s)
	}
	if n.fullWidth && c != keep {
		s = strings.Map(fullWidth, s)
	}
	if n.spaced && c == gold {
		s = space(s, t, r)
	}
	if n.ocr {
		s = misread(s, c, r)
	}
	return s
}

func fullWidth(r rune) rune {
	if r > ' ' && r < 0x7f && r != '<' && r != '>' {
		return r + 0xfee0
	}
	return r
}

// space puts blanks between the characters of a Chinese name and into numbers.
func space(s string, t Type, r *rng) string {
	runes := []rune(s)
	every := 0
	switch {
	case t == Name && runes[0] > 0x2e80 && len(runes) <= 4:
		every = 1
	case t == IDCard, t == Phone, t == BankCard, t == InpatientNo, t == RecordNo:
		every = pick(r, []int{1, 3, 4})
	}
	if every == 0 || !r.percent(60) {
		return s
	}
	var b strings.Builder
	for i, c := range runes {
		if i > 0 && i%every == 0 && runes[i-1] != ' ' && runes[i-1] != '-' && c != ' ' && c != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

var (
	likeDigit = map[rune]rune{'0': 'O', '1': 'l', '5': 'S', '8': 'B'}
	likeRune  = map[rune]rune{'未': '末', '日': '曰', '己': '已', '入': '人', '土': '士', '，': ' ', '、': ' ', '：': ' ', ',': ' ', 'l': '1', 'm': 'n'}
)

// misread mistakes at most one digit of an identifier, and now and then a character elsewhere.
func misread(s string, c class, r *rng) string {
	done := c == gold && !r.percent(20) || c == keep
	return strings.Map(func(x rune) rune {
		if c == gold {
			if to, is := likeDigit[x]; is && !done && r.percent(30) {
				done = true
				return to
			}
			return x
		}
		if to, is := likeRune[x]; is && !done && r.percent(6) {
			return to
		}
		return x
	}, s)
}

// traditional maps character by character; a note in traditional characters comes out as
// such systems export it, with a few words that a careful editor would write otherwise.
func traditional(s string) string {
	table := simplifiedToTraditional()
	return strings.Map(func(r rune) rune {
		if t, is := table[r]; is {
			return t
		}
		return r
	}, s)
}

// simplifiedToTraditional reads the pairs of data/traditional.txt.
var simplifiedToTraditional = sync.OnceValue(func() map[rune]rune {
	raw, err := data.ReadFile("data/traditional.txt")
	if err != nil {
		panic(err)
	}
	table := map[rune]rune{}
	for pair := range strings.FieldsSeq(string(raw)) {
		p := []rune(pair)
		table[p[0]] = p[1]
	}
	return table
})
