package v2

import (
	"bytes"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// null is the value that asks the receiver to delete what it has.
var null = []byte(`""`)

// value writes what becomes of a value. above is the rule that decides for what the value is
// part of, nil if there is none.
func (r *run) value(n *node, raw []byte, above *compiled) {
	if len(raw) == 0 {
		return
	}
	if bytes.Equal(raw, null) {
		r.out = append(r.out, raw...)
		return
	}
	if n.fixed && n.leaf != composite {
		r.fixed(n, raw)
		return
	}
	rule := r.decide(n, raw, above)
	if n.leaf != composite {
		r.leafValue(n, raw, rule)
		return
	}
	switch m := r.method(rule); {
	case n.fixed:
		r.composite(n, raw, nil)
	case m == desensitize.Redact && rule != nil:
		r.note(n, rule.rule, desensitize.Redact)
	case n.typ == "ED":
		r.encapsulated(n, raw, rule)
	default:
		r.composite(n, raw, rule)
	}
}

// method is what a rule does; the default of the policy where there is none.
func (r *run) method(c *compiled) desensitize.Method {
	if c == nil {
		return r.w.initial
	}
	return c.rule.Method
}

// whole reports a method that takes a composite value as it is, with all its parts.
func whole(m desensitize.Method) bool {
	return m == desensitize.Keep || m == desensitize.Redact || m == desensitize.Scrub
}

// decide finds the rule for a value: its own or the one above, whichever comes first in the
// policy. A rule that changes a composite value takes the value proper alone; its other parts
// need rules of their own.
func (r *run) decide(n *node, raw []byte, above *compiled) *compiled {
	var own *compiled
	for i := range n.rules {
		c := &n.rules[i]
		if c.where == nil || c.where.Holds(func(name string) []string { return r.near(n, raw, name) }) {
			own = c
			break
		}
	}
	switch {
	case above == nil:
		return own
	case !whole(above.rule.Method) && n.unit == 0 && !above.proper:
		return own
	case own == nil || above.index < own.index:
		return above
	}
	return own
}

// composite writes a value part by part.
func (r *run) composite(n *node, raw []byte, rule *compiled) {
	sep := r.d.Component
	if n.depth > 0 {
		sep = r.d.Subcomponent
	}
	var room [32][]byte
	parts := split(room[:0], raw, sep)
	var changed places
	same := r.prepare(n, raw, parts, rule, &changed)
	for i, part := range parts {
		if i > 0 {
			r.out = append(r.out, sep)
		}
		r.terminology = terminologyOf(n, parts, i)
		switch {
		case i >= len(n.parts):
			r.value(n.extra, part, nil)
		case i < len(changed) && changed[i] > 0:
			r.appendEscaped(r.news[changed[i]-1])
		default:
			r.value(n.parts[i], part, r.forPart(n, n.parts[i], raw, rule, same))
		}
	}
}

// prepare puts the new texts of units and codes in place; same says that the codes are as they
// were.
func (r *run) prepare(n *node, raw []byte, parts [][]byte, rule *compiled, changed *places) (same bool) {
	if len(n.units) > 0 {
		r.setTypeCode(n, parts)
		for _, u := range n.units {
			r.change(n, u, raw, parts, rule, changed)
		}
	}
	if n.typ == "CWE" && rule != nil && !whole(rule.rule.Method) {
		return r.changeCodes(n, parts, rule, changed)
	}
	return false
}

// terminologyOf is the kind of the code system that stands two parts behind a code of a CWE.
func terminologyOf(n *node, parts [][]byte, i int) guard.Terminology {
	if n.typ != "CWE" || i >= len(n.parts) || n.parts[i].leaf != codeLeaf || i+2 >= len(parts) {
		return guard.Unknown
	}
	return guard.TerminologyOf(parts[i+2])
}

// places says which parts of a value have a new text: the number of it in run.news, from 1.
type places [32]int32

// put gives a part a new text.
func (r *run) put(changed *places, i int, text string) {
	r.news = append(r.news, text)
	changed[i] = int32(len(r.news))
}

// forPart is the rule that a part gets from above.
func (r *run) forPart(n, part *node, raw []byte, rule *compiled, same bool) *compiled {
	if part.unit > 0 {
		return r.unitRule(unit{first: part}, raw, rule)
	}
	if rule == nil || whole(rule.rule.Method) {
		return rule
	}
	of := rule.rule
	switch {
	case part.leaf == universal, part.leaf == numberLeaf && n.meaning == desensitize.Quantity:
	case n.typ == "CWE" && part.leaf == textLeaf && same:
		of = keepText
	case n.typ == "CWE" && part.leaf == textLeaf:
		of = redactText
	default:
		return nil
	}
	return &compiled{index: rule.index, rule: of, proper: true}
}

// changeCodes applies a rule to the codes of a CWE and reports whether all of them stayed as
// they were, so that their texts may stay too. A text without any code stays if the rule is
// for some codes only.
func (r *run) changeCodes(n *node, parts [][]byte, rule *compiled, changed *places) (same bool) {
	same, found := true, false
	for i, part := range parts {
		if i >= len(n.parts) || len(part) == 0 || n.parts[i].leaf != codeLeaf || n.parts[i].typ != "" {
			continue
		}
		text := r.plain(part)
		res := r.apply(n.parts[i], rule.rule, n.parts[i].meaning, text)
		same, found = same && !res.Removed && res.Text == text, true
		r.put(changed, i, res.Text)
	}
	return same && (found || len(rule.rule.Codes) > 0)
}

// redactText and keepText take the place of a rule for the texts that go with a code: they
// would say what a changed code no longer says.
var (
	redactText = &desensitize.Rule{Name: "text of a changed code", Method: desensitize.Redact}
	keepText   = &desensitize.Rule{Name: "text of an unchanged code", Method: desensitize.Keep}
)

// split cuts raw at a separator; a separator that is not declared cuts nothing.
func split(dst [][]byte, raw []byte, sep byte) [][]byte {
	for sep != 0 {
		i := bytes.IndexByte(raw, sep)
		if i < 0 {
			break
		}
		dst = append(dst, raw[:i])
		raw = raw[i+1:]
	}
	return append(dst, raw)
}

// setTypeCode remembers CX.5, which says what kind of number CX.1 is.
func (r *run) setTypeCode(n *node, parts [][]byte) {
	r.typeCode = ""
	if n.typ == "CX" && len(parts) > 4 {
		r.typeCode = r.plain(parts[4])
	}
}

// unitRule is the rule for a unit: the one for the composite value, or an earlier one that
// selects the unit by what it means.
func (r *run) unitRule(u unit, raw []byte, rule *compiled) *compiled {
	for i := range u.first.together {
		c := &u.first.together[i]
		if c.where != nil && !c.where.Holds(func(name string) []string { return r.near(u.first, raw, name) }) {
			continue
		}
		if rule == nil || c.index < rule.index {
			return c
		}
		break
	}
	return rule
}

// change applies the rule of a unit to it and puts the new parts in place. Parts with a rule
// of their own that stands before stay out, and units that are kept or scrubbed.
func (r *run) change(n *node, u unit, raw []byte, parts [][]byte, rule *compiled, changed *places) {
	rule = r.unitRule(u, raw, rule)
	m := r.method(rule)
	if rule == nil || m == desensitize.Keep || m == desensitize.Scrub {
		return
	}
	var room, spare [8]string
	texts, empty := r.unitTexts(n, u, parts, rule, room[:0])
	if empty {
		return
	}
	news := append(spare[:0], make([]string, len(texts))...)
	if m == desensitize.Redact {
		r.note(u.first, rule.rule, m)
	} else {
		r.changeUnit(n, u, rule, texts, news)
	}
	for k, i := range u.parts {
		if i < len(parts) && i < len(changed) && (texts[k] != "" || news[k] != "") {
			r.put(changed, i, news[k])
		}
	}
	r.dropChecks(n, u, parts, changed)
}

// unitTexts returns the texts of a unit's parts, "" for parts with a rule of their own that
// stands before.
func (r *run) unitTexts(n *node, u unit, parts [][]byte, rule *compiled, texts []string) (out []string, empty bool) {
	empty = true
	for _, i := range u.parts {
		text := ""
		if i < len(parts) && i < len(places{}) && len(parts[i]) > 0 && !bytes.Equal(parts[i], null) {
			if own := r.decide(n.parts[i], parts[i], nil); own == nil || own.index >= rule.index {
				text = r.partText(parts[i])
			}
		}
		empty = empty && text == ""
		texts = append(texts, text)
	}
	return texts, empty
}

// dropChecks takes check digits away that belong to a number that was changed.
func (r *run) dropChecks(n *node, u unit, parts [][]byte, changed *places) {
	if u.first.meaning == desensitize.Name {
		return
	}
	for i, p := range n.parts {
		if p.leaf == checkLeaf && i < len(parts) && i < len(changed) {
			r.put(changed, i, "")
		}
	}
}

// partText is the text of a part with its subcomponents: that of the first, which repeats the
// others in FN and SAD, or of all of them.
func (r *run) partText(raw []byte) string {
	if r.d.Subcomponent == 0 || bytes.IndexByte(raw, r.d.Subcomponent) < 0 {
		return r.plain(raw)
	}
	var room [8][]byte
	subs := split(room[:0], raw, r.d.Subcomponent)
	if len(subs[0]) > 0 {
		return r.plain(subs[0])
	}
	return r.plain(bytes.Join(subs[1:], nil))
}

// cached is a change that depends on nothing but what it holds.
type cached struct {
	rule *desensitize.Rule
	typ  desensitize.Type
	text string
}

// maxCached bounds the changes that are remembered, maxCachedText their length in bytes.
const (
	maxCached     = 1 << 15
	maxCachedText = 128
)

// apply is Session.Apply with a memory for changes that are the same for every patient, or
// for every value of the message.
func (r *run) apply(n *node, rule *desensitize.Rule, t desensitize.Type, text string) desensitize.Result {
	var memory map[cached]desensitize.Result
	switch {
	case len(text) > maxCachedText || rule == nil:
	case sameForAll(rule):
		memory = r.seen
	case rule.Method == desensitize.DateShift || rule.Method == desensitize.Pseudonymise:
		memory = r.moved
	}
	key := cached{rule, t, text}
	if res, ok := memory[key]; ok {
		if t == n.meaning {
			t = ""
		}
		r.tally[tallied{n, rule, res.Method, t}]++
		return res
	}
	res, err := r.session.Apply(rule, desensitize.Value{Path: n.path, Type: t, Text: text, Layout: desensitize.Compact})
	if err != nil && r.err == nil {
		r.err = err
	}
	if memory != nil && err == nil {
		memory[key] = res
	}
	return res
}

// sameForAll reports a change that does not depend on the patient.
func sameForAll(rule *desensitize.Rule) bool {
	switch rule.Method {
	case desensitize.Pseudonymise:
		return rule.Of != desensitize.OfSubject
	case desensitize.Substitute, desensitize.CryptoHash, desensitize.Mask:
		return true
	}
	return false
}
