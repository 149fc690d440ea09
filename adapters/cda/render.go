package cda

import (
	"errors"
	"strings"
)

// ErrNoType reports a document that cannot be written: only those of WS/T 500 can.
var ErrNoType = errors.New("cda: only documents of WS/T 500 (C0001 … C0053) are written")

// Render writes a document of WS/T 500 as UTF-8, in the order of the standard. The output
// is strict: what Validate finds with Partner.Strict is an *Invalid error. roots names the
// consortium's own roots; the zero value serves.
//
// A document that was read and is rendered again keeps its facts but not its bytes; where
// bytes matter the original is passed on.
func Render(d *Document, roots Roots) ([]byte, error) {
	if d.Type == nil {
		return nil, ErrNoType
	}
	if err := Check(unread(d), Partner{Strict: true, Roots: roots}); err != nil {
		return nil, err
	}
	w := &writer{}
	w.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>`)
	w.start("ClinicalDocument", "xmlns", namespace, "xmlns:xsi", schemaInstance)
	r := &renderer{writer: w, d: d}
	r.identity()
	r.patient()
	r.participants()
	r.related()
	r.encounter()
	r.body()
	w.end()
	w.b.WriteByte('\n')
	return w.b.Bytes(), nil
}

// unread returns the document without the memory of where its facts stood.
func unread(d *Document) *Document {
	c := *d
	c.source, c.nodes = nil, nil
	return &c
}

type renderer struct {
	*writer
	d *Document
}

func (r *renderer) id(name string, id ID) {
	r.empty(name, "root", id.Root, "extension", id.Extension)
}

func (r *renderer) code(name string, c Code) {
	attrs := []string{"code", c.Code, "codeSystem", c.System, "codeSystemName", c.SystemName, "displayName", c.Display, "nullFlavor", c.NullFlavor}
	if c.Original == "" && len(c.Qualifiers) == 0 {
		r.empty(name, attrs...)
		return
	}
	r.start(name, attrs...)
	if c.Original != "" {
		r.text("originalText", c.Original)
	}
	for _, q := range c.Qualifiers {
		r.start("qualifier")
		r.empty("name", "displayName", q)
		r.end()
	}
	r.end()
}

func (r *renderer) identity() {
	d := r.d
	r.empty("realmCode", "code", d.Realm)
	r.id("typeId", d.TypeID)
	for _, t := range d.Templates {
		r.id("templateId", t)
	}
	r.id("id", d.ID)
	c := d.Code
	r.empty("code", "code", c.Code, "codeSystem", c.System, "codeSystemName", c.SystemName)
	r.text("title", d.Title)
	r.empty("effectiveTime", "value", d.Time)
	r.code("confidentialityCode", d.Confidential)
	r.empty("languageCode", "code", d.Language)
	r.text("setId", d.SetID.String())
	r.text("versionNumber", d.Version)
}

func (r *renderer) patient() {
	p := r.d.Patient
	r.start("recordTarget", "typeCode", "RCT", "contextControlCode", "OP")
	r.start("patientRole", "classCode", "PAT")
	for _, id := range p.IDs {
		r.id("id", id)
	}
	r.address(p.Address)
	for _, t := range p.Telecom {
		r.telecom(t)
	}
	r.start("patient", "classCode", "PSN", "determinerCode", "INSTANCE")
	for _, id := range p.PersonIDs {
		r.id("id", id)
	}
	r.text("name", p.Name)
	r.codeIf("administrativeGenderCode", p.Gender)
	if p.Birth != "" {
		r.empty("birthTime", "value", p.Birth)
	}
	r.codeIf("maritalStatusCode", p.Marital)
	r.codeIf("ethnicGroupCode", p.Ethnic)
	r.place("birthplace", p.Birthplace)
	r.codeIf("nationality", p.Nationality)
	if p.AgeValue != "" {
		r.empty("age", "unit", p.AgeUnit, "value", p.AgeValue)
	}
	r.employer()
	r.place("household", p.Household)
	r.place("nativePlace", p.NativePlace)
	r.within("educationLevel", "educationLevelCode", p.Education)
	r.within("occupation", "occupationCode", p.Occupation)
	r.end()
	r.provider(p.Provider)
	r.end()
	r.end()
}

func (r *renderer) codeIf(name string, c Code) {
	if !c.IsZero() {
		r.code(name, c)
	}
}

func (r *renderer) within(outer, inner string, c Code) {
	if !c.IsZero() {
		r.start(outer)
		r.code(inner, c)
		r.end()
	}
}

func (r *renderer) telecom(t Telecom) {
	if t.Value != "" {
		r.empty("telecom", "use", t.Use, "value", t.Value)
	}
}

func (r *renderer) address(a Address) {
	if a.IsZero() {
		return
	}
	if a.Text != "" {
		r.text("addr", a.Text, "use", a.Use)
		return
	}
	r.start("addr", "use", a.Use)
	for _, part := range [][2]string{{"houseNumber", a.HouseNumber}, {"streetName", a.Street}, {"township", a.Township},
		{"county", a.County}, {"city", a.City}, {"state", a.State}, {"postalCode", a.PostalCode}} {
		if part[1] != "" {
			r.text(part[0], part[1])
		}
	}
	r.end()
}

func (r *renderer) place(name string, a Address) {
	if a.IsZero() {
		return
	}
	r.start(name)
	r.start("place", "classCode", "PLC", "determinerCode", "INSTANCE")
	r.address(a)
	r.end()
	r.end()
}

func (r *renderer) employer() {
	e := r.d.Patient.Employer
	if e.Name == "" {
		return
	}
	r.start("employerOrganization")
	r.text("name", e.Name)
	r.telecom(e.Telecom)
	r.address(r.d.Patient.EmployerAddr)
	r.end()
}

func (r *renderer) provider(o *Organization) {
	if o == nil {
		return
	}
	r.start("providerOrganization", r.organizationAttrs()...)
	if !o.ID.IsZero() {
		r.id("id", o.ID)
	}
	if o.Name != "" {
		r.text("name", o.Name)
	}
	r.chain(o.Within, !r.d.Type.Form("plainorg"))
	r.end()
}

// organizationAttrs: the front pages of a stay, C0032 and C0033, spell the class of the
// providing organization out, the other parts do not.
func (r *renderer) organizationAttrs() []string {
	if r.d.Type.Form("full") {
		return classOf("ORG")
	}
	return nil
}

// classOf returns the attributes of an entity of a class.
func classOf(class string) []string {
	return []string{"classCode", class, "determinerCode", "INSTANCE"}
}

// when returns attributes only if yes.
func when(yes bool, attrs ...string) []string {
	if yes {
		return attrs
	}
	return nil
}

// moment writes a time as attribute, or as text where the part of the standard does so.
func (r *renderer) moment(name, value string, asText bool) {
	if asText {
		r.text(name, value)
		return
	}
	r.empty(name, "value", value)
}

// chain writes places, each as part of the next.
func (r *renderer) chain(places []Place, classes bool) {
	if len(places) == 0 {
		return
	}
	r.start("asOrganizationPartOf", when(classes, "classCode", "PART")...)
	r.start("wholeOrganization", when(classes, classOf("ORG")...)...)
	r.id("id", places[0].ID)
	r.text("name", places[0].Name)
	r.chain(places[1:], classes)
	r.end()
	r.end()
}

func (r *renderer) participants() {
	d := r.d
	for _, a := range d.Authors {
		r.author(a)
	}
	for _, i := range d.Informants {
		r.start("informant")
		r.start("assignedEntity")
		if r.d.Type.Form("idtext") {
			r.text("id", i.ID.Extension)
		} else {
			r.id("id", i.ID)
		}
		r.codeIf("code", i.Role)
		r.start("assignedPerson")
		r.text("name", i.Name)
		r.end()
		r.end()
		r.end()
	}
	r.start("custodian", "typeCode", "CST")
	r.start("assignedCustodian", "classCode", "ASSIGNED")
	r.start("representedCustodianOrganization", "classCode", "ORG", "determinerCode", "INSTANCE")
	r.id("id", d.Custodian.ID)
	r.text("name", d.Custodian.Name)
	r.telecom(d.Custodian.Telecom)
	if d.Custodian.Address != "" {
		r.text("addr", d.Custodian.Address)
	}
	r.end()
	r.end()
	r.end()
	t := d.Type
	for _, s := range d.Legal {
		r.start("legalAuthenticator", when(t.Form("typedlegal"), "typeCode", "LA")...)
		r.moment("time", s.Time, t.Form("legaltext"))
		r.signer(s, !t.Form("legalplain") && !t.Form("typedlegal"), nil)
	}
	for _, s := range d.Authenticator {
		r.start("authenticator", when(t.Form("typed"), "typeCode", "AUTHEN")...)
		r.moment("time", s.Time, t.Form("authtext"))
		r.signer(s, !t.Form("authplain") && !t.Form("typedlegal"), when(t.Form("typed") || t.Form("typedlegal"), "classCode", "ASSIGNED"))
	}
	for _, p := range d.Participants {
		r.contact(p)
	}
}

func (r *renderer) author(a Person) {
	r.start("author", "typeCode", "AUT", "contextControlCode", "OP")
	r.empty("time", "value", a.Time)
	r.start("assignedAuthor", "classCode", "ASSIGNED")
	r.id("id", a.ID)
	r.codeIf("code", a.Role)
	r.start("assignedPerson", when(r.d.Type.Form("authorclass"), classOf("PSN")...)...)
	r.text("name", a.Name)
	r.end()
	if a.Org.Name != "" {
		r.start("representedOrganization")
		r.id("id", a.Org.ID)
		r.text("name", a.Org.Name)
		r.end()
	}
	r.end()
	r.end()
}

// signer writes the rest of a participation that was started.
func (r *renderer) signer(s Person, class bool, entity []string) {
	r.empty("signatureCode", "code", s.Sign)
	r.start("assignedEntity", entity...)
	r.id("id", s.ID)
	r.codeIf("code", s.Role)
	person := when(class, classOf("PSN")...)
	if entity != nil && r.d.Type.Form("typedlegal") {
		person = []string{"classCode", "PSN"}
	}
	r.start("assignedPerson", person...)
	r.text("name", s.Name)
	r.within("professionalTechnicalPosition", "professionaltechnicalpositionCode", s.Position)
	r.end()
	r.end()
	r.end()
}

func (r *renderer) contact(p Person) {
	typeCode, class := p.TypeCode, p.ClassCode
	if typeCode == "" {
		typeCode = "NOT"
	}
	if class == "" {
		class = "ECON"
	}
	r.start("participant", "typeCode", typeCode)
	r.start("associatedEntity", "classCode", class)
	if !p.ID.IsZero() {
		r.id("id", p.ID)
	}
	if r.d.Type.Form("codetextcontact") {
		r.text("code", p.Role.Display)
	} else {
		r.codeIf("code", p.Role)
	}
	r.address(p.Address)
	r.telecom(p.Telecom)
	r.start("associatedPerson", when(r.d.Type.Form("full"), classOf("PSN")...)...)
	r.text("name", p.Name)
	r.end()
	r.end()
	r.end()
}

// related writes the related documents. WS/T 500 has the element even where nothing is
// replaced, its parts are then empty.
func (r *renderer) related() {
	for _, s := range r.d.Services {
		r.start("documentationOf")
		r.start("serviceEvent")
		r.text("code", s.Code.Display)
		r.interval("effectiveTime", s.Time)
		r.end()
		r.end()
	}
	list := r.d.Related
	if len(list) == 0 {
		list = []Related{{TypeCode: "RPLC"}}
	}
	for _, d := range list {
		r.start("relatedDocument", "typeCode", d.TypeCode)
		r.start("parentDocument")
		r.text("id", d.ID.String())
		r.text("setId", d.SetID.String())
		r.text("versionNumber", d.Version)
		r.end()
		r.end()
	}
}

func (r *renderer) interval(name string, t Interval) {
	switch {
	case t.Value != "":
		r.empty(name, "value", t.Value)
	case t.Low != "" || t.High != "":
		r.start(name)
		if t.Low != "" {
			r.empty("low", "value", t.Low)
		}
		if t.High != "" {
			r.empty("high", "value", t.High)
		}
		r.end()
	}
}

func (r *renderer) encounter() {
	e := r.d.Encounter
	if e == nil {
		return
	}
	t := r.d.Type
	r.start("componentOf", when(t.Form("enc"), "typeCode", "COMP")...)
	r.start("encompassingEncounter", when(t.Form("enc"), "classCode", "ENC", "moodCode", "EVN")...)
	for _, id := range e.IDs {
		r.id("id", id)
	}
	if t.Form("codetext") {
		r.text("code", e.Code.Display)
	} else {
		r.codeIf("code", e.Code)
	}
	if t.Form("enctext") {
		r.text("effectiveTime", e.Time.Value)
	} else {
		r.interval("effectiveTime", e.Time)
	}
	if len(e.Location) > 0 {
		r.start("location", when(!t.Form("bare"), "typeCode", "LOC")...)
		r.start("healthCareFacility", when(!t.Form("bare"), "classCode", "SDLOC")...)
		r.start("serviceProviderOrganization", when(!t.Form("bare"), classOf("ORG")...)...)
		r.chain(e.Location, true)
		r.end()
		r.end()
		r.end()
	}
	r.end()
	r.end()
}

func (r *renderer) body() {
	r.start("component")
	r.start("structuredBody")
	for _, s := range r.d.Sections {
		r.section(s)
	}
	r.end()
	r.end()
}

func (r *renderer) section(s Section) {
	r.start("component")
	r.start("section")
	r.code("code", s.Code)
	if s.Title != "" {
		r.text("title", s.Title)
	}
	r.text("text", s.Text)
	for _, e := range s.Entries {
		r.start("entry")
		r.statement(e)
		r.end()
	}
	for _, sub := range s.Sections {
		r.section(sub)
	}
	r.end()
	r.end()
}

func (r *renderer) statement(e Entry) {
	r.start(e.Statement, "classCode", e.ClassCode, "moodCode", e.Mood)
	for _, id := range e.IDs {
		r.id("id", id)
	}
	r.codeIf("code", e.Code)
	if e.Text != "" {
		r.text("text", e.Text)
	}
	if e.Status != "" || e.Statement == "organizer" {
		r.empty("statusCode", "code", e.Status)
	}
	r.interval("effectiveTime", e.Time)
	r.codeIf("routeCode", e.Route)
	r.value("doseQuantity", e.Dose)
	r.value("rateQuantity", e.Rate)
	r.codeIf("administrationUnitCode", e.Unit)
	for _, v := range e.Values {
		r.value("value", v)
	}
	r.codeIf("targetSiteCode", e.Site)
	r.product(e)
	for _, p := range e.Performer {
		r.performer(p)
	}
	link := "entryRelationship"
	if e.Statement == "organizer" {
		link = "component"
	}
	for _, sub := range e.Entries {
		relation := sub.Relation
		if relation == "" {
			relation = "COMP"
		}
		if link == "component" {
			r.start(link)
		} else {
			r.start(link, "typeCode", relation)
		}
		r.statement(sub)
		r.end()
	}
	r.end()
}

func (r *renderer) product(e Entry) {
	if e.Product.IsZero() {
		return
	}
	name := "manufacturedLabeledDrug"
	if e.Statement == "supply" {
		name = "manufacturedMaterial"
	}
	r.start("consumable")
	r.start("manufacturedProduct")
	r.start(name)
	r.empty("code", "code", e.Product.Code, "codeSystem", e.Product.System)
	r.text("name", e.Product.Display)
	r.end()
	r.end()
	r.end()
}

func (r *renderer) performer(p Person) {
	r.start("performer")
	if p.Time != "" {
		r.empty("time", "value", p.Time)
	}
	r.start("assignedEntity")
	r.id("id", p.ID)
	r.codeIf("code", p.Role)
	r.start("assignedPerson")
	r.text("name", p.Name)
	r.end()
	r.end()
	r.end()
}

func (r *renderer) value(name string, v Value) {
	if v.IsZero() {
		return
	}
	kind := "xsi:type"
	if name != "value" {
		kind = "" // the schema fixes the type of a dose
	}
	attrs := []string{"value", v.Value, "unit", v.Unit, "code", v.Code.Code, "codeSystem", v.Code.System,
		"codeSystemName", v.Code.SystemName, "displayName", v.Code.Display, "nullFlavor", v.Code.NullFlavor}
	if kind != "" {
		attrs = append([]string{kind, v.Type}, attrs...)
	}
	r.text(name, strings.TrimSpace(v.Text), attrs...)
}
