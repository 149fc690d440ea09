package v2

import (
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
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
	whole := joinUnit(u.first.meaning, texts)
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
func joinUnit(t desensitize.Type, texts []string) string {
	part := func(i int) string {
		if i < len(texts) {
			return texts[i]
		}
		return ""
	}
	switch t {
	case desensitize.Name:
		return guard.JoinName(part(0), part(1), part(2), texts...)
	case desensitize.Address:
		return joinAddress(texts)
	case desensitize.Phone:
		return joinPhone(texts)
	}
	return strings.Join(texts, "")
}

// joinAddress is an address from its parts street, other designation, city, state and smaller
// areas (XAD.1 to XAD.4, XAD.8, XAD.9).
func joinAddress(texts []string) string {
	var p [6]string
	copy(p[:], texts)
	return guard.Area{State: p[3], City: p[2], County: p[5], Township: p[4], Street: p[0], Other: p[1]}.String()
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
		if i < len(texts) && guard.Digits(texts[i]) >= 5 || strings.ContainsRune(texts[i], '@') {
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
		if family, rest, ok := guard.SplitName(res.Text); ok {
			news[0], news[1] = family, rest
			return
		}
	}
	news[firstFilled(texts)] = res.Text
}

// universalID is what takes the place of an OID, UUID or domain. Roots that name a kind of
// number for a whole country stay.
func (r *run) universalID(n *node, rule *desensitize.Rule, text string) string {
	if guard.PublicRoot(r.people, text) {
		r.note(n, rule, desensitize.Keep)
		return text
	}
	r.note(n, rule, rule.Method)
	return guard.UniversalID(r.w.job.Project(), text)
}
