package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// rxo reads a pharmacy order (segment map RXO[MedicationRequest]).
func (c *converter) rxo(s seg) {
	g := c.detail(s, func(o *order) bool { return o.request != nil })
	r := c.prescription(g, s, s.f(1))
	d := g.dosage
	c.dose(d, s.f(2), s.f(3), s.f(4))
	r.Add("note", c.form(s.f(5)))
	for _, f := range []int{6, 7} {
		for _, v := range s.f(f).reps() {
			instruct(d, c.concept(v, ""))
		}
	}
	r.Set("substitution", substitution(s.f(9)))
	c.dispense(r, s.f(11), s.f(12), s.f(13))
	if who := c.practitioner(s.f(14)); who != nil && !r.Has("requester") {
		r.Set("requester", who.Ref())
	}
	r.Add("reasonCode", c.concepts(s.f(20), "")...)
	c.rate(d, s.f(21), s.f(22))
}

// rxe reads an encoded order; it says how the pharmacy understood the RXO before it,
// which stays the original order (HL7 v2 chapter 4A, §4A.4.4).
func (c *converter) rxe(s seg) {
	var original *tree.Resource
	if c.order != nil && c.order.request != nil && c.order.request.Type == "MedicationRequest" {
		original, c.order.request = c.order.request, nil
	}
	g := c.detail(s, func(o *order) bool { return o.request != nil })
	r := c.prescription(g, s, s.f(2))
	if original != nil {
		original.Set("intent", "original-order")
		r.Add("basedOn", original.Ref())
	}
	d := g.dosage
	c.dose(d, s.f(3), s.f(4), s.f(5))
	r.Add("note", c.form(s.f(6)))
	for _, f := range []int{7, 21} {
		for _, v := range s.f(f).reps() {
			instruct(d, c.concept(v, ""))
		}
	}
	r.Set("substitution", substitution(s.f(9)))
	c.dispense(r, s.f(10), s.f(11), s.f(12))
	if who := c.practitioner(s.f(13)); who != nil && !r.Has("requester") {
		r.Set("requester", who.Ref())
	}
	if n := s.f(15).text(); n != "" {
		r.Add("identifier", tree.New("type", tree.New("text", "prescription number"), "value", n))
	}
	c.rate(d, s.f(23), s.f(24))
	r.Add("reasonCode", c.concepts(s.f(27), "")...)
	if q := c.quantityOf(s.f(19).c(1).peekSub(), s.f(19).c(1), val{s.f(19).Comp(2), s.t}); q != nil {
		d.Set("maxDosePerPeriod", tree.New("numerator", q, "denominator", tree.New("value", 1, "unit", "d", "system", systemUCUM, "code", "d")))
	}
	start := c.period(s.f(1).c(4), s.f(1).c(5))
	if !start.IsEmpty() {
		d.Set("timing", tree.New("repeat", tree.New("boundsPeriod", start)))
	}
}

// prescription begins a MedicationRequest.
func (c *converter) prescription(g *order, s seg, drug val) *tree.Resource {
	r := c.add("MedicationRequest", s.path)
	g.request = r
	c.orderFields(r, seg{t: c.t}, "MedicationRequest")
	c.setMedication(r, c.concept(drug, ""))
	r.Set("subject", c.subject())
	r.Set("encounter", c.encounter.Ref())
	for _, v := range []val{g.orc.f(7).c(6)} {
		if p := priorities[strings.ToUpper(v.peekSub())]; p != "" {
			v.done()
			r.Set("priority", p)
		}
	}
	g.dosage = tree.New()
	if at := c.period(g.orc.f(7).c(4), g.orc.f(7).c(5)); !at.IsEmpty() {
		g.dosage.Set("timing", tree.New("repeat", tree.New("boundsPeriod", at)))
	}
	r.Set("dosageInstruction", []any{g.dosage})
	g.medicine = r
	c.noted = noteOn(r)
	return r
}

// setMedication sets medication[x], which is required.
func (c *converter) setMedication(r *tree.Resource, drug *tree.Object) {
	if drug.IsEmpty() {
		drug = tree.Absent("unknown")
	}
	r.Set("medicationCodeableConcept", drug)
}

// dose sets the amount to give: a range, or one number where the most is not said.
func (c *converter) dose(d *tree.Object, least, most, unit val) {
	low := c.quantityOf(least.peek(), least.c(1), unit)
	high := c.quantityOf(most.peek(), most.c(1), unit)
	o := tree.New("type", tree.Concept(terminology+"dose-rate-type", "ordered", "Ordered"))
	switch {
	case low != nil && high != nil:
		o.Set("doseRange", tree.New("low", low, "high", high))
	case low != nil:
		o.Set("doseQuantity", low)
	case high != nil:
		o.Set("doseRange", tree.New("high", high))
	default:
		return
	}
	d.Add("doseAndRate", o)
}

func (c *converter) rate(d *tree.Object, amount, unit val) {
	q := c.quantityOf(amount.peek(), amount.c(1), unit)
	if q == nil {
		return
	}
	if have, ok := firstOf(d.Get("doseAndRate")).(*tree.Object); ok {
		have.Set("rateQuantity", q)
		return
	}
	d.Add("doseAndRate", tree.New("rateQuantity", q))
}

// form keeps a dosage form as a note: a coded medication has no place for it.
func (c *converter) form(v val) *tree.Object {
	f := c.concept(v, "")
	if f.IsEmpty() {
		return nil
	}
	text := f.Text("text")
	if coding, ok := firstOf(f.Get("coding")).(*tree.Object); ok && text == "" {
		text = coding.Text("code")
	}
	if text == "" {
		return nil
	}
	return tree.New("text", "dosage form: "+text)
}

func instruct(d *tree.Object, instruction *tree.Object) {
	if instruction.IsEmpty() {
		return
	}
	d.Add("additionalInstruction", instruction)
}

// substitution maps table 0161.
func substitution(v val) *tree.Object {
	switch strings.ToUpper(v.peek()) {
	case "N":
		v.done()
		return tree.New("allowedBoolean", false)
	case "G", "T", "Y":
		return tree.New("allowedCodeableConcept", tree.Concept(hl7Table+"0161", strings.ToUpper(v.text()), ""))
	}
	return nil
}

func (c *converter) dispense(r *tree.Resource, amount, unit, refills val) {
	d := tree.New("quantity", c.quantityOf(amount.peek(), amount.c(1), unit))
	if n, ok := integer(refills, 0, 1000); ok {
		d.Set("numberOfRepeatsAllowed", n)
	}
	r.Set("dispenseRequest", d)
}

// rxr reads the route (segment maps RXR[MedicationRequest], RXR[Immunization]).
func (c *converter) rxr(s seg) {
	g := c.order
	var to *tree.Object
	switch {
	case g != nil && g.given != nil && g.given.Type == "Immunization":
		to = g.given.Object
	case g != nil && g.dosage != nil:
		to = g.dosage
		to.Set("method", c.concept(s.f(4), hl7Table+"0165"))
	default:
		c.unread(s)
		return
	}
	to.Set("site", c.concept(s.f(2), hl7Table+"0163")).Set("route", c.concept(s.f(1), hl7Table+"0162"))
}

// rxc adds a component to the medication before it, which becomes a Medication of its own.
func (c *converter) rxc(s seg) {
	if c.order == nil || c.order.medicine == nil {
		c.unread(s)
		return
	}
	r := c.order.medicine
	m, ok := c.shared["RXC\x00"+r.ID]
	if !ok {
		m = c.add("Medication", s.path)
		c.shared["RXC\x00"+r.ID] = m
		m.Set("code", r.Get("medicationCodeableConcept"))
		r.Set("medicationCodeableConcept", nil).Set("medicationReference", m.Ref())
	}
	item := c.concept(s.f(2), "")
	if item.IsEmpty() {
		item = tree.Absent("unknown")
	}
	part := tree.New("itemCodeableConcept", item)
	if code := strings.ToUpper(s.f(1).peek()); code == "B" || code == "A" {
		s.f(1).done()
		part.Set("isActive", code == "A")
	}
	if q := c.quantityOf(s.f(3).peek(), s.f(3).c(1), s.f(4)); q != nil {
		part.Set("strength", tree.New("numerator", q, "denominator", tree.New("value", 1)))
	}
	m.Add("ingredient", part)
}

// rxd reads a dispense (MedicationDispense).
func (c *converter) rxd(s seg) {
	if c.order == nil {
		c.order = &order{orc: seg{t: c.t}, at: s.path}
	}
	g := c.order
	r := c.add("MedicationDispense", s.path)
	numbers(r, c.ei(g.orc.f(2).c, "PLAC"), c.ei(g.orc.f(3).c, "FILL"))
	if n := s.f(7).text(); n != "" {
		r.Add("identifier", tree.New("type", tree.New("text", "prescription number"), "value", n))
	}
	r.Set("status", "completed")
	c.setMedication(r, c.concept(s.f(2), ""))
	r.Set("subject", c.subject())
	r.Set("context", c.encounter.Ref())
	for _, v := range s.f(10).reps() {
		if p := c.practitioner(v); p != nil {
			r.Add("performer", tree.New("actor", p.Ref()))
		}
	}
	if g.request != nil && g.request.Type == "MedicationRequest" {
		r.Add("authorizingPrescription", g.request.Ref())
	}
	r.Set("quantity", c.quantityOf(s.f(4).peek(), s.f(4).c(1), s.f(5)))
	c.setDateTime(r.Object, "whenHandedOver", s.f(3))
	for _, v := range s.f(9).reps() {
		r.Add("note", tree.New("text", v.whole()))
	}
	g.given, g.medicine, g.dosage = r, r, tree.New()
	r.Set("dosageInstruction", []any{g.dosage})
	c.noted = noteOn(r)
}

// vaccineMessages are the message types in which RXA reports a vaccination.
var vaccineMessages = map[string]bool{"VXU": true, "VXR": true, "VXX": true}

// rxa reads an administration: of a vaccine in vaccination messages (segment map
// RXA[Immunization]), of a medication in others.
func (c *converter) rxa(s seg) {
	if c.order == nil || c.order.given != nil && c.order.given.Type == "Immunization" {
		c.order = &order{orc: seg{t: c.t}, at: s.path}
	}
	if vaccineMessages[c.family] || c.family == "RSP" {
		c.immunization(s)
		return
	}
	g := c.order
	r := c.add("MedicationAdministration", s.path)
	numbers(r, c.ei(g.orc.f(2).c, "PLAC"), c.ei(g.orc.f(3).c, "FILL"))
	r.Set("status", firstText(pick(s.f(20), map[string]string{"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}), "completed"))
	r.Add("statusReason", c.concepts(s.f(18), "")...)
	c.setMedication(r, c.concept(s.f(5), ""))
	r.Set("subject", c.subject())
	r.Set("context", c.encounter.Ref())
	if s.f(4).has() && s.f(3).has() {
		r.Set("effectivePeriod", c.period(s.f(3), s.f(4)))
	} else {
		c.setDateTime(r.Object, "effectiveDateTime", s.f(3))
	}
	if !r.Has("effectivePeriod") && !r.Has("effectiveDateTime") {
		absentPrimitive(r.Object, "effectiveDateTime")
	}
	for _, v := range s.f(10).reps() {
		if p := c.practitioner(v); p != nil {
			r.Add("performer", tree.New("actor", p.Ref()))
		}
	}
	r.Add("reasonCode", c.concepts(s.f(19), "")...)
	if g.request != nil && g.request.Type == "MedicationRequest" {
		r.Set("request", g.request.Ref())
	}
	c.notes(r, s.f(9))
	g.dosage = tree.New("dose", c.quantityOf(s.f(6).peek(), s.f(6).c(1), s.f(7)))
	r.Set("dosage", g.dosage)
	if !g.dosage.Has("dose") { // mad-1: a dosage has a dose or a rate
		r.Set("dosage", nil)
		g.dosage = nil
	}
	g.given, g.medicine = r, nil
	c.noted = noteOn(r)
}

func (c *converter) notes(r *tree.Resource, v val) {
	for _, n := range v.reps() {
		if t := c.concept(n, ""); !t.IsEmpty() {
			text := t.Text("text")
			if coding, ok := firstOf(t.Get("coding")).(*tree.Object); ok && text == "" {
				text = coding.Text("code")
			}
			r.Add("note", tree.New("text", text))
		}
	}
}

// immunization reads a vaccination.
func (c *converter) immunization(s seg) {
	g := c.order
	r := c.add("Immunization", s.path)
	numbers(r, c.ei(g.orc.f(2).c, "PLAC"), c.ei(g.orc.f(3).c, "FILL"))
	status := pick(s.f(20), map[string]string{"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"})
	if strings.EqualFold(s.f(21).peek(), "D") {
		s.f(21).done()
		status = "entered-in-error"
	}
	r.Set("status", firstText(status, "completed"))
	r.Set("statusReason", c.concept(s.f(18).first(), ""))
	code := c.concept(s.f(5), "")
	if code.IsEmpty() {
		code = tree.Absent("unknown")
	}
	r.Set("vaccineCode", code)
	r.Set("patient", c.subject())
	r.Set("encounter", c.encounter.Ref())
	c.setDateTime(r.Object, "occurrenceDateTime", s.f(3))
	if !r.Has("occurrenceDateTime") {
		absentPrimitive(r.Object, "occurrenceDateTime")
	}
	c.setDateTime(r.Object, "recorded", s.f(22))
	if place := c.location(s.f(27)); place != nil {
		r.Set("location", place.Ref())
	} else if at := c.administeredAt(s.f(11)); at != nil {
		r.Set("location", at.Ref())
	}
	r.Set("manufacturer", c.namedOrganization(s.f(17).first()).Ref())
	r.Set("lotNumber", s.f(15).text())
	c.setDate(r.Object, "expirationDate", s.f(16))
	if n := s.f(6).peek(); n != "999" { // RXA-6 999: the amount is not known
		r.Set("doseQuantity", c.quantityOf(n, s.f(6).c(1), s.f(7)))
	}
	c.vaccinators(r, s)
	c.notes(r, s.f(9))
	r.Add("reasonCode", c.concepts(s.f(19), "")...)
	g.given = r
	c.noted = noteOn(r)
}

func (c *converter) vaccinators(r *tree.Resource, s seg) {
	for _, who := range []struct {
		v    val
		code string
	}{{s.f(10), "AP"}, {c.order.orc.f(12), "OP"}, {c.order.orc.f(10), "EP"}} {
		for _, v := range who.v.reps() {
			if p := c.practitioner(v); p != nil {
				r.Add("performer", tree.New("function", tree.Concept(hl7Table+"0443", who.code, ""), "actor", p.Ref()))
			}
		}
	}
}

// administeredAt reads a LA2: its parts up to the facility are those of a PL.
func (c *converter) administeredAt(v val) *tree.Resource {
	facility := hd(v.c(4).s)
	name := firstText(v.c(1).whole(), facility.name, facility.id)
	if name == "" {
		return nil
	}
	return c.once("Location", "LA2\x00"+name+"\x00"+facility.id, func(r *tree.Resource) { r.Set("name", name).Set("mode", "instance") })
}
