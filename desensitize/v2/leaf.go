package v2

import (
	"bytes"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// leafValue writes what becomes of a smallest part.
func (r *run) leafValue(n *node, raw []byte, rule *compiled) {
	var of *desensitize.Rule
	if rule != nil {
		of = rule.rule
	}
	switch m := r.method(rule); {
	case m == desensitize.Redact, m != desensitize.Keep && n.leaf == checkLeaf:
		r.note(n, of, desensitize.Redact)
	case m == desensitize.Keep, m == desensitize.Scrub:
		r.guard(n, raw, of, m)
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
		if raw = r.first(raw); !r.fits(n.leaf, raw) {
			r.misfit(n, raw, rule, m)
			return
		}
	}
	r.note(n, rule, desensitize.Keep)
	r.out = append(r.out, raw...)
}

// misfit writes a value that is not what its type says: a code that may be a number of
// somebody becomes a pseudonym, anything else is text.
func (r *run) misfit(n *node, raw []byte, rule *desensitize.Rule, m desensitize.Method) {
	text := r.plain(raw)
	if n.leaf != codeLeaf || !guard.CodeLike(text) {
		r.scrubLeaf(n, raw, rule, m)
		return
	}
	r.note(n, rule, desensitize.Pseudonymise)
	r.appendEscaped(r.w.job.Project().Pseudonym(desensitize.OtherID, text))
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

// fits reports whether a value has the form of its type and is nothing that is known of the
// message's people.
func (r *run) fits(l leaf, raw []byte) bool {
	switch l {
	case dateLeaf:
		_, err := hl7.ParseTime(string(bytes.TrimSpace(raw)), nil)
		return err == nil && len(raw) <= guard.MaxToken+2
	case clockLeaf:
		return clock(raw) && !guard.Names(r.people, raw)
	case orderLeaf, checkLeaf:
		return len(raw) <= 4 && guard.OnlyOf(raw, "0123456789X")
	case numberLeaf:
		return guard.Number(r.people, raw)
	case codeLeaf:
		return guard.CodeStays(r.people, r.terminology, raw)
	case universal:
		return guard.OID(r.people, raw) || guard.Token(r.people, raw)
	}
	return guard.Token(r.people, raw)
}

// clock reports a time of day: HH[MM[SS[.S…]]] with perhaps a zone (chapter 2A, TM).
func clock(raw []byte) bool {
	hours := raw
	if i := bytes.IndexAny(raw, ".+-"); i >= 0 {
		hours = raw[:i]
	}
	return len(hours) <= 6 && len(raw) <= 16 && guard.OnlyOf(raw, "0123456789.+-")
}

// fixed writes a structural value: a token as it stands, anything else not at all.
func (r *run) fixed(n *node, raw []byte) {
	value := r.first(raw)
	if n.path == "MSH-18" || n.path == "MSH-20" {
		if !charsetName(value) {
			return
		}
	} else if !guard.Token(r.people, value) {
		r.note(n, nil, desensitize.Redact)
		return
	}
	r.out = append(r.out, value...)
}

// charsetName reports a name of HL7 table 0211 or one that senders use for it.
func charsetName(raw []byte) bool {
	if len(raw) > guard.MaxToken {
		return false
	}
	_, ok := hl7.CharsetByName(string(raw))
	return ok || guard.OnlyOf(raw, "ABCDEFGHIJKLMNOPQRSTUVWXYZ -/") || bytes.HasPrefix(raw, []byte("8859/"))
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
