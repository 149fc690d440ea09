package hl7

import "unicode/utf8"

// DetectCharset says which charset the bytes of a message are probably in, for advice and
// for tools that look at files. It is a guess where the answer is neither ASCII nor UTF-8:
// what an endpoint takes is declared or configured, never guessed. ok is false if nothing
// fits.
func DetectCharset(raw []byte) (cs Charset, ok bool) {
	switch first := firstNonASCII(raw); {
	case first == len(raw):
		return ASCII, true
	case utf8.Valid(raw):
		return UTF8, true
	}
	gb, big5 := commonShare(raw, GB18030), commonShare(raw, Big5)
	switch {
	case gb >= 0.5 && gb+0.2 >= big5 && fits(GB18030, raw):
		return GB18030, true
	case big5 >= 0.5 && fits(Big5, raw):
		return Big5, true
	case c1Control(raw) < 0:
		return Latin1, true
	case gb > 0 && fits(GB18030, raw):
		return GB18030, true
	}
	return Charset{}, false
}

func fits(cs Charset, raw []byte) bool {
	_, err := cs.Decode(raw)
	return err == nil
}

// commonShare returns how much of the double-byte characters in b are of the rows in which
// a national standard keeps its signs and its common characters: with lead bytes 0xA1 to
// 0xA9 and 0xB0 to 0xD7 in GB 2312, 0xA1 to 0xC6 in Big5.
func commonShare(b []byte, cs Charset) float64 {
	total, common := 0, 0
	for pos := 0; pos < len(b); {
		n := doubleByte.width(b[pos:])
		if lead := b[pos]; lead >= 0x80 {
			total++
			switch {
			case n != 2:
			case cs == Big5 && lead >= 0xa1 && lead <= 0xc6,
				cs == GB18030 && b[pos+1] >= 0xa1 && (lead >= 0xa1 && lead <= 0xa9 || lead >= 0xb0 && lead <= 0xd7):
				common++
			}
		}
		pos += n
	}
	if total == 0 {
		return 0
	}
	return float64(common) / float64(total)
}

// c1Control returns the position of the first byte from 0x80 to 0x9F, -1 if there is none.
func c1Control(b []byte) int {
	for i, c := range b {
		if c >= 0x80 && c <= 0x9f {
			return i
		}
	}
	return -1
}

// doubt reports text that an ISO 8859 charset can read, as it can any bytes, and that is in
// another charset in truth.
func (c Charset) doubt(raw []byte) error {
	if c.def == nil || c.def.family != singleByte || c.def.codec == nil || c == windows1 {
		return nil
	}
	if n := c1Control(raw); n >= 0 {
		return &CharsetError{Charset: c.String(), Offset: n, Problem: "a control character that no text in this charset holds"}
	}
	if first := firstNonASCII(raw); first < len(raw) && chineseThroughout(raw[first:]) {
		return &CharsetError{Charset: c.String(), Offset: first, Problem: "every character above 0x7F is half of a Chinese one"}
	}
	return nil
}

// chineseThroughout reports that all bytes above 0x7F come in pairs that GB 2312 assigns, in
// runs that no letter of the alphabet touches, and mostly to common characters. European
// words do not look like that: their accented letters stand alone between plain ones.
func chineseThroughout(b []byte) bool {
	runs := 0
	for i := 0; i < len(b); {
		if b[i] < 0x80 {
			i++
			continue
		}
		start := i
		for i < len(b) && b[i] >= 0xa1 && b[i] != 0xff {
			i++
		}
		if i == start || (i-start)%2 != 0 || start > 0 && letter(b[start-1]) || i < len(b) && letter(b[i]) {
			return false
		}
		runs += (i - start) / 2
	}
	return runs >= 2 && commonShare(b, GB18030) >= 0.7
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
