package fhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
)

// people says which patients a record is about.
type people struct {
	main    string            // reference of the patient whom the caller's subject names
	given   []byte            // subject by which the caller names the patient, nil if not
	numbers map[string]string // first number of a patient by reference, from a Bundle
	known   map[string][]byte // subjects by reference
	alias   map[string]string // full URL of a patient → Patient/id
	home    string            // base of the first full URL; the ids of other servers are others
}

// findPeople looks through a record. Of a Bundle with its Patient the first number of the
// patient names the subject, as in the other formats; of a single resource the logical id.
func findPeople(root *fhir.Node, given []byte) people {
	p := people{given: given, numbers: map[string]string{}}
	p.main = patientOf(root)
	for _, e := range root.Get("entry").List() {
		r := e.Get("resource")
		if p.home == "" {
			p.home = baseOf(e.Get("fullUrl").Str())
		}
		ref := patientOf(r)
		if p.main == "" {
			p.main = ref
		}
		if r.Get("resourceType").Str() != "Patient" {
			continue
		}
		if full := plainReference(e.Get("fullUrl").Str()); full != "" && full != ref {
			p.call(full, ref)
		}
		number := r.At("identifier", "value").Str()
		for _, ref := range []string{ref, plainReference(e.Get("fullUrl").Str())} {
			if ref != "" && number != "" {
				p.numbers[ref] = number
			}
		}
	}
	return p
}

// call makes one patient of the two ways in which a Bundle names it.
func (p *people) call(full, ref string) {
	if ref == "" {
		return
	}
	if p.alias == nil {
		p.alias = map[string]string{}
	}
	p.alias[full] = ref
	if p.main == full {
		p.main = ref
	}
}

// one returns the one reference of a patient.
func (p *people) one(ref string) string {
	if of, ok := p.alias[ref]; ok {
		return of
	}
	return ref
}

// patientOf returns the reference of the patient whom a resource is about, "" if nobody.
func patientOf(n *fhir.Node) string {
	if n.Get("resourceType").Str() == "Patient" {
		if id := n.Get("id").Str(); id != "" {
			return "Patient/" + id
		}
		return ""
	}
	ref, _ := fhir.SubjectOf(n)
	if ref = plainReference(ref); strings.HasPrefix(ref, "Patient/") || strings.HasPrefix(ref, "urn:") {
		return ref
	}
	return ""
}

// plainReference brings the forms of one reference to one: without base and version.
func plainReference(ref string) string {
	if typ, id, ok := fhir.SplitReference(ref); ok {
		return typ + "/" + id
	}
	if strings.HasPrefix(ref, "urn:") {
		return strings.ToLower(ref)
	}
	return ""
}

// baseOf returns the address of the server in an absolute reference, "" of others.
func baseOf(ref string) string {
	typ, id, ok := fhir.SplitReference(ref)
	if !ok || !strings.Contains(ref, "://") {
		return ""
	}
	at := strings.LastIndex(ref, typ+"/"+id)
	return ref[:max(at, 0)]
}

// enter makes the patient of a resource the subject; the function returned undoes it.
// Resources about nobody leave it as it is.
func (p *people) enter(s *desensitize.Session, n *fhir.Node) func() {
	ref := p.one(patientOf(n))
	if ref == "" {
		if s.Subject() == nil && p.main != "" { // of a Bundle
			return s.Under(p.subject(p.main))
		}
		return func() {}
	}
	if p.given != nil && (ref == p.main || p.main == "") {
		return func() {}
	}
	return s.Under(p.subject(ref))
}

func (p *people) subject(ref string) []byte {
	s, ok := p.known[ref]
	if !ok {
		s = p.name(ref)
		if p.known == nil {
			p.known = map[string][]byte{}
		}
		if len(p.known) < maxLinks {
			p.known[ref] = s
		}
	}
	return s
}

// name names the subject of a reference.
func (p *people) name(ref string) []byte {
	if number := p.numbers[ref]; number != "" {
		return desensitize.LocalSubject(number)
	}
	if _, id, ok := strings.Cut(ref, "Patient/"); ok {
		return desensitize.LocalSubject(id)
	}
	return desensitize.LocalSubject(ref)
}

// harvest collects what the structured part of a record says of the people in it.
type harvest struct{ known *desensitize.Known }

// maxHarvest bounds the depth to which a record is searched; the parser bounds it too.
const maxHarvest = 64

// Roles of people in a resource.
const (
	rolePatient = iota
	roleRelative
	roleStaff
	rolePlace
)

// Harvest adds to known what the structured part of a resource or Bundle says of the people
// in it: names, numbers, contacts, addresses, dates of birth, hospitals and employers.
func Harvest(root *fhir.Node, known *desensitize.Known) {
	h := harvest{known}
	h.node(root, rolePatient, 0)
}

func roleOf(resource string, role int) int {
	switch resource {
	case "":
		return role
	case "Practitioner", "PractitionerRole":
		return roleStaff
	case "RelatedPerson", "FamilyMemberHistory":
		return roleRelative
	case "Organization", "Location", "HealthcareService":
		return rolePlace
	}
	return rolePatient
}

func (h harvest) node(n *fhir.Node, role, depth int) {
	if depth > maxHarvest {
		return
	}
	if n.Kind == fhir.Array {
		for _, item := range n.Items {
			if item.Kind == fhir.Object || item.Kind == fhir.Array {
				h.node(item, role, depth+1)
			}
		}
		return
	}
	role = roleOf(n.Get("resourceType").Str(), role)
	for i, member := range n.Names {
		v := n.Items[i]
		if h.member(n, member, v, role) || v.Kind != fhir.Object && v.Kind != fhir.Array {
			continue
		}
		inner := role
		if member == "contact" && role == rolePatient {
			inner = roleRelative
		}
		h.node(v, inner, depth+1)
	}
}

// member collects what a member says; it reports whether that is all that it holds.
func (h harvest) member(n *fhir.Node, name string, v *fhir.Node, role int) bool {
	switch name {
	case "name":
		h.name(v, role)
		return true
	case "telecom":
		for _, t := range v.List() {
			h.known.Add(desensitize.Phone, t.Get("value").Str())
		}
		return true
	case "address":
		h.addresses(v)
		return true
	case "identifier":
		for _, t := range v.List() {
			h.known.Add(numberType(t), t.Get("value").Str())
		}
		return true
	case "birthDate":
		h.known.Add(desensitize.BirthDate, v.Str())
	case "display":
		h.display(n, v.Str())
	case "subscriberId":
		h.known.Add(desensitize.InsuranceNo, v.Str())
	}
	return false
}

// name collects a HumanName or the name of an organization.
func (h harvest) name(v *fhir.Node, role int) {
	for _, n := range v.List() {
		if n.Kind == fhir.String {
			switch role {
			case rolePlace:
				h.known.Add(desensitize.Hospital, n.Text)
			case roleRelative:
				h.known.AddRelative(n.Text)
			}
			continue
		}
		family := n.Get("family").Str()
		given := ""
		for _, g := range n.Get("given").List() {
			if given != "" && latinText(g.Str()) {
				given += " "
			}
			given += g.Str()
		}
		whole := family + given
		if latinText(whole) {
			whole = strings.TrimSpace(given + " " + family)
		}
		for _, s := range []string{n.Get("text").Str(), whole} {
			h.person(role, s)
		}
		if latinText(whole) {
			h.person(role, family)
			for _, g := range n.Get("given").List() {
				h.person(role, g.Str())
			}
		}
	}
}

// shortName is the length in bytes below which a part of a name says nothing alone.
const shortName = 3

func (h harvest) person(role int, name string) {
	if len(name) < shortName {
		return
	}
	switch role {
	case roleRelative:
		h.known.AddRelative(name)
	case roleStaff:
		h.known.AddStaff(name)
	default:
		h.known.Add(desensitize.Name, name)
	}
}

func latinText(s string) bool {
	for _, r := range s {
		if r > 0x24f {
			return false
		}
	}
	return true
}

// addresses collects addresses whole and by their lines.
func (h harvest) addresses(v *fhir.Node) {
	for _, a := range v.List() {
		h.known.Add(desensitize.Address, a.Get("text").Str())
		for _, l := range a.Get("line").List() {
			h.known.Add(desensitize.Address, l.Str())
		}
	}
}

// display collects the display of a reference, which names whom or what it refers to.
func (h harvest) display(n *fhir.Node, text string) {
	ref := n.Get("reference").Str()
	if ref == "" && n.Get("identifier") == nil && n.Get("type") == nil || n.Get("code") != nil {
		return
	}
	typ, _, _ := fhir.SplitReference(ref)
	if t := n.Get("type").Str(); typ == "" {
		typ = t
	}
	switch typ {
	case "Patient":
		h.known.Add(desensitize.Name, text)
	case "Practitioner", "PractitionerRole":
		h.known.AddStaff(text)
	case "RelatedPerson":
		h.known.AddRelative(text)
	case "Organization":
		h.known.Add(desensitize.Hospital, text)
	}
}

// numberType tells what an Identifier is, by its type (HL7 v2 table 0203) or system.
func numberType(n *fhir.Node) desensitize.Type {
	for _, c := range n.Get("type").Get("coding").List() {
		switch c.Get("code").Str() {
		case "MR", "PI", "PT":
			return desensitize.RecordNo
		case "VN", "AN":
			return desensitize.InpatientNo
		case "NI", "NNCHN", "SS", "JHN", "HC":
			return desensitize.IDCard
		case "PPN":
			return desensitize.Passport
		case "DL":
			return desensitize.Licence
		case "SB":
			return desensitize.SSN
		}
	}
	if v := n.Get("value").Str(); len(v) == 18 {
		return desensitize.IDCard
	}
	return desensitize.RecordNo
}
