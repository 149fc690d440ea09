// Package guard holds what the walkers of HL7 v2 and CDA have in common: what a value that is
// kept may look like, and how names, addresses and universal identifiers that stand in parts
// become one value and parts again, so that one person has one surrogate in both formats.
package guard

import (
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/desensitize"
)

// People are the names and numbers of the people of a record, as tokens: letters and digits
// in lower case. A code or number that is among them is not kept.
type People map[string]struct{}

// minToken is the length of the shortest token that can name somebody.
const minToken = 3

// PeopleOf lists the tokens of what is known.
func PeopleOf(k *desensitize.Known) People {
	out := make(People, 64)
	for _, list := range [][]string{k.IDNumbers, k.RecordNumbers, k.Phones, k.Dates} {
		for _, v := range list {
			out.add(v)
		}
	}
	for _, list := range [][]string{k.Names, k.Relatives, k.Staff} {
		for _, v := range list {
			out.add(v)
			if words := strings.Fields(v); len(words) > 1 {
				for _, word := range words {
					out.add(word)
				}
			}
		}
	}
	return out
}

func (p People) add(s string) {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if c, ok := fold(s[i]); ok {
			b = append(b, c)
		}
	}
	if len(b) >= minToken {
		p[string(b)] = struct{}{}
	}
}

func fold(c byte) (byte, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A', true
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z':
		return c, true
	}
	return 0, false
}

// Bytes is text in either of its forms.
type Bytes interface{ ~string | ~[]byte }

// Names reports a token that is a name or number of somebody, whatever stands between its
// letters and digits. Values of more than 64 letters and digits are not compared.
func Names[T Bytes](p People, s T) bool {
	if len(s) < minToken || len(p) == 0 {
		return false
	}
	var room [64]byte
	n := 0
	for i := range len(s) {
		if c, ok := fold(s[i]); ok {
			if n == len(room) {
				return false
			}
			room[n] = c
			n++
		}
	}
	_, ok := p[string(room[:n])]
	return ok
}

// Limits of a token, in bytes, and the digits up to which it cannot name a person by itself.
const (
	MaxToken       = 24
	MaxPlainDigits = 7
)

// Token reports a code: short ASCII without blanks, without words and long numbers, that is
// neither a name nor a number of somebody.
func Token[T Bytes](p People, s T) bool {
	if len(s) > MaxToken {
		return false
	}
	count, lower := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			count++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z', c == '.', c == '-', c == '_', c == '/', c == '+', c == '*', c == '#', c == '%', c == '<', c == '>', c == '=', c == ':':
		default:
			return false
		}
	}
	if count > MaxPlainDigits || lower > 0 && lower+count > 8 || Names(p, s) {
		return false
	}
	if len(s) < minEncoded {
		return true
	}
	_, hides := decode64(string(s))
	return !hides
}

// OID reports an object identifier none of whose arcs can be the number of somebody.
func OID[T Bytes](p People, s T) bool {
	return len(s) > 0 && len(s) <= 128 && OnlyOf(s, "0123456789.") && !longArc(s) && !Names(p, s)
}

// longArc reports an arc of an OID that is long enough to be somebody's number.
func longArc[T Bytes](s T) bool {
	run := 0
	for i := range len(s) {
		if s[i] == '.' {
			run = 0
			continue
		}
		if run++; run >= 9 {
			return true
		}
	}
	return false
}

// Number reports a number of so few digits that it cannot name a person.
func Number[T Bytes](p People, s T) bool {
	return OnlyOf(s, "0123456789.+-eE") && Digits(s) <= MaxPlainDigits && !Names(p, s)
}

// OnlyOf reports that s has no other bytes than those of chars.
func OnlyOf[T Bytes](s T, chars string) bool {
	for i := range len(s) {
		if strings.IndexByte(chars, s[i]) < 0 {
			return false
		}
	}
	return true
}

// Digits counts the ASCII digits.
func Digits[T Bytes](s T) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// Roots of object identifiers that say what a number is and not whose: the Chinese register
// of health information, and HL7's own.
const (
	nationalRoot = "2.16.156.10011."
	hl7Root      = "2.16.840.1.113883."
)

// PublicRoot reports a root of identifiers that names a kind of number for a whole country.
func PublicRoot(p People, oid string) bool {
	return (strings.HasPrefix(oid, nationalRoot) || strings.HasPrefix(oid, hl7Root)) && OID(p, oid)
}

// UniversalID is what takes the place of an OID, UUID or domain: an OID below 2.25 (ITU-T
// X.667 §7), a UUID, a domain that nobody has (RFC 2606 §2).
func UniversalID(project *desensitize.Project, text string) string {
	d := project.Digest("universal", desensitize.Normal(text))
	switch {
	case OnlyOf(text, "0123456789."):
		return "2.25." + new(big.Int).SetBytes(d[:16]).String()
	case len(text) == 36 && strings.Count(text, "-") == 4:
		d[6], d[8] = d[6]&0x0f|0x80, d[8]&0x3f|0x80 // version 8, RFC 9562 §5.8
		return fmt.Sprintf("%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
	}
	return fmt.Sprintf("x%x.invalid", d[:8])
}

// JoinName is the name of a person without titles: family and given name without a blank in
// ideographs, given names first otherwise. rest is taken where there is neither.
func JoinName(family, given, second string, rest ...string) string {
	family, given, second = strings.TrimSpace(family), strings.TrimSpace(given), strings.TrimSpace(second)
	if Han(family) || family == "" && Han(given) {
		return family + given + second
	}
	name := strings.Join(strings.Fields(given+" "+second+" "+family), " ")
	if name == "" {
		name = strings.Join(strings.Fields(strings.Join(rest, " ")), " ")
	}
	return name
}

// SplitName parts a surrogate name into family and given name; ok is false for values of
// another form, such as pseudonyms.
func SplitName(surrogate string) (family, given string, ok bool) {
	if family, given, ok = strings.Cut(surrogate, " "); ok {
		return family, given, true
	}
	if given, ok = strings.CutPrefix(surrogate, "某"); ok && given != "" {
		return "某", given, true
	}
	return "", "", false
}

// Han reports text that begins with a Chinese character.
func Han(s string) bool {
	for _, c := range s {
		return unicode.Is(unicode.Han, c)
	}
	return false
}

// Area is an address in parts, from the largest to the smallest.
type Area struct{ State, City, County, Township, Street, Other string }

// String is the address in one piece: from the largest part in Chinese, from the smallest
// otherwise.
func (a Area) String() string {
	parts := []string{a.State, a.City, a.County, a.Township, a.Street, a.Other}
	for i, s := range parts {
		parts[i] = strings.TrimSpace(s)
	}
	for _, s := range parts {
		if Han(s) {
			if parts[0] == parts[1] { // 直辖市: the municipality is province and city
				parts[1] = ""
			}
			return strings.Join(parts, "")
		}
	}
	return strings.Join(strings.Fields(strings.Join([]string{parts[4], parts[5], parts[3], parts[1], parts[2], parts[0]}, " ")), " ")
}
