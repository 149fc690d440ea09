package v2

import (
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/desensitize"
)

// changeUnit applies a rule to a value that is spread over parts, and puts the result into
// them: texts are the parts as they are, news what they become.
func (r *run) changeUnit(n *node, u unit, rule *compiled, texts, news []string) {
	t := u.first.meaning
	switch {
	case n.typ == "CX":
		if by, ok := identifierCodes[r.typeCode]; ok {
			t = by
		}
	case t == desensitize.Phone:
		if strings.ContainsRune(strings.Join(texts, ""), '@') {
			t = desensitize.Email
		}
	}
	whole := joinUnit(u.first.meaning, n.typ, texts)
	if whole == "" {
		return
	}
	if t = typeOfNumber(t, whole); t == "" {
		t = desensitize.OtherID
	}
	res := r.apply(u.first, rule.rule, t, whole)
	if res.Removed || res.Text == "" {
		return
	}
	place := 0
	switch u.first.meaning {
	case desensitize.Name:
		splitName(res, texts, news)
		return
	case desensitize.Address:
		place = addressPlace(n.typ, rule.rule)
	case desensitize.Phone:
		place = firstFilled(texts)
	}
	news[min(place, len(news)-1)] = res.Text
}

func firstFilled(texts []string) int {
	for i, t := range texts {
		if t != "" {
			return i
		}
	}
	return 0
}

// joinUnit is the text of a value that is spread over parts, in the form in which the same
// value stands in other formats, so that its pseudonym is the same.
func joinUnit(t desensitize.Type, typ string, texts []string) string {
	switch t {
	case desensitize.Name:
		return joinName(texts)
	case desensitize.Address:
		return joinAddress(texts)
	case desensitize.Phone:
		return joinPhone(texts)
	}
	return strings.Join(texts, "")
}

// joinName is the name of a person without titles: family and given name without a blank in
// ideographs, given names first otherwise (as hl7.Person.FullName has it).
func joinName(texts []string) string {
	part := func(i int) string {
		if i < len(texts) {
			return strings.TrimSpace(texts[i])
		}
		return ""
	}
	family, given, second := part(0), part(1), part(2)
	if isHan(family) || family == "" && isHan(given) {
		return family + given + second
	}
	name := strings.Join(strings.Fields(given+" "+second+" "+family), " ")
	if name == "" {
		name = strings.Join(strings.Fields(strings.Join(texts, " ")), " ")
	}
	return name
}

func isHan(s string) bool {
	for _, c := range s {
		return unicode.Is(unicode.Han, c)
	}
	return false
}

// joinAddress is an address from its parts street, other designation, city, state and smaller
// areas: from the largest in Chinese, from the smallest otherwise.
func joinAddress(texts []string) string {
	part := func(i int) string {
		if i < len(texts) {
			return strings.TrimSpace(texts[i])
		}
		return ""
	}
	street, other, city, state, area, county := part(0), part(1), part(2), part(3), part(4), part(5)
	for _, s := range texts {
		if isHan(strings.TrimSpace(s)) {
			return state + city + county + area + street + other
		}
	}
	return strings.Join(strings.Fields(strings.Join([]string{street, other, area, city, county, state}, " ")), " ")
}

// addressPlace is where a changed address goes: the part for the area that is left of it.
func addressPlace(typ string, rule *desensitize.Rule) int {
	if typ != "XAD" && typ != "LA2" {
		return 0
	}
	switch rule.To {
	case desensitize.ToProvince:
		return 3
	case desensitize.ToCity, desensitize.ToCounty:
		return 2
	}
	return 0
}

// joinPhone takes the number in one piece if there is one (XTN.1, XTN.12), else its pieces.
func joinPhone(texts []string) string {
	for _, i := range []int{0, len(texts) - 1} {
		if i < len(texts) && digits([]byte(texts[i])) >= 5 || strings.ContainsRune(texts[i], '@') {
			return texts[i]
		}
	}
	return strings.Join(texts, "")
}

// splitName puts a surrogate name where the name stood: into family and given name if both
// were there, else into the first part.
func splitName(res desensitize.Result, texts, news []string) {
	given := len(texts) > 1 && texts[0] != "" && texts[1] != ""
	if res.Method == desensitize.Substitute && given {
		if family, rest, ok := strings.Cut(res.Text, " "); ok {
			news[0], news[1] = family, rest
			return
		}
		if rest, ok := strings.CutPrefix(res.Text, "某"); ok && rest != "" {
			news[0], news[1] = "某", rest
			return
		}
	}
	news[firstFilled(texts)] = res.Text
}

// Roots of object identifiers that say what a number is and not whose: the Chinese register
// of health information, and HL7's own.
const (
	nationalRoot = "2.16.156.10011."
	hl7Root      = "2.16.840.1.113883."
)

// universalID is what takes the place of an OID, UUID or domain: an OID below 2.25 (ITU-T
// X.667), a UUID, a domain that nobody has.
func (r *run) universalID(n *node, rule *desensitize.Rule, text string) string {
	if !r.names([]byte(text)) && strings.HasPrefix(text, nationalRoot) || strings.HasPrefix(text, hl7Root) && !longArc([]byte(text)) {
		r.note(n, rule, desensitize.Keep)
		return text
	}
	d := r.w.job.Project().Digest("universal", desensitize.Normal(text))
	r.note(n, rule, rule.Method)
	switch {
	case onlyOf([]byte(text), "0123456789."):
		return "2.25." + new(big.Int).SetBytes(d[:16]).String()
	case len(text) == 36 && strings.Count(text, "-") == 4:
		d[6], d[8] = d[6]&0x0f|0x80, d[8]&0x3f|0x80 // version 8, RFC 9562 §5.8
		return fmt.Sprintf("%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
	}
	return fmt.Sprintf("x%x.invalid", d[:8])
}
