package text

import (
	"slices"
	"strings"
)

// knowledge is Known made ready for search. It does not change once compiled.
type knowledge struct {
	chinese map[rune][]pattern // by first character
	begins  firsts             // the keys of chinese
	numbers []number
	latin   []latin
}

// pattern is a sequence of folded characters of which a part is to go.
type pattern struct {
	text     []rune
	from, to int
	typ      Type
	loose    bool // must not continue as another word
	family   bool // a surname, which is a name only with a title or the like
}

// number is a value of letters and digits without its separators.
type number struct {
	text string
	typ  Type
}

// latin is a name in letters, by its syllables or words, in one order.
type latin struct {
	words []string
	part  bool // a part of a name, which is a name only where it is written as one
}

// findKnown claims every form of the known values.
func (s *scan) findKnown(k *knowledge) {
	if k == nil {
		return
	}
	v := s.v
	for i, r := range v.r {
		if k.begins.may(r) {
			for _, p := range k.chinese[r] {
				s.knownPattern(i, p)
			}
		}
		if v.cls[i]&(digit|alpha) == 0 && r != '*' || v.is(i-1, digit|alpha) && v.gapAt(i) == noGap {
			continue
		}
		for _, n := range k.numbers {
			if end := v.sameNumber(i, n.text); end > i {
				s.known(i, end, n.typ)
			}
		}
		if v.cls[i]&alpha != 0 {
			s.knownLatin(i, k.latin)
		}
	}
}

// knownLatin claims the names in letters that begin at i.
func (s *scan) knownLatin(i int, list []latin) {
	for _, l := range list {
		if l.part && !s.v.is(i, upper) {
			continue
		}
		if end := s.v.sameLatin(i, l.words); end > i && (!l.part || !s.eponym(end)) {
			s.known(i, end, Name)
		}
	}
}

// eponym tells whether the word before end is that of a disease or a sign and of no person.
func (s *scan) eponym(end int) bool {
	v := s.v
	if s.drugWord(end) {
		return true
	}
	if v.has(end, "'s ") {
		end += 2
	}
	for _, w := range [...]string{" disease", " sign", " syndrome", " score", " test", " stain", " bengal", " spots", " lymphoma", " sputum", " fragment", " reflex", " procedure", " x-ray"} {
		if v.has(end, w) {
			return true
		}
	}
	return false
}

func (s *scan) known(from, to int, t Type) {
	if from < 0 || from >= to {
		return
	}
	s.out = append(s.out, found{from: from, to: to, typ: t, score: 1, known: true})
	if t == Address {
		return // may be a part of a longer one
	}
	for i := from; i < to; i++ {
		s.taken[i] = t
	}
}

func (s *scan) knownPattern(i int, p pattern) {
	v := s.v
	if i+len(p.text) > v.len() || !slices.Equal(v.r[i:i+len(p.text)], p.text) {
		return
	}
	if p.family {
		s.knownFamily(i, p)
		return
	}
	end := i + len(p.text)
	if p.loose && (int(s.wordEnd[i+p.from]) > i+p.to || int(s.reach[i+p.from]) > i+p.from) {
		return
	}
	if v.splits(i) || v.splits(end) {
		return
	}
	if p.typ == Name && p.to == len(p.text) && v.at(end) == '之' && (v.at(end+1) == '子' || v.at(end+1) == '女') {
		p.to += 2
	}
	s.known(i+p.from, i+p.to, p.typ)
}

// splits tells whether i is in the middle of a Western word or number.
func (v *view) splits(i int) bool { return v.is(i-1, digit|alpha) && v.is(i, digit|alpha) }

// sameNumber compares a number with the text at i, over separators, letters misread for
// digits and characters masked with *. It returns i if they differ.
func (v *view) sameNumber(i int, want string) int {
	at, masked, misses := i, 0, 0
	for n := 0; n < len(want); {
		c := v.at(at)
		switch {
		case c == rune(want[n]):
			n++
		case c == '*':
			n++
			masked++
		case n > 0 && (separates(c) || v.oneOf(at, "./_()")):
		default:
			d, ok := misread(c)
			if !ok || rune(d)+'0' != rune(want[n]) || misses == 2 || len(want) < 8 {
				return i
			}
			misses++
			n++
		}
		at++
	}
	if len(want)-masked < 4 || v.goesOn(at, len(want)) {
		return i
	}
	return at
}

// goesOn tells whether a number of n characters that ends at i is a part of a longer one.
func (v *view) goesOn(i, n int) bool {
	return v.is(i, digit) || v.is(i, alpha) && v.gapAt(i) == noGap && n < 8
}

// sameLatin compares the words of a name with the text at i; between them may stand nothing,
// a blank, a comma, a hyphen or a tone number.
func (v *view) sameLatin(i int, words []string) int {
	at := i
	for n, w := range words {
		if n > 0 {
			for skipped := 0; skipped < 3 && strings.ContainsRune(" ,.'-·12345_\n", v.at(at)) && v.at(at) != 0; skipped++ {
				at++
			}
		}
		if !v.has(at, w) {
			return i
		}
		at += len([]rune(w))
	}
	if v.is(at, alpha) {
		return i
	}
	return at
}

// compile makes the forms of all known values.
func (e *Engine) compile(k *Known) *knowledge {
	c := &compiler{Engine: e, k: &knowledge{chinese: map[rune][]pattern{}}}
	for _, list := range [...][]string{k.Names, k.Relatives, k.Staff} {
		for _, n := range list {
			c.name(n)
		}
	}
	for _, n := range k.IDNumbers {
		c.number(n, idType(c.bare(n)))
	}
	for _, n := range k.RecordNumbers {
		c.number(n, RecordNo)
	}
	for _, n := range k.Phones {
		c.phone(n)
	}
	for _, n := range k.Dates {
		c.date(n)
	}
	for _, a := range k.Addresses {
		c.address(a)
	}
	for _, h := range k.Hospitals {
		c.organisation(h, Hospital)
	}
	for _, h := range k.Employers {
		c.organisation(h, Employer)
	}
	return c.k
}

// compiler collects the forms of known values.
type compiler struct {
	*Engine
	k *knowledge
}

// add enters a folded sequence of which the characters from..to go.
func (c *compiler) add(w string, from, to int, typ Type, loose bool) {
	r := []rune(strings.ReplaceAll(w, " ", ""))
	if len(r) == 0 || to > len(r) {
		return
	}
	c.index(pattern{text: r, from: from, to: to, typ: typ, loose: loose})
}

// whole enters a sequence that goes as it is.
func (c *compiler) whole(w string, typ Type) {
	w = strings.ReplaceAll(w, " ", "")
	c.add(w, 0, len([]rune(w)), typ, false)
}

// bare returns the letters and digits of a value, folded.
func (c *compiler) bare(w string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, c.plain(w))
}

// shortestNumber is the length from which on a known number is searched by itself.
const shortestNumber = 4

func (c *compiler) number(w string, typ Type) {
	if n := c.bare(w); len(n) >= shortestNumber {
		c.k.numbers = append(c.k.numbers, number{n, typ})
	}
}

// idType tells the type of an identity number by its shape.
func idType(n string) Type {
	switch {
	case len(n) == 18 || len(n) == 15:
		return IDCard
	case len(n) == 9 && n[0] >= 'a':
		return Passport
	case len(n) >= 16 && len(n) <= 19 && n[0] <= '9':
		return BankCard
	}
	return OtherID
}

func (c *compiler) phone(w string) {
	n := c.bare(w)
	if len(n) == 13 && strings.HasPrefix(n, "86") {
		n = n[2:]
	}
	if len(n) < 7 {
		return
	}
	c.k.numbers = append(c.k.numbers, number{n, Phone}, number{"86" + n, Phone})
	if n[0] == '0' && len(n) >= 10 { // without its area code
		code := 4
		if n[1] == '1' || n[1] == '2' {
			code = 3
		}
		c.k.numbers = append(c.k.numbers, number{n[code:], Phone})
	}
}

// date enters what the recognisers of dates would not take for one: 620305.
func (c *compiler) date(w string) {
	v := c.look(c.plain(w))
	defer v.free()
	if v.compact(0) == v.len() && v.len() == 8 {
		c.number(v.text(2, 8), Date)
		return
	}
	y, _, at := v.integer(0, 4)
	m, _, at2 := v.integer(at+1, 2)
	d, _, end := v.integer(at2+1, 2)
	if end > at2+1 && validDate(y, m, d) {
		two := func(n int) string { return string([]byte{byte('0' + n/10%10), byte('0' + n%10)}) }
		c.number(two(y%100)+two(m)+two(d), Date)
		c.number(two(y/100)+two(y%100)+two(m)+two(d), Date)
	}
}

// address enters an address and its parts: each that has a name of its own.
func (c *compiler) address(a string) {
	a = c.plain(a)
	c.whole(a, Address)
	s := &scan{Engine: c.Engine, v: c.look(a), names: map[string]float32{}}
	defer s.v.free()
	s.prepare()
	s.words()
	for at := 0; at < s.v.len(); {
		to := s.part(at, false)
		if to == at {
			at++
			continue
		}
		w := s.v.text(at, to)
		if end, e := s.match(s.v, at, province|city|county); end > at && e.kinds&province == 0 || to-at >= 3 && s.hasHan(at, to) && s.numberedPart(at) == at && e.kinds&province == 0 {
			c.whole(w, Address)
			if e.kinds&(city|county) != 0 && end < to {
				c.whole(s.v.text(at, end), Address)
			}
		}
		at = to
	}
}

// organisation enters an institution with and without the place before its name.
func (c *compiler) organisation(h string, typ Type) {
	h = c.plain(h)
	r := []rune(strings.ReplaceAll(h, " ", ""))
	if len(r) < 3 {
		return
	}
	if r[0] < 0x80 {
		c.k.latin = append(c.k.latin, latin{words: strings.Fields(h)})
		return
	}
	c.whole(h, typ)
	v := c.look(string(r))
	defer v.free()
	at := 0
	for at < len(r) {
		to, _ := c.match(v, at, province|city|county)
		if to == at {
			break
		}
		if at = to; v.at(at) == '省' || v.at(at) == '市' || v.at(at) == '县' || v.at(at) == '区' {
			at++
		}
		if len(r)-at >= 5 {
			c.whole(string(r[at:]), typ)
			c.shortFirm(string(r[at:]), typ)
		}
	}
	c.shortFirm(string(r), typ)
}

// shortFirm enters the name of a company without its legal form.
func (c *compiler) shortFirm(name string, typ Type) {
	for _, tail := range [...]string{"股份有限公司", "有限责任公司", "有限公司"} {
		if short, ok := strings.CutSuffix(name, tail); ok && len([]rune(short)) >= 4 {
			c.whole(short, typ)
		}
	}
}

// index files a pattern under its first character.
func (c *compiler) index(p pattern) {
	c.k.chinese[p.text[0]] = append(c.k.chinese[p.text[0]], p)
	c.k.begins.add(p.text[0])
}
