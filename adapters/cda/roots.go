package cda

import (
	"strings"

	"github.com/emrbridge/emrbridge/record"
)

// rootPrefix stands before the numbers of the consortium-wide roots of identifiers
// (WS/T 500, appendix on OIDs).
const rootPrefix = "2.16.156.10011.1."

// platformPatient is the root of a hospital's own patient number in messages of the
// platform (WS/T 846).
const platformPatient = "2.16.156.10011.2.5.1.4"

// patientRoots gives the kind of a patient's number by its root.
var patientRoots = map[string]record.IdentifierType{
	rootPrefix + "3":  record.ResidentID,   // 身份证
	rootPrefix + "11": record.OutpatientNo, // 门(急)诊号
	rootPrefix + "12": record.InpatientNo,  // 住院号
	rootPrefix + "13": record.MedicalNo,    // 病案号
	rootPrefix + "19": record.HealthCard,   // 健康卡
	rootPrefix + "2":  record.OtherID,      // 城乡居民健康档案
	rootPrefix + "15": record.InsuranceNo,  // 医保
	platformPatient:   record.LocalPatient,
	// Numbers of persons in other documents.
	"2.16.840.1.113883.4.330.156": record.Passport, // passport, China
}

// documentRoots are roots that WS/T 500 puts on patientRole/id although they do not number
// a patient: request forms, reports, consents, prescriptions, specimens.
var documentRoots = map[string]bool{
	rootPrefix + "14": true, rootPrefix + "20": true, rootPrefix + "24": true,
	rootPrefix + "32": true, rootPrefix + "33": true, rootPrefix + "34": true, rootPrefix + "8": true,
}

// Roots tells what kind of number stands under which root. The zero value knows those of
// WS/T 500 and of the platform.
type Roots struct {
	// Types adds to or replaces the known roots.
	Types map[string]record.IdentifierType
	// Alias gives a partner's own root the meaning of another: {"1.2.3": "2.16.156.10011.1.12"}.
	Alias map[string]string
}

// Standard returns the root that a partner's root stands for.
func (r Roots) Standard(root string) string {
	if to, ok := r.Alias[root]; ok {
		return to
	}
	return root
}

// Type returns the kind of number under a root; ok is false for roots that are not known,
// whose numbers are the sender's own.
func (r Roots) Type(root string) (t record.IdentifierType, ok bool) {
	if t, ok := r.Types[root]; ok {
		return t, true
	}
	root = r.Standard(root)
	if t, ok := r.Types[root]; ok {
		return t, true
	}
	t, ok = patientRoots[root]
	return t, ok
}

// validOID reports whether s is an OID: numbers without leading zeros, with dots between.
func validOID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, arc := range strings.Split(s, ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' || strings.Trim(arc, "0123456789") != "" {
			return false
		}
	}
	return true
}
