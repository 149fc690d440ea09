package fhir

import (
	"math/big"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// rules judges what the specification demands of a type beside its structure. The rules are
// those invariants of FHIR R4 that clinical senders meet and that need no general FHIRPath;
// each carries its key.
func (c *checker) rules(t *schema.Type, n *Node) {
	if f, ok := typeRules[t.Name]; ok {
		f(c, n)
	}
}

var typeRules = map[string]func(*checker, *Node){
	"Extension": (*checker).extensionRules, "Period": (*checker).periodRules, "Attachment": (*checker).attachmentRules,
	"Quantity": (*checker).quantityRules, "SimpleQuantity": (*checker).quantityRules, "Age": (*checker).quantityRules,
	"Duration": (*checker).quantityRules, "Range": (*checker).rangeRules, "Ratio": (*checker).ratioRules,
	"ContactPoint": (*checker).contactPointRules, "Coding": (*checker).codingRules, "Identifier": (*checker).identifierRules,
	"Bundle": (*checker).bundleRules, "Observation": (*checker).observationRules, "Observation.Component": (*checker).componentRules,
	"Patient.Contact": (*checker).patientContactRules, "Composition.Section": (*checker).sectionRules, "List": (*checker).listRules,
	"AllergyIntolerance": (*checker).allergyRules, "Condition": (*checker).conditionRules, "Parameters.Parameter": (*checker).parameterRules,
	"AuditEvent.Entity": (*checker).auditEntityRules, "Organization": (*checker).organizationRules,
	"Group": (*checker).groupRules, "QuestionnaireResponse.Item": (*checker).answerRules, "Consent": (*checker).consentRules,
	"ValueSet.Compose.ConceptSet": (*checker).conceptSetRules,
}

func has(n *Node, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return n.Get(name) != nil || n.Get("_"+name) != nil })
}

// hasChoice reports whether a choice element is given in any type.
func hasChoice(n *Node, choice string) bool {
	return slices.ContainsFunc(n.Names, func(name string) bool {
		rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "_"), choice)
		return ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z'
	})
}

func (c *checker) extensionRules(n *Node) {
	if value := hasChoice(n, "value"); value == has(n, "extension") {
		if value {
			c.breaks("ext-1", "an extension has a value or extensions, not both")
		} else {
			c.breaks("ext-1", "an extension has a value or extensions; here is neither")
		}
	}
}

// periodRules judges per-1: start <= end. Where one of the two is less precise than the
// other and they coincide as far as both go, FHIRPath has no answer, and the rule is not met.
func (c *checker) periodRules(n *Node) {
	start, end := n.Get("start").Str(), n.Get("end").Str()
	from, fromEnd, ok1 := DateRange(start)
	to, toEnd, ok2 := DateRange(end)
	if !ok1 || !ok2 {
		return
	}
	switch same := fromEnd.Sub(from) == toEnd.Sub(to) || len(start) > 10 && len(end) > 10 || len(start) == len(end); {
	case same && from.After(to), !same && !from.Before(toEnd):
		c.breaks("per-1", "the period ends before it starts")
	case !same && fromEnd.After(to):
		c.breaks("per-1", "start and end of the period cannot be compared: one of them is less precise")
	}
}

func (c *checker) attachmentRules(n *Node) {
	data := n.Get("data")
	if data == nil {
		return
	}
	if !has(n, "contentType") {
		c.breaks("att-1", "an attachment with data needs its contentType")
	}
	if size, ok := n.Get("size").Int(); ok {
		if real, valid := data.base64Size(); valid && real != size {
			c.failAt("size", CodeValue, "the stated size is not that of the data")
		}
	}
}

func (c *checker) quantityRules(n *Node) {
	if has(n, "code") && !has(n, "system") {
		c.breaks("qty-3", "a coded unit needs its system")
	}
}

func (c *checker) rangeRules(n *Node) {
	low, high := n.At("low", "value"), n.At("high", "value")
	if low == nil || high == nil || low.Kind != Number || high.Kind != Number || n.At("low", "code").Str() != n.At("high", "code").Str() {
		return
	}
	a, okA := decimal(low.Text)
	b, okB := decimal(high.Text)
	if okA && okB && a.Cmp(b) > 0 {
		c.breaks("rng-2", "the range ends below its start")
	}
}

// decimal reads a number of reasonable magnitude; a large exponent would cost memory.
func decimal(s string) (*big.Rat, bool) {
	if mantissa, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok && (len(strings.TrimLeft(exponent, "+-0")) > 3 || len(mantissa) > 64) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func (c *checker) ratioRules(n *Node) {
	if has(n, "numerator") != has(n, "denominator") || !has(n, "numerator", "extension") {
		c.breaks("rat-1", "a ratio has numerator and denominator, or neither and an extension")
	}
}

func (c *checker) contactPointRules(n *Node) {
	if has(n, "value") && !has(n, "system") {
		c.breaks("cpt-2", "a contact value needs its system")
	}
}

func (c *checker) codingRules(n *Node) {
	if s := n.Get("system").Str(); s != "" && isURI(s) && s[0] != '#' && !isAbsolute(s) {
		c.failAt("system", CodeValue, "the system must be an absolute URI")
	}
}

func (c *checker) identifierRules(n *Node) {
	if s := n.Get("system").Str(); s != "" && isURI(s) && !isAbsolute(s) {
		c.failAt("system", CodeValue, "the system must be an absolute URI")
	}
}

func (c *checker) conceptSetRules(n *Node) {
	if s := n.Get("system").Str(); s != "" && isURI(s) && !isAbsolute(s) {
		c.failAt("system", CodeValue, "the system must be an absolute URI")
	}
	if has(n, "concept") && !has(n, "system") {
		c.breaks("vsd-2", "concepts need their system")
	}
	if has(n, "concept") && has(n, "filter") {
		c.breaks("vsd-3", "concepts and filters may not stand together")
	}
	if !has(n, "system", "valueSet") {
		c.breaks("vsd-1", "a system or a value set is needed")
	}
}

func (c *checker) observationRules(n *Node) {
	if has(n, "dataAbsentReason") && hasChoice(n, "value") {
		c.breaks("obs-6", "a reason for absent data and a value may not stand together")
	}
	if !hasChoice(n, "value") {
		return
	}
	for _, component := range n.Get("component").List() {
		for _, a := range component.At("code", "coding").List() {
			for _, b := range n.At("code", "coding").List() {
				if sameCoding(a, b) {
					c.breaks("obs-7", "a component with the code of the observation takes the place of its value")
					return
				}
			}
		}
	}
}

func sameCoding(a, b *Node) bool {
	return a.Get("code").Str() != "" && a.Get("code").Str() == b.Get("code").Str() && a.Get("system").Str() == b.Get("system").Str()
}

func (c *checker) componentRules(n *Node) {
	if has(n, "dataAbsentReason") && hasChoice(n, "value") {
		c.fail(CodeInvariant, "a reason for absent data and a value may not stand together")
	}
}

func (c *checker) patientContactRules(n *Node) {
	if !has(n, "name", "telecom", "address", "organization") {
		c.breaks("pat-1", "a contact needs details or an organization")
	}
}

func (c *checker) sectionRules(n *Node) {
	if !has(n, "text", "entry", "section") {
		c.breaks("cmp-1", "a section needs text, entries or sections")
	}
	if has(n, "emptyReason") && has(n, "entry") {
		c.breaks("cmp-2", "a reason for an empty section and entries may not stand together")
	}
}

func (c *checker) listRules(n *Node) {
	if has(n, "emptyReason") && has(n, "entry") {
		c.breaks("lst-1", "a reason for an empty list and entries may not stand together")
	}
	for _, e := range n.Get("entry").List() {
		if e.Get("deleted") != nil && n.Get("mode").Str() != "changes" {
			c.breaks("lst-2", "entries are deleted only in a list of mode changes")
			return
		}
	}
}

func hasCode(n *Node, code string) bool {
	return slices.ContainsFunc(n.Get("coding").List(), func(m *Node) bool { return m.Get("code").Str() == code })
}

func (c *checker) allergyRules(n *Node) {
	wrong := hasCode(n.Get("verificationStatus"), "entered-in-error")
	if wrong && has(n, "clinicalStatus") {
		c.breaks("ait-2", "what was entered in error has no clinicalStatus")
	}
	if !wrong && !has(n, "clinicalStatus") {
		c.breaks("ait-1", "clinicalStatus is needed unless verificationStatus is entered-in-error")
	}
}

func (c *checker) conditionRules(n *Node) {
	wrong := hasCode(n.Get("verificationStatus"), "entered-in-error")
	if wrong && has(n, "clinicalStatus") {
		c.breaks("con-5", "what was entered in error has no clinicalStatus")
	}
	status := n.Get("clinicalStatus")
	if hasChoice(n, "abatement") && !hasCode(status, "inactive") && !hasCode(status, "resolved") && !hasCode(status, "remission") {
		c.breaks("con-4", "an abated condition is inactive, resolved or in remission")
	}
}

func (c *checker) parameterRules(n *Node) {
	given := 0
	for _, is := range []bool{hasChoice(n, "value"), has(n, "resource"), has(n, "part")} {
		if is {
			given++
		}
	}
	if given > 1 {
		c.breaks("inv-1", "a parameter has a value, a resource or parts, not several of them")
	}
}

func (c *checker) auditEntityRules(n *Node) {
	if has(n, "name") && has(n, "query") {
		c.breaks("sev-1", "name and query may not stand together")
	}
}

func (c *checker) organizationRules(n *Node) {
	if !has(n, "identifier", "name") {
		c.breaks("org-1", "an organization needs a name or an identifier")
	}
}

func (c *checker) groupRules(n *Node) {
	if has(n, "member") && !n.Get("actual").IsTrue() {
		c.breaks("grp-1", "only an actual group has members")
	}
}

func (c *checker) answerRules(n *Node) {
	if has(n, "answer") && has(n, "item") {
		c.breaks("qrs-1", "nested items stand below the answer, or below the item, not both")
	}
}

func (c *checker) consentRules(n *Node) {
	if !has(n, "policy", "policyRule") {
		c.breaks("ppc-1", "a policy or policyRule is needed")
	}
}
