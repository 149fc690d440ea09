package text

import (
	"embed"
	"strings"
	"unicode"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"
)

//go:embed data/*.txt
var data embed.FS

// tables say of every character what it folds to and what properties it has.
type tables struct {
	to  [1 << 16]uint16
	cls [1 << 16]class
}

// fold returns the folded character and its properties; the character is 0 if it is dropped.
func (t *tables) fold(r rune) (rune, class) {
	if r < 1<<16 {
		return rune(t.to[r]), t.cls[r]
	}
	if unicode.Is(unicode.Han, r) {
		return r, han | wide
	}
	return r, 0
}

func newTables() *tables {
	t := &tables{}
	for r := rune(0); r < 1<<16; r++ {
		t.to[r] = uint16(plainLetter(foldRune(r)))
	}
	pairs := []rune(strings.Join(section("traditional.txt", ""), ""))
	for i := 0; i+1 < len(pairs); i += 2 {
		t.to[pairs[i]] = uint16(pairs[i+1])
	}
	marks := t.marks()
	rare := simplifiedchinese.GBK.NewEncoder()
	for r := rune(0); r < 1<<16; r++ {
		to := rune(t.to[r])
		if to >= 'A' && to <= 'Z' {
			t.to[r] = uint16(to + 'a' - 'A')
			t.cls[r] = alpha | upper
			continue
		}
		t.cls[r] = basic(to) | marks[to]
		if t.cls[r]&han != 0 && t.cls[r]&(lexical|never|function) == 0 && to >= 0x4e00 && !firstLevel(rare, to) {
			t.cls[r] |= uncommon
		}
	}
	return t
}

// plainLetter returns a Latin letter without its accents and tones.
func plainLetter(r rune) rune {
	if r >= 0xc0 && r < 0x250 {
		if d := []rune(norm.NFD.String(string(r))); len(d) > 1 && d[0] < 0x80 {
			return d[0]
		}
	}
	return r
}

// firstLevel tells whether a character is one of the 3755 frequent ones, rows 16 to 55 of
// GB/T 2312-1980.
func firstLevel(gbk *encoding.Encoder, r rune) bool {
	b, err := gbk.Bytes([]byte(string(r)))
	return err == nil && len(b) == 2 && b[0] >= 0xb0 && b[0] < 0xd8 && b[1] >= 0xa1
}

// basic tells the script of a folded character.
func basic(r rune) class {
	switch {
	case r >= '0' && r <= '9':
		return digit
	case r >= 'a' && r <= 'z':
		return alpha
	case r == ' ':
		return space
	case r == '\n':
		return newline
	case unicode.IsUpper(r) && unicode.Is(unicode.Latin, r):
		return alpha | upper
	case unicode.Is(unicode.Latin, r):
		return alpha
	case unicode.Is(unicode.Han, r):
		return han | wide
	case r >= 0x3001 && r <= 0x303f, r >= 0xff00 && r <= 0xff0f:
		return wide
	}
	return 0
}

// functionWords are words of one character, before and after which a name may stand.
const functionWords = "嘱因自至行已于与曾现系为的在是及和等后前诉述称说问答拟予被由让请对向从到住男女无有未仍再又也即便可能会应需须要如若其该此本我你他她它找或见喊叫送经给把将跟同陪带替随来去今昨了着过吗呢吧嘛不没都还就才也很但并且而则以及接转介遂乃致另先需患收"

// marks reads the properties of characters from the lists.
func (t *tables) marks() map[rune]class {
	m := map[rune]class{}
	set := func(c class, words ...string) {
		for _, w := range words {
			for _, r := range w {
				m[r] |= c
			}
		}
	}
	set(numeral, "〇零一二三四五六七八九十百千两廿卅○")
	set(surname|frequent, section("surnames.txt", "common")...)
	set(surname|wordlike, section("surnames.txt", "word")...)
	set(surname, section("surnames.txt", "other")...)
	for _, w := range section("surnames.txt", "compound") {
		m[[]rune(w)[0]] |= compoundHead
	}
	set(often, section("given.txt", "often")...)
	set(seldom, section("given.txt", "seldom")...)
	set(never, section("given.txt", "never")...)
	set(translit, section("translit.txt", "")...)
	set(function, functionWords)
	set(lexical, section("words.txt", "")...)
	for r, c := range m {
		if c&often != 0 {
			m[r] = c &^ never
		}
	}
	return m
}

// section returns the words of one section of a list, "name: words"; an empty name is a list
// without sections. Lines that begin with # are comments.
func section(file, name string) []string {
	raw, err := data.ReadFile("data/" + file)
	if err != nil {
		panic("text: embedded list " + file + " is missing")
	}
	var words []string
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, rest, found := strings.Cut(line, ": ")
		switch {
		case name == "":
			words = append(words, strings.Fields(line)...)
		case found && head == name:
			words = append(words, strings.Fields(rest)...)
		}
	}
	return words
}
