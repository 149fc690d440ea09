package leak

import (
	"crypto/md5"  // #nosec G501 -- plain digests of identifiers are what is looked for
	"crypto/sha1" // #nosec G505 -- as above
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm3"
)

// Known are the identifiers of one record that are known from its structured parts or from
// the caller, as written there.
type Known struct {
	Names         []string // of the patient
	Relatives     []string // names
	Staff         []string // names
	IDNumbers     []string // identity cards, passports, insurance numbers, bank cards
	Phones        []string
	Addresses     []string
	Hospitals     []string
	Employers     []string
	RecordNumbers []string // numbers of stays, visits, files, examinations
	Others        []string // e-mail, accounts and the like
	Dates         []string // birth dates, in any usual form
}

// LogValue keeps identifiers out of logs.
func (k Known) LogValue() slog.Value { return slog.StringValue("[identifiers]") }

// Add appends all of o.
func (k *Known) Add(o Known) {
	for _, p := range []struct{ to, from *[]string }{
		{&k.Names, &o.Names}, {&k.Relatives, &o.Relatives}, {&k.Staff, &o.Staff}, {&k.IDNumbers, &o.IDNumbers},
		{&k.Phones, &o.Phones}, {&k.Addresses, &o.Addresses}, {&k.Hospitals, &o.Hospitals}, {&k.Employers, &o.Employers},
		{&k.RecordNumbers, &o.RecordNumbers}, {&k.Others, &o.Others}, {&k.Dates, &o.Dates},
	} {
		*p.to = append(*p.to, *p.from...)
	}
}

// maxValues and maxValue bound what is compiled of each field of Known.
const (
	maxValues = 2000
	maxValue  = 512
)

// pattern is one way in which a known value may be written, in the form of a view.
type pattern struct {
	runes   []rune
	typ     Type
	bounded bool // letters and digits must end at its ends
	alone   bool // no hyphen or point may stand at its ends either
	pinyin  bool // characters of other forms but the same sound count as equal
	titled  bool // a title must follow
	word    bool // a family name that is an ordinary word as well
}

// Compiled are known identifiers ready to be searched. It is immutable.
type Compiled struct {
	byFirst map[rune][]pattern
	bySound map[string][]pattern // names, by the sound of their first character
	dates   map[day]bool
	seen    map[string]bool
	first   [1 << 10]uint64 // which characters begin a pattern, by their low 16 bits
	plain   []string        // values that may stand there as a plain hash

	once    sync.Once
	digests map[string]bool
}

// LogValue keeps identifiers out of logs.
func (c *Compiled) LogValue() slog.Value { return slog.StringValue("[identifiers]") }

// Compile prepares known identifiers in all ways of writing. Values too short to be told
// from other text are left out.
func Compile(k Known) *Compiled {
	c := &Compiled{byFirst: map[rune][]pattern{}, bySound: map[string][]pattern{}, dates: map[day]bool{}, seen: map[string]bool{}}
	each(k.Names, func(v string) { c.person(v) })
	each(k.Relatives, func(v string) { c.person(v) })
	each(k.Staff, func(v string) { c.person(v) })
	each(k.IDNumbers, c.idNumber)
	each(k.Phones, c.phone)
	each(k.Addresses, c.address)
	each(k.Hospitals, func(v string) { c.phrase(v, Hospital, 4) })
	each(k.Employers, func(v string) { c.phrase(v, Employer, 4) })
	each(k.RecordNumbers, func(v string) { c.number(v, RecordNo) })
	each(k.Others, func(v string) { c.number(v, typeOf(v)) })
	each(k.Dates, c.date)
	return c
}

func each(values []string, do func(string)) {
	for _, v := range values[:min(len(values), maxValues)] {
		if v = strings.TrimSpace(v); v != "" && len(v) <= maxValue && utf8.ValidString(v) {
			do(v)
		}
	}
}

func typeOf(v string) Type {
	switch {
	case strings.Contains(v, "@"):
		return Email
	case strings.Contains(v, "://"):
		return URL
	}
	return RecordNo
}

// put adds a pattern written as text.
func (c *Compiled) put(text string, t Type, bounded, pinyin bool) {
	runes := tighten(text)
	if len(runes) < 2 {
		return
	}
	key := string(runes)
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	c.insert(pattern{runes: runes, typ: t, bounded: bounded, pinyin: pinyin})
}

// insert files a pattern by its first character.
func (c *Compiled) insert(p pattern) {
	runes, pinyin := p.runes, p.pinyin
	c.byFirst[runes[0]] = append(c.byFirst[runes[0]], p)
	c.first[uint16(runes[0])>>6] |= 1 << (runes[0] & 63)
	if pinyin {
		if s := sound(runes[0]); s != "" {
			c.bySound[s] = append(c.bySound[s], p)
		}
	}
}

// idNumber adds an identity number: as it is, reversed, the identity card of 18 digits in
// its form of 15, and plain digests.
func (c *Compiled) idNumber(v string) {
	c.number(v, IDCard)
	tight := squeeze(v)
	if len(tight) == 18 {
		c.put(tight[:6]+tight[8:17], IDCard, false, false)
	}
	if len(tight) >= 8 {
		r := []rune(tight)
		slices.Reverse(r)
		c.put(string(r), IDCard, false, false)
	}
	c.hashed(v)
}

// number adds a number of letters and digits. Short ones must stand alone.
func (c *Compiled) number(v string, t Type) {
	tight := squeeze(v)
	digits := strings.Count(strings.Map(func(r rune) rune {
		if isDigit(r) {
			return '0'
		}
		return '.'
	}, tight), "0")
	switch n := utf8.RuneCountInString(tight); {
	case n < 4, n < 6 && digits == n, digits < 3 && t == RecordNo:
		return
	case digits == n && t == RecordNo && isTime(tight):
		return // the time of the order, which other fields hold as well
	case n == 6 && digits == n: // such as 123456: it must stand alone, not be part of a model or lot
		c.insert(pattern{runes: tighten(v), typ: t, bounded: true, alone: true})
	default:
		c.put(v, t, n < 9, false)
	}
}

// isTime reports twelve or fourteen digits that are a date and a time.
func isTime(digits string) bool {
	return (len(digits) == 12 || len(digits) == 14) &&
		(day{atoi(digits[:4]), atoi(digits[4:6]), atoi(digits[6:8])}).valid() && atoi(digits[8:10]) < 24 && atoi(digits[10:12]) < 60
}

// squeeze is the text of a view without separators.
func squeeze(v string) string { return string(tighten(v)) }

// tighten returns the characters that the view of a text has.
func tighten(text string) []rune {
	out := make([]rune, 0, len(text))
	numerals := 0
	for _, r := range text {
		if r = normal(r); r == 0 || separates(r) {
			continue
		}
		if _, ok := numeral(r); ok {
			numerals++
		}
		out = append(out, r)
	}
	if numerals >= 4 {
		out = out[:0]
		for _, u := range newView(text).tight {
			out = append(out, u.r)
		}
	}
	return out
}

// phone adds a phone number with and without the country and area code.
func (c *Compiled) phone(v string) {
	digits := strings.Map(func(r rune) rune {
		if isDigit(r) {
			return r
		}
		return -1
	}, squeeze(v))
	digits = strings.TrimPrefix(digits, "00")
	if len(digits) > 11 {
		digits = strings.TrimPrefix(digits, "86")
	}
	if len(digits) < 7 {
		return
	}
	c.put(digits, Phone, len(digits) < 9, false)
	if r := []rune(digits); len(digits) >= 11 {
		slices.Reverse(r)
		c.put(string(r), Phone, false, false)
	}
	if digits[0] == '0' && len(digits) >= 10 { // area code of three or four digits
		c.put(digits[3:], Phone, true, false)
		if len(digits[4:]) >= 7 {
			c.put(digits[4:], Phone, true, false)
		}
	}
	c.hashed(digits)
	c.hashed(v)
}

// hashed notes a value that may stand there as a plain hash, which can be tried out: there
// are only some 10^11 identity numbers and 10^10 phone numbers.
func (c *Compiled) hashed(v string) { c.plain = append(c.plain, v) }

// digestOf reports a hexadecimal word that is the MD5, SHA-1, SHA-256 or SM3 of a value.
func (c *Compiled) digestOf(word string) bool {
	c.once.Do(func() {
		c.digests = map[string]bool{}
		for _, v := range c.plain {
			for _, form := range []string{v, strings.ToUpper(v), strings.ToLower(v)} {
				b := []byte(form)
				m, s1, s2, s3 := md5.Sum(b), sha1.Sum(b), sha256.Sum256(b), sm3.Sum(b) // #nosec G401 -- looked for, not relied on
				for _, sum := range [][]byte{m[:], s1[:], s2[:], s3[:]} {
					c.digests[hex.EncodeToString(sum)] = true
				}
			}
		}
	})
	return c.digests[strings.ToLower(word)]
}

// phrase adds a name of an organisation or the like.
func (c *Compiled) phrase(v string, t Type, least int) {
	if utf8.RuneCountInString(squeeze(v)) >= least {
		c.put(v, t, false, false)
	}
}

// address adds an address, and what remains of it behind the county: streets and numbers.
func (c *Compiled) address(v string) {
	runes := []rune(squeeze(v))
	if len(runes) < 4 {
		return
	}
	cut := 0
	for i, r := range runes {
		if i > 0 && i < len(runes)-1 && i-cut <= 12 && strings.ContainsRune("省市区县州盟旗", r) {
			cut = i + 1
		}
	}
	rest := runes[cut:]
	if !precise(rest) { // a county or a town, which policies let through
		return
	}
	c.put(string(runes), Address, true, false)
	if cut > 0 && len(rest) >= 4 {
		c.put(string(rest), Address, true, false)
	}
	for i := cut; i < len(runes); i++ { // 中山路321号
		if runes[i] == '号' && i-cut >= 4 {
			c.put(string(runes[cut:i+1]), Address, true, false)
			break
		}
	}
}

// precise reports an address that goes on below the town: digits, streets, villages, or
// words in Latin letters.
func precise(rest []rune) bool {
	return slices.ContainsFunc(rest, func(r rune) bool {
		return isDigit(r) || isLatin(r) || strings.ContainsRune("路街巷弄村号组幢室栋道园苑屯庄里坊湾", r)
	})
}

func (c *Compiled) date(v string) {
	for d := range datesOf(newView(v)) {
		c.dates[d.day] = true
	}
}

// search reports every place of the view where a known value stands.
func (c *Compiled) search(v *view, report func(t Type, start, end int)) {
	if c == nil {
		return
	}
	for i := range v.tight {
		r := v.tight[i].r
		if c.first[uint16(r)>>6]&(1<<(r&63)) != 0 {
			for _, p := range c.byFirst[r] {
				c.try(v, i, p, report)
			}
		}
		if len(c.bySound) > 0 && isTraditional(r) {
			for _, p := range c.bySound[sound(r)] {
				c.try(v, i, p, report)
			}
		}
	}
}

func (c *Compiled) try(v *view, i int, p pattern, report func(t Type, start, end int)) {
	if !p.matches(v, i) {
		return
	}
	last := i + len(p.runes) - 1
	if p.titled {
		n := v.titleAt(last+1, p.word)
		if n == 0 {
			return
		}
		last += n
	}
	if p.bounded && (continues(v, i, i-1, i) || continues(v, last, last, last+1)) {
		return
	}
	start, end := int(v.tight[i].start), int(v.tight[last].end)
	if p.alone && (start > 0 && hyphens[v.text[start-1]] || end < len(v.text) && hyphens[v.text[end]]) {
		return
	}
	report(p.typ, start, end)
}

// matches compares the characters at i of the view.
func (p *pattern) matches(v *view, i int) bool {
	if i+len(p.runes) > len(v.tight) {
		return false
	}
	for k, want := range p.runes {
		got := v.tight[i+k].r
		if got != want && (!p.pinyin || !sameCharacter(got, want)) {
			return false
		}
	}
	return true
}

var hyphens = map[byte]bool{'-': true, '.': true, '/': true, '_': true}

// continues reports that characters a and b of the view belong to one word or number; at is
// the one of them that belongs to the match.
func continues(v *view, at, a, b int) bool {
	if a < 0 || b >= len(v.tight) || !v.tight[b].joined {
		return false
	}
	inside := v.tight[at].r
	other := v.tight[a].r
	if at == a {
		other = v.tight[b].r
	}
	return isDigit(inside) && isDigit(other) || isLatin(inside) && isAlnum(other) || isAlnum(inside) && isLatin(other)
}

// knownIn notes the known values in one part.
func (s *search) knownIn(path string, v *view) {
	if s.known == nil {
		return
	}
	s.known.search(v, func(t Type, start, end int) {
		s.add(Finding{Type: t, Known: true, Path: path, Offset: start, Length: end - start}, v.text[start:end])
	})
	if len(s.known.dates) == 0 {
		return
	}
	for d := range datesOf(v) {
		if s.known.dates[d.day] {
			s.add(Finding{Type: Date, Known: true, Path: path, Offset: d.start, Length: d.end - d.start}, v.text[d.start:d.end])
		}
	}
}
