package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// order is one order group: an ORC with its detail segment, or a detail segment alone.
type order struct {
	orc      seg
	control  string // ORC-1
	has      bool   // an ORC began the group
	request  *tree.Resource
	report   *tree.Resource
	specimen *tree.Resource
	given    *tree.Resource // Immunization, MedicationAdministration or MedicationDispense
	dosage   *tree.Object   // dosage of the last medication segment, for RXR and TQ1
	medicine *tree.Resource // what RXC adds ingredients to
	at       string
}

// orc begins an order group (segment maps ORC[ServiceRequest], ORC[Immunization], …).
func (c *converter) orc(s seg) {
	c.closeOrder()
	c.order = &order{orc: s, control: strings.ToUpper(s.f(1).peek()), has: true, at: s.path}
	c.noted = nil
}

// closeOrder makes a ServiceRequest of an ORC that no detail segment followed.
func (c *converter) closeOrder() {
	if o := c.order; o != nil && o.has && o.request == nil && o.given == nil && o.orc.valued() {
		o.request = c.add("ServiceRequest", o.at)
		c.orderFields(o.request, seg{t: c.t}, "ServiceRequest")
		o.request.Set("subject", c.subject())
	}
}

// detail returns the group that a detail segment belongs to: the one an ORC began, or one
// of its own.
func (c *converter) detail(s seg, taken func(*order) bool) *order {
	if c.order == nil || taken(c.order) {
		c.order = &order{orc: seg{t: c.t}, at: s.path}
	}
	return c.order
}

// resultMessages are the message types in which OBR reports results.
var resultMessages = map[string]bool{"ORU": true, "OUL": true, "ORF": true, "OPU": true, "ORA": true}

// obr reads an observation request, and in result messages its report (segment maps
// OBR[ServiceRequest], OBR[DiagnosticReport], OBR[Specimen]).
func (c *converter) obr(s seg) {
	g := c.detail(s, func(o *order) bool { return o.request != nil || o.given != nil })
	r := c.add("ServiceRequest", s.path)
	g.request = r
	c.orderFields(r, s, "ServiceRequest")
	code := c.concept(s.f(4), "")
	r.Set("code", code)
	r.Set("subject", c.subject())
	r.Set("encounter", c.encounter.Ref())
	c.serviceTiming(r.Object, g, s)
	r.Add("reasonCode", c.concepts(s.f(31), "")...)
	if resultMessages[c.family] {
		c.report(g, s, code)
	} else {
		r.Add("category", c.concept(s.f(24), hl7Table+"0074"))
	}
	if !c.specimens {
		c.sourceSpecimen(g, s)
	}
	for _, n := range []int{13, 39} {
		for _, v := range s.f(n).reps() {
			if t := c.concept(v, ""); t != nil {
				r.Add("note", tree.New("text", t.Text("text")))
			}
		}
	}
	c.noted = noteOn(r)
}

// orderFields sets what ORC says of an order; OBR-2, -3 and -16 say the same of an OBR.
func (c *converter) orderFields(r *tree.Resource, obr seg, kind string) {
	s := c.order.orc
	numbers(r, c.ei(obr.f(2).c, "PLAC"), c.ei(s.f(2).c, "PLAC"), c.ei(obr.f(3).c, "FILL"), c.ei(s.f(3).c, "FILL"))
	for _, v := range s.f(33).reps() {
		numbers(r, c.cx(v, "PLAC"))
	}
	for _, v := range obr.f(53).reps() {
		numbers(r, c.cx(v, "PLAC"))
	}
	group := "requisition"
	if kind == "MedicationRequest" {
		group = "groupIdentifier"
	}
	if s.f(4).c(1).s(2).has() { // EIP since 2.8.2
		r.Set(group, c.ei(s.f(4).c(1).s, "PGN"))
	} else {
		r.Set(group, c.ei(s.f(4).c, "PGN"))
	}
	r.Set("status", c.requestStatus(s, kind))
	r.Set("intent", "order")
	c.parent(r, s.f(8), kind)
	c.parent(r, obr.f(29), kind)
	if c.order.control == "NW" || c.order.control == "" {
		c.setDateTime(r.Object, "authoredOn", s.f(9))
	}
	c.requester(r, obr)
	if c.order.control != "" {
		s.f(1).c(1).done()
		event := tree.New("url", tree.LocalURL+"StructureDefinition/order-control",
			"valueCodeableConcept", tree.Concept(hl7Table+"0119", c.order.control, ""))
		r.Add("extension", event)
	}
	if why := c.concept(s.f(16), ""); why != nil {
		r.Add("extension", tree.Extension(structureDefinition+"request-statusReason", "valueCodeableConcept", why))
	}
	if level := c.concept(s.f(28), hl7Table+"0177"); level != nil {
		if coding := firstOf(level.Get("coding")); coding != nil {
			r.Set("meta", tree.New("security", []any{coding}))
		}
	}
}

// numbers adds identifiers that are not there yet.
func numbers(r *tree.Resource, ids ...*tree.Object) {
	for _, id := range ids {
		if id == nil {
			continue
		}
		known := false
		for _, have := range list(r.Get("identifier")) {
			if h, ok := have.(*tree.Object); ok && string(h.AppendJSON(nil)) == string(id.AppendJSON(nil)) {
				known = true
			}
		}
		if !known {
			r.Add("identifier", id)
		}
	}
}

// requestStatus maps ORC-5, or ORC-1 where that is empty.
func (c *converter) requestStatus(s seg, kind string) string {
	status := pick(s.f(5), orderStatus)
	if status == "" {
		status = controlStatus[c.order.control]
	}
	if kind == "MedicationRequest" && status == "revoked" {
		return map[bool]string{true: "stopped", false: "cancelled"}[c.order.control == "DC" || strings.EqualFold(s.f(5).peek(), "DC")]
	}
	return firstText(status, "unknown")
}

// parent refers to the order that an order belongs to by its number (data type maps
// EIP[Identifier-…]): the order itself came in another message.
func (c *converter) parent(r *tree.Resource, v val, kind string) {
	for _, p := range v.reps() {
		for i, typ := range []string{"PLAC", "FILL"} {
			if id := c.ei(p.c(i+1).s, typ); id != nil {
				r.Add("basedOn", tree.New("type", kind, "identifier", id))
			}
		}
	}
}

// requester is the ordering person, in a role if the message names the organisation.
func (c *converter) requester(r *tree.Resource, obr seg) {
	s := c.order.orc
	who := c.practitioner(obr.f(16))
	if p := c.practitioner(s.f(12)); p != nil {
		who = p
	}
	org := c.organization(s.f(21))
	if org != nil {
		if !org.Has("address") {
			c.xads(org.Object, s.f(22))
		}
		if !org.Has("telecom") {
			c.xtns(org.Object, s.f(23), "")
		}
	}
	if who != nil && s.f(24).has() && !who.Has("address") {
		c.xads(who.Object, s.f(24))
	}
	for _, v := range []val{s.f(14), obr.f(17)} {
		for _, phone := range v.reps() {
			r.Add("extension", tree.Extension(structureDefinition+"servicerequest-order-callback-phone-number", "valueContactPoint", c.xtn(phone, "")))
		}
	}
	switch {
	case who != nil && org != nil:
		role := c.once("PractitionerRole", who.ID+"\x00"+org.ID, func(r *tree.Resource) {
			r.Set("practitioner", who.Ref()).Set("organization", org.Ref())
		})
		r.Set("requester", role.Ref())
	case who != nil:
		r.Set("requester", who.Ref())
	case org != nil:
		r.Set("requester", org.Ref())
	}
}

// serviceTiming reads priority and times of an order: OBR-5, OBR-6, OBR-27, OBR-36,
// ORC-7.
func (c *converter) serviceTiming(o *tree.Object, g *order, obr seg) {
	for _, v := range []val{obr.f(5).c(1), g.orc.f(7).c(6), obr.f(27).c(6)} {
		if p := priorities[strings.ToUpper(v.peekSub())]; p != "" {
			v.done()
			o.Set("priority", p)
		}
	}
	at := c.period(g.orc.f(7).c(4), g.orc.f(7).c(5))
	if at.IsEmpty() {
		at = c.period(obr.f(27).c(4), obr.f(27).c(5))
	}
	if !at.IsEmpty() {
		o.Set("occurrencePeriod", at)
		return
	}
	c.setDateTime(o, "occurrenceDateTime", obr.f(36))
	if !o.Has("occurrenceDateTime") {
		c.setDateTime(o, "occurrenceDateTime", obr.f(6))
	}
}

// tq1 reads timing (segment maps TQ1[ServiceRequest], TQ1[MedicationRequest]).
func (c *converter) tq1(s seg) {
	if c.booking != nil {
		c.bookingTimes(s.f(7), s.f(8))
		return
	}
	if c.order == nil || c.order.request == nil {
		c.unread(s)
		return
	}
	r := c.order.request
	if p := priorities[strings.ToUpper(s.f(9).peek())]; p != "" {
		s.f(9).done()
		r.Set("priority", p)
	}
	at := c.period(s.f(7), s.f(8))
	var repeat *tree.Object
	if pattern := s.f(3).c(1).s(1).whole(); pattern != "" {
		repeat = tree.Concept(hl7Table+"0335", pattern, "").Set("text", firstText(s.f(3).c(1).s(2).whole(), pattern))
	}
	if r.Type != "MedicationRequest" {
		if !at.IsEmpty() {
			r.Set("occurrenceDateTime", nil).Set("_occurrenceDateTime", nil).Set("occurrencePeriod", at)
		}
		if repeat != nil && at.IsEmpty() {
			r.Set("occurrenceDateTime", nil).Set("_occurrenceDateTime", nil).Set("occurrencePeriod", nil)
			r.Set("occurrenceTiming", tree.New("code", repeat))
		} else if repeat != nil {
			r.Add("orderDetail", repeat)
		}
		return
	}
	timing := tree.New("code", repeat)
	if !at.IsEmpty() {
		timing.Set("repeat", tree.New("boundsPeriod", at))
	}
	if c.order.dosage != nil {
		c.order.dosage.Set("timing", timing)
		if text := s.f(10).text(); text != "" {
			c.order.dosage.Set("patientInstruction", text)
		}
	}
}
