package v2

import (
	"bytes"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
)

// leafValue writes what becomes of a smallest part.
func (r *run) leafValue(n *node, raw []byte, rule *compiled) {
	var of *desensitize.Rule
	if rule != nil {
		of = rule.rule
	}
	switch r.method(rule) {
	case desensitize.Redact:
		r.note(n, of, desensitize.Redact)
	case desensitize.Keep, desensitize.Scrub:
		r.guard(n, raw, of, r.method(rule))
	default:
		text := r.plain(raw)
		if n.leaf == universal {
			r.appendEscaped(r.universalID(n, of, text))
			return
		}
		t := n.meaning
		if t == desensitize.Text || t == "" {
			t = desensitize.OtherID
		}
		if res := r.apply(n, of, typeOfNumber(t, text), text); !res.Removed {
			r.appendEscaped(res.Text)
		}
	}
}

// guard keeps a value that is what it claims to be, and scrubs it as text otherwise.
func (r *run) guard(n *node, raw []byte, rule *desensitize.Rule, m desensitize.Method) {
	switch n.leaf {
	case textLeaf:
		r.scrubLeaf(n, raw, rule, m)
		return
	case openLeaf:
		r.scrubLeaf(n, raw, rule, m)
		return
	case unitLeaf:
		if m == desensitize.Scrub {
			r.scrubLeaf(n, raw, rule, m)
			return
		}
	case dataLeaf: // without its media type nobody can judge it
		r.note(n, rule, desensitize.Redact)
		return
	case codeLeaf, numberLeaf, dateLeaf, clockLeaf, orderLeaf, checkLeaf, universal, composite:
		raw = r.first(raw)
		if !r.fits(n.leaf, raw) {
			r.scrubLeaf(n, raw, rule, m)
			return
		}
	}
	r.note(n, rule, desensitize.Keep)
	r.out = append(r.out, raw...)
}

// first returns what stands before the first separator of smaller parts: a value of a simple
// type has no others.
func (r *run) first(raw []byte) []byte {
	for i, c := range raw {
		if (c == r.d.Component || c == r.d.Subcomponent) && c != 0 {
			return raw[:i]
		}
	}
	return raw
}

// Digits of a code or number up to which it cannot name a person by itself.
const (
	maxPlainDigits = 7
	maxToken       = 24
)

// fits reports whether a value has the form of its type and is nothing that is known of the
// message's people.
func (r *run) fits(l leaf, raw []byte) bool {
	switch l {
	case dateLeaf:
		_, err := hl7.ParseTime(string(bytes.TrimSpace(raw)), nil)
		return err == nil && len(raw) <= maxToken+2
	case clockLeaf:
		return len(raw) <= 15 && onlyOf(raw, "0123456789.+-")
	case orderLeaf, checkLeaf:
		return len(raw) <= 4 && onlyOf(raw, "0123456789X")
	case numberLeaf:
		return onlyOf(raw, "0123456789.+-") && digits(raw) <= maxPlainDigits && !r.names(raw)
	case universal:
		return len(raw) <= 128 && onlyOf(raw, "0123456789.") && !longArc(raw) && !r.names(raw) || r.token(raw)
	}
	return r.token(raw)
}

// token reports a code: short ASCII without blanks, lower-case words or long numbers, that is
// neither a name nor a number of somebody.
func (r *run) token(raw []byte) bool {
	if len(raw) > maxToken {
		return false
	}
	count, lower := 0, 0
	for _, c := range raw {
		switch {
		case c >= '0' && c <= '9':
			count++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z', c == '.', c == '-', c == '_', c == '/', c == '+', c == '*', c == '#', c == '%', c == '<', c == '>', c == '=', c == ':':
		default:
			return false
		}
	}
	return count <= maxPlainDigits && (lower == 0 || lower+count <= 8) && !r.names(raw)
}

// names reports a token that is a name or number of the message's people.
func (r *run) names(raw []byte) bool {
	if len(raw) < 3 || len(r.ids) == 0 {
		return false
	}
	var room [maxToken + 40]byte
	if len(raw) > len(room) {
		return false
	}
	n := 0
	for _, c := range raw {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z':
		default:
			continue
		}
		room[n] = c
		n++
	}
	_, ok := r.ids[string(room[:n])]
	return ok
}

// tokensOf lists what names compares with: letters and digits of what is known, in lower case.
func tokensOf(k *desensitize.Known) map[string]struct{} {
	out := make(map[string]struct{}, 64)
	add := func(s string) {
		s = strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
				return c
			}
			return -1
		}, strings.ToLower(s))
		if len(s) >= 3 {
			out[s] = struct{}{}
		}
	}
	for _, list := range [][]string{k.IDNumbers, k.RecordNumbers, k.Phones, k.Dates} {
		for _, v := range list {
			add(v)
		}
	}
	for _, list := range [][]string{k.Names, k.Relatives, k.Staff} {
		for _, v := range list {
			add(v)
			for _, word := range strings.Fields(v) {
				add(word)
			}
		}
	}
	return out
}

func onlyOf(raw []byte, chars string) bool {
	for _, c := range raw {
		if strings.IndexByte(chars, c) < 0 {
			return false
		}
	}
	return true
}

func digits(raw []byte) int {
	n := 0
	for _, c := range raw {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// longArc reports an arc of an OID that is long enough to be somebody's number.
func longArc(raw []byte) bool {
	run := 0
	for _, c := range raw {
		if c == '.' {
			run = 0
			continue
		}
		if run++; run >= 9 {
			return true
		}
	}
	return false
}

// fixed writes a structural value: a token as it stands, anything else not at all.
func (r *run) fixed(n *node, raw []byte) {
	value := r.first(raw)
	if n.path == "MSH-18" || n.path == "MSH-20" {
		if !charsetName(value) {
			return
		}
	} else if !r.token(value) {
		r.note(n, nil, desensitize.Redact)
		return
	}
	r.out = append(r.out, value...)
}

// charsetName reports a name of HL7 table 0211 or one that senders use for it.
func charsetName(raw []byte) bool {
	if len(raw) > maxToken {
		return false
	}
	_, ok := hl7.CharsetByName(string(raw))
	return ok || onlyOf(raw, "ABCDEFGHIJKLMNOPQRSTUVWXYZ -/") || bytes.HasPrefix(raw, []byte("8859/"))
}

// typeOfNumber tells a resident identity number by its form, so that its surrogate has it too.
func typeOfNumber(t desensitize.Type, text string) desensitize.Type {
	switch t {
	case desensitize.RecordNo, desensitize.OtherID, desensitize.Account, desensitize.InsuranceNo, desensitize.ExamNo, desensitize.InpatientNo:
		if len(text) == 18 {
			if _, ok := hl7.NormalResidentID(text); ok {
				return desensitize.IDCard
			}
		}
	}
	return t
}
