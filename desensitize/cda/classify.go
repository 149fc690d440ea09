package cda

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
)

// sort is what is known of an element: its kind, the name of its type for selectors, and
// what its value is.
type sort struct {
	kind    kind
	typ     string
	meaning desensitize.Type
}

// classify tells the sort of an element from its name and its surroundings.
func classify(n *safexml.Node) sort {
	k := kinds[n.Name.Local]
	switch {
	case n.Name.Local == "reference" && (n.Attr("value") != "" || inText(n)):
		return sort{telecom, "TEL", desensitize.URL}
	case n.Name.Local == "text" && n.Parent != nil && n.Parent.Name.Local == "section":
		return sort{narrative, "NARRATIVE", desensitize.Text}
	case k == narrative: // outside a section's text
		return sort{kind: unknown}
	case k == anyType:
		k = valueKind(n)
	case n.Name.Local == "name" && n.Parent != nil && n.Parent.Name.Local == "qualifier":
		return sort{coded, "CD", desensitize.Coded}
	}
	s := sort{k, typeNames[k], meaningOf(k)}
	s.refine(n)
	return s
}

// refine tells what a value is from its name and attributes.
func (s *sort) refine(n *safexml.Node) {
	switch s.kind {
	case identifier:
		s.meaning = meaningOfRoot(n)
	case coded:
		if diagnosisSystem(n.Attr("codeSystem")) {
			s.meaning = desensitize.Diagnosis
		}
	case timed:
		if n.Name.Local == "birthTime" {
			s.meaning = desensitize.BirthDate
		}
	case text:
		if n.Name.Local == "softwareName" || n.Name.Local == "manufacturerModelName" {
			s.meaning = desensitize.Device
		}
	case telecom:
		s.meaning = meaningOfURL(n.Attr("value"))
	case name:
		s.typ, s.meaning = nameOf(n)
	}
}

// inText reports an element of an ED, whose reference points somewhere.
func inText(n *safexml.Node) bool {
	return n.Parent != nil && (kinds[n.Parent.Name.Local] == data || n.Parent.Name.Local == "originalText" || n.Parent.Name.Local == "value")
}

func meaningOf(k kind) desensitize.Type {
	switch k {
	case timed:
		return desensitize.Date
	case coded:
		return desensitize.Coded
	case address:
		return desensitize.Address
	case text, narrative:
		return desensitize.Text
	case data:
		return desensitize.Attachment
	case quantity:
		return desensitize.Quantity
	case age:
		return desensitize.Age
	}
	return desensitize.Other
}

// valueKind is the kind of a value by its xsi:type; without one by its attributes.
func valueKind(n *safexml.Node) kind {
	t, ok := n.Lookup(xsiSpace, "type")
	if ok {
		return valueKinds[t[strings.LastIndexByte(t, ':')+1:]]
	}
	switch {
	case n.Parent != nil && n.Parent.Name.Local == "observationMedia":
		return data
	case n.Attr("code") != "" || n.Attr("displayName") != "":
		return coded
	case n.Attr("unit") != "":
		return quantity
	}
	return text
}

// meaningsByRoot gives the type of an identifier by its root (WS/T 500-2016 appendix, below
// 2.16.156.10011.1; HL7 OID registry).
var meaningsByRoot = map[string]desensitize.Type{
	"2.16.156.10011.1.3": desensitize.IDCard, "2.16.156.10011.1.11": desensitize.OutpatientNo, "2.16.156.10011.1.12": desensitize.InpatientNo,
	"2.16.156.10011.1.13": desensitize.RecordNo, "2.16.156.10011.1.2": desensitize.RecordNo, "2.16.156.10011.1.15": desensitize.InsuranceNo,
	"2.16.156.10011.1.19": desensitize.InsuranceNo, "2.16.156.10011.1.14": desensitize.ExamNo, "2.16.156.10011.1.20": desensitize.ExamNo,
	"2.16.156.10011.1.24": desensitize.ExamNo, "2.16.156.10011.1.32": desensitize.ExamNo, "2.16.156.10011.1.33": desensitize.ExamNo,
	"2.16.156.10011.1.34": desensitize.ExamNo, "2.16.156.10011.1.8": desensitize.ExamNo, "2.16.156.10011.1.22": desensitize.Bed,
	"2.16.156.10011.1.21": desensitize.Ward, "2.16.156.10011.1.27": desensitize.Ward,
	"2.16.840.1.113883.4.1": desensitize.SSN, "2.16.840.1.113883.4.330.156": desensitize.Passport,
	"2.16.840.1.113883.4.6": desensitize.Licence,
}

// departmentRoot is the root of codes of departments, which every hospital has.
const departmentRoot = "2.16.156.10011.1.26"

func meaningOfRoot(n *safexml.Node) desensitize.Type {
	if t, ok := meaningsByRoot[strings.TrimSpace(n.Attr("root"))]; ok {
		return t
	}
	if n.Parent != nil && n.Parent.Name.Local == "patientRole" {
		return desensitize.RecordNo
	}
	return desensitize.OtherID
}

// diagnosisSystem reports a code system of diagnoses: ICD-10 and its modifications.
func diagnosisSystem(oid string) bool {
	switch oid {
	case "2.16.840.1.113883.6.3", "2.16.840.1.113883.6.90", "2.16.840.1.113883.6.3.1", "2.16.156.10011.2.3.3.11":
		return true
	}
	return strings.HasPrefix(oid, "2.16.156.10011.2.3.3.11.")
}

func meaningOfURL(value string) desensitize.Type {
	scheme, _, ok := strings.Cut(strings.ToLower(value), ":")
	switch {
	case !ok && strings.ContainsRune(value, '@'), scheme == "mailto":
		return desensitize.Email
	case scheme == "http" || scheme == "https" || scheme == "ftp" || scheme == "file" || scheme == "mllp" || scheme == "nfs":
		return desensitize.URL
	case scheme == "fax" || scheme == "x-text-fax":
		return desensitize.Fax
	}
	return desensitize.Phone
}

// persons are the elements whose name is that of a person.
var persons = map[string]bool{
	"patient": true, "guardianPerson": true, "relatedPerson": true, "associatedPerson": true, "assignedPerson": true,
	"informationRecipient": true, "maintainingPerson": true, "subject": true, "relatedSubject": true,
}

// things are the elements whose name is that of a thing: a drug, a specimen, a device.
var things = set("manufacturedMaterial manufacturedLabeledDrug specimenPlayingEntity playingDevice")

// nameOf tells whose name an element is. Where nothing tells it is that of a person.
func nameOf(n *safexml.Node) (typ string, meaning desensitize.Type) {
	if n.Parent == nil {
		return "PN", desensitize.Name
	}
	switch p := n.Parent.Name.Local; {
	case persons[p], n.Child("family") != nil, n.Child("given") != nil:
		return "PN", desensitize.Name
	case strings.HasSuffix(p, "Organization"):
		return "ON", organisation(n.Parent)
	case p == "place":
		return "EN", desensitize.Address
	case p == "location":
		return "EN", desensitize.Ward
	case things[p]:
		return "EN", desensitize.Text
	case p == "playingEntity":
		return playing(n.Parent)
	}
	return "PN", desensitize.Name
}

// organisation tells what the name of an organisation is: WS/T 500 has beds, rooms, wards and
// departments as organisations too.
func organisation(parent *safexml.Node) desensitize.Type {
	switch parent.Name.Local {
	case "employerOrganization":
		return desensitize.Employer
	case "manufacturerOrganization":
		return desensitize.Text
	}
	root := parent.Child("id").Attr("root")
	if t := meaningsByRoot[root]; t == desensitize.Ward || t == desensitize.Bed {
		return t
	}
	if root == departmentRoot {
		return desensitize.Text
	}
	return desensitize.Hospital
}

// playing tells what a playingEntity is by its class and the class of its role: a substance,
// a place, else somebody.
func playing(entity *safexml.Node) (string, desensitize.Type) {
	role := entity.Parent.Attr("classCode")
	switch {
	case role == "SDLOC" || role == "LOCE":
		return "EN", desensitize.Ward
	case role == "MANU" || entity.Attr("classCode") == "MMAT":
		return "EN", desensitize.Text
	}
	return "PN", desensitize.Name
}
