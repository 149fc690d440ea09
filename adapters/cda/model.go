package cda

import (
	"log/slog"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// ID is an instance identifier (II): an OID root and an extension, or a root alone.
type ID struct {
	Root      string `json:"root,omitempty"`
	Extension string `json:"extension,omitempty"`
}

// IsZero reports whether there is no identifier.
func (i ID) IsZero() bool { return i == ID{} }

// String returns root and extension with "^" between, or what there is of them.
func (i ID) String() string {
	switch {
	case i.Extension == "":
		return i.Root
	case i.Root == "":
		return i.Extension
	}
	return i.Root + "^" + i.Extension
}

// Code is a coded value (CD, CE, CS).
type Code struct {
	Code       string `json:"code,omitempty"`
	System     string `json:"system,omitempty"`
	SystemName string `json:"system_name,omitempty"`
	Display    string `json:"display,omitempty"`
	// Original is the content of originalText.
	Original string `json:"original,omitempty"`
	// Qualifiers are the display names of qualifier/name, a WS/T 500 habit.
	Qualifiers []string `json:"qualifiers,omitempty"`
	NullFlavor string   `json:"null_flavor,omitempty"`
}

// IsZero reports whether nothing is known.
func (c Code) IsZero() bool {
	return c.Code == "" && c.Display == "" && c.Original == "" && c.System == "" && c.NullFlavor == ""
}

// Interval is a point (Value) or a span in time, in the HL7 form YYYYMMDDHHMMSS with less
// precision where less is known.
type Interval struct {
	Value string `json:"value,omitempty"`
	Low   string `json:"low,omitempty"`
	High  string `json:"high,omitempty"`
}

// IsZero reports whether no time is known.
func (t Interval) IsZero() bool { return t == Interval{} }

// Start returns the point in time or the start of the span.
func (t Interval) Start() string {
	if t.Value != "" {
		return t.Value
	}
	return t.Low
}

// Address is a postal address with the extensions township and county of WS/T 500. Text is
// the content of an address that has no parts.
type Address struct {
	Use         string `json:"use,omitempty"`
	HouseNumber string `json:"house_number,omitempty"`
	Street      string `json:"street,omitempty"`
	Township    string `json:"township,omitempty"`
	County      string `json:"county,omitempty"`
	City        string `json:"city,omitempty"`
	State       string `json:"state,omitempty"`
	PostalCode  string `json:"postal_code,omitempty"`
	Text        string `json:"text,omitempty"`
}

// IsZero reports whether nothing is known.
func (a Address) IsZero() bool { a.Use = ""; return a == Address{} }

// Telecom is a telephone number or another address of telecommunication.
type Telecom struct {
	Use   string `json:"use,omitempty"`
	Value string `json:"value,omitempty"`
}

// Organization is an institution or a part of one.
type Organization struct {
	ID      ID      `json:"id,omitzero"`
	Name    string  `json:"name,omitempty"`
	Telecom Telecom `json:"telecom,omitzero"`
	Address string  `json:"address,omitempty"`
	// Within lists what the organization is part of, from the nearest to the outermost.
	Within []Place `json:"within,omitempty"`
}

// Place is one step of a chain of organizations: bed, room, department, ward, hospital.
type Place struct {
	ID   ID     `json:"id,omitzero"`
	Name string `json:"name,omitempty"`
}

// Person is someone who had a part in the document: author, signer, informant, contact.
type Person struct {
	// TypeCode and ClassCode tell the participation and the role, where they vary.
	TypeCode  string `json:"type_code,omitempty"`
	ClassCode string `json:"class_code,omitempty"`
	ID        ID     `json:"id,omitzero"`
	// Role is the code of the role. WS/T 500 gives it a display name only, such as 主治医师签名.
	Role     Code         `json:"role,omitzero"`
	Name     string       `json:"name,omitempty"`
	Time     string       `json:"time,omitempty"`    // of writing or signing
	Sign     string       `json:"sign,omitempty"`    // signatureCode
	Position Code         `json:"position,omitzero"` // professionalTechnicalPosition, 专业技术职务
	Address  Address      `json:"address,omitzero"`
	Telecom  Telecom      `json:"telecom,omitzero"`
	Org      Organization `json:"org,omitzero"`
}

// LogValue implements slog.LogValuer: persons do not reach a log.
func (p Person) LogValue() slog.Value { return slog.StringValue("person") }

// Patient is the subject of the document.
type Patient struct {
	// IDs stand on patientRole, PersonIDs on patient (WS/T 500: the identity card).
	IDs          []ID          `json:"ids,omitempty"`
	PersonIDs    []ID          `json:"person_ids,omitempty"`
	Name         string        `json:"name,omitempty"`
	Gender       Code          `json:"gender,omitzero"`
	Birth        string        `json:"birth,omitempty"`
	AgeValue     string        `json:"age_value,omitempty"`
	AgeUnit      string        `json:"age_unit,omitempty"` // 岁, 月, 周, 天
	Marital      Code          `json:"marital,omitzero"`
	Ethnic       Code          `json:"ethnic,omitzero"`
	Nationality  Code          `json:"nationality,omitzero"`
	Education    Code          `json:"education,omitzero"`
	Occupation   Code          `json:"occupation,omitzero"`
	Address      Address       `json:"address,omitzero"`
	Telecom      []Telecom     `json:"telecom,omitempty"`
	Birthplace   Address       `json:"birthplace,omitzero"`
	Household    Address       `json:"household,omitzero"`
	NativePlace  Address       `json:"native_place,omitzero"`
	Employer     Organization  `json:"employer,omitzero"`
	EmployerAddr Address       `json:"employer_addr,omitzero"`
	Provider     *Organization `json:"provider,omitempty"`
}

// LogValue implements slog.LogValuer: a patient never reaches a log.
func (p Patient) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("ids", len(p.IDs)), slog.Int("person_ids", len(p.PersonIDs)))
}

// Related is a document that this one replaces (RPLC), appends (APND) or transforms (XFRM).
type Related struct {
	TypeCode string `json:"type_code,omitempty"`
	ID       ID     `json:"id,omitzero"`
	SetID    ID     `json:"set_id,omitzero"`
	Version  string `json:"version,omitempty"`
}

// Encounter is the visit that the document belongs to.
type Encounter struct {
	IDs  []ID     `json:"ids,omitempty"`
	Code Code     `json:"code,omitzero"`
	Time Interval `json:"time,omitzero"`
	// Location goes from the innermost place (bed) to the hospital.
	Location []Place `json:"location,omitempty"`
}

// ServiceEvent is a documented act (documentationOf).
type ServiceEvent struct {
	Code Code     `json:"code,omitzero"`
	Time Interval `json:"time,omitzero"`
}

// Document is a clinical document as read or to be written.
type Document struct {
	// Type is the document of WS/T 500 that template or code name; nil for other documents.
	Type          *Type          `json:"-"`
	Realm         string         `json:"realm,omitempty"`
	TypeID        ID             `json:"type_id,omitzero"`
	Templates     []ID           `json:"templates,omitempty"`
	ID            ID             `json:"id,omitzero"`
	Code          Code           `json:"code,omitzero"`
	Title         string         `json:"title,omitempty"`
	Time          string         `json:"time,omitempty"` // effectiveTime
	Confidential  Code           `json:"confidential,omitzero"`
	Language      string         `json:"language,omitempty"`
	SetID         ID             `json:"set_id,omitzero"`
	Version       string         `json:"version,omitempty"`
	Patient       Patient        `json:"patient,omitzero"`
	Patients      int            `json:"patients,omitempty"` // number of recordTarget elements
	Authors       []Person       `json:"authors,omitempty"`
	Informants    []Person       `json:"informants,omitempty"`
	Custodian     Organization   `json:"custodian,omitzero"`
	Legal         []Person       `json:"legal,omitempty"`
	Authenticator []Person       `json:"authenticator,omitempty"`
	Participants  []Person       `json:"participants,omitempty"`
	Related       []Related      `json:"related,omitempty"`
	Services      []ServiceEvent `json:"services,omitempty"`
	Encounter     *Encounter     `json:"encounter,omitempty"`
	Sections      []Section      `json:"sections,omitempty"`
	NonXML        *NonXML        `json:"non_xml,omitempty"`

	source *safexml.Document
	nodes  map[string]*safexml.Node // by the names that issues use
}

// LogValue implements slog.LogValuer with what may be logged of a document.
func (d *Document) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kind", d.Kind()), slog.Int("sections", len(d.Sections)))
}

// Kind returns the kind of record that the document is: C0039 for the documents of WS/T
// 500, else "CDA/" and the code of the document (LOINC mostly), else its first template.
func (d *Document) Kind() string {
	switch {
	case d.Type != nil:
		return d.Type.Code
	case plainToken(d.Code.Code):
		return "CDA/" + d.Code.Code
	case len(d.Templates) > 0 && plainToken(d.Templates[0].Root):
		return "CDA/" + d.Templates[0].Root
	}
	return "CDA"
}

// plainToken reports whether s may be part of a kind: short, and of letters, digits, dot,
// hyphen and underscore.
func plainToken(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// NonXML is a body that is not structured: embedded data or a reference.
type NonXML struct {
	MediaType string `json:"media_type,omitempty"`
	// Base64 tells that Data is in base64; it is kept as it stands.
	Base64    bool   `json:"base64,omitempty"`
	Data      string `json:"data,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// Section is a chapter of a structured body.
type Section struct {
	Code      Code      `json:"code,omitzero"`
	Templates []ID      `json:"templates,omitempty"`
	Title     string    `json:"title,omitempty"`
	Text      string    `json:"text,omitempty"` // the narrative without markup
	Entries   []Entry   `json:"entries,omitempty"`
	Sections  []Section `json:"sections,omitempty"`
}

// LogValue implements slog.LogValuer: content does not reach a log.
func (s Section) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", s.Code.Code), slog.Int("entries", len(s.Entries)))
}

// Entry is a clinical statement: observation, organizer, procedure, substanceAdministration,
// act, supply, encounter, observationMedia or regionOfInterest.
type Entry struct {
	Statement string `json:"statement,omitempty"` // name of the element
	// Relation is the typeCode by which the statement hangs on what is above it.
	Relation  string   `json:"relation,omitempty"`
	ClassCode string   `json:"class_code,omitempty"`
	Mood      string   `json:"mood,omitempty"`
	IDs       []ID     `json:"ids,omitempty"`
	Code      Code     `json:"code,omitzero"`
	Status    string   `json:"status,omitempty"`
	Text      string   `json:"text,omitempty"`
	Time      Interval `json:"time,omitzero"`
	Values    []Value  `json:"values,omitempty"`
	Route     Code     `json:"route,omitzero"`
	Dose      Value    `json:"dose,omitzero"`
	Rate      Value    `json:"rate,omitzero"`
	Unit      Code     `json:"unit,omitzero"`    // administrationUnitCode
	Product   Code     `json:"product,omitzero"` // of manufacturedLabeledDrug or manufacturedMaterial, Display holds the name
	Site      Code     `json:"site,omitzero"`    // targetSiteCode
	Performer []Person `json:"performer,omitempty"`
	Author    []Person `json:"author,omitempty"`
	// Entries are the statements below: entryRelationship, or component of an organizer.
	Entries []Entry `json:"entries,omitempty"`
}

// Value is an observed value.
type Value struct {
	Type string `json:"type,omitempty"` // xsi:type without prefix: ST, CD, PQ, INT, BL, TS …
	Text string `json:"text,omitempty"` // content of texts
	// Value is @value of numbers, flags and times; Unit goes with PQ.
	Value string `json:"value,omitempty"`
	Unit  string `json:"unit,omitempty"`
	Code  Code   `json:"code,omitzero"`
}

// IsZero reports whether nothing is known.
func (v Value) IsZero() bool {
	return v.Type == "" && v.Text == "" && v.Value == "" && v.Unit == "" && v.Code.IsZero()
}
