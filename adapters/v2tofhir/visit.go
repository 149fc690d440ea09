package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// participants are the people of PV1 with their codes of v3-ParticipationType.
var participants = []struct {
	field         int
	code, display string
}{{7, "ATND", "attender"}, {8, "REF", "referrer"}, {9, "CON", "consultant"}, {17, "ADM", "admitter"}, {52, "PART", "Participation"}}

// places are the locations of PV1 with their state in Encounter.location.
var places = []struct {
	field  int
	status string
}{{3, "active"}, {6, "completed"}, {11, "active"}, {42, "reserved"}}

// pv1 reads a visit (segment map PV1[Encounter]).
func (c *converter) pv1(s seg) {
	if !s.valued() {
		return
	}
	e := c.add("Encounter", s.path)
	c.encounter = e
	for _, f := range []int{19, 50} {
		c.cxs(e.Object, s.f(f), map[int]string{19: "VN"}[f])
	}
	c.encounterStatus(e, s)
	c.encounterClass(e, s.f(2))
	e.Add("type", c.concept(s.f(4), hl7Table+"0007"))
	e.Set("serviceType", c.concept(s.f(10), hl7Table+"0069"))
	e.Set("subject", c.subject())
	for _, p := range participants {
		kind := tree.Concept(v3+"ParticipationType", p.code, p.display).Set("text", p.display)
		c.practitioners(e.Object, "participant", s.f(p.field), func(who *tree.Object) *tree.Object {
			return tree.New("type", []any{kind}, "individual", who)
		})
	}
	e.Set("period", c.period(s.f(44), s.f(45)))
	e.Add("account", c.account.Ref())
	c.hospitalization(e, s)
	for _, l := range places {
		where := c.location(s.f(l.field))
		if where == nil {
			continue
		}
		status := l.status
		if l.field == 3 && strings.EqualFold(s.f(2).peek(), "P") {
			status = "planned"
		}
		e.Add("location", tree.New("location", where.Ref(), "status", status))
	}
}

// encounterStatus prefers the end of the visit, then what the event says, then the class.
func (c *converter) encounterStatus(e *tree.Resource, s seg) {
	status := classStatus[strings.ToUpper(s.f(2).peek())]
	if by, ok := eventStatus[c.event]; ok && c.family == "ADT" {
		status = by
	} else if _, _, ended := c.peekTime(s.f(45)); ended {
		status = "finished"
	}
	e.Set("status", firstText(status, "unknown"))
}

// peekTime reads a time without marking it as read.
func (c *converter) peekTime(v val) (any, string, bool) {
	probe := converter{o: c.o, t: &tracker{}}
	t, text, ok := probe.time(val{v.Value, probe.t})
	return t, text, ok
}

func (c *converter) encounterClass(e *tree.Resource, v val) {
	code := v.text()
	if to, ok := encounterClasses[strings.ToUpper(code)]; ok {
		e.Set("class", tree.Code(v3+"ActCode", to[0], to[1]))
		return
	}
	if code == "" || !codePattern.MatchString(code) {
		e.Set("class", tree.Code(v3+"NullFlavor", "UNK", "unknown"))
		return
	}
	e.Set("class", tree.Code(hl7Table+"0004", code, v.c(2).whole()))
}

func (c *converter) hospitalization(e *tree.Resource, s seg) {
	h := tree.New()
	h.Set("preAdmissionIdentifier", c.cx(s.f(5), ""))
	h.Set("admitSource", c.concept(s.f(14), hl7Table+"0023"))
	h.Set("reAdmission", c.concept(s.f(13), hl7Table+"0092"))
	h.Add("dietPreference", c.concept(s.f(38), hl7Table+"0114"))
	h.Add("specialCourtesy", c.concepts(s.f(16), hl7Table+"0099")...)
	h.Add("specialArrangement", c.concepts(s.f(15), hl7Table+"0009")...)
	if to := s.f(37).c(1); to.has() {
		name := to.whole()
		h.Set("destination", c.once("Location", "DLD\x00"+name, func(r *tree.Resource) { r.Set("name", name) }).Ref())
	}
	h.Set("dischargeDisposition", c.concept(s.f(36), hl7Table+"0112"))
	e.Set("hospitalization", h)
}

// pv2 reads more of the visit (segment map PV2[Encounter]).
func (c *converter) pv2(s seg) {
	if c.encounter == nil { // a PV2 without a PV1
		c.encounter = c.add("Encounter", s.path)
		c.encounter.Set("status", "unknown").Set("class", tree.Code(v3+"NullFlavor", "UNK", "unknown")).Set("subject", c.subject())
	}
	e := c.encounter
	e.Add("reasonCode", c.concept(s.f(3), ""))
	e.Set("priority", c.concept(s.f(25), hl7Table+"0217"))
	if text := s.f(12).text(); text != "" {
		e.Add("extension", tree.Extension(structureDefinition+"resource-instance-description", "valueMarkdown", text))
	}
	if days, ok := number(s.f(11).peek()); ok {
		s.f(11).c(1).done()
		e.Set("length", tree.New("value", days, "unit", "d", "system", systemUCUM, "code", "d"))
	}
	if o := c.organization(s.f(23)); o != nil {
		e.Set("serviceProvider", o.Ref())
	}
	if strings.EqualFold(s.f(22).peek(), "Y") {
		s.f(22).done()
		e.Set("meta", tree.New("security", []any{tree.Code(v3+"Confidentiality", "R", "restricted")}))
	}
	e.Add("extension", tree.Extension(structureDefinition+"encounter-modeOfArrival", "valueCoding", firstOf(c.concept(s.f(38), hl7Table+"0430").Get("coding"))))
}

// rol reads a role (segment map ROL[PractitionerRole]).
func (c *converter) rol(s seg) { c.role(s, s.f(3), s.f(4), s.f(5), s.f(6)) }

// prt reads a participation (segment map PRT[PractitionerRole]).
func (c *converter) prt(s seg) {
	c.role(s, s.f(4), s.f(5), s.f(11), s.f(12))
	if org := c.organization(s.f(8)); org != nil && c.encounter != nil && !c.encounter.Has("serviceProvider") {
		c.encounter.Set("serviceProvider", org.Ref())
	}
}

func (c *converter) role(s seg, role, who, from, to val) {
	p := c.practitioner(who)
	if p == nil {
		return
	}
	kind := c.concept(role, hl7Table+"0443")
	r := c.add("PractitionerRole", s.path)
	r.Set("period", c.period(from, to))
	r.Set("practitioner", p.Ref())
	r.Add("code", kind)
	if c.encounter != nil && c.order == nil {
		part := tree.New("individual", r.Ref())
		if !kind.IsEmpty() {
			part.Set("type", []any{kind})
		}
		c.encounter.Add("participant", part)
	}
}

// unread keeps a whole segment that has nothing to belong to.
func (c *converter) unread(s seg) {
	c.unknown = append(c.unknown, s.Segment)
	c.unknownAt = append(c.unknownAt, s.path)
}
