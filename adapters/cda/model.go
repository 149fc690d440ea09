package cda

import (
	"log/slog"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// ID is an instance identifier (II): an OID root and an extension, or a root alone.
type ID struct{ Root, Extension string }

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
	Code, System, SystemName, Display string
	// Original is the content of originalText.
	Original string
	// Qualifiers are the display names of qualifier/name, a WS/T 500 habit.
	Qualifiers []string
	NullFlavor string
}

// IsZero reports whether nothing is known.
func (c Code) IsZero() bool {
	return c.Code == "" && c.Display == "" && c.Original == "" && c.System == "" && c.NullFlavor == ""
}

// Interval is a point (Value) or a span in time, in the HL7 form YYYYMMDDHHMMSS with less
// precision where less is known.
type Interval struct{ Value, Low, High string }

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
	Use                                                                  string
	HouseNumber, Street, Township, County, City, State, PostalCode, Text string
}

// IsZero reports whether nothing is known.
func (a Address) IsZero() bool { a.Use = ""; return a == Address{} }

// Telecom is a telephone number or another address of telecommunication.
type Telecom struct{ Use, Value string }

// Organization is an institution or a part of one.
type Organization struct {
	ID      ID
	Name    string
	Telecom Telecom
	Address string
	// Within lists what the organization is part of, from the nearest to the outermost.
	Within []Place
}

// Place is one step of a chain of organizations: bed, room, department, ward, hospital.
type Place struct {
	ID   ID
	Name string
}

// Person is someone who had a part in the document: author, signer, informant, contact.
type Person struct {
	// TypeCode and ClassCode tell the participation and the role, where they vary.
	TypeCode, ClassCode string
	ID                  ID
	// Role is the code of the role. WS/T 500 gives it a display name only, such as 主治医师签名.
	Role     Code
	Name     string
	Time     string // of writing or signing
	Sign     string // signatureCode
	Position Code   // professionalTechnicalPosition, 专业技术职务
	Address  Address
	Telecom  Telecom
	Org      Organization
}

// LogValue implements slog.LogValuer: persons do not reach a log.
func (p Person) LogValue() slog.Value { return slog.StringValue("person") }

// Patient is the subject of the document.
type Patient struct {
	// IDs stand on patientRole, PersonIDs on patient (WS/T 500: the identity card).
	IDs, PersonIDs []ID
	Name           string
	Gender         Code
	Birth          string
	AgeValue       string
	AgeUnit        string // 岁, 月, 周, 天
	Marital        Code
	Ethnic         Code
	Nationality    Code
	Education      Code
	Occupation     Code
	Address        Address
	Telecom        []Telecom
	Birthplace     Address
	Household      Address
	NativePlace    Address
	Employer       Organization
	EmployerAddr   Address
	Provider       *Organization
}

// LogValue implements slog.LogValuer: a patient never reaches a log.
func (p Patient) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("ids", len(p.IDs)), slog.Int("person_ids", len(p.PersonIDs)))
}

// Related is a document that this one replaces (RPLC), appends (APND) or transforms (XFRM).
type Related struct {
	TypeCode string
	ID       ID
	SetID    ID
	Version  string
}

// Encounter is the visit that the document belongs to.
type Encounter struct {
	IDs  []ID
	Code Code
	Time Interval
	// Location goes from the innermost place (bed) to the hospital.
	Location []Place
}

// ServiceEvent is a documented act (documentationOf).
type ServiceEvent struct {
	Code Code
	Time Interval
}

// Document is a clinical document as read or to be written.
type Document struct {
	// Type is the document of WS/T 500 that template or code name; nil for other documents.
	Type          *Type
	Realm         string
	TypeID        ID
	Templates     []ID
	ID            ID
	Code          Code
	Title         string
	Time          string // effectiveTime
	Confidential  Code
	Language      string
	SetID         ID
	Version       string
	Patient       Patient
	Patients      int // number of recordTarget elements
	Authors       []Person
	Informants    []Person
	Custodian     Organization
	Legal         []Person
	Authenticator []Person
	Participants  []Person
	Related       []Related
	Services      []ServiceEvent
	Encounter     *Encounter
	Sections      []Section
	NonXML        *NonXML

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
	MediaType string
	// Base64 tells that Data is in base64; it is kept as it stands.
	Base64    bool
	Data      string
	Reference string
}

// Section is a chapter of a structured body.
type Section struct {
	Code      Code
	Templates []ID
	Title     string
	Text      string // the narrative without markup
	Entries   []Entry
	Sections  []Section
}

// LogValue implements slog.LogValuer: content does not reach a log.
func (s Section) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", s.Code.Code), slog.Int("entries", len(s.Entries)))
}

// Entry is a clinical statement: observation, organizer, procedure, substanceAdministration,
// act, supply, encounter, observationMedia or regionOfInterest.
type Entry struct {
	Statement string // name of the element
	// Relation is the typeCode by which the statement hangs on what is above it.
	Relation  string
	ClassCode string
	Mood      string
	IDs       []ID
	Code      Code
	Status    string
	Text      string
	Time      Interval
	Values    []Value
	Route     Code
	Dose      Value
	Rate      Value
	Unit      Code // administrationUnitCode
	Product   Code // of manufacturedLabeledDrug or manufacturedMaterial, Display holds the name
	Site      Code // targetSiteCode
	Performer []Person
	Author    []Person
	// Entries are the statements below: entryRelationship, or component of an organizer.
	Entries []Entry
}

// Value is an observed value.
type Value struct {
	Type string // xsi:type without prefix: ST, CD, PQ, INT, BL, TS …
	Text string // content of texts
	// Value is @value of numbers, flags and times; Unit goes with PQ.
	Value, Unit string
	Code        Code
}

// IsZero reports whether nothing is known.
func (v Value) IsZero() bool {
	return v.Type == "" && v.Text == "" && v.Value == "" && v.Unit == "" && v.Code.IsZero()
}
