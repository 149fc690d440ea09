package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// withText gives a concept the sender's description as text.
func withText(o *tree.Object, text string) *tree.Object {
	if text == "" {
		return o
	}
	if o == nil {
		o = tree.New()
	}
	return o.Set("text", text)
}

// diagnosisUses maps table 0052 to http://terminology.hl7.org/CodeSystem/diagnosis-role.
var diagnosisUses = map[string][2]string{"A": {"AD", "Admission diagnosis"}, "F": {"DD", "Discharge diagnosis"}, "D": {"DD", "Discharge diagnosis"}}

// dg1 reads a diagnosis (segment maps DG1[Condition], DG1[Encounter]).
func (c *converter) dg1(s seg) {
	if !s.valued() {
		return
	}
	d := c.add("Condition", s.path)
	d.Add("identifier", c.ei(s.f(20).c, ""))
	c.verification(d, s.f(21))
	d.Add("category", tree.Concept(terminology+"condition-category", "encounter-diagnosis", "Encounter Diagnosis"))
	d.Set("code", withText(c.concept(s.f(3), ""), s.f(4).text()))
	d.Set("subject", c.subject())
	d.Set("encounter", c.encounter.Ref())
	c.setDateTime(d.Object, "onsetDateTime", s.f(5))
	c.setDateTime(d.Object, "recordedDate", s.f(19))
	if doctor := c.practitioner(s.f(16)); doctor != nil {
		d.Set("asserter", doctor.Ref())
	}
	c.noted = noteOn(d)
	if c.encounter == nil {
		return
	}
	role := tree.New("condition", d.Ref())
	if use, ok := diagnosisUses[strings.ToUpper(s.f(6).peek())]; ok {
		role.Set("use", c.mapped(s.f(6), terminology+"diagnosis-role", use[0], use[1], hl7Table+"0052"))
	} else {
		role.Set("use", c.concept(s.f(6), hl7Table+"0052"))
	}
	if rank, ok := integer(s.f(15), 1, 1000); ok {
		role.Set("rank", rank)
	}
	c.encounter.Add("diagnosis", role)
}

// verification reads an action code: D says that the entry was wrong.
func (c *converter) verification(r *tree.Resource, action val) {
	if strings.EqualFold(action.peek(), "D") {
		action.c(1).done()
		r.Set("verificationStatus", tree.Concept(terminology+"condition-ver-status", "entered-in-error", "Entered in Error"))
	}
}

// prb reads a problem (segment map PRB[Condition]).
func (c *converter) prb(s seg) {
	d := c.add("Condition", s.path)
	d.Add("identifier", c.ei(s.f(4).c, ""))
	if strings.EqualFold(s.f(1).peek(), "DE") {
		c.verificationError(d, s.f(1))
	} else {
		d.Set("clinicalStatus", c.problemStatus(s.f(14)))
	}
	d.Add("category", tree.Concept(terminology+"condition-category", "problem-list-item", "Problem List Item"))
	d.Set("code", c.concept(s.f(3), ""))
	d.Set("subject", c.subject())
	d.Set("encounter", c.encounter.Ref())
	c.setDateTime(d.Object, "onsetDateTime", s.f(16))
	c.setDateTime(d.Object, "abatementDateTime", s.f(9))
	c.setDateTime(d.Object, "recordedDate", s.f(2))
	c.noted = noteOn(d)
}

func (c *converter) verificationError(r *tree.Resource, v val) {
	v.c(1).done()
	r.Set("verificationStatus", tree.Concept(terminology+"condition-ver-status", "entered-in-error", "Entered in Error"))
}

// problemStatus maps the life cycle status of a problem; one that is not said to be over is
// active.
func (c *converter) problemStatus(v val) *tree.Object {
	own := c.concept(v, "")
	status := "active"
	switch strings.ToLower(own.Text("text")) {
	case "resolved", "inactive", "remission":
		status = strings.ToLower(own.Text("text"))
	}
	return c.mapped(v, terminology+"condition-clinical", status, "", "")
}

// pr1 reads a procedure (segment map PR1[Procedure]).
func (c *converter) pr1(s seg) {
	if !s.valued() {
		return
	}
	p := c.add("Procedure", s.path)
	p.Add("identifier", c.ei(s.f(19).c, ""))
	p.Set("status", "completed")
	if strings.EqualFold(s.f(20).peek(), "D") {
		s.f(20).done()
		p.Set("status", "entered-in-error")
	}
	p.Set("category", c.concept(s.f(6), hl7Table+"0230"))
	p.Set("code", withText(c.concept(s.f(3), ""), s.f(4).text()))
	p.Set("subject", c.subject())
	p.Set("encounter", c.encounter.Ref())
	c.setDateTime(p.Object, "performedDateTime", s.f(5))
	for _, who := range []struct {
		field         int
		code, display string
	}{{8, "SPRF", "secondary performer"}, {11, "PPRF", "primary performer"}, {12, "PART", "Participation"}} {
		function := tree.Concept(v3+"ParticipationType", who.code, who.display)
		c.practitioners(p.Object, "performer", s.f(who.field), func(ref *tree.Object) *tree.Object {
			return tree.New("function", function, "actor", ref)
		})
	}
	p.Add("reasonCode", c.concept(s.f(15), ""))
	c.noted = noteOn(p)
}

// al1 reads an allergy (segment map AL1[AllergyIntolerance]).
func (c *converter) al1(s seg) {
	if !s.valued() {
		return
	}
	a := c.allergy(s)
	c.allergyKind(a, s.f(2))
	a.Set("code", c.concept(s.f(3), ""))
	a.Set("patient", c.subject())
	c.setDateTime(a.Object, "onsetDateTime", s.f(6))
	c.reaction(a, s.f(5), s.f(4))
}

// allergy begins an AllergyIntolerance; one that is reported is active unless it says
// otherwise (invariant ait-1).
func (c *converter) allergy(s seg) *tree.Resource {
	a := c.add("AllergyIntolerance", s.path)
	a.Set("clinicalStatus", tree.Concept(terminology+"allergyintolerance-clinical", "active", "Active"))
	c.noted = noteOn(a)
	return a
}

func (c *converter) allergyKind(a *tree.Resource, v val) {
	code := strings.ToUpper(v.peek())
	if kind := allergyCategories[code]; kind != "" {
		a.Add("category", kind)
	}
	if own := c.concept(v, hl7Table+"0127"); own != nil {
		a.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/allergy-type", "valueCodeableConcept", own))
	}
}

func (c *converter) reaction(a *tree.Resource, what, severity val) {
	if to := allergyCriticality[strings.ToUpper(severity.peek())]; to != "" {
		a.Set("criticality", to)
		severity.c(1).done()
	}
	r := tree.New()
	for _, m := range what.reps() {
		if m.c(2).has() || m.c(3).has() {
			r.Add("manifestation", c.concept(m, ""))
		} else {
			r.Add("manifestation", tree.New("text", m.whole()))
		}
	}
	if !r.IsEmpty() {
		r.Set("severity", allergySeverities[strings.ToUpper(severity.peek())])
		a.Add("reaction", r)
	}
}

// allergyCertainty maps table 0438.
var allergyCertainty = map[string]string{"C": "confirmed", "P": "unconfirmed", "S": "unconfirmed", "U": "unconfirmed", "E": "entered-in-error", "D": "unconfirmed"}

// iam reads an allergy with its history (segment map IAM[AllergyIntolerance]).
func (c *converter) iam(s seg) {
	if !s.valued() {
		return
	}
	a := c.allergy(s)
	a.Add("identifier", c.ei(s.f(7).c, ""))
	certainty := allergyCertainty[strings.ToUpper(s.f(17).peek())]
	if strings.EqualFold(s.f(6).peek(), "D") {
		s.f(6).c(1).done()
		certainty = "entered-in-error"
	}
	switch {
	case certainty == "entered-in-error":
		a.Set("clinicalStatus", nil)
	case strings.EqualFold(s.f(17).peek(), "I"):
		a.Set("clinicalStatus", tree.Concept(terminology+"allergyintolerance-clinical", "inactive", "Inactive"))
	}
	if certainty != "" {
		a.Set("verificationStatus", c.mapped(s.f(17), terminology+"allergyintolerance-verification", certainty, "", hl7Table+"0438"))
	}
	switch strings.ToUpper(s.f(9).peek()) {
	case "AL":
		s.f(9).done()
		a.Set("type", "allergy")
	case "IN":
		s.f(9).done()
		a.Set("type", "intolerance")
	}
	c.allergyKind(a, s.f(2))
	a.Set("code", c.concept(s.f(3), ""))
	a.Set("patient", c.subject())
	if !c.iamOnset(a, s) {
		c.setDateTime(a.Object, "recordedDate", s.f(20))
	}
	if who := c.practitioner(s.f(18)); who != nil {
		a.Set("recorder", who.Ref())
	}
	c.reaction(a, s.f(5), s.f(4))
}

// iamOnset reads the dates of an allergy; it reports whether it was said when it was recorded.
func (c *converter) iamOnset(a *tree.Resource, s seg) bool {
	c.setDateTime(a.Object, "onsetDateTime", s.f(11))
	if text := s.f(12).text(); text != "" && !a.Has("onsetDateTime") {
		a.Set("onsetString", text)
	}
	c.setDateTime(a.Object, "recordedDate", s.f(13))
	return a.Has("recordedDate")
}

// noted is what NTE segments comment on.
type noted struct {
	*tree.Object
	text string // member that takes the text itself; a list of Annotations in note if empty
}

func noteOn(r *tree.Resource) *noted { return &noted{Object: r.Object} }

// nte reads a comment (segment maps NTE[Observation] and others). A comment with nothing to
// belong to is kept as unmapped.
func (c *converter) nte(s seg) {
	if c.noted == nil {
		return
	}
	var lines []string
	for _, r := range s.f(3).reps() {
		lines = append(lines, r.whole())
	}
	text := strings.Join(lines, "\n")
	if text == "" {
		return
	}
	if c.noted.text != "" {
		if before := c.noted.Text(c.noted.text); before != "" {
			text = before + "\n" + text
		}
		c.noted.Set(c.noted.text, text)
		return
	}
	note := tree.New()
	if who := c.practitioner(s.f(5)); who != nil {
		note.Set("authorReference", who.Ref())
	}
	c.setDateTime(note, "time", s.f(6))
	c.noted.Add("note", note.Set("text", text))
}
