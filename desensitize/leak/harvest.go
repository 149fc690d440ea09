package leak

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
)

// Harvest reads the identifiers that the structured parts of an original record name: of the
// patient, relatives, staff, insurance. It is lenient, since it must not depend on the
// parsers that the record was de-identified with; what it cannot read it passes over.
// A plain text has no structured parts.
func Harvest(f Format, original []byte) Known {
	if f == "" {
		f = Detect(original)
	}
	var k Known
	switch f {
	case HL7v2:
		harvestHL7(&k, decode(original))
	case FHIR:
		harvestJSON(&k, decode(original))
	case CDA:
		harvestXML(&k, decode(original))
	}
	return k
}

// kinds of fields of HL7 v2, by what they hold.
const (
	personField  = 'n' // XPN of the patient
	kinField     = 'r' // XPN of a relative
	staffField   = 's' // XCN
	idField      = 'i' // CX
	recordField  = 'v' // CX or EI of a visit, an order
	addressField = 'a'
	phoneField   = 'p'
	birthField   = 'd'
	workField    = 'w'
)

// fieldsHL7 are the fields that name somebody, by segment: number and kind.
var fieldsHL7 = map[string]string{
	"PID": "2i 3i 4i 5n 6r 7d 9n 11a 13p 14p 18i 19i 20i 21i",
	"PD1": "3w 4s",
	"NK1": "2r 4a 5p 6p 13w 30r 31p 32a 33i",
	"PV1": "7s 8s 9s 17s 19v 50v 52s",
	"GT1": "2i 3r 4r 5a 6p 7p 12i 16w 19i",
	"IN1": "2i 16r 18d 19a 36i 44w 49i",
	"IN2": "1i 2i 6i 61i 72i",
	"MRG": "1i 2i 3i 4i 5v 6v 7n",
	"OBR": "2v 3v 10s 16s 28s 32s 33s 34s 35s",
	"ORC": "2v 3v 10s 11s 12s 19s",
	"OBX": "16s", "TXA": "5s 9s 10s 11s 12v", "EVN": "5s", "DG1": "16s", "PR1": "8s 11s 12s", "AIP": "3s", "SCH": "12s 16s 20s", "ROL": "4s 11a 12p", "FT1": "2v 20s 21s", "RXA": "10s", "PRD": "2s 3a 5p", "CTD": "2r 3a 5p",
}

func harvestHL7(k *Known, text string) {
	i := strings.Index(text, "MSH")
	if i < 0 || len(text) < i+9 {
		return
	}
	field, comp, rep, esc, sub := text[i+3:i+4], text[i+4:i+5], text[i+5:i+6], text[i+6], text[i+7:i+8]
	for segment := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		f := strings.Split(segment, field)
		for spec := range strings.FieldsSeq(fieldsHL7[f[0]]) {
			n, kind := atoi(spec[:len(spec)-1]), spec[len(spec)-1]
			if n >= len(f) || f[n] == "" || f[n] == `""` {
				continue
			}
			for _, r := range strings.Split(f[n], rep) {
				parts := strings.Split(r, comp)
				for j, p := range parts {
					whole := strings.ReplaceAll(p, sub, " ")
					parts[j] = strings.TrimSpace(unescapeHL7(whole, esc))
				}
				k.fieldHL7(kind, parts)
			}
		}
	}
}

// fieldHL7 files one repetition of a field.
func (k *Known) fieldHL7(kind byte, parts []string) {
	part := func(n int) string {
		if n < len(parts) && parts[n] != `""` {
			return parts[n]
		}
		return ""
	}
	switch kind {
	case personField:
		addName(&k.Names, part(0), part(1), part(2))
	case kinField:
		addName(&k.Relatives, part(0), part(1), part(2))
	case staffField:
		addName(&k.Staff, part(1), part(2), part(3))
		if len(part(0)) >= 4 {
			k.RecordNumbers = append(k.RecordNumbers, part(0))
		}
	case idField:
		k.IDNumbers = append(k.IDNumbers, part(0))
	case recordField:
		k.RecordNumbers = append(k.RecordNumbers, part(0))
	case addressField:
		k.Addresses = append(k.Addresses, part(0), part(1), strings.Join(parts[:min(len(parts), 2)], ""))
	case phoneField:
		for _, n := range []int{0, 6, 11} {
			k.Phones = append(k.Phones, part(n))
		}
		if strings.Contains(part(3), "@") {
			k.Others = append(k.Others, part(3))
		}
	case birthField:
		k.Dates = append(k.Dates, part(0))
	case workField:
		k.Employers = append(k.Employers, part(0))
	}
}

// addName files a name from its parts: Chinese names are written together, others apart.
func addName(list *[]string, family, given, middle string) {
	glue := " "
	if strings.IndexFunc(family+given, isHan) >= 0 {
		glue = ""
	}
	name := strings.Join(nonEmpty(family, given), glue)
	if glue == " " {
		name = strings.Join(nonEmpty(given, middle, family), glue)
	}
	if name != "" {
		*list = append(*list, name)
	}
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// harvestJSON reads FHIR: HumanName, ContactPoint, Address and Identifier by the names of the
// members that hold them.
func harvestJSON(k *Known, text string) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		var v any
		if err := d.Decode(&v); err != nil {
			return
		}
		k.walkJSON("", "", v, 0)
	}
}

func (k *Known) walkJSON(resource, member string, v any, depth int) {
	if depth > 200 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			k.walkJSON(resource, member, e, depth+1)
		}
	case map[string]any:
		if t, ok := v["resourceType"].(string); ok {
			resource = t
		}
		k.object(resource, member, v)
		for name, e := range v {
			k.walkJSON(resource, name, e, depth+1)
		}
	case string:
		k.text(resource, member, v)
	}
}

// object files a complex value by the member that holds it.
func (k *Known) object(resource, member string, v map[string]any) {
	get := func(name string) string { s, _ := v[name].(string); return s }
	list := func(name string) []string {
		var out []string
		items, _ := v[name].([]any)
		for _, e := range items {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	switch member {
	case "name", "valueHumanName":
		k.humanName(resource, get("text"), get("family"), list("given"))
	case "telecom", "valueContactPoint":
		if s := get("value"); strings.Contains(s, "@") || get("system") == "url" {
			k.Others = append(k.Others, s)
		} else {
			k.Phones = append(k.Phones, s)
		}
	case "address", "valueAddress":
		k.Addresses = append(k.Addresses, get("text"), strings.Join(list("line"), ""))
		k.Addresses = append(k.Addresses, list("line")...)
	case "identifier", "valueIdentifier":
		if resource == "Patient" || resource == "Person" || resource == "RelatedPerson" || resource == "Coverage" {
			k.IDNumbers = append(k.IDNumbers, get("value"))
		} else {
			k.RecordNumbers = append(k.RecordNumbers, get("value"))
		}
	}
}

func (k *Known) humanName(resource, text, family string, given []string) {
	to := &k.Names
	switch resource {
	case "Practitioner":
		to = &k.Staff
	case "RelatedPerson":
		to = &k.Relatives
	case "Organization", "Location", "HealthcareService":
		return
	}
	if text != "" {
		*to = append(*to, text)
	}
	first := ""
	if len(given) > 0 {
		first = given[0]
	}
	addName(to, family, first, strings.Join(given[min(1, len(given)):], " "))
}

// text files a primitive value.
func (k *Known) text(resource, member, v string) {
	switch {
	case member == "birthDate":
		k.Dates = append(k.Dates, v)
	case member == "name" && resource == "Organization":
		k.Hospitals = append(k.Hospitals, v)
	case member == "subscriberId":
		k.IDNumbers = append(k.IDNumbers, v)
	}
}

// harvestXML reads the header of a CDA document. Names of organisations and of the sections'
// subjects are told apart by the elements around them.
func harvestXML(k *Known, text string) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.Entity = false, xml.HTMLEntity
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var path []string
	var value bytes.Buffer
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) || err != nil {
			return
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if n := len(path); n > 0 && path[n-1] == "name" {
				value.WriteByte(' ') // parts of a name run on
			} else {
				value.Reset()
			}
			path = append(path, tok.Name.Local)
			attrs := map[string]string{}
			for _, a := range tok.Attr {
				attrs[a.Name.Local] = a.Value
			}
			k.startXML(path, attrs)
		case xml.CharData:
			value.Write(tok)
		case xml.EndElement:
			k.endXML(path, strings.TrimSpace(value.String()))
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
			if n := len(path); n == 0 || path[n-1] != "name" {
				value.Reset()
			}
		}
		if len(path) > 256 {
			return
		}
	}
}

func (k *Known) startXML(path []string, attrs map[string]string) {
	switch path[len(path)-1] {
	case "id":
		ext := attrs["extension"]
		if slices.Contains(path, "recordTarget") {
			k.IDNumbers = append(k.IDNumbers, ext)
		} else if ext != "" {
			k.RecordNumbers = append(k.RecordNumbers, ext)
		}
	case "telecom":
		v := attrs["value"]
		if strings.Contains(v, "@") {
			k.Others = append(k.Others, strings.TrimPrefix(v, "mailto:"))
		} else {
			k.Phones = append(k.Phones, strings.TrimPrefix(v, "tel:"))
		}
	case "birthTime":
		k.Dates = append(k.Dates, attrs["value"][:min(len(attrs["value"]), 8)])
	}
}

func (k *Known) endXML(path []string, value string) {
	if value == "" || len(path) == 0 {
		return
	}
	switch path[len(path)-1] {
	case "streetAddressLine", "streetName", "addr":
		k.Addresses = append(k.Addresses, value)
	case "name":
		if list := k.bearers(path); list != nil {
			*list = append(*list, value)
		}
	}
}

// bearers is the list that a name belongs to, by the elements around it.
func (k *Known) bearers(path []string) *[]string {
	any := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(path, n) })
	}
	switch {
	case len(path) >= 2 && strings.HasSuffix(strings.ToLower(path[len(path)-2]), "organization"):
		return &k.Hospitals
	case any("guardianPerson", "associatedPerson", "relatedSubject"):
		return &k.Relatives
	case any("patient", "patientRole"):
		return &k.Names
	case any("assignedPerson", "assignedEntity", "assignedAuthor"):
		return &k.Staff
	}
	return nil
}
