package desensitize

import "strings"

// needles are known values, searched in values that are kept.
type needles struct {
	pairs [1 << 10]uint64 // which two bytes a long needle starts with
	long  []string        // found anywhere
	short map[string]bool // found as the whole value
	size  int             // of Known when they were collected
}

// shortNeedle is the length in bytes below which a known value must be the whole of a kept
// one: 张三 and three digits stand in too many codes.
const shortNeedle = 6

// Holds reports whether a value that is to be kept as it stands holds anything that is known
// of the people in the record, or is a resident identity number. It takes about a nanosecond
// for each byte.
func (s *Session) Holds(text string) bool {
	n := s.needles
	if size := s.known.size(); n == nil || n.size != size {
		n = s.known.needles(size)
		s.needles = n
	}
	if len(text) == 18 && residentID(text) {
		return true
	}
	if n.short[text] {
		return true
	}
	if len(n.long) == 0 {
		return false
	}
	for i := 0; i+1 < len(text); i++ {
		p := uint16(text[i])<<8 | uint16(text[i+1])
		if n.pairs[p>>6]&(1<<(p&63)) == 0 {
			continue
		}
		for _, l := range n.long {
			if strings.HasPrefix(text[i:], l) {
				return true
			}
		}
	}
	return false
}

func (k *Known) lists() []*[]string {
	return []*[]string{&k.Names, &k.Relatives, &k.Staff, &k.IDNumbers, &k.Phones, &k.Addresses, &k.Hospitals, &k.Employers, &k.RecordNumbers, &k.Dates}
}

func (k *Known) size() int {
	return len(k.Names) + len(k.Relatives) + len(k.Staff) + len(k.IDNumbers) + len(k.Phones) + len(k.Addresses) + len(k.Hospitals) +
		len(k.Employers) + len(k.RecordNumbers) + len(k.Dates)
}

func (k *Known) needles(size int) *needles {
	n := &needles{short: map[string]bool{}, size: size}
	for _, list := range k.lists() {
		for _, v := range *list {
			if len(v) < shortNeedle {
				n.short[v] = true
				continue
			}
			n.long = append(n.long, v)
			p := uint16(v[0])<<8 | uint16(v[1])
			n.pairs[p>>6] |= 1 << (p & 63)
		}
	}
	return n
}

// residentID reports eighteen characters with the check digit of GB 11643-1999.
func residentID(s string) bool {
	sum := 0
	for i := range 17 {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		sum += int(s[i]-'0') * idWeights[i]
	}
	return "10X98765432"[sum%11] == s[17]&^0x20 || "10X98765432"[sum%11] == s[17]
}

var idWeights = [...]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
