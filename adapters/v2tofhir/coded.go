package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// codingSystemURL keeps the sender's name of a coding system that has no address.
const codingSystemURL = tree.LocalURL + "StructureDefinition/hl7v2-coding-system"

// codingAt reads one of the codings of a CWE or CE (data type map CWE[Coding]): code, text,
// system, and where CWE has them version and object identifier.
func (c *converter) codingAt(v val, code, version, oid int, table string) *tree.Object {
	id, text, system := v.c(code).whole(), v.c(code+1).whole(), v.c(code+2).whole()
	o := tree.New()
	uri := ""
	if id != "" || text != "" {
		uri = c.codeSystem(system, v.c(oid).peekSub())
	}
	if uri != "" {
		v.c(oid).done()
	}
	switch {
	case uri != "":
		o.Set("system", uri)
	case system != "":
		o.Add("extension", tree.Extension(codingSystemURL, "valueString", system))
	case table != "" && id != "":
		o.Set("system", table)
	}
	if codePattern.MatchString(id) {
		o.Set("version", v.c(version).whole()).Set("code", id)
	} else if text == "" {
		text = id
	}
	o.Set("display", text)
	if !o.Has("code") && !o.Has("display") {
		return nil
	}
	return o
}

// concept reads a CWE, CE, CNE, CF, IS or ID as a CodeableConcept (data type map
// CWE[CodeableConcept]). table is the code system of a code without one, "" if it is the
// sender's.
func (c *converter) concept(v val, table string) *tree.Object {
	if !v.has() {
		return nil
	}
	o := tree.New()
	first := c.codingAt(v, 1, 7, 14, table)
	second := c.codingAt(v, 4, 8, 17, "")
	third := c.codingAt(v, 10, 13, 20, "")
	for _, coding := range []*tree.Object{first, second, third} {
		// Text alone is no coding: it is the text of the concept.
		if coding.Has("code") {
			o.Add("coding", coding)
		}
	}
	o.Set("text", firstText(v.c(9).whole(), first.Text("display"), second.Text("display"), third.Text("display")))
	return o
}

// concepts reads the repetitions of a field.
func (c *converter) concepts(v val, table string) []any {
	var out []any
	for _, r := range v.reps() {
		out = append(out, c.concept(r, table))
	}
	return out
}

// mapped reads a coded value through a concept map: the mapped code beside the sender's own.
func (c *converter) mapped(v val, system, code, display, table string) *tree.Object {
	own := c.concept(v, table)
	if code == "" {
		return own
	}
	o := tree.Concept(system, code, display)
	if list, ok := own.Get("coding").([]any); ok {
		o.Add("coding", list...)
	}
	return o.Set("text", own.Text("text"))
}

func firstText(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// number reads a NM as a FHIR decimal, whose digits are kept: a sign +, leading zeros and a
// bare point are the only things that FHIR writes otherwise.
func number(s string) (tree.Number, bool) {
	s = strings.TrimSpace(s)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	whole, fraction, dot := strings.Cut(s, ".")
	if (whole == "" && fraction == "") || (whole != "" && !digits(whole)) || (fraction != "" && !digits(fraction)) || len(s) > 40 {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if dot && fraction != "" {
		whole += "." + fraction
	}
	if neg {
		whole = "-" + whole
	}
	return tree.Number(whole), true
}

// integer reads a whole number between lo and hi.
func integer(v val, lo, hi int) (int, bool) {
	s := v.peek()
	if !digits(s) || len(s) > 9 {
		return 0, false
	}
	n := 0
	for _, d := range s {
		n = n*10 + int(d-'0')
	}
	if n < lo || n > hi {
		return 0, false
	}
	v.c(1).done()
	return n, true
}

// quantity makes a Quantity of a number as text, such as "<5.0", and its unit (CWE), or nil
// if there is no number.
func (c *converter) quantity(text string, unit val) *tree.Object {
	o := tree.New()
	for _, sign := range []string{"<=", ">=", "<", ">"} {
		if rest, ok := strings.CutPrefix(text, sign); ok {
			o.Set("comparator", sign)
			text = rest
			break
		}
	}
	n, ok := number(text)
	if !ok {
		return nil
	}
	o.Set("value", n)
	c.unit(o, unit)
	return o
}

// unit puts a unit into a Quantity (data type map CWE[Quantity]). A code needs a system
// (invariant qty-3), so a code of the sender's own is the unit's text.
func (c *converter) unit(o *tree.Object, v val) {
	if !v.has() {
		return
	}
	code, text, name := v.c(1).whole(), v.c(2).whole(), v.c(3).whole()
	system := c.codeSystem(name, "")
	o.Set("unit", firstText(text, code))
	if system != "" && codePattern.MatchString(code) {
		o.Set("system", system)
		o.Set("code", code)
	}
}

// money reads a CP or MO as Money; the currency only if the sender names one.
func money(amount, currency val) *tree.Object {
	n, ok := number(amount.peekSub())
	if !ok {
		return nil
	}
	amount.s(1).done()
	o := tree.New("value", n)
	if cur := currency.peekSub(); len(cur) == 3 && cur == strings.ToUpper(cur) {
		currency.done()
		o.Set("currency", cur)
	}
	return o
}
