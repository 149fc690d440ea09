package text

import (
	"strings"

	"github.com/mozillazg/go-pinyin"
)

// name enters a name of a person in all forms.
func (c *compiler) name(w string) {
	w = c.plain(w)
	if w == "" {
		return
	}
	if _, cl := c.fold([]rune(w)[0]); cl&han == 0 {
		c.latinName(w)
		return
	}
	w = strings.ReplaceAll(w, " ", "")
	r := []rune(w)
	if len(r) < 2 {
		return
	}
	c.whole(w, Name)
	if strings.ContainsRune(w, '·') {
		for part := range strings.SplitSeq(w, "·") {
			if len([]rune(part)) >= 2 {
				c.whole(part, Name)
			}
		}
		return
	}
	family := 1
	v := c.look(w)
	defer v.free()
	if end, _ := c.match(v, 0, surnames2); end == 2 && len(r) > 2 {
		family = 2
	}
	c.called(string(r[:family]), family)
	if given := r[family:]; len(given) >= 2 {
		c.add(string(given), 0, len(given), Name, true)
	}
	c.pinyin(r, family)
}

// called enters the surname of n characters by which a person is called.
func (c *compiler) called(family string, n int) {
	r := []rune(family)
	c.index(pattern{text: r, to: n, typ: Name, family: true})
}

// knownFamily claims the surname of a known person before a title, before 某, behind 老 or 小.
func (s *scan) knownFamily(i int, p pattern) {
	v := s.v
	end := i + len(p.text)
	if int(s.wordEnd[i]) > end || int(s.reach[i]) > i {
		return
	}
	to, e := s.match(v, end, title|someone)
	switch {
	case to > end && int(s.wordEnd[end]) <= to:
		if e.kinds&someone != 0 {
			end = to
		}
		s.known(i, end, Name)
	case v.oneOf(i-1, "老小") && !v.is(i, function):
		s.known(i, end, Name)
	}
}

// pinyin enters the romanised forms: the family name first or last, the given name in one or
// two words. The view has no tone marks.
func (c *compiler) pinyin(r []rune, family int) {
	args := pinyin.NewArgs()
	args.Heteronym = true
	var given []string
	for _, x := range r[family:] {
		readings := pinyin.SinglePinyin(x, args)
		if len(readings) == 0 {
			return
		}
		given = append(given, readings[0])
	}
	families := [][]string{{}}
	for _, x := range r[:family] {
		var longer [][]string
		for _, reading := range c.readings(x, args) {
			for _, f := range families {
				longer = append(longer, append(append([]string{}, f...), reading))
			}
		}
		families = longer
	}
	for _, f := range families {
		c.k.latin = append(c.k.latin, latin{words: append(append([]string{}, f...), given...)}, latin{words: append(append([]string{}, given...), f...)})
	}
	if joined := strings.Join(given, ""); len(given) == 2 && len(joined) >= 5 {
		c.k.latin = append(c.k.latin, latin{words: given})
	}
}

// readings of a surname: those of the dictionary and the one it has as a surname.
func (c *compiler) readings(x rune, args pinyin.Args) []string {
	list := pinyin.SinglePinyin(x, args)
	special := map[rune]string{'单': "shan", '曾': "zeng", '仇': "qiu", '解': "xie", '任': "ren", '区': "ou", '查': "zha", '尉': "wei", '吕': "lyu", '朴': "piao", '覃': "qin", '盖': "ge"}
	if s, ok := special[x]; ok {
		list = append(list, s)
	}
	for i, p := range list {
		if i >= 3 {
			return list[:3]
		}
		if strings.Contains(p, "v") {
			list = append(list, strings.ReplaceAll(p, "v", "u"))
		}
	}
	return list
}

// latinName enters a name in letters: whole, with the family name first, without the middle,
// and its parts of three letters and more.
func (c *compiler) latinName(w string) {
	parts := strings.FieldsFunc(w, func(r rune) bool { return r == ' ' || r == ',' || r == '.' || r == '·' || r == '^' })
	if len(parts) == 0 {
		return
	}
	c.k.latin = append(c.k.latin, latin{words: parts})
	n := len(parts)
	if n > 1 {
		c.k.latin = append(c.k.latin, latin{words: append([]string{parts[n-1]}, parts[:n-1]...)}, latin{words: append(append([]string{}, parts[1:]...), parts[0])})
	}
	if n > 2 {
		c.k.latin = append(c.k.latin, latin{words: []string{parts[0], parts[n-1]}}, latin{words: []string{parts[n-1], parts[0]}})
	}
	for _, p := range parts {
		if len(p) >= 3 {
			c.k.latin = append(c.k.latin, latin{words: []string{p}, part: true})
		}
	}
}
