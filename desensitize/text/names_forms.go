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
	best, from := float32(0), at
	for size := 4; size >= 2 && size <= at; size-- {
		if s.ethnicEnd(at-size) == at && !short {
			s.name(at-size, at, strongName)
			return
		}
	}
	for size := 2; size <= 4 && at-size >= 0; size++ {
		i := at - size
		if !v.is(i, surname|compoundHead) {
			continue
		}
		end, score := s.bestName(i, s.leftOf(i)+1.5)
		if end == at && score > best && !short {
			best, from = score, i
		}
	}
	if best >= enoughForName+0.2 {
		s.name(from, at, best)
		return
	}
	i := at - 1
	if at >= 2 {
		if to, _ := s.match(v, at-2, surnames2); to == at {
			i = at - 2
		}
	}
	if !v.is(i, surname) && i == at-1 || i == at-1 && v.is(i, function) && strings.ContainsRune("由与和及对向让被请从到自在是因经同", v.r[i]) || s.reach[i] > int32(i) || short && !s.shortTitle(h, i) {
		return
	}
	if i == at-1 && v.is(i, wordlike) && v.is(i, lexical) && !v.is(i, frequent) && v.is(i-1, han) && s.reach[i] != int32(i) && !v.is(i-1, function) {
		return
	}
	s.claim(i, at, Name, 0.8)
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
	v := s.v
	from, to := i, i+1
	for j := max(0, i-6); j < i; j++ { // listed parts need no look at single characters
		if end := s.ethnicEnd(j); end == i {
			from = j
			break
		}
	}
	for from > 0 && i-from < 8 && v.is(from-1, translit|often) && v.gap[from] == noGap && s.taken[from-1] == "" && int(s.reach[from-1]) <= from-1 && !s.cueEnds(from) {
		from--
	}
	to = s.ethnicEnd(i + 1)
	for to < v.len() && to-i < 16 && (v.is(to, translit|often) && !v.is(to, function) && v.gap[to] != lineEnd || v.r[to] == '·') && s.wordEnd[to] == 0 {
		to++
	}
	if i-from < 2 || to-i < 3 {
		return
	}
	s.name(from, to, strongName)
}

// cueEnds tells whether a word that announces names ends at i.
func (s *scan) cueEnds(i int) bool {
	for j := max(0, i-4); j < i; j++ {
		if s.wordEnd[j] == int32(i) {
			return true
		}
	}
	return false
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

// oldName claims the surname in 老王 where the two stand for a person.
func (s *scan) oldName(i int) {
	v := s.v
	to := i + 2
	if end, _ := s.match(v, i+1, surnames2); end == i+3 {
		to = end
	} else if !v.is(i+1, surname) || s.wordEnd[i] > int32(i+1) || s.wordEnd[i+1] > int32(to) {
		return
	}
	if v.r[i] == '小' && (!v.is(i+1, frequent) || v.is(i+1, wordlike) || v.is(i-1, han) && !s.cueEnds(i)) {
		return
	}
	if v.is(i-1, han) && !strings.ContainsRune("床者人属", v.at(i-1)) && !s.cueEnds(i) {
		return
	}
	if v.is(i+1, wordlike) && v.is(i+1, lexical) && v.is(to, han) && s.wordEnd[to] == 0 && !v.is(to, function) {
		return
	}
	s.claim(i+1, to, Name, 0.75)
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
	if letters >= 3 && v.at(end) == ')' && v.is(i, upper) {
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
	s.givenNames()
	for _, n := range slices.SortedFunc(maps.Keys(s.names), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	}) {
		r := []rune(n)[0]
		first[r] = append(first[r], n)
	}
	v := s.v
	for i, r := range v.r {
		for _, n := range first[r] {
			to := i + len([]rune(n))
			if !v.has(i, n) || s.taken[i] != "" {
				continue
			}
			if to <= i+2 && (s.wordEnd[i] >= int32(to) || s.reach[i] > int32(i)) {
				continue
			}
			s.claim(i, to, Name, 0.85)
		}
	}
}
