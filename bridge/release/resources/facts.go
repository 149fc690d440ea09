package resources

import (
	"regexp"
	"strings"

	"github.com/emrbridge/emrbridge/record"
)

// icd10 are the code systems of ICD-10: that of WHO, its modifications and the Chinese
// editions (GB/T 14396, the clinical and the insurance edition) by the identifiers in use.
func icd10(system string) bool {
	s := strings.ToLower(system)
	return strings.Contains(s, "icd-10") && !strings.Contains(s, "pcs") || strings.Contains(s, "icd10") && !strings.Contains(s, "pcs") ||
		strings.HasSuffix(s, "2.16.840.1.113883.6.3") || strings.HasSuffix(s, "2.16.840.1.113883.6.90") || strings.HasSuffix(s, "2.16.156.10011.2.3.3.11")
}

// icdCode is the form of a code of ICD-10 where no system is named: a letter, two characters
// and, behind a point, up to six more.
var icdCode = regexp.MustCompile(`^[A-Z][0-9][0-9A-Z](\.?[0-9A-Zx+*]{1,6})?$`)

// Diagnoses returns the ICD-10 codes of the conditions, and of the reasons of encounters.
func (l List) Diagnoses() (out []string) {
	for _, r := range l {
		switch r["resourceType"] {
		case "Condition":
			out = append(out, codes(r["code"])...)
		case "Encounter":
			list, _ := r["reasonCode"].([]any)
			for _, c := range list {
				out = append(out, codes(c)...)
			}
		}
	}
	return out
}

// codes are those of a CodeableConcept. A coding without a system counts if it has the form.
func codes(concept any) (out []string) {
	m, _ := concept.(map[string]any)
	list, _ := m["coding"].([]any)
	for _, c := range list {
		coding, _ := c.(map[string]any)
		code, _ := coding["code"].(string)
		system, _ := coding["system"].(string)
		if code != "" && (icd10(system) || system == "" && icdCode.MatchString(code)) {
			out = append(out, code)
		}
	}
	return out
}

// Region is where the patient lives: province, city and county of the first address that
// names them, without anything finer.
func (l List) Region() string {
	for _, r := range l {
		if r["resourceType"] != "Patient" {
			continue
		}
		list, _ := r["address"].([]any)
		for _, a := range list {
			address, _ := a.(map[string]any)
			var b strings.Builder
			for _, name := range []string{"state", "city", "district"} {
				if s, ok := address[name].(string); ok {
					b.WriteString(strings.TrimSpace(s))
				}
			}
			if b.Len() > 0 {
				return b.String()
			}
		}
	}
	return ""
}

// Birthplace is the division in which a resident number was issued (its first six digits, GB/T 2260), "" without
// such a number: the second best where no address is known.
func Birthplace(p record.Patient) string {
	if id, ok := p.Find(record.ResidentID); ok && len(id.Value) >= 15 {
		return id.Value[:6]
	}
	return ""
}

// tag is an XML tag with attributes; code and system are two of them.
var (
	tag        = regexp.MustCompile(`<[A-Za-z][A-Za-z0-9:]*\s[^<>]{1,1000}>`)
	codeAttr   = regexp.MustCompile(`\scode\s*=\s*["']([A-Z][0-9A-Z][0-9A-Za-z.+*]{1,14})["']`)
	systemAttr = regexp.MustCompile(`\scodeSystem\s*=\s*["']([0-9.]{3,64})["']`)
)

// maxDiagnoses bounds the codes that are taken from one document.
const maxDiagnoses = 256

// DocumentDiagnoses returns the ICD-10 codes of a CDA document. It looks at tags alone, in
// any charset that keeps ASCII.
func DocumentDiagnoses(payload []byte) (out []string) {
	for _, t := range tag.FindAll(payload, -1) {
		system := systemAttr.FindSubmatch(t)
		code := codeAttr.FindSubmatch(t)
		if system == nil || code == nil || !icd10(string(system[1])) {
			continue
		}
		if out = append(out, string(code[1])); len(out) == maxDiagnoses {
			break
		}
	}
	return out
}
