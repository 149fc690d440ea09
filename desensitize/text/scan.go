package text

import "slices"

// found is a candidate: a range of the view that a recogniser claims.
type found struct {
	from, to int
	typ      Type
	score    float32
	known    bool
}

// hit is a word of the trie that calls for action.
type hit struct {
	from, to int
	entry
}

// scan is the work on one text. It is not shared.
type scan struct {
	*Engine
	v       *view
	out     []found
	hits    []hit
	wordEnd []int32 // by position, the end of the longest word that begins there, or 0
	reach   []int32 // by position, the furthest end of a word that began before
	taken   []Type  // by position, what a number or a label has claimed; "" is free
	names   map[string]float32
}

// acting are the kinds that make a hit.
const acting = nameLabel | nameCue | title | someone | idLabel | province | city | county | addrLabel | addrCue |
	unitLabel | orgHospital | orgUnit | placeNoun | dateLabel

// add claims a range; blanks and marks at its edges are left out.
func (s *scan) add(from, to int, t Type, score float32) {
	for from < to && trimmed(s.v.r[from]) {
		from++
	}
	for to > from && trimmed(s.v.r[to-1]) {
		to--
	}
	if from < to {
		s.out = append(s.out, found{from: from, to: to, typ: t, score: score})
	}
}

func trimmed(r rune) bool {
	switch r {
	case ' ', '\n', ',', ';', ':', '，', '。', '、', '；', '：', '_', '-', '·':
		return true
	}
	return false
}

// claim is add for a range that no later recogniser is to look into.
func (s *scan) claim(from, to int, t Type, score float32) {
	s.add(from, to, t, score)
	for i := from; i < to; i++ {
		s.taken[i] = t
	}
}

// prepare sizes the scan for its view.
func (s *scan) prepare() {
	n := s.v.len() + 1
	s.wordEnd = grown(s.wordEnd, n)
	s.reach = grown(s.reach, n)
	s.taken = grown(s.taken, n)
	s.out, s.hits = s.out[:0], s.hits[:0]
	clear(s.names)
}

func grown[T any](list []T, n int) []T {
	list = slices.Grow(list[:0], n)[:n]
	clear(list)
	return list
}

// words walks the trie once from every character on.
func (s *scan) words() {
	v, reach := s.v, int32(0)
	for i := range v.r {
		s.reach[i] = reach
		if s.first[v.r[i]&0xffff] == 0 || v.cls[i]&alpha != 0 && v.is(i-1, alpha|digit) {
			continue
		}
		end, act := s.wordAt(i)
		s.wordEnd[i] = end
		reach = max(reach, end)
		if act.kinds != 0 && (act.to >= int(end) || act.kinds&(word|title|someone|province|city|county) != 0) {
			s.hits = append(s.hits, act)
		}
	}
}

// lexicon are the kinds of words that are no names themselves.
const lexicon = word | nameLabel | nameCue | title | addrLabel | unitLabel | idLabel | dateLabel

// wordAt returns the end of the longest word that begins at i, or 0, and the longest that calls
// for action.
func (s *scan) wordAt(i int) (end int32, act hit) {
	v, state := s.v, int32(0)
	for j := i; j < len(v.r); j++ {
		if state = s.step(state, v.r[j]); state == 0 {
			break
		}
		e := s.term[state]
		if e.kinds == 0 || v.cls[j]&alpha != 0 && v.is(j+1, alpha) || v.gap[j] == parting && j > i {
			continue
		}
		if e.kinds&lexicon != 0 && j > i {
			end = int32(j + 1)
		}
		if e.kinds&acting != 0 {
			act = hit{from: i, to: j + 1, entry: e}
		}
	}
	return end, act
}

// run does all the work and leaves the candidates in out.
func (s *scan) run(k *knowledge) {
	s.prepare()
	s.words()
	s.tokens()
	s.findKnown(k)
	s.numbers()
	for _, h := range s.hits {
		if h.kinds&(idLabel|dateLabel) != 0 {
			s.labelled(h)
		}
	}
	s.places()
	s.organisations()
	s.chineseNames()
	s.english()
	s.repeat()
}
