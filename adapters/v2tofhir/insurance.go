package v2tofhir

import (
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// in1 reads an insurance (segment map IN1[Coverage]).
func (c *converter) in1(s seg) {
	if !s.valued() {
		return
	}
	r := c.add("Coverage", s.path)
	r.Set("status", "active")
	r.Set("type", c.concept(s.f(15), hl7Table+"0086"))
	if plan := c.concept(s.f(2), hl7Table+"0072"); plan != nil {
		r.Add("class", coverageClass("plan", "Plan", plan))
	}
	if id := s.f(36).text(); id != "" {
		r.Add("identifier", tree.New("type", tree.Concept(hl7Table+"0203", "PN", ""), "value", id))
	}
	r.Set("subscriberId", firstIdentifier(c.cx(s.f(49), "")))
	c.subscriber(r, s)
	r.Set("beneficiary", c.subject())
	r.Set("relationship", c.concept(s.f(17), hl7Table+"0063"))
	r.Set("period", c.period(s.f(12), s.f(13)))
	c.payors(r, s)
	if id := s.f(8).text(); id != "" {
		group := tree.New("type", tree.Concept(terminology+"coverage-class", "group", "Group"), "value", id)
		group.Set("name", s.f(9).c(1).whole())
		r.Add("class", group)
	}
	if n, ok := integer(s.f(22), 1, 100); ok {
		r.Set("order", n)
	}
}

func coverageClass(code, display string, plan *tree.Object) *tree.Object {
	o := tree.New("type", tree.Concept(terminology+"coverage-class", code, display))
	value := plan.Text("text")
	if coding, ok := firstOf(plan.Get("coding")).(*tree.Object); ok {
		value = firstText(coding.Text("code"), value)
	}
	return o.Set("value", value).Set("name", plan.Text("text"))
}

// firstIdentifier returns the value of an identifier.
func firstIdentifier(id *tree.Object) string { return id.Text("value") }

// payors are the insurance companies of IN1-3 and IN1-4; one is required.
func (c *converter) payors(r *tree.Resource, s seg) {
	name, id := s.f(4).c(1).whole(), c.cx(s.f(3), "")
	org := c.organizationOf(name, id, id.Text("value"))
	if org == nil {
		r.Add("payor", tree.Absent("unknown"))
		return
	}
	if s.f(5).has() && !org.Has("address") {
		c.xads(org.Object, s.f(5))
	}
	if s.f(7).has() && !org.Has("telecom") {
		c.xtns(org.Object, s.f(7), "")
	}
	r.Add("payor", org.Ref())
}

// subscriber is the insured person of IN1-16, if it is another than the patient.
func (c *converter) subscriber(r *tree.Resource, s seg) {
	name := c.humanName(s.f(16).first(), "")
	if name == nil || c.patient == nil {
		return
	}
	p := c.add("RelatedPerson", s.path+"/insured")
	p.Set("patient", c.patient.Ref())
	p.Add("relationship", c.concept(s.f(17), hl7Table+"0063"))
	p.Add("name", name)
	c.gender(p.Object, s.f(43))
	c.setDate(p.Object, "birthDate", s.f(18))
	c.xads(p.Object, s.f(19))
	r.Set("subscriber", p.Ref())
}

// gt1 reads a guarantor, who stands for the account (Account.guarantor).
func (c *converter) gt1(s seg) {
	if c.patient == nil {
		c.unread(s)
		return
	}
	if !s.valued() {
		return
	}
	r := c.add("RelatedPerson", s.path)
	c.cxs(r.Object, s.f(2), "")
	if n := s.f(19).text(); n != "" {
		r.Add("identifier", c.identifier(n, "SS", authority{}))
	}
	r.Set("patient", c.patient.Ref())
	r.Add("relationship", tree.Concept(v3+"RoleClass", "GUAR", "guarantor"), c.concept(s.f(11), hl7Table+"0063"))
	c.humanNames(r.Object, s.f(3), "")
	c.xtns(r.Object, s.f(6), "home")
	c.xtns(r.Object, s.f(7), "work")
	c.gender(r.Object, s.f(9))
	c.setDate(r.Object, "birthDate", s.f(8))
	c.xads(r.Object, s.f(5))
	r.Set("period", c.period(s.f(13), s.f(14)))
	if c.account != nil {
		c.account.Add("guarantor", tree.New("party", r.Ref()))
	}
}

// chargeStatuses maps the transaction type, table 0017.
var chargeStatuses = map[string]string{"CG": "billable", "CD": "entered-in-error", "PY": "billed", "AJ": "billable", "CO": "billable"}

// ft1 reads a charge (ChargeItem; the guide has no map of FT1 to a resource of its own
// choice, so the names of the fields are followed).
func (c *converter) ft1(s seg) {
	if !s.valued() {
		return
	}
	r := c.add("ChargeItem", s.path)
	if n := s.f(2).c(1).s(1).whole(); n != "" {
		r.Add("identifier", c.identifier(n, "", hd(func(i int) val { return s.f(2).c(1).s(i + 1) })))
	}
	r.Set("status", firstText(chargeStatuses[s.f(6).peek()], "unknown"))
	if own := c.concept(s.f(6), hl7Table+"0017"); own != nil {
		r.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/transaction-type", "valueCodeableConcept", own))
	}
	code := withText(c.concept(s.f(7), hl7Table+"0132"), s.f(8).text())
	if code.IsEmpty() {
		code = tree.Absent("unknown")
	}
	r.Set("code", code)
	r.Set("subject", c.subject())
	r.Set("context", c.encounter.Ref())
	if s.f(4).c(1).s(2).has() {
		r.Set("occurrencePeriod", c.period(s.f(4).c(1).s(1), s.f(4).c(1).s(2)))
	} else {
		c.setDateTime(r.Object, "occurrenceDateTime", s.f(4).c(1))
	}
	for _, v := range s.f(20).reps() {
		if p := c.practitioner(v); p != nil {
			r.Add("performer", tree.New("actor", p.Ref()))
		}
	}
	if org := c.namedOrganization(s.f(13)); org != nil {
		r.Set("performingOrganization", org.Ref())
	}
	if n, ok := number(s.f(10).peek()); ok {
		s.f(10).c(1).done()
		r.Set("quantity", tree.New("value", n))
	}
	r.Set("priceOverride", c.price(s))
	if who := c.practitioner(s.f(24).first()); who != nil {
		r.Set("enterer", who.Ref())
	}
	r.Add("reason", c.concepts(s.f(19), "")...)
	r.Add("account", c.account.Ref())
	c.noted = noteOn(r)
}

// price is the amount of FT1-11 (extended), or FT1-22 (unit).
func (c *converter) price(s seg) *tree.Object {
	for _, f := range []int{11, 22} {
		if m := money(s.f(f).c(1).s(1), s.f(f).c(1).s(2)); m != nil {
			return m
		}
	}
	return nil
}
