package hl7

import (
	"bytes"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Pairs of bytes hold all common characters of GB 18030 (its second part, which is GBK):
// lead bytes 0x81 to 0xFE, trail bytes 0x40 to 0xFE. Nearly all Chinese text consists of
// them and of ASCII, so that two tables take it several times faster than the general
// codec, which does the rest. Both tables are made from that codec and say the same.
const (
	pairLeads  = 0xfe - 0x81 + 1
	pairTrails = 0xfe - 0x40 + 1
)

type pairTables struct {
	runes [pairLeads * pairTrails]uint16 // 0: not a character
	pairs [1 << 16]uint16                // by rune; 0: not a pair
}

// gbPairs makes the tables when the first text in GB 18030 comes.
var gbPairs = sync.OnceValue(func() *pairTables {
	t := &pairTables{}
	dec, enc := simplifiedchinese.GB18030.NewDecoder(), simplifiedchinese.GB18030.NewEncoder()
	for i := range t.runes {
		pair := []byte{byte(0x81 + i/pairTrails), byte(0x40 + i%pairTrails)}
		text, err := dec.Bytes(pair)
		r, n := utf8.DecodeRune(text)
		if err != nil || r == utf8.RuneError || n != len(text) || r > 0xffff {
			continue
		}
		t.runes[i] = uint16(r)
		if back, err := enc.Bytes(text); err == nil && bytes.Equal(back, pair) {
			t.pairs[r] = uint16(pair[0])<<8 | uint16(pair[1])
		}
	}
	return t
})

// decodeGB18030 returns raw as UTF-8, and the position of the first byte that is not the
// beginning of a character, -1 if all are.
func decodeGB18030(raw []byte) (text []byte, misfit int) {
	t := gbPairs()
	out := make([]byte, 0, len(raw)+len(raw)/4+8)
	for pos := 0; pos < len(raw); {
		n := firstNonASCII(raw[pos:])
		out = append(out, raw[pos:pos+n]...)
		for pos += n; pos < len(raw) && raw[pos] >= 0x80; {
			if pos+1 < len(raw) && raw[pos] >= 0x81 && raw[pos] != 0xff && raw[pos+1] >= 0x40 && raw[pos+1] != 0xff {
				if r := t.runes[int(raw[pos]-0x81)*pairTrails+int(raw[pos+1]-0x40)]; r != 0 {
					out = utf8.AppendRune(out, rune(r))
					pos += 2
					continue
				}
			}
			width := doubleByte.width(raw[pos:])
			rest, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw[pos : pos+width])
			if err != nil || bytes.Contains(rest, []byte("\uFFFD")) {
				return nil, pos
			}
			out = append(out, rest...)
			pos += width
		}
	}
	return out, -1
}

// encodeGB18030 returns UTF-8 text in GB 18030, and the position of the first byte that is
// not UTF-8, -1 if there is none: the charset has a code for every character.
func encodeGB18030(text []byte) (raw []byte, misfit int) {
	t := gbPairs()
	out := make([]byte, 0, len(text))
	for pos := 0; pos < len(text); {
		n := firstNonASCII(text[pos:])
		out = append(out, text[pos:pos+n]...)
		for pos += n; pos < len(text) && text[pos] >= 0x80; {
			r, width := utf8.DecodeRune(text[pos:])
			if r == utf8.RuneError && width <= 1 {
				return nil, pos
			}
			if r <= 0xffff && t.pairs[r] != 0 {
				out = append(out, byte(t.pairs[r]>>8), byte(t.pairs[r]))
			} else {
				four, err := simplifiedchinese.GB18030.NewEncoder().Bytes(text[pos : pos+width])
				if err != nil {
					return nil, pos
				}
				out = append(out, four...)
			}
			pos += width
		}
	}
	return out, -1
}
