package deidtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Formats are the formats of records in which a note can be put.
var Formats = []string{"hl7v2", "fhir", "cda"}

// Record puts the note into a record of a format, its header filled from Subject. It panics
// for a format that is not in Formats.
func (n *Note) Record(format string) []byte {
	switch format {
	case "hl7v2":
		return n.hl7()
	case "fhir":
		return n.fhir()
	case "cda":
		return n.cda()
	}
	panic("deidtest: there is no format " + format)
}

var hl7Escapes = strings.NewReplacer(`\`, `\E\`, "|", `\F\`, "^", `\S\`, "&", `\T\`, "~", `\R\`, "\r", `\X0D\`, "\n", `\.br\`)

// hl7 is an MDM^T02 with the note in OBX-5, UTF-8.
func (n *Note) hl7() []byte {
	s := n.Subject
	e := hl7Escapes.Replace
	when := s.Admitted.Format("20060102150405")
	segments := []string{
		`MSH|^~\&|EMR|` + e(s.Hospital) + `|BRIDGE|CENTER|` + when + `||MDM^T02|` + n.ID + `|P|2.5|||||CHN|UNICODE UTF-8`,
		"EVN|T02|" + when,
		fmt.Sprintf("PID|1||%s^^^HIS^MR~%s^^^CN^NI~%s^^^CN^HC||%s^%s||%s|%s|||%s^^^^%s||%s", e(s.RecordNo), e(s.IDNumber), e(s.Insurance), e(s.Family), e(s.Given),
			s.Birth.Format("20060102"), s.sex("M", "F"), e(s.Address), e(s.Postcode), e(s.Phone)),
	}
	for i, r := range s.Relatives {
		segments = append(segments, fmt.Sprintf("NK1|%d|%s|%s||%s", i+1, e(r.Name), e(r.Relation), e(r.Phone)))
	}
	segments = append(segments,
		fmt.Sprintf("PV1|1|I|%s^^%s^%s||||D1^%s|D2^%s||||||||||||%s", e(s.Ward), e(s.Bed), e(s.Hospital), e(s.Doctors[0]), e(s.Doctors[1]), e(s.InpatientNo)),
		"TXA|1|CN|TX|"+when+"|||||||D1^"+e(s.Doctors[0])+"||"+n.ID,
		"OBX|1|TX|11506-3^Note^LN||"+e(n.Text)+"||||||F")
	return []byte(strings.Join(segments, "\r") + "\r")
}

func (s Subject) sex(male, female string) string {
	if s.Male {
		return male
	}
	return female
}

type object = map[string]any

// fhir is a Bundle with the note as base64 in a DocumentReference and as the narrative of a
// Composition.
func (n *Note) fhir() []byte {
	s := n.Subject
	id := func(system, value string) object {
		return object{"system": "urn:oid:2.16.156.10011.1." + system, "value": value}
	}
	var entries []object
	add := func(resource object) {
		entries = append(entries, object{"fullUrl": fmt.Sprintf("http://his.example.org/%s/%s", resource["resourceType"], resource["id"]), "resource": resource})
	}
	patient := object{"reference": "Patient/p1"}
	add(object{"resourceType": "Patient", "id": "p1", "identifier": []object{id("3", s.IDNumber), id("12", s.InpatientNo), id("13", s.RecordNo)},
		"name": []object{{"text": s.Name, "family": s.Family}}, "gender": s.sex("male", "female"), "birthDate": s.Birth.Format("2006-01-02"),
		"telecom": []object{{"system": "phone", "value": s.Phone}, {"system": "email", "value": s.Email}},
		"address": []object{{"text": s.Address, "postalCode": s.Postcode}}})
	for i, r := range s.Relatives {
		add(object{"resourceType": "RelatedPerson", "id": fmt.Sprintf("r%d", i), "patient": patient, "name": []object{{"text": r.Name}},
			"telecom": []object{{"system": "phone", "value": r.Phone}}})
	}
	for i, d := range append(append([]string(nil), s.Doctors...), s.Nurses...) {
		add(object{"resourceType": "Practitioner", "id": fmt.Sprintf("d%d", i), "name": []object{{"text": d}}})
	}
	add(object{"resourceType": "Organization", "id": "o1", "name": s.Hospital})
	add(object{"resourceType": "Composition", "id": "c1", "status": "final", "type": object{"text": "note"}, "subject": patient, "date": s.Admitted.Format("2006-01-02"),
		"author": []object{{"reference": "Practitioner/d0"}}, "title": "note",
		"section": []object{{"text": object{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml"><p>` + xmlText(n.Text) + `</p></div>`}}}})
	add(object{"resourceType": "DocumentReference", "id": "n1", "status": "current", "subject": patient,
		"content": []object{{"attachment": object{"contentType": "text/plain; charset=utf-8", "data": base64.StdEncoding.EncodeToString([]byte(n.Text))}}}})
	out, err := json.Marshal(object{"resourceType": "Bundle", "type": "collection", "entry": entries})
	if err != nil {
		panic(err) // maps of strings
	}
	return out
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func xmlText(s string) string { return xmlEscapes.Replace(s) }

// cda is a WS/T 500 discharge summary in outline, with the note as the text of a section.
func (n *Note) cda() []byte {
	s := n.Subject
	x := xmlText
	when := s.Admitted.Format("20060102150405")
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<realmCode code="CN"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_MT000040"/>
<templateId root="2.16.156.10011.2.1.1.73"/><id root="2.16.156.10011.1.1" extension="%s"/>
<code code="C0053" codeSystem="2.16.156.10011.2.4"/><title>%s</title><effectiveTime value="%s"/>
<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="zh-CN"/>
<recordTarget typeCode="RCT"><patientRole classCode="PAT">
<id root="2.16.156.10011.1.12" extension="%s"/><id root="2.16.156.10011.1.13" extension="%s"/>
<addr use="H"><streetAddressLine>%s</streetAddressLine><postalCode>%s</postalCode></addr><telecom value="%s"/>
<patient classCode="PSN"><id root="2.16.156.10011.1.3" extension="%s"/><name>%s</name>
<administrativeGenderCode code="%s" codeSystem="2.16.156.10011.2.3.3.4"/><birthTime value="%s"/></patient>
</patientRole></recordTarget>
<author><time value="%s"/><assignedAuthor><id root="2.16.156.10011.1.7" extension="D1"/><assignedPerson><name>%s</name></assignedPerson>
<representedOrganization><name>%s</name></representedOrganization></assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><id root="2.16.156.10011.1.5" extension="H1"/><name>%s</name></representedCustodianOrganization></assignedCustodian></custodian>
`, n.ID, "出院小结", when, x(s.InpatientNo), x(s.RecordNo), x(s.Address), x(s.Postcode), x(s.Phone), x(s.IDNumber), x(s.Name),
		s.sex("1", "2"), s.Birth.Format("20060102"), when, x(s.Doctors[0]), x(s.Hospital), x(s.Hospital))
	for _, r := range s.Relatives {
		fmt.Fprintf(&b, `<participant typeCode="IND"><associatedEntity classCode="ECON"><telecom value="%s"/><associatedPerson><name>%s</name></associatedPerson></associatedEntity></participant>
`, x(r.Phone), x(r.Name))
	}
	fmt.Fprintf(&b, `<component><structuredBody><component><section><code code="8648-8" codeSystem="2.16.840.1.113883.6.1"/><text>%s</text></section></component></structuredBody></component>
</ClinicalDocument>
`, x(n.Text))
	return []byte(b.String())
}
