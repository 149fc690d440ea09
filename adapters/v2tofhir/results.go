package v2tofhir

import (
	"regexp"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// report makes the DiagnosticReport of a result OBR (segment map OBR[DiagnosticReport]).
func (c *converter) report(g *order, s seg, code *tree.Object) {
	r := c.add("DiagnosticReport", s.path)
	g.report = r
	r.Set("identifier", g.request.Get("identifier"))
	r.Add("basedOn", g.request.Ref())
	r.Set("status", firstText(pick(s.f(25), reportStatus), "unknown"))
	r.Add("category", c.concept(s.f(24), hl7Table+"0074"))
	if code.IsEmpty() {
		code = tree.Absent("unknown")
	}
	r.Set("code", code)
	r.Set("subject", c.subject())
	r.Set("encounter", c.encounter.Ref())
	if s.f(8).has() {
		r.Set("effectivePeriod", c.period(s.f(7), s.f(8)))
	} else {
		c.setDateTime(r.Object, "effectiveDateTime", s.f(7))
	}
	c.setInstant(r.Object, "issued", s.f(22))
	if p := c.practitionerIn(s.f(32).c(1)); p != nil {
		r.Add("resultsInterpreter", p.Ref())
	}
	for _, f := range []int{33, 34} {
		for _, v := range s.f(f).reps() {
			if p := c.practitionerIn(v.c(1)); p != nil {
				r.Add(map[int]string{33: "resultsInterpreter", 34: "performer"}[f], p.Ref())
			}
		}
	}
}

// conceptIn reads a CWE whose parts are subcomponents.
func (c *converter) conceptIn(v val) *tree.Object {
	code, text, system := v.s(1).whole(), v.s(2).whole(), v.s(3).whole()
	o := tree.New()
	if codePattern.MatchString(code) && (text != "" || system != "") {
		o.Add("coding", tree.Code(c.codeSystem(system, ""), code, text))
	}
	return o.Set("text", firstText(text, code))
}

// sourceSpecimen makes a Specimen of OBR-14 and OBR-15 where the message has no SPM (segment map
// OBR[Specimen]).
func (c *converter) sourceSpecimen(g *order, s seg) {
	v := s.f(15)
	if !v.has() && !s.f(14).has() {
		return
	}
	p := c.add("Specimen", s.path)
	p.Set("type", c.conceptIn(v.c(1)))
	p.Set("subject", c.subject())
	c.setDateTime(p.Object, "receivedTime", s.f(14))
	col := tree.New("method", tree.New("text", v.c(3).whole()), "bodySite", c.conceptIn(v.c(4)))
	c.setDateTime(col, "collectedDateTime", s.f(7))
	p.Set("collection", col)
	c.attachSpecimen(g, p)
}

func (c *converter) attachSpecimen(g *order, p *tree.Resource) {
	if g == nil {
		return
	}
	g.specimen = p
	if g.report != nil {
		g.report.Add("specimen", p.Ref())
	}
	if g.request != nil && g.request.Type == "ServiceRequest" {
		g.request.Add("specimen", p.Ref())
		p.Add("request", g.request.Ref())
	}
}

// spm reads a specimen (segment map SPM[Specimen]).
func (c *converter) spm(s seg) {
	if !s.valued() {
		return
	}
	p := c.add("Specimen", s.path)
	for i, typ := range []string{"PGN", "FGN"} {
		p.Add("identifier", c.ei(s.f(2).c(i+1).s, typ))
	}
	for _, v := range s.f(30).reps() {
		if id := c.cx(v, ""); !p.Has("accessionIdentifier") {
			p.Set("accessionIdentifier", id)
		} else {
			p.Add("identifier", id)
		}
	}
	p.Set("type", c.concept(s.f(4), hl7Table+"0487"))
	p.Set("subject", c.subject())
	c.setDateTime(p.Object, "receivedTime", s.f(18))
	for i, typ := range []string{"PLAC", "FILL"} {
		if id := c.ei(s.f(3).c(i+1).s, typ); id != nil {
			p.Add("parent", tree.New("type", "Specimen", "identifier", id))
		}
	}
	p.Set("collection", c.collection(s))
	p.Add("container", c.container(s))
	p.Set("status", pick(s.f(20), map[string]string{"Y": "available", "N": "unavailable"}))
	if s.f(21).has() {
		p.Set("status", "unsatisfactory")
		p.Add("condition", c.concepts(s.f(21), hl7Table+"0490")...)
	}
	p.Add("condition", c.concepts(s.f(24), hl7Table+"0493")...)
	for _, v := range s.f(14).reps() {
		p.Add("note", tree.New("text", v.text()))
	}
	c.noted = noteOn(p)
	c.attachSpecimen(c.order, p)
}

// collection says how and when a specimen was taken: SPM-7, -8, -12, -17.
func (c *converter) collection(s seg) *tree.Object {
	col := tree.New("method", c.concept(s.f(7), hl7Table+"0488"), "bodySite", c.concept(s.f(8), ""))
	if s.f(17).c(2).has() {
		col.Set("collectedPeriod", c.period(s.f(17).c(1), s.f(17).c(2)))
	} else {
		c.setDateTime(col, "collectedDateTime", s.f(17).c(1))
	}
	if q := c.quantity(s.f(12).c(1).peekSub(), val{t: s.t}); q != nil {
		s.f(12).c(1).done()
		unit := s.f(12).c(2)
		q.Set("unit", firstText(unit.s(2).whole(), unit.s(1).whole()))
		unit.s(3).whole()
		col.Set("quantity", q)
	}
	return col
}

// container is what a specimen is in: SPM-6 and SPM-27.
func (c *converter) container(s seg) *tree.Object {
	box := tree.New("type", c.concept(s.f(27), ""))
	for _, v := range s.f(6).reps() {
		if !box.Has("additiveCodeableConcept") {
			box.Set("additiveCodeableConcept", c.concept(v, hl7Table+"0371"))
		}
	}
	return box
}

// obx reads an observation (segment map OBX[Observation]); in a document message it is the
// document's content.
func (c *converter) obx(s seg) {
	if !s.valued() {
		return
	}
	kind := strings.ToUpper(s.f(2).peek())
	if c.document != nil && c.documentContent(s, kind) {
		return
	}
	o := c.add("Observation", s.path)
	c.noted = noteOn(o)
	o.Add("identifier", c.ei(s.f(21).c, "FILL"))
	c.observationStatus(o, s.f(11))
	code := c.concept(s.f(3), "")
	if code.IsEmpty() {
		code = tree.Absent("unknown")
	}
	o.Set("code", code)
	o.Set("subject", c.subject())
	o.Set("encounter", c.encounter.Ref())
	c.observed(o, s.f(14))
	c.observers(o, s)
	c.observationValue(o, s, kind)
	for _, v := range s.f(8).reps() {
		o.Add("interpretation", c.interpretation(v))
	}
	o.Set("bodySite", c.concept(s.f(20).first(), ""))
	o.Set("method", c.concept(s.f(17).first(), ""))
	if id := c.ei(s.f(18).c, ""); id != nil {
		o.Set("device", tree.New("type", "Device", "identifier", id))
	}
	c.referenceRange(o, s)
	c.observationExtensions(o, s)
	c.attachObservation(o)
}

// observationStatus maps OBX-11. A status of N says that nobody looked.
func (c *converter) observationStatus(o *tree.Resource, v val) {
	if strings.EqualFold(v.peek(), "N") {
		o.Set("dataAbsentReason", tree.Concept(terminology+"data-absent-reason", "not-asked", "Not Asked"))
	}
	o.Set("status", firstText(pick(v, observationStatus), "unknown"))
}

// observed sets the time of an observation: OBX-14, or that of the report, which counts
// where OBX-14 is empty (HL7 v2 chapter 7, §7.4.2.14).
func (c *converter) observed(o *tree.Resource, v val) {
	c.setDateTime(o.Object, "effectiveDateTime", v)
	if o.Has("effectiveDateTime") || c.order == nil || c.order.report == nil {
		return
	}
	for _, name := range []string{"effectiveDateTime", "_effectiveDateTime", "effectivePeriod"} {
		if value := c.order.report.Get(name); value != nil {
			o.Set(name, value)
		}
	}
}

func (c *converter) observers(o *tree.Resource, s seg) {
	c.practitioners(o.Object, "performer", s.f(16), nil)
	org := c.organization(s.f(23))
	if org == nil {
		org = c.namedOrganization(s.f(15))
	}
	if org == nil {
		return
	}
	if s.f(24).has() && !org.Has("address") {
		c.xads(org.Object, s.f(24))
	}
	director := c.practitioner(s.f(25))
	if director == nil {
		o.Add("performer", org.Ref())
		return
	}
	role := c.once("PractitionerRole", "MDIR\x00"+director.ID+"\x00"+org.ID, func(r *tree.Resource) {
		r.Set("practitioner", director.Ref()).Set("organization", org.Ref())
		r.Add("code", tree.Concept(hl7Table+"0912", "MDIR", ""))
	})
	o.Add("performer", role.Ref())
}

// interpretations are the codes of table 0078 that v3-ObservationInterpretation has too, and
// the arrows that Chinese laboratories print.
var interpretations = map[string]string{
	"L": "L", "H": "H", "LL": "LL", "HH": "HH", "<": "<", ">": ">", "N": "N", "A": "A", "AA": "AA", "U": "U", "D": "D", "B": "B", "W": "W",
	"S": "S", "R": "R", "I": "I", "MS": "MS", "VS": "VS", "POS": "POS", "NEG": "NEG", "IND": "IND", "DET": "DET", "ND": "ND", "HX": "HX", "LX": "LX", "HU": "HU", "LU": "LU", "E": "E", "IE": "IE", "NR": "NR", "RR": "RR", "WR": "WR", "NS": "NS", "SDD": "SDD", "EX": "EX",
	"↑": "H", "↓": "L", "↑↑": "HH", "↓↓": "LL",
}

func (c *converter) interpretation(v val) *tree.Object {
	code, ok := interpretations[strings.ToUpper(v.peek())]
	if !ok {
		return c.concept(v, hl7Table+"0078")
	}
	own := c.concept(v, "")
	o := tree.Concept(v3+"ObservationInterpretation", code, "")
	return o.Set("text", own.Text("text"))
}

var (
	rangePattern = regexp.MustCompile(`^\s*(-?[0-9.]+)\s*(?:-|--|~|～|—)\s*(-?[0-9.]+)\s*$`)
	boundPattern = regexp.MustCompile(`^\s*(<=|>=|<|>|≤|≥)\s*(-?[0-9.]+)\s*$`)
)

// referenceRange keeps OBX-7 as text, and as bounds where it is plainly that.
func (c *converter) referenceRange(o *tree.Resource, s seg) {
	text := s.f(7).whole()
	if text == "" {
		return
	}
	r := tree.New()
	bound := func(name, digits string) {
		if n, ok := number(digits); ok {
			q := tree.New("value", n)
			c.unit(q, s.f(6))
			r.Set(name, q)
		}
	}
	if m := rangePattern.FindStringSubmatch(text); m != nil {
		bound("low", m[1])
		bound("high", m[2])
	} else if m := boundPattern.FindStringSubmatch(text); m != nil {
		if strings.ContainsAny(m[1], "<≤") {
			bound("high", m[2])
		} else {
			bound("low", m[2])
		}
	}
	o.Add("referenceRange", r.Set("text", text))
}

func (c *converter) observationExtensions(o *tree.Resource, s seg) {
	if sub := s.f(4).whole(); sub != "" {
		o.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/observation-sub-id", "valueString", sub))
	}
	for _, v := range s.f(10).reps() {
		o.Add("extension", tree.Extension(structureDefinition+"observation-nature-of-abnormal-test", "valueCodeableConcept", c.concept(v, hl7Table+"0080")))
	}
	at := tree.New("url", structureDefinition+"observation-analysis-date-time")
	c.setDateTime(at, "valueDateTime", s.f(19))
	if at.Has("valueDateTime") {
		o.Add("extension", at)
	}
}

// attachObservation puts an observation where it belongs: the report, the order, or what
// was given.
func (c *converter) attachObservation(o *tree.Resource) {
	g := c.order
	if g == nil {
		return
	}
	switch {
	case g.report != nil:
		if g.specimen != nil {
			o.Set("specimen", g.specimen.Ref())
		}
		g.report.Add("result", o.Ref())
	case g.given != nil:
		o.Add("partOf", g.given.Ref())
	case g.request != nil && (g.request.Type == "ServiceRequest" || g.request.Type == "MedicationRequest"):
		name := map[string]string{"ServiceRequest": "supportingInfo", "MedicationRequest": "supportingInformation"}[g.request.Type]
		g.request.Add(name, o.Ref())
	}
}
