package cda

import (
	"fmt"
	"strconv"
	"strings"
)

// Object identifiers of WS/T 500-2016 and of the standards that it refers to.
const (
	// TemplatePrefix stands before the last number of every template id: C0001 has
	// TemplatePrefix+"21".
	TemplatePrefix = "2.16.156.10011.2.1.1."
	// CodeSystem holds the document codes C0001 … C0053.
	CodeSystem     = "2.16.156.10011.2.4"
	codeSystemName = "卫生信息共享文档规范编码体系"
	// DocumentRoot is the root of document ids.
	DocumentRoot = "2.16.156.10011.1.1"
	// ElementSystem holds the data elements DExx.xx.xxx.xx (WS 363, WS 364).
	ElementSystem     = "2.16.156.10011.2.2.1"
	elementSystemName = "卫生信息数据元目录"
	// LOINC is the code system of most sections.
	LOINC = "2.16.840.1.113883.6.1"

	namespace             = "urn:hl7-org:v3"
	schemaInstance        = "http://www.w3.org/2001/XMLSchema-instance"
	typeIDRoot            = "2.16.840.1.113883.1.3"
	typeIDExtension       = "POCD_HD000040"
	confidentialitySystem = "2.16.840.1.113883.5.25"
)

// Type is one of the 53 shared documents of WS/T 500-2016.
type Type struct {
	Number int    // part of the standard, 1 … 53
	Code   string // C0001 … C0053
	Title  string
	// PatientRoots are the roots that the type expects on patientRole/id.
	PatientRoots []string
	header       header
	// sections are the keys of the chapters that the standard describes for the type.
	sections []string
}

// Template returns the template id of the type.
func (t *Type) Template() string { return TemplatePrefix + strconv.Itoa(20+t.Number) }

// Sections returns the chapters that the standard describes for the type, in its order.
func (t *Type) Sections() []SectionType {
	out := make([]SectionType, len(t.sections))
	for i, key := range t.sections {
		out[i] = sectionTypes[key]
	}
	return out
}

// Has reports whether the type's header has a part; see the Header constants.
func (t *Type) Has(part string) bool { return t.header[part] }

// Types returns all document types in the order of the standard's parts.
func Types() []*Type { return append([]*Type(nil), types...) }

// TypeByCode finds a type by its document code, C0001 … C0053.
func TypeByCode(code string) (*Type, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(code, "C"))
	if err != nil || n < 1 || n > len(types) || types[n-1].Code != code {
		return nil, false
	}
	return types[n-1], true
}

// TypeByTemplate finds a type by its template id.
func TypeByTemplate(root string) (*Type, bool) {
	rest, ok := strings.CutPrefix(root, TemplatePrefix)
	n, err := strconv.Atoi(rest)
	if !ok || err != nil || n < 21 || n > 20+len(types) || strconv.Itoa(n) != rest {
		return nil, false
	}
	return types[n-21], true
}

// header is the set of header parts that a type has beside those that all have.
type header map[string]bool

// Parts of the header in which the types differ. Elements of patient come first; they are
// named as in the document.
const (
	HeaderGender        = "administrativeGenderCode"
	HeaderBirth         = "birthTime"
	HeaderMarital       = "maritalStatusCode"
	HeaderEthnic        = "ethnicGroupCode"
	HeaderBirthplace    = "birthplace"
	HeaderNationality   = "nationality"
	HeaderAge           = "age"
	HeaderEmployer      = "employerOrganization"
	HeaderHousehold     = "household"
	HeaderNativePlace   = "nativePlace"
	HeaderEducation     = "educationLevel"
	HeaderOccupation    = "occupation"
	HeaderAddress       = "addr"
	HeaderTelecom       = "telecom"
	HeaderProvider      = "providerOrganization"
	HeaderInformant     = "informant"
	HeaderLegal         = "legalAuthenticator"
	HeaderAuthenticator = "authenticator"
	HeaderParticipant   = "participant"
	HeaderService       = "documentationOf"
	HeaderEncounter     = "componentOf"
	HeaderEncounterCode = "componentOf/code"
	HeaderLocation      = "componentOf/location"
)

// marks abbreviates the parts in the table of types.
var marks = map[string]string{
	"gender": HeaderGender, "birth": HeaderBirth, "marital": HeaderMarital, "ethnic": HeaderEthnic,
	"birthplace": HeaderBirthplace, "nationality": HeaderNationality, "age": HeaderAge, "employer": HeaderEmployer,
	"household": HeaderHousehold, "native": HeaderNativePlace, "education": HeaderEducation, "job": HeaderOccupation,
	"addr": HeaderAddress, "tel": HeaderTelecom, "provider": HeaderProvider, "informant": HeaderInformant,
	"legal": HeaderLegal, "auth": HeaderAuthenticator, "contact": HeaderParticipant, "service": HeaderService,
	"enc": HeaderEncounter, "enccode": HeaderEncounterCode, "loc": HeaderLocation,
}

// types is filled from typeTable at start-up; a mistake in the table stops every test.
var types = func() []*Type {
	rows := strings.Split(strings.TrimSpace(typeTable), "\n")
	out := make([]*Type, 0, len(rows))
	for i, row := range rows {
		f := strings.Split(row, "|")
		if len(f) != 5 || strings.TrimSpace(f[0]) != strconv.Itoa(i+1) {
			panic("cda: table of types: row " + strconv.Itoa(i+1))
		}
		t := &Type{Number: i + 1, Code: fmt.Sprintf("C%04d", i+1), Title: strings.TrimSpace(f[1]), header: header{}}
		for _, n := range strings.Fields(f[2]) {
			t.PatientRoots = append(t.PatientRoots, "2.16.156.10011.1."+n)
		}
		for _, m := range strings.Fields(f[3]) {
			if marks[m] == "" {
				panic("cda: table of types: header part " + m)
			}
			t.header[marks[m]] = true
		}
		for _, s := range strings.Fields(f[4]) {
			if _, ok := sectionTypes[s]; !ok {
				panic("cda: table of types: section " + s)
			}
			t.sections = append(t.sections, s)
		}
		out = append(out, t)
	}
	return out
}()
