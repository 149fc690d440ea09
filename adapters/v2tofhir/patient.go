package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/record"
)

const structureDefinition = "http://hl7.org/fhir/StructureDefinition/"

// pid reads a patient (segment maps PID[Patient], PID[Account]). A further PID begins
// another patient: links, exchanges of beds and merges of old form have two.
func (c *converter) pid(s seg) {
	c.closeOrder()
	p := c.add("Patient", s.path)
	c.patient, c.encounter, c.account, c.order, c.noted = p, nil, nil, nil, nil
	c.patients = append(c.patients, p)
	c.cxs(p.Object, s.f(3), "")
	c.cxs(p.Object, s.f(2), "PT")
	c.cxs(p.Object, s.f(4), "")
	if n := s.f(19).text(); n != "" {
		p.Add("identifier", c.identifier(n, "SS", authority{}))
	}
	if d := s.f(20); d.c(1).has() {
		p.Add("identifier", c.identifier(d.c(1).whole(), "DL", authority{name: d.c(2).whole()}))
	}
	c.humanNames(p.Object, s.f(5), "")
	c.humanNames(p.Object, s.f(9), "nickname")
	c.xtns(p.Object, s.f(13), "home")
	c.xtns(p.Object, s.f(14), "work")
	c.xtns(p.Object, s.f(40), "")
	c.gender(p.Object, s.f(8))
	c.birth(p.Object, s.f(7))
	c.death(p.Object, s)
	c.xads(p.Object, s.f(11))
	p.Set("maritalStatus", c.concept(s.f(16), hl7Table+"0002"))
	c.births(p.Object, s)
	if l := c.concept(s.f(15), ""); l != nil {
		p.Add("communication", tree.New("language", l, "preferred", true))
	}
	c.patientExtensions(p.Object, s)
	c.accountOf(s.f(18))
}

// gender maps PID-8, of table 0001 or GB/T 2261.1; the sender's code stays beside a code
// that FHIR knows only as other.
func (c *converter) gender(o *tree.Object, v val) {
	code := strings.ToUpper(v.peekSub())
	to, ok := genders[code]
	if !ok {
		return
	}
	v.s(1).done()
	o.Set("gender", to)
	if to == "other" {
		original(o, "gender", code)
	}
}

func (c *converter) birth(o *tree.Object, v val) {
	t, ok := c.setDate(o, "birthDate", v)
	if !ok || t.Precision < record.Hour {
		return
	}
	value, _ := dateTime(t, v.peekSub())
	if t.Precision >= record.Minute {
		o.Set("_birthDate", tree.New("extension", []any{tree.Extension(structureDefinition+"patient-birthTime", "valueDateTime", value)}))
		return
	}
	original(o, "birthDate", v.peekSub())
}

// death reads PID-29 and PID-30; a time says more than a flag.
func (c *converter) death(o *tree.Object, s seg) {
	c.setDateTime(o, "deceasedDateTime", s.f(29))
	if !o.Has("deceasedDateTime") {
		flag(o, "deceasedBoolean", s.f(30))
		return
	}
	if strings.EqualFold(s.f(30).peek(), "Y") {
		s.f(30).done()
	}
}

// births reads PID-24 and PID-25; the order says more than the flag.
func (c *converter) births(o *tree.Object, s seg) {
	if n, ok := integer(s.f(25), 1, 20); ok {
		o.Set("multipleBirthInteger", n)
		if strings.EqualFold(s.f(24).peek(), "Y") {
			s.f(24).done()
		}
		return
	}
	flag(o, "multipleBirthBoolean", s.f(24))
}

func (c *converter) patientExtensions(o *tree.Object, s seg) {
	add := func(url, name string, value any) { o.Add("extension", tree.Extension(url, name, value)) }
	for _, r := range s.f(6).reps() {
		if n := c.humanName(r, "maiden"); n != nil {
			add(structureDefinition+"patient-mothersMaidenName", "valueString", firstText(n.Text("family"), n.Text("text")))
		}
	}
	add(structureDefinition+"patient-religion", "valueCodeableConcept", c.concept(s.f(17), hl7Table+"0006"))
	if place := s.f(23).text(); place != "" {
		add(structureDefinition+"patient-birthPlace", "valueAddress", tree.New("text", place))
	}
	for _, r := range s.f(26).reps() {
		o.Add("extension", nested(structureDefinition+"patient-citizenship", "code", c.concept(r, hl7Table+"0171")))
	}
	o.Add("extension", nested(structureDefinition+"patient-nationality", "code", c.concept(s.f(28), hl7Table+"0212")))
	for _, r := range s.f(10).reps() {
		add(tree.LocalURL+"StructureDefinition/race", "valueCodeableConcept", c.concept(r, hl7Table+"0005"))
	}
	for _, r := range s.f(22).reps() {
		add(tree.LocalURL+"StructureDefinition/ethnic-group", "valueCodeableConcept", c.concept(r, hl7Table+"0189"))
	}
	if at := tree.New(); s.f(33).has() && c.setInstant(at, "lastUpdated", s.f(33)) {
		o.Set("meta", at)
	}
	for _, r := range s.f(21).reps() {
		c.mother(r, s.path)
	}
}

func nested(url, inner string, concept *tree.Object) *tree.Object {
	if concept.IsEmpty() {
		return nil
	}
	return tree.New("url", url, "extension", []any{tree.Extension(inner, "valueCodeableConcept", concept)})
}

// mother keeps the mother's number of PID-21 (data type map CX[RelatedPerson-Mother]).
func (c *converter) mother(v val, at string) {
	id := c.cx(v, "")
	if id == nil {
		return
	}
	r := c.add("RelatedPerson", at+"/mother/"+id.Text("value"))
	r.Add("identifier", id)
	r.Set("patient", c.subject())
	r.Add("relationship", tree.Concept(v3+"RoleCode", "MTH", "mother"))
}

// accountOf keeps the account number of PID-18 (segment map PID[Account]).
func (c *converter) accountOf(v val) {
	id := c.cx(v, "AN")
	if id == nil {
		return
	}
	c.account = c.add("Account", "PID-18/"+id.Text("value"))
	c.account.Add("identifier", id)
	c.account.Set("status", "active")
	c.account.Add("subject", c.subject())
}

// pd1 reads additional demographics (segment map PD1[Patient]).
func (c *converter) pd1(s seg) {
	if c.patient == nil {
		c.unread(s)
		return
	}
	for _, r := range s.f(3).reps() {
		c.patient.Add("generalPractitioner", c.organization(r).Ref())
	}
	c.practitioners(c.patient.Object, "generalPractitioner", s.f(4), nil)
}

// nk1 reads next of kin (segment maps NK1[RelatedPerson], NK1[Patient]).
func (c *converter) nk1(s seg) {
	if c.patient == nil {
		c.unread(s)
		return
	}
	if !s.valued() {
		return
	}
	r := c.add("RelatedPerson", s.path)
	c.cxs(r.Object, s.f(12), "")
	c.cxs(r.Object, s.f(33), "")
	if n := s.f(37).text(); n != "" {
		r.Add("identifier", c.identifier(n, "SS", authority{}))
	}
	r.Set("patient", c.patient.Ref())
	r.Add("relationship", c.concept(s.f(3), hl7Table+"0063"))
	r.Add("relationship", c.concept(s.f(7), hl7Table+"0131"))
	c.humanNames(r.Object, s.f(2), "")
	c.humanNames(r.Object, s.f(30), "")
	c.xtns(r.Object, s.f(5), "home")
	c.xtns(r.Object, s.f(6), "work")
	c.xtns(r.Object, s.f(31), "")
	for n := 40; n <= 42; n++ {
		c.xtns(r.Object, s.f(n), "")
	}
	c.gender(r.Object, s.f(15))
	c.setDate(r.Object, "birthDate", s.f(16))
	c.xads(r.Object, s.f(4))
	c.xads(r.Object, s.f(32))
	if l := c.concept(s.f(20), ""); l != nil {
		r.Add("communication", tree.New("language", l))
	}
	r.Set("period", c.period(s.f(8), s.f(9)))
	contact := tree.New("relationship", r.Get("relationship"))
	contact.Set("name", firstOf(r.Get("name")))
	contact.Set("telecom", r.Get("telecom"))
	contact.Set("address", firstOf(r.Get("address")))
	contact.Set("gender", r.Get("gender"))
	contact.Set("organization", c.organization(s.f(13)).Ref())
	contact.Set("period", r.Get("period"))
	if contact.Has("name") || contact.Has("telecom") || contact.Has("address") || contact.Has("organization") { // pat-1
		c.patient.Add("contact", contact)
	}
}

func firstOf(list any) any {
	if all, ok := list.([]any); ok && len(all) > 0 {
		return all[0]
	}
	return nil
}

// merges are the events that make one person of two; the others move or rename numbers.
var merges = map[string]bool{"A18": true, "A30": true, "A34": true, "A36": true, "A39": true, "A40": true}

// mrg reads what a merge gives up (segment maps MRG[Patient], MRG[Account]). The prior
// person of a merge becomes a Patient that is no longer in use; numbers that were only
// renamed stay with their bearer as old ones.
func (c *converter) mrg(s seg) {
	if c.patient == nil {
		c.unread(s)
		return
	}
	if merges[c.event] {
		prior := c.add("Patient", s.path)
		prior.Set("active", false)
		c.priorNumbers(prior.Object, s)
		c.humanNames(prior.Object, s.f(7), "")
		prior.Add("link", tree.New("other", c.patient.Ref(), "type", "replaced-by"))
		c.patient.Add("link", tree.New("other", prior.Ref(), "type", "replaces"))
	} else {
		old := tree.New()
		c.priorNumbers(old, s)
		for _, id := range list(old.Get("identifier")) {
			if o, ok := id.(*tree.Object); ok {
				c.patient.Add("identifier", o.Set("use", "old"))
			}
		}
		c.humanNames(c.patient.Object, s.f(7), "old")
	}
	c.oldNumber(c.account, s.f(3), "AN")
	c.oldNumber(c.encounter, s.f(5), "VN")
}

// oldNumber keeps a number that was given up with what bore it, if the message has that.
func (c *converter) oldNumber(bearer *tree.Resource, v val, typ string) {
	if bearer == nil {
		return
	}
	if id := c.cx(v, typ); id != nil {
		bearer.Add("identifier", id.Set("use", "old"))
	}
}

func (c *converter) priorNumbers(o *tree.Object, s seg) {
	c.cxs(o, s.f(1), "")
	c.cxs(o, s.f(2), "")
	c.cxs(o, s.f(4), "PT")
}

func list(v any) []any {
	all, _ := v.([]any)
	return all
}
