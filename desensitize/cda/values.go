package cda

import (
	"encoding/hex"
	"strings"

	"encoding/base32"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// identifier writes an II. The extension is the value proper; the root stays if it says what
// kind of number it is, and is replaced otherwise: roots of partners name the hospital, and
// roots without extension name one thing.
func (r *run) identifier(n *safexml.Node, s sort, rule *compiled) {
	root, number := strings.TrimSpace(n.Attr("root")), numberOf(n)
	asText := n.Attr("extension") == "" && number != ""
	if r.method(rule) == desensitize.Keep {
		r.note(s, ruleOf(rule), desensitize.Keep)
		r.identifierAs(n, root, number, asText)
		return
	}
	if root != "" && (number == "" || !guard.PublicRoot(r.people, root)) {
		root = guard.UniversalID(r.w.job.Project(), root)
		r.note(s, ruleOf(rule), r.method(rule))
	}
	if number != "" {
		t := s.meaning
		if _, ok := hl7.NormalResidentID(number); ok && len(number) == 18 {
			t = desensitize.IDCard
		}
		text, ok := r.apply(rule, t, number, desensitize.Compact)
		if !ok || text == "" {
			r.masked(n, s)
			return
		}
		number = shaped(number, text)
	}
	r.identifierAs(n, root, number, asText)
}

func (r *run) identifierAs(n *safexml.Node, root, number string, asText bool) {
	var extra []string
	if root != "" {
		extra = append(extra, "root", root)
	}
	if asText {
		r.leaf(n, extra, number)
		return
	}
	if number != "" {
		extra = append(extra, "extension", number)
	}
	r.open(n, extra, true)
}

// Lengths of numbers that have a fixed one: the code of an institution (GB 32100-2015), the
// number of a document (WS/T 500.1-2016, 32 to 36 characters).
const (
	institutionDigits = 18
	documentDigits    = 32
	pseudonymLength   = 26
)

var pseudonymText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// shaped gives a pseudonym the length that the number had, where the standard asks for one:
// the same bits in hexadecimal digits, or fewer of them.
func shaped(number, pseudonym string) string {
	if len(pseudonym) != pseudonymLength {
		return pseudonym
	}
	switch {
	case len(number) == institutionDigits:
		return pseudonym[:institutionDigits]
	case len(number) >= documentDigits && len(number) <= documentDigits+4:
		if bits, err := pseudonymText.DecodeString(pseudonym); err == nil {
			return hex.EncodeToString(bits)
		}
	}
	return pseudonym
}

// coded writes a CD with its parts.
func (r *run) coded(n *safexml.Node, s sort, rule *compiled) {
	if m := r.method(rule); m != desensitize.Keep && m != desensitize.Scrub {
		r.recoded(n, s, rule)
		return
	}
	var extra []string
	add := func(name, value string, ok bool) {
		if value != "" && ok {
			extra = append(extra, name, value)
		}
	}
	system := n.Attr("codeSystem")
	code := n.Attr("code")
	okCode := true
	if !guard.CodeStays(r.people, guard.TerminologyOf(system), code) && code != "" {
		code, okCode = r.foreign(s, rule, code)
	}
	add("code", code, okCode)
	add("codeSystem", system, guard.OID(r.people, system))
	for _, name := range []string{"codeSystemName", "codeSystemVersion", "displayName"} {
		v, ok := r.clean(s, rule, n.Attr(name))
		add(name, v, ok)
	}
	r.note(s, ruleOf(rule), desensitize.Keep)
	content := ""
	if len(n.Elements()) == 0 && n.Trimmed() != "" {
		content, _ = r.clean(s, rule, n.Trimmed())
	}
	r.parts(n, extra, content, rule)
}

// foreign is what becomes of a code that may be a number of somebody: a pseudonym, or what is
// left of it as text.
func (r *run) foreign(s sort, rule *compiled, code string) (string, bool) {
	if guard.CodeLike(code) {
		r.note(s, ruleOf(rule), desensitize.Pseudonymise)
		return r.w.job.Project().Pseudonym(desensitize.OtherID, code), true
	}
	return r.clean(s, rule, code)
}

// recoded writes a code that a rule changes, without the texts that would say what the code
// no longer says.
func (r *run) recoded(n *safexml.Node, s sort, rule *compiled) {
	code := n.Attr("code")
	if code == "" {
		r.note(s, ruleOf(rule), desensitize.Redact)
		r.masked(n, s)
		return
	}
	text, ok := r.apply(rule, s.meaning, code, desensitize.Compact)
	if !ok || text == "" {
		r.masked(n, s)
		return
	}
	extra := []string{"code", text}
	if system := n.Attr("codeSystem"); guard.OID(r.people, system) {
		extra = append(extra, "codeSystem", system)
	}
	if text == code {
		if v, ok := r.clean(s, rule, n.Attr("displayName")); ok && v != "" {
			extra = append(extra, "displayName", v)
		}
	}
	r.open(n, extra, true)
}

// parts writes an element with attributes and text, and the elements below it.
func (r *run) parts(n *safexml.Node, extra []string, content string, rule *compiled) {
	elements := n.Elements()
	if len(elements) == 0 {
		r.leaf(n, extra, content)
		return
	}
	r.open(n, extra, false)
	r.escape(content, false)
	for _, c := range elements {
		r.element(c, rule)
	}
	r.close(n)
}

// clean scrubs a short text; ok is false where it must go.
func (r *run) clean(s sort, rule *compiled, text string) (string, bool) {
	if text == "" || guard.Token(r.people, text) {
		return text, true
	}
	out, ok := r.scrub(rule, "", text)
	if !ok {
		r.note(s, ruleOf(rule), desensitize.Redact)
	}
	return out, ok
}

// scrub removes identifiers from a text. head stands before it while recognisers look at it.
func (r *run) scrub(rule *compiled, head, text string) (string, bool) {
	if media := guard.Document(text); media != "" {
		content, err := r.session.Attachment(r.place(), media, []byte(text))
		if r.fault(err) || content.Data == nil || guard.Document(string(content.Data)) != "" {
			return "", false
		}
		return string(content.Data), true
	}
	return guard.Layers(hidden.Replace(text), func(text string) (string, bool) {
		out, ok, err := r.session.Scrub(r.place(), ruleOf(rule), head+text)
		if rest, same := strings.CutPrefix(out, head); same && ok && !r.fault(err) {
			return rest, true
		}
		out, ok, err = r.session.Scrub(r.place(), ruleOf(rule), text)
		return out, ok && !r.fault(err)
	})
}

// hidden takes characters out of texts that nobody sees and behind which a recogniser would
// not look.
var hidden = strings.NewReplacer("\r", "\n", "\u200b", "", "\u200c", "", "\u200d", "", "\u2060", "", "\ufeff", "", "\u00ad", "")

// timeParts are the parts of an interval or a timing that hold a time of their own.
var timeParts = set(`low high center phase comp`)

// timed writes a TS, an interval or a timing.
func (r *run) timed(n *safexml.Node, s sort, rule *compiled) {
	var extra []string
	content := ""
	if v := strings.TrimSpace(n.Attr("value")); v != "" {
		if out, ok := r.time(s, rule, v, desensitize.Compact); ok {
			extra = append(extra, "value", out)
		} else {
			extra = append(extra, "nullFlavor", "MSK")
		}
	}
	if t := n.Trimmed(); t != "" && len(n.Elements()) == 0 {
		layout := desensitize.Prose
		if guard.OnlyOf(t, "0123456789.+-") {
			layout = desensitize.Compact
		}
		content, _ = r.time(s, rule, t, layout)
	}
	elements := n.Elements()
	if len(elements) == 0 {
		r.leaf(n, extra, content)
		return
	}
	r.open(n, extra, false)
	for _, c := range elements {
		switch name := c.Name.Local; {
		case c.Name.Space != n.Name.Space:
		case timeParts[name]:
			r.timed(c, s, rule)
		case name == "width" || name == "period" || name == "offset":
			r.measure(c, s, rule)
		case name == "event":
			r.open(c, r.codeOnly(c), true)
		}
	}
	r.close(n)
}

func (r *run) codeOnly(n *safexml.Node) []string {
	if code := n.Attr("code"); guard.Token(r.people, code) {
		return []string{"code", code}
	}
	return nil
}

// time is what becomes of one time. Kept ones must be times.
func (r *run) time(s sort, rule *compiled, text string, layout desensitize.Layout) (string, bool) {
	if m := r.method(rule); m == desensitize.Keep || m == desensitize.Scrub {
		if layout == desensitize.Prose {
			return r.clean(s, rule, text)
		}
		_, err := hl7.ParseTime(text, nil)
		if err != nil {
			r.note(s, ruleOf(rule), desensitize.Redact)
			return "", false
		}
		r.note(s, ruleOf(rule), desensitize.Keep)
		return text, true
	}
	out, ok := r.apply(rule, s.meaning, text, layout)
	return out, ok && out != ""
}

// measure writes the PQ of an interval or timing: a length, no point in time.
func (r *run) measure(n *safexml.Node, s sort, rule *compiled) {
	var extra []string
	if v := n.Attr("value"); guard.Number(r.people, v) {
		extra = append(extra, "value", v)
	} else {
		extra = append(extra, "nullFlavor", "MSK")
	}
	extra = append(extra, r.unit(n, s, rule)...)
	elements := n.Elements()
	if len(elements) == 0 {
		r.open(n, extra, true)
		return
	}
	if n.Attr("value") == "" {
		extra = nil
	}
	r.open(n, extra, false)
	for _, c := range elements {
		if c.Name.Local == "low" || c.Name.Local == "high" {
			r.measure(c, s, rule)
		}
	}
	r.close(n)
}

// maxUnit bounds a unit, in bytes.
const maxUnit = 24

// unit returns the attribute for a unit (UCUM, or as WS/T 500 writes it).
func (r *run) unit(n *safexml.Node, s sort, rule *compiled) []string {
	u := n.Attr("unit")
	if u == "" || len(u) > maxUnit || guard.Digits(u) > 4 {
		return nil
	}
	if v, ok := r.clean(s, rule, u); ok && v == u {
		return []string{"unit", u}
	}
	return nil
}

// quantity writes a PQ, INT or REAL, an interval or ratio of them.
func (r *run) quantity(n *safexml.Node, s sort, rule *compiled) {
	var extra []string
	if v := n.Attr("value"); v != "" {
		if out, ok := r.number(s, rule, v); ok {
			extra = append(extra, "value", out)
		} else {
			extra = append(extra, "nullFlavor", "MSK")
		}
	}
	extra = append(extra, r.unit(n, s, rule)...)
	content := ""
	if t := n.Trimmed(); t != "" && len(n.Elements()) == 0 {
		content, _ = r.number(s, rule, t)
	}
	elements := n.Elements()
	if len(elements) == 0 {
		r.leaf(n, extra, content)
		return
	}
	r.open(n, extra, false)
	for _, c := range elements {
		switch c.Name.Local {
		case "low", "high", "center", "width", "numerator", "denominator":
			r.quantity(c, s, rule)
		case "translation", "originalText":
			r.element(c, rule)
		}
	}
	r.close(n)
}

func (r *run) number(s sort, rule *compiled, text string) (string, bool) {
	m := r.method(rule)
	if m != desensitize.Keep && m != desensitize.Scrub {
		out, ok := r.apply(rule, s.meaning, text, desensitize.Compact)
		return out, ok && out != ""
	}
	if guard.Number(r.people, text) {
		r.note(s, ruleOf(rule), desensitize.Keep)
		return text, true
	}
	out, ok := r.clean(s, rule, text)
	return out, ok && out == text
}

func (r *run) flag(n *safexml.Node, s sort, rule *compiled) {
	v := n.Attr("value")
	if v != "true" && v != "false" {
		r.note(s, ruleOf(rule), desensitize.Redact)
		r.masked(n, s)
		return
	}
	r.note(s, ruleOf(rule), desensitize.Keep)
	r.open(n, []string{"value", v}, true)
}

var ageUnits = set("岁 周岁 月 周 天 日 小时 时 a mo wk d h")

// age writes the age that WS/T 500 has beside the birth date: a number with a unit.
func (r *run) age(n *safexml.Node, s sort, rule *compiled) {
	unit := n.Attr("unit")
	v, ok := n.Attr("value"), false
	switch {
	case v == "" || !guard.Number(r.people, v) || guard.Digits(v) > 5:
	case r.method(rule) == desensitize.Keep || unit != "" && unit != "岁" && unit != "a" && unit != "周岁":
		r.note(s, ruleOf(rule), desensitize.Keep)
		ok = true
	default:
		v, ok = r.apply(rule, s.meaning, v, desensitize.Prose)
		ok = ok && guard.OnlyOf(v, "0123456789-") && v != ""
	}
	if !ok {
		r.masked(n, s)
		return
	}
	extra := []string{"value", v}
	if ageUnits[unit] {
		extra = append(extra, "unit", unit)
	}
	r.open(n, extra, true)
}

// telecom writes a TEL or the reference of an ED.
func (r *run) telecom(n *safexml.Node, s sort, rule *compiled) {
	v := n.Attr("value")
	switch {
	case v == "" || n.Name.Local == "reference" && r.method(rule) != desensitize.Keep:
		r.note(s, ruleOf(rule), desensitize.Redact)
		r.masked(n, s)
		return
	case r.method(rule) == desensitize.Keep:
		r.note(s, ruleOf(rule), desensitize.Keep)
		r.open(n, []string{"value", v}, true)
		return
	}
	plain := withoutScheme(v)
	out, ok := r.apply(rule, s.meaning, plain, desensitize.Compact)
	if !ok || out == "" {
		r.masked(n, s)
		return
	}
	if scheme, _, found := strings.Cut(v, ":"); found && !strings.Contains(out, ":") && r.standard(scheme) {
		out = scheme + ":" + out
	}
	r.open(n, []string{"value", out}, true)
}

// text writes an ST: text with perhaps a reference to the narrative.
func (r *run) text(n *safexml.Node, s sort, rule *compiled) {
	content := strings.TrimSpace(textOf(n))
	if m := r.method(rule); m == desensitize.Keep || m == desensitize.Scrub {
		content, _ = r.labelled(n, s, rule, content)
		r.note(s, ruleOf(rule), m)
	} else if content != "" {
		t := s.meaning
		if t == desensitize.Text {
			t = desensitize.OtherID
		}
		content, _ = r.apply(rule, t, content, desensitize.Compact)
	}
	var extra []string
	if v := n.Attr("value"); v != "" {
		if out, ok := r.clean(s, rule, v); ok {
			extra = []string{"value", out}
		}
	}
	var references []*safexml.Node
	for _, c := range n.Elements() {
		if c.Name.Local == "reference" {
			references = append(references, c)
		}
	}
	if len(references) == 0 {
		r.leaf(n, extra, content)
		return
	}
	r.open(n, extra, false)
	r.escape(content, false)
	for _, c := range references {
		r.element(c, rule)
	}
	r.close(n)
}

// textOf is the character data right below an element.
func textOf(n *safexml.Node) string {
	var b strings.Builder
	for _, c := range n.Children {
		if c.IsText() {
			b.WriteString(c.Text)
		}
	}
	return b.String()
}

// maxLabel bounds the name of an observation that is read together with its value, in bytes.
const maxLabel = 64

// labelled scrubs a text. The name of an observation stands before its value while
// recognisers look at it: “contact: Li Si” tells more than “Li Si”.
func (r *run) labelled(n *safexml.Node, s sort, rule *compiled, text string) (string, bool) {
	label := ""
	if n.Name.Local == "value" && n.Parent != nil {
		label = n.Parent.Child("code").Attr("displayName")
	}
	if label == "" || len(label) > maxLabel || text == "" || len(text) > 4*maxLabel {
		return r.clean(s, rule, text)
	}
	return r.scrub(rule, hidden.Replace(label)+"：", text)
}
