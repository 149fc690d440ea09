package cda

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// name writes a name. A surrogate takes the place of family and given name if both were
// there; titles go.
func (r *run) name(n *safexml.Node, s sort, rule *compiled) {
	m := r.method(rule)
	text := nameText(n)
	switch {
	case m == desensitize.Scrub, m == desensitize.Keep && s.typ != "PN", s.meaning == desensitize.Text && m != desensitize.Keep:
		out, _ := r.clean(s, rule, strings.Join(strings.Fields(n.Content()), " "))
		r.note(s, ruleOf(rule), m)
		r.leaf(n, nil, out)
		return
	case m == desensitize.Keep:
		r.note(s, ruleOf(rule), m)
		r.nameParts(n)
		return
	}
	if text == "" {
		r.masked(n, s)
		return
	}
	out, ok := r.apply(rule, s.meaning, text, desensitize.Prose)
	if !ok || out == "" {
		r.masked(n, s)
		return
	}
	family, given := n.Child("family"), n.Child("given")
	if f, g, split := guard.SplitName(out); split && family != nil && given != nil && m == desensitize.Substitute {
		r.open(n, nil, false)
		for _, c := range n.Elements() {
			switch c {
			case family:
				r.leaf(c, nil, f)
			case given:
				r.leaf(c, nil, g)
			}
		}
		r.close(n)
		return
	}
	r.leaf(n, nil, out)
}

var partsOfName = set(`family given prefix suffix delimiter`)

// nameParts writes a name as it is.
func (r *run) nameParts(n *safexml.Node) {
	r.open(n, nil, false)
	for _, c := range n.Children {
		switch {
		case c.IsText():
			r.escape(strings.TrimSpace(c.Text), false)
		case partsOfName[c.Name.Local]:
			r.leaf(c, nil, c.Trimmed())
		}
	}
	r.close(n)
}

// addressParts are the parts of an AD (CDA R2 datatypes.xsd, ADXP; township of WS/T 500).
var addressParts = set(`delimiter country state county city postalCode streetAddressLine houseNumber houseNumberNumeric direction
	streetName streetNameBase streetNameType additionalLocator unitID unitType careOf censusTract deliveryAddressLine
	deliveryInstallationType deliveryInstallationArea deliveryInstallationQualifier deliveryMode deliveryModeIdentifier
	buildingNumberSuffix postBox precinct township`)

// address writes an AD. What is left of the address goes into the part for the area that it
// names; the other parts stay behind empty, in the order of the document.
func (r *run) address(n *safexml.Node, s sort, rule *compiled) {
	m := r.method(rule)
	if m == desensitize.Keep || m == desensitize.Scrub {
		r.note(s, ruleOf(rule), m)
		r.addressAs(n, func(c *safexml.Node) string {
			if m == desensitize.Keep {
				return c.Trimmed()
			}
			out, _ := r.clean(s, rule, c.Trimmed())
			return out
		}, strings.TrimSpace(textOf(n)))
		return
	}
	whole := areaOf(n).String()
	if len(n.Elements()) == 0 {
		whole = strings.Join(strings.Fields(n.Content()), " ")
		if guard.Han(whole) {
			whole = strings.ReplaceAll(whole, " ", "")
		}
	}
	out := ""
	if whole != "" {
		out, _ = r.apply(rule, s.meaning, whole, desensitize.Prose)
	}
	target := addressTarget(n, rule)
	done := target == nil
	r.addressAs(n, func(c *safexml.Node) string {
		switch {
		case c == target:
			done = true
			return out
		case c.Name.Local == "postalCode":
			return r.postcode(c, rule)
		case c.Name.Local == "country" && guard.Token(r.people, c.Trimmed()):
			return c.Trimmed()
		}
		return ""
	}, map[bool]string{true: out}[done])
}

// addressTarget is the part that a changed address goes into, nil where the address has none.
func addressTarget(n *safexml.Node, rule *compiled) *safexml.Node {
	order := []string{"streetAddressLine", "streetName", "houseNumber", "city", "state"}
	switch rule.rule.To {
	case desensitize.ToProvince:
		order = []string{"state"}
	case desensitize.ToCity:
		order = []string{"city", "state"}
	case desensitize.ToCounty:
		order = []string{"county", "city", "state"}
	}
	for _, name := range order {
		if c := n.Child(name); c != nil {
			return c
		}
	}
	return nil
}

// postcode is what becomes of a postal code: its own rule decides.
func (r *run) postcode(c *safexml.Node, above *compiled) string {
	r.path = append(r.path, c.Name.Local)
	defer func() { r.path = r.path[:len(r.path)-1] }()
	s := sort{text, "ST", desensitize.Postcode}
	rule := r.decide(c, s, nil)
	if rule == nil || above != nil && above.index < rule.index && above.rule.Method == desensitize.Redact || c.Trimmed() == "" {
		return ""
	}
	out, _ := r.apply(rule, s.meaning, c.Trimmed(), desensitize.Compact)
	return out
}

// addressAs writes the parts of an address with new texts.
func (r *run) addressAs(n *safexml.Node, text func(*safexml.Node) string, own string) {
	elements := n.Elements()
	if len(elements) == 0 {
		r.leaf(n, nil, own)
		return
	}
	r.open(n, nil, false)
	r.escape(own, false)
	for _, c := range elements {
		if addressParts[c.Name.Local] && c.Name.Space == n.Name.Space {
			r.leaf(c, nil, text(c))
		}
	}
	r.close(n)
}
