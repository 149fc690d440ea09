package text

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// titledName looks for the name, or the surname alone, before 医生, 女士 and the like.
func (s *scan) titledName(h hit) {
	v, at := s.v, h.from
	if at == 0 || !v.is(at-1, han) || s.taken[at-1] != "" || v.gapAt(at) >= lineEnd {
		return
	}
	short := h.to-h.from == 1 // 总, 工, 老 and the like carry little weight
	if !short && s.fullTitled(at) {
		return
	}
	i := at - 1
	if at >= 2 {
		if to, _ := s.match(v, at-2, surnames2); to == at {
			i = at - 2
		}
	}
	if int(s.reach[i]) > i || short && !s.shortTitle(h, i) || i == at-1 && !s.familyBefore(i) {
		return
	}
	s.claim(i, at, Name, 0.8)
}

// fullTitled claims the full name that ends at at, before a title.
func (s *scan) fullTitled(at int) bool {
	for size := 4; size >= 2; size-- {
		if size <= at && s.ethnicEnd(at-size) == at {
			s.name(at-size, at, strongName)
			return true
		}
	}
	best, from := float32(0), at
	for i := at - 2; i >= 0 && i >= at-4; i-- {
		if !s.v.is(i, surname|compoundHead) {
			continue
		}
		if end, score := s.bestName(i, s.leftOf(i)+1.5); end == at && score > best {
			best, from = score, i
		}
	}
	if best < enoughForName+0.2 {
		return false
	}
	s.name(from, at, best)
	return true
}

// familyBefore tells whether the character at i, before a title, is a surname there.
func (s *scan) familyBefore(i int) bool {
	v := s.v
	if !v.is(i, surname) || v.is(i, function) && v.oneOf(i, "由与和及对向让被请从到自在是因经同") {
		return false
	}
	everyday := v.is(i, wordlike) && v.is(i, lexical) && !v.is(i, frequent)
	return !everyday || !v.is(i-1, han) || int(s.reach[i]) == i || v.is(i-1, function)
}

// shortTitle tells whether a title of one character stands for itself.
func (s *scan) shortTitle(h hit, i int) bool {
	return s.v.is(i, frequent) && !s.v.is(i, wordlike) && !s.v.is(i-1, han) &&
		(!s.v.is(h.to, han) || s.v.is(h.to, function)) && s.v.at(h.from) != '工' && s.v.at(h.from) != '老'
}

// anonymous claims 王某, 张某某, 李** with the surname.
func (s *scan) anonymous(h hit) {
	v := s.v
	if !v.is(h.from-1, surname) || s.reach[h.from-1] >= int32(h.from) {
		return
	}
	if v.is(h.from, alpha) || v.at(h.from) == '*' {
		if v.is(h.to, alpha|digit) || v.is(h.from-1, wordlike) || !v.is(h.from-1, frequent) {
			return
		}
	}
	s.claim(h.from-1, h.to, Name, 0.8)
}

// dottedName claims names of the form 阿卜杜拉·买买提 around the dot at i.
func (s *scan) dottedName(i int) {
	from, to := s.dottedStart(i), s.dottedEnd(i)
	if i-from >= 2 && to-i >= 3 {
		s.name(from, to, strongName)
	}
}

// dottedStart goes back from a dot over listed parts of names, or over characters that are
// used in them.
func (s *scan) dottedStart(i int) int {
	v, from := s.v, i
	for j := max(0, i-6); j < i; j++ {
		if s.ethnicEnd(j) == i {
			from = j
			break
		}
	}
	for from > 0 && i-from < 8 && v.is(from-1, translit|often) && v.gap[from] == noGap && s.taken[from-1] == "" {
		if int(s.reach[from-1]) > from-1 || s.cueEnds(from) {
			break
		}
		from--
	}
	return from
}

// dottedEnd goes on from a dot in the same way, over further dots.
func (s *scan) dottedEnd(i int) int {
	v, to := s.v, s.ethnicEnd(i+1)
	for to < v.len() && to-i < 16 && s.wordEnd[to] == 0 {
		if v.r[to] != '·' && (!v.is(to, translit|often) || v.is(to, function) || v.gap[to] == lineEnd) {
			break
		}
		to++
	}
	return to
}

// ethnicEnd returns the end of the listed parts of names from i on.
func (s *scan) ethnicEnd(i int) int {
	for range 4 {
		end, _ := s.match(s.v, i, ethnic)
		if end == i {
			break
		}
		i = end
	}
	return i
}

// ethnicName claims names of several listed parts, such as 扎西顿珠 and 乌云毕力格; a single part
// is a name where a word announces it.
func (s *scan) ethnicName(i int) {
	v := s.v
	to, parts := i, 0
	for parts < 4 {
		end, _ := s.match(v, to, ethnic)
		if end == to || !s.together(to, end) {
			break
		}
		to, parts = end, parts+1
	}
	left := s.cueEnds(i) || v.at(i-1) == ':' || v.at(i-1) == '、' || v.gapAt(i) != noGap
	if parts >= 2 && to-i >= 3 && (left || !v.is(i-1, translit)) || parts == 1 && left && to-i >= 3 && s.rightOf(to, 0) > 0 {
		s.name(i, to, strongName)
	}
}

// oldName claims the surname in 老王 or 小李 where the two stand for a person.
func (s *scan) oldName(i int) {
	v := s.v
	to := i + 2
	if end, _ := s.match(v, i+1, surnames2); end == i+3 {
		to = end
	} else if !v.is(i+1, surname) || s.wordEnd[i] > int32(i+1) || s.wordEnd[i+1] > int32(to) {
		return
	}
	called := !v.is(i-1, han) || s.cueEnds(i)
	if v.r[i] == '小' {
		called = called && v.is(i+1, frequent) && !v.is(i+1, wordlike)
	} else {
		called = called || v.oneOf(i-1, "床者人属")
	}
	if called && s.closedFamily(i+1, to) {
		s.claim(i+1, to, Name, 0.75)
	}
}

// closedFamily tells whether a surname that may be an everyday word ends before a word or a mark.
func (s *scan) closedFamily(i, to int) bool {
	v := s.v
	if !v.is(i, wordlike) || !v.is(i, lexical) {
		return true
	}
	return !v.is(to, han) || s.wordEnd[to] > 0 || v.is(to, function)
}

// cueEnds tells whether a word of the lists ends at i.
func (s *scan) cueEnds(i int) bool {
	for j := max(0, i-4); j < i; j++ {
		if s.wordEnd[j] == int32(i) {
			return true
		}
	}
	return false
}

// romanised claims the Latin form of a name in the brackets behind it.
func (s *scan) romanised(i int) {
	v := s.v
	end, letters := i, 0
	for end-i < 40 && (v.is(end, alpha) || strings.ContainsRune(" ,.'-", v.at(end)) && v.at(end) != 0) {
		if v.is(end, alpha) {
			letters++
		}
		end++
	}
	if v.at(end) == ')' && (letters >= 3 && v.is(i, upper) || letters >= 5) {
		s.claim(i, end, Name, 0.85)
	}
}

// givenNames adds the given names of two characters of the names found, which relatives use.
func (s *scan) givenNames() {
	for n := range maps.Clone(s.names) {
		r := []rune(n)
		if len(r) != 3 && len(r) != 4 || s.cls[r[0]&0xffff]&han == 0 || strings.ContainsRune(n, '·') {
			continue
		}
		given := string(r[len(r)-2:])
		if len(r) == 4 && !s.compound(n) {
			continue
		}
		if s.names[given] == 0 {
			s.names[given] = strongName
		}
	}
}

// compound tells whether a name begins with a surname of two characters.
func (s *scan) compound(n string) bool {
	for _, w := range compounds() {
		if strings.HasPrefix(n, w) {
			return true
		}
	}
	return false
}

// repeat claims the names that were found with strong evidence wherever else they stand.
func (s *scan) repeat() {
	if len(s.names) == 0 {
		return
	}
	first := map[rune][]string{}
	var begins firsts
	s.givenNames()
	for _, n := range slices.SortedFunc(maps.Keys(s.names), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	}) {
		r := []rune(n)[0]
		first[r] = append(first[r], n)
		begins.add(r)
	}
	v := s.v
	for i, r := range v.r {
		if !begins.may(r) {
			continue
		}
		for _, n := range first[r] {
			to := i + len([]rune(n))
			if !v.has(i, n) || s.taken[i] != "" {
				continue
			}
			if int(s.wordEnd[i]) > to || int(s.reach[i]) > to {
				continue
			}
			if to <= i+2 && (s.wordEnd[i] >= int32(to) || s.reach[i] > int32(i)) {
				continue
			}
			s.claim(i, to, Name, 0.85)
		}
	}
}
