package cda

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// wst500 holds a document against the part of WS/T 500 that its type names.
func (v *validation) wst500() {
	v.typeOfDocument()
	v.formOfHeader()
	v.patientOfType()
	v.tables()
	v.signers()
	v.partsOfType()
	v.sectionsOfType()
}

// typeOfDocument: template, code and title say the same.
func (v *validation) typeOfDocument() {
	d := v.d
	var byTemplate *Type
	for _, id := range d.Templates {
		if t, ok := TypeByTemplate(id.Root); ok {
			byTemplate = t
		}
	}
	byCode, codeKnown := TypeByCode(d.Code.Code)
	switch {
	case byTemplate == nil:
		v.add("template", "templateId", "no template id of WS/T 500; %s has %s", d.Type.Code, d.Type.Template())
	case !codeKnown:
		v.add("template-code", "code", "the template is that of %s, the code is not of WS/T 500", byTemplate.Code)
	case byCode != byTemplate:
		v.add("template-code", "code", "the template is that of %s, the code that of %s", byTemplate.Code, byCode.Code)
	}
	v.need(d.Code.System == CodeSystem || v.p.Roots.Standard(d.Code.System) == CodeSystem, "code-system", "code", "the code system is not %s", CodeSystem)
	titles := append([]string{d.Type.Title}, otherTitles[d.Type.Code]...)
	v.need(d.Title == "" || slices.ContainsFunc(titles, func(t string) bool { return SameTitle(d.Title, t) }), "title", "title", "the title is not that of %s: %s", d.Type.Code, d.Type.Title)
}

// SameTitle compares titles without regard to spaces and the width of brackets.
func SameTitle(a, b string) bool {
	fold := strings.NewReplacer("（", "(", "）", ")", " ", "", "\u3000", "").Replace
	return fold(a) == fold(b)
}

// formOfHeader: what all documents of WS/T 500 have at their head.
func (v *validation) formOfHeader() {
	d := v.d
	v.need(d.Realm == "CN", "realm", "realmCode", "realmCode is not CN")
	v.need(d.Language != "", "language", "languageCode", "no languageCode; expected zh-CN")
	v.need(v.d.nodes["setId"] != nil || !d.SetID.IsZero(), "set-id", "setId", "no setId")
	v.need(v.d.nodes["versionNumber"] != nil || d.Version != "", "version", "versionNumber", "no versionNumber")
	v.need(d.ID.Extension != "", "id", "id", "the document has no number (id/@extension)")
	n := utf8.RuneCountInString(d.ID.Extension)
	v.need(n == 0 || n >= 32 && n <= 36 || d.Type.Form("code20") && n <= 20, "id-length", "id", "the number of the document has %d characters; WS/T 500 asks for 32 to 36", n)
	v.need(d.Time == "" || len(d.Time) >= 14, "time-precision", "effectiveTime", "the time has less than seconds; expected YYYYMMDDHHMMSS")
}

// patientOfType: numbers under the roots of the type.
func (v *validation) patientOfType() {
	p := v.d.Patient
	if v.d.Patients == 0 {
		return
	}
	for _, id := range p.IDs {
		root := v.p.Roots.Standard(id.Root)
		_, known := v.p.Roots.Type(id.Root)
		v.need(slices.Contains(v.d.Type.PatientRoots, root) || known || documentRoots[root], "patient-root", "patientRole/id",
			"the root of a patient's number is not of WS/T 500; expected one of %s", strings.Join(v.d.Type.PatientRoots, ", "))
		v.need(id.Extension == "" || len(id.Extension) <= 128, "patient-id", "patientRole/id", "a patient's number is longer than 128 bytes")
	}
	var residents []string
	for _, id := range append(slices.Clone(p.PersonIDs), p.IDs...) {
		if t, _ := v.p.Roots.Type(id.Root); t != record.ResidentID || id.Extension == "" {
			continue
		}
		number, ok := hl7.NormalResidentID(id.Extension)
		if !ok {
			v.add("resident-id", "patient/id", "not a resident id of GB 11643 (18 characters with the check character)")
			continue
		}
		residents = append(residents, number)
	}
	slices.Sort(residents)
	v.need(len(slices.Compact(residents)) < 2, "patient-conflict", "patient/id", "two different resident ids for one patient")
}

// tables checks codes of the header against their tables.
func (v *validation) tables() {
	p, patient := v.d.Patient, "recordTarget/patientRole/patient/"
	v.table(patient+"maritalStatusCode", p.Marital, maritalTable)
	v.table(patient+"ethnicGroupCode", p.Ethnic, ethnicTable)
	v.table(patient+"educationLevel/educationLevelCode", p.Education, educationTable)
	v.table(patient+"occupation/occupationCode", p.Occupation, occupationTable)
	if e := v.d.Encounter; e != nil {
		v.table("componentOf/encompassingEncounter/code", e.Code, encounterTable)
	}
	for _, s := range slices.Concat(v.d.Legal, v.d.Authenticator) {
		v.table("authenticator/assignedEntity/assignedPerson/professionalTechnicalPosition", s.Position, positionTable)
		v.table("authenticator/assignedEntity/code", s.Role, relationTable)
	}
	for _, c := range slices.Concat(v.d.Participants, v.d.Informants) {
		v.table("participant/associatedEntity/code", c.Role, relationTable)
	}
	if p.AgeValue != "" || p.AgeUnit != "" {
		n, err := strconv.Atoi(p.AgeValue)
		v.need(err == nil && n >= 0 && n <= 150, "age", "age", "the age is not a number from 0 to 150")
		v.need(slices.Contains(strings.Fields(ageUnits), p.AgeUnit), "age", "age", "the unit of the age is none of %s", ageUnits)
	}
}

// table holds a code against the table that its code system names.
func (v *validation) table(place string, c Code, t codeTable) {
	if c.Code == "" || c.System != t.system {
		return
	}
	name, ok := t.names[c.Code]
	v.need(ok, "code-table", place, "the code is not in %s", t.source)
	v.need(!ok || name == "" || c.Display == "" || SameTitle(name, c.Display), "code-name", place, "the display name is not that of the code: expected %s", name)
}

func (v *validation) signers() {
	d := v.d
	for _, a := range d.Authors {
		v.need(a.Name != "" || !a.ID.IsZero(), "author", "author", "an author has neither number nor name")
	}
	v.need(d.Custodian.ID.Extension != "", "custodian-id", "custodian", "the custodian has no code")
	n := utf8.RuneCountInString(d.Custodian.ID.Extension)
	v.need(n == 0 || n == 18, "custodian-id", "custodian/id", "the custodian's code has not the 18 characters of GB 32100")
	for _, s := range append(slices.Clone(d.Legal), d.Authenticator...) {
		v.need(s.Name != "" || !s.ID.IsZero(), "signer", "authenticator", "a signer has neither number nor name")
	}
}

// partsOfType: the parts of the header that the type has, and those that it has not.
func (v *validation) partsOfType() {
	d, p := v.d, v.d.Patient
	e := d.Encounter
	for _, part := range []struct {
		name  string
		there bool
	}{
		{HeaderGender, !p.Gender.IsZero()}, {HeaderBirth, p.Birth != ""}, {HeaderAge, p.AgeValue != ""},
		{HeaderMarital, !p.Marital.IsZero()}, {HeaderEthnic, !p.Ethnic.IsZero()}, {HeaderOccupation, !p.Occupation.IsZero()},
		{HeaderLegal, len(d.Legal) > 0}, {HeaderAuthenticator, len(d.Authenticator) > 0},
		{HeaderEncounter, e != nil}, {HeaderLocation, e != nil && len(e.Location) > 0},
	} {
		if d.Type.Has(part.name) {
			v.need(part.there, "header-part", partPath(part.name), "%s expects %s", d.Type.Code, part.name)
		} else if v.p.Strict {
			v.need(!part.there, "header-extra", part.name, "%s has no %s", d.Type.Code, part.name)
		}
	}
}

// partPath says where a part of the header would stand.
func partPath(part string) string {
	switch part {
	case HeaderGender, HeaderBirth, HeaderAge, HeaderMarital, HeaderEthnic, HeaderOccupation:
		return "recordTarget/patientRole/patient/" + part
	case HeaderLocation:
		return "componentOf/encompassingEncounter/location"
	}
	return part
}

// sectionsOfType: chapters that the standard does not describe for the type.
func (v *validation) sectionsOfType() {
	expected := v.d.Type.Sections()
	for i, s := range v.d.Sections {
		place := "component/structuredBody/component[" + strconv.Itoa(i+1) + "]/section/code"
		known := slices.ContainsFunc(expected, func(t SectionType) bool {
			return t.Code != "" && t.Code == s.Code.Code || t.Code == "" && s.Code.Code == "" && sameSection(t.Name, s.Code.Display+s.Title)
		})
		v.need(known || s.Code.IsZero(), "section", place, "%s describes no such section", v.d.Type.Code)
	}
}

func sameSection(name, display string) bool {
	return strings.Contains(display, strings.TrimSuffix(name, "章节"))
}

// headerOrder is the order of the children of ClinicalDocument (CDA R2, POCD_RM000040).
var headerOrder = strings.Fields(`realmCode typeId templateId id code title effectiveTime confidentialityCode languageCode setId
 versionNumber copyTime recordTarget author dataEnterer informant custodian informationRecipient legalAuthenticator authenticator
 participant inFulfillmentOf documentationOf relatedDocument authorization componentOf component`)

// order notes header elements that do not stand in the order of the schema.
func (v *validation) order() {
	if v.d.source == nil {
		return
	}
	last := 0
	for _, n := range v.d.source.Root.Elements() {
		if n.Name.Space != v.d.source.Root.Name.Space {
			continue
		}
		at := slices.Index(headerOrder, n.Name.Local)
		if at < 0 {
			continue
		}
		if at < last {
			v.d.mark("out of order", n)
			v.add("order", "out of order", "%s stands after %s; the schema has it before", headerOrder[at], headerOrder[last])
			return
		}
		last = at
	}
}
