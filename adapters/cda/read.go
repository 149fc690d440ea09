package cda

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// ErrNotCDA reports a document whose root is not that of a clinical document.
var ErrNotCDA = errors.New("cda: not a clinical document")

// ReadOptions says how bytes are read. The zero value serves.
type ReadOptions struct {
	Encoding safexml.Encoding
	Limits   safexml.Limits
	// AnyNamespace takes a ClinicalDocument in another namespace than urn:hl7-org:v3, or in
	// none. Some partners leave it out.
	AnyNamespace bool
}

// Parse reads a document. Errors are *safexml.Error, or match ErrNotCDA. What the document
// holds is judged by Validate, not here.
func Parse(raw []byte, o ReadOptions) (*Document, error) {
	x, err := safexml.Parse(raw, o.Encoding, o.Limits)
	if err != nil {
		return nil, err
	}
	return FromXML(x, o)
}

// FromXML reads a document that was parsed before.
func FromXML(x *safexml.Document, o ReadOptions) (*Document, error) {
	root := x.Root
	switch {
	case root.Name.Local == "ContinuityOfCareRecord":
		return nil, fmt.Errorf("%w: the root element is ContinuityOfCareRecord: this is a CCR (ASTM E2369), send it as a CCD", ErrNotCDA)
	case root.Name.Local != "ClinicalDocument":
		return nil, fmt.Errorf("%w: the root element is not ClinicalDocument; fragments and other documents are not taken", ErrNotCDA)
	case root.Name.Space != namespace && !o.AnyNamespace:
		return nil, fmt.Errorf("%w: ClinicalDocument is not in the namespace %s", ErrNotCDA, namespace)
	}
	d := &Document{source: x, nodes: map[string]*safexml.Node{"": root}}
	d.readHeader(root)
	d.readBody(root)
	d.Type = d.findType()
	return d, nil
}

// Charset returns the encoding that a parsed document was in, "" for one that was not read.
func (d *Document) Charset() string {
	if d.source == nil {
		return ""
	}
	return d.source.Encoding
}

// findType names the document by its template, else by its code.
func (d *Document) findType() *Type {
	for _, id := range d.Templates {
		if t, ok := TypeByTemplate(id.Root); ok {
			return t
		}
	}
	if d.Code.System == CodeSystem || d.Code.System == "" || strings.HasPrefix(d.Code.System, "2.16.156.") {
		if t, ok := TypeByCode(d.Code.Code); ok {
			return t
		}
	}
	return nil
}

// mark remembers where a fact stands, so that issues can say so.
func (d *Document) mark(name string, n *safexml.Node) *safexml.Node {
	if n != nil {
		d.nodes[name] = n
	}
	return n
}

func (d *Document) readHeader(root *safexml.Node) {
	d.Realm = d.mark("realmCode", root.Child("realmCode")).Attr("code")
	d.TypeID = readID(d.mark("typeId", root.Child("typeId")))
	for _, n := range root.All("templateId") {
		d.mark("templateId", n)
		d.Templates = append(d.Templates, readID(n))
	}
	d.ID = readID(d.mark("id", root.Child("id")))
	d.Code = readCode(d.mark("code", root.Child("code")))
	d.Title = d.mark("title", root.Child("title")).Trimmed()
	d.Time = d.mark("effectiveTime", root.Child("effectiveTime")).Attr("value")
	d.Confidential = readCode(d.mark("confidentialityCode", root.Child("confidentialityCode")))
	d.Language = d.mark("languageCode", root.Child("languageCode")).Attr("code")
	d.SetID = readID(d.mark("setId", root.Child("setId")))
	d.Version = readVersion(d.mark("versionNumber", root.Child("versionNumber")))
	targets := root.All("recordTarget")
	if d.Patients = len(targets); d.Patients > 0 {
		d.mark("recordTarget", targets[0])
		d.readPatient(targets[0].Child("patientRole"))
	}
	d.readParticipants(root)
	for _, n := range root.All("relatedDocument") {
		d.mark("relatedDocument", n)
		if related := readRelated(n); related != (Related{TypeCode: related.TypeCode}) {
			d.Related = append(d.Related, related) // WS/T 500 has the element even when nothing is related
		}
	}
	for _, n := range root.All("documentationOf") {
		event := d.mark("documentationOf", n).Child("serviceEvent")
		d.Services = append(d.Services, ServiceEvent{Code: readCode(event.Child("code")), Time: readInterval(event.Child("effectiveTime"))})
	}
	if n := d.mark("componentOf", root.Child("componentOf")).Child("encompassingEncounter"); n != nil {
		d.Encounter = &Encounter{Code: readCode(n.Child("code")), Time: readInterval(n.Child("effectiveTime"))}
		for _, id := range n.All("id") {
			d.Encounter.IDs = append(d.Encounter.IDs, readID(id))
		}
		d.Encounter.Location = readLocation(d.mark("location", n.Child("location")))
	}
}

func (d *Document) readPatient(role *safexml.Node) {
	d.mark("patientRole", role)
	p := &d.Patient
	for _, n := range role.All("id") {
		p.IDs = append(p.IDs, readID(d.mark("patientRole/id", n)))
	}
	p.Address = readAddress(role.Child("addr"))
	for _, n := range role.All("telecom") {
		p.Telecom = append(p.Telecom, readTelecom(n))
	}
	if n := role.Child("providerOrganization"); n != nil {
		o := readOrganization(n)
		p.Provider = &o
	}
	n := d.mark("patient", role.Child("patient"))
	for _, id := range n.All("id") {
		p.PersonIDs = append(p.PersonIDs, readID(d.mark("patient/id", id)))
	}
	p.Name = readName(n.All("name"))
	p.Gender = readCode(d.mark("administrativeGenderCode", n.Child("administrativeGenderCode")))
	p.Birth = d.mark("birthTime", n.Child("birthTime")).Attr("value")
	age := d.mark("age", n.Child("age"))
	p.AgeValue, p.AgeUnit = age.Attr("value"), age.Attr("unit")
	p.Marital = readCode(n.Child("maritalStatusCode"))
	p.Ethnic = readCode(n.Child("ethnicGroupCode"))
	p.Nationality = readCode(n.Child("nationality"))
	p.Education = readCode(n.Find("educationLevel", "educationLevelCode"))
	p.Occupation = readCode(n.Find("occupation", "occupationCode"))
	p.Birthplace = readAddress(n.Find("birthplace", "place", "addr"))
	p.Household = readAddress(n.Find("household", "place", "addr"))
	p.NativePlace = readAddress(n.Find("nativePlace", "place", "addr"))
	if e := n.Child("employerOrganization"); e != nil {
		p.Employer = readOrganization(e)
		p.EmployerAddr = readAddress(e.Child("addr"))
		p.Employer.Address = ""
	}
}

func (d *Document) readParticipants(root *safexml.Node) {
	people := func(name, role, person string, into *[]Person) {
		for _, n := range root.All(name) {
			d.mark(name, n)
			*into = append(*into, readPerson(n, role, person))
		}
	}
	people("author", "assignedAuthor", "assignedPerson", &d.Authors)
	people("legalAuthenticator", "assignedEntity", "assignedPerson", &d.Legal)
	people("authenticator", "assignedEntity", "assignedPerson", &d.Authenticator)
	people("participant", "associatedEntity", "associatedPerson", &d.Participants)
	for _, n := range root.All("informant") {
		role, person := "assignedEntity", "assignedPerson"
		if n.Child("relatedEntity") != nil {
			role, person = "relatedEntity", "relatedPerson"
		}
		d.Informants = append(d.Informants, readPerson(n, role, person))
	}
	n := d.mark("custodian", root.Child("custodian")).Find("assignedCustodian", "representedCustodianOrganization")
	d.Custodian = readOrganization(n)
	d.mark("custodian/id", n.Child("id"))
}

func readPerson(n *safexml.Node, role, person string) Person {
	r := n.Child(role)
	who := r.Child(person)
	if who == nil {
		who = r.Child("assignedAuthoringDevice")
	}
	p := Person{
		TypeCode: n.Attr("typeCode"), ClassCode: r.Attr("classCode"),
		ID: readID(r.Child("id")), Role: readCode(r.Child("code")), Name: readName(who.All("name")),
		Time: readTime(n.Child("time")), Sign: n.Child("signatureCode").Attr("code"),
		Position: readCode(who.Find("professionalTechnicalPosition", "professionaltechnicalpositionCode")),
		Address:  readAddress(r.Child("addr")), Telecom: readTelecom(r.Child("telecom")),
	}
	if p.Name == "" {
		p.Name = who.Child("softwareName").Trimmed()
	}
	for _, name := range []string{"representedOrganization", "scopingOrganization"} {
		if o := r.Child(name); o != nil {
			p.Org = readOrganization(o)
		}
	}
	return p
}

func readOrganization(n *safexml.Node) Organization {
	return Organization{
		ID: readID(n.Child("id")), Name: n.Child("name").Trimmed(), Telecom: readTelecom(n.Child("telecom")),
		Address: strings.Join(strings.Fields(n.Child("addr").Content()), " "), Within: readChain(n),
	}
}

// readChain follows asOrganizationPartOf outward.
func readChain(n *safexml.Node) []Place {
	var out []Place
	for {
		n = n.Find("asOrganizationPartOf", "wholeOrganization")
		if n == nil {
			return out
		}
		out = append(out, Place{ID: readID(n.Child("id")), Name: n.Child("name").Trimmed()})
	}
}

// readLocation reads the chain from bed to hospital; in other documents the facility itself.
func readLocation(n *safexml.Node) []Place {
	facility := n.Child("healthCareFacility")
	provider := facility.Child("serviceProviderOrganization")
	var out []Place
	if place := facility.Child("location"); place != nil {
		out = append(out, Place{ID: readID(facility.Child("id")), Name: readName(place.All("name"))})
	}
	if own := (Place{ID: readID(provider.Child("id")), Name: provider.Child("name").Trimmed()}); own != (Place{}) {
		out = append(out, own)
	}
	return append(out, readChain(provider)...)
}

func readRelated(n *safexml.Node) Related {
	p := n.Child("parentDocument")
	return Related{TypeCode: n.Attr("typeCode"), ID: readID(p.Child("id")), SetID: readID(p.Child("setId")),
		Version: readVersion(p.Child("versionNumber"))}
}

// readID reads attributes, or the text content that WS/T 500 allows for setId and the ids
// of related documents.
func readID(n *safexml.Node) ID {
	if n == nil {
		return ID{}
	}
	id := ID{Root: strings.TrimSpace(n.Attr("root")), Extension: strings.TrimSpace(n.Attr("extension"))}
	if id.IsZero() {
		id.Extension = n.Trimmed()
	}
	return id
}

func readVersion(n *safexml.Node) string {
	if v := n.Attr("value"); v != "" {
		return v
	}
	return n.Trimmed()
}

func readCode(n *safexml.Node) Code {
	if n == nil {
		return Code{}
	}
	c := Code{Code: n.Attr("code"), System: n.Attr("codeSystem"), SystemName: n.Attr("codeSystemName"),
		Display: n.Attr("displayName"), NullFlavor: n.Attr("nullFlavor"), Original: n.Child("originalText").Trimmed()}
	for _, q := range n.All("qualifier") {
		if name := q.Child("name").Attr("displayName"); name != "" {
			c.Qualifiers = append(c.Qualifiers, name)
		}
	}
	if c.IsZero() {
		c.Display = n.Trimmed() // WS/T 500 has some codes as text
	}
	return c
}

// readTime reads a time from its attribute, or from the text that some parts of WS/T 500 have.
func readTime(n *safexml.Node) string {
	if v := n.Attr("value"); v != "" || n == nil {
		return v
	}
	return n.Trimmed()
}

func readInterval(n *safexml.Node) Interval {
	return Interval{Value: readTime(n), Low: n.Child("low").Attr("value"), High: n.Child("high").Attr("value")}
}

func readTelecom(n *safexml.Node) Telecom { return Telecom{Use: n.Attr("use"), Value: n.Attr("value")} }

func readAddress(n *safexml.Node) Address {
	if n == nil {
		return Address{}
	}
	part := func(name string) string { return n.Child(name).Trimmed() }
	a := Address{Use: n.Attr("use"), HouseNumber: part("houseNumber"), Street: part("streetName"), Township: part("township"),
		County: part("county"), City: part("city"), State: part("state"), PostalCode: part("postalCode")}
	if a.Street == "" {
		a.Street = part("streetAddressLine")
	}
	if a.IsZero() {
		a.Text = strings.Join(strings.Fields(n.Content()), " ")
	}
	return a
}

// readName reads a person's name: plain text, as WS/T 500 has it, or the parts of CDA. Of
// several names the first with Chinese characters is taken, else the first.
func readName(names []*safexml.Node) string {
	first := ""
	for _, n := range names {
		name := onePersonName(n)
		if hasHan(name) {
			return name
		}
		if first == "" {
			first = name
		}
	}
	return first
}

func onePersonName(n *safexml.Node) string {
	var given, family []string
	for _, c := range n.Elements() {
		switch c.Name.Local {
		case "given":
			given = append(given, c.Trimmed())
		case "family":
			family = append(family, c.Trimmed())
		}
	}
	f, g := strings.Join(family, " "), strings.Join(given, " ")
	switch {
	case f == "" && g == "":
		return strings.Join(strings.Fields(n.Content()), " ")
	case hasHan(f) || hasHan(g):
		return f + strings.ReplaceAll(g, " ", "")
	}
	return strings.TrimSpace(g + " " + f)
}
