package text

// kind is a set of roles that a word plays.
type kind uint32

const (
	word        kind = 1 << iota // ordinary or clinical, no name
	nameLabel                    // what follows is a name: 姓名, 签名
	nameCue                      // a name may follow: 患者, 其子, 医师
	title                        // a name may stand before: 医生, 女士
	someone                      // 某, 某某: stands for the given name
	idLabel                      // what follows is a number of the type in arg
	province                     // first level of the administrative divisions
	city                         // second level
	county                       // third level, as far as listed
	addrLabel                    // an address follows: 住址, 家住
	addrCue                      // an address may follow: 来自, 现居
	unitLabel                    // an employer follows
	orgHospital                  // ends the name of an institution that treats
	orgUnit                      // ends the name of another institution
	placeNoun                    // ends a part of an address: 省, 路, 小区
	surnames2                    // surname of two characters
	dateLabel                    // a date follows
	givenPair                    // given name with a character that is a word elsewhere: 未央
	ethnic                       // part of a name of several syllables: 扎西, 其木格
	orgName                      // name of an institution without its suffix
)

// entry is what a word in the trie stands for.
type entry struct {
	kinds kind
	arg   uint8 // for idLabel the type's place in types
}

// trie holds words of folded characters.
type trie struct {
	keys  []uint64 // open addressing: state<<16 | character
	next  []int32
	mask  uint64
	used  int
	term  []entry // by state
	first [1 << 16]int32
}

func newTrie() *trie {
	t := &trie{term: make([]entry, 1, 1<<15)}
	t.grow(1 << 16)
	return t
}

func (t *trie) grow(n int) {
	keys, next := t.keys, t.next
	t.keys, t.next, t.mask, t.used = make([]uint64, n), make([]int32, n), uint64(n-1), 0
	for i, k := range keys {
		if k != 0 {
			t.set(k, next[i])
		}
	}
}

func (t *trie) slot(k uint64) uint64 {
	i := (k * 0x9e3779b97f4a7c15) >> 32 & t.mask
	for t.keys[i] != 0 && t.keys[i] != k {
		i = (i + 1) & t.mask
	}
	return i
}

func (t *trie) set(k uint64, state int32) {
	i := t.slot(k)
	t.keys[i], t.next[i] = k, state
	t.used++
	if t.used*2 > len(t.keys) {
		t.grow(2 * len(t.keys))
	}
}

// step follows one character from a state; 0 is no state.
func (t *trie) step(state int32, r rune) int32 {
	if r >= 1<<16 || r < 0 {
		return 0
	}
	if state == 0 {
		return t.first[r]
	}
	i := t.slot(uint64(state)<<16 | uint64(r))
	if t.keys[i] == 0 {
		return 0
	}
	return t.next[i]
}

// add enters a word of folded characters.
func (t *trie) add(w string, k kind, arg uint8) {
	state := int32(0)
	for _, r := range w {
		if r >= 1<<16 {
			return
		}
		n := t.step(state, r)
		if n == 0 {
			t.term = append(t.term, entry{})
			n = int32(len(t.term) - 1)
			if state == 0 {
				t.first[r] = n
			} else {
				t.set(uint64(state)<<16|uint64(r), n)
			}
		}
		state = n
	}
	if state == 0 {
		return
	}
	t.term[state].kinds |= k
	if arg != 0 {
		t.term[state].arg = arg
	}
}

// match returns the end of the longest word of one of the kinds that begins at i, and its
// entry; the end is i if there is none.
func (t *trie) match(v *view, i int, k kind) (int, entry) {
	end, found, state := i, entry{}, int32(0)
	for j := i; j < len(v.r); j++ {
		if state = t.step(state, v.r[j]); state == 0 {
			break
		}
		if e := t.term[state]; e.kinds&k != 0 {
			end, found = j+1, e
		}
	}
	return end, found
}
