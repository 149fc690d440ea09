package v2tofhir

import (
	"regexp"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

const (
	hl7Table    = "http://terminology.hl7.org/CodeSystem/v2-"
	v3          = "http://terminology.hl7.org/CodeSystem/v3-"
	terminology = "http://terminology.hl7.org/CodeSystem/"
	systemLOINC = "http://loinc.org"
	systemUCUM  = "http://unitsofmeasure.org"
	oidResident = "urn:oid:2.16.156.10011.1.3"  // 居民身份证号 (WS/T 500)
	oidHealth   = "urn:oid:2.16.156.10011.1.19" // 居民健康卡号
)

// codeSystems gives the address of the coding systems of HL7 table 0396 and their usual
// names in China.
var codeSystems = map[string]string{
	"LN": systemLOINC, "LOINC": systemLOINC, "SCT": "http://snomed.info/sct", "SNM": "http://snomed.info/sct", "SNOMED-CT": "http://snomed.info/sct",
	"UCUM": systemUCUM, "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm", "NDC": "http://hl7.org/fhir/sid/ndc",
	"CVX": "http://hl7.org/fhir/sid/cvx", "MVX": terminology + "MVX", "ATC": "http://www.whocc.no/atc",
	"I10": "http://hl7.org/fhir/sid/icd-10", "ICD10": "http://hl7.org/fhir/sid/icd-10", "ICD-10": "http://hl7.org/fhir/sid/icd-10",
	"I10C": "http://hl7.org/fhir/sid/icd-10-cm", "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
	"I10P": "http://www.cms.gov/Medicare/Coding/ICD10",
	"I9":   "http://hl7.org/fhir/sid/icd-9", "I9C": "http://hl7.org/fhir/sid/icd-9-cm", "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm", "I9CM": "http://hl7.org/fhir/sid/icd-9-cm", "I9CP": "http://hl7.org/fhir/sid/icd-9-cm",
	"ICD9": "http://hl7.org/fhir/sid/icd-9", "ICD-9-CM": "http://hl7.org/fhir/sid/icd-9-cm", "ICD-9-CM-3": "http://hl7.org/fhir/sid/icd-9-cm",
	"C4": "http://www.ama-assn.org/go/cpt", "CPT": "http://www.ama-assn.org/go/cpt", "CPT4": "http://www.ama-assn.org/go/cpt",
	"CDCREC": "urn:oid:2.16.840.1.113883.6.238", "ISO3166": "urn:iso:std:iso:3166", "ISO639": "urn:ietf:bcp:47",
	"GB/T 2261.1": "urn:oid:2.16.156.10011.2.3.3.4", "GB/T 2261.2": "urn:oid:2.16.156.10011.2.3.3.5", "GB 3304": "urn:oid:2.16.156.10011.2.3.3.3",
	"DCM": "http://dicom.nema.org/resources/ontology/DCM", "IETF": "urn:ietf:bcp:47",
}

// knownOIDs are coding systems that FHIR knows by another address than their object
// identifier (FHIR R4 §4.3).
var knownOIDs = map[string]string{
	"2.16.840.1.113883.6.1": systemLOINC, "2.16.840.1.113883.6.96": "http://snomed.info/sct", "2.16.840.1.113883.6.8": systemUCUM,
	"2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm", "2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx", "2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
}

// codeSystem finds the address of a coding system by its name in CWE.3 and its object
// identifier in CWE.14. "" means that nobody outside the sender can know it.
func (c *converter) codeSystem(name, oid string) string {
	if uri, ok := c.o.Systems[name]; ok && name != "" {
		return uri
	}
	up := strings.ToUpper(name)
	if uri, ok := codeSystems[up]; ok {
		return uri
	}
	if uri, ok := knownOIDs[oid]; ok {
		return uri
	}
	if oidPattern.MatchString(oid) {
		return "urn:oid:" + oid
	}
	if table, ok := strings.CutPrefix(up, "HL7"); ok && len(table) == 4 && digits(table) {
		return hl7Table + table
	}
	if uri, ok := knownOIDs[name]; ok {
		return uri
	}
	if oidPattern.MatchString(name) {
		return "urn:oid:" + name
	}
	return ""
}

var (
	oidPattern  = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]*))+$`)
	uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	codePattern = regexp.MustCompile(`^[^\s\x00-\x1f]+( [^\s\x00-\x1f]+)*$`)
	uriPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f]+$`)
)

// pick maps a code of a table; the code counts as read only if the table has it.
func pick(v val, table map[string]string) string {
	to, ok := table[strings.ToUpper(v.peek())]
	if ok {
		v.c(1).done()
	}
	return to
}

// Concept maps of the guide, by HL7 table. What a table does not hold is kept as unmapped.
var (
	genders = map[string]string{ // 0001, and GB/T 2261.1
		"F": "female", "M": "male", "O": "other", "A": "other", "U": "unknown", "N": "other",
		"1": "male", "2": "female", "0": "unknown", "9": "unknown", "男": "male", "女": "female", "未知": "unknown",
	}
	nameUses = map[string]string{ // 0200
		"BAD": "old", "NOUSE": "old", "D": "usual", "L": "official", "R": "official", "M": "maiden", "MSK": "anonymous", "N": "nickname", "NAV": "temp", "TEMP": "temp",
	}
	addressUses  = map[string]string{"B": "work", "O": "work", "BA": "old", "BI": "billing", "C": "temp", "H": "home"} // 0190
	addressTypes = map[string]string{"M": "postal", "SH": "postal"}                                                    // 0190
	telecomUses  = map[string]string{"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "ASN": "work", "EMR": "temp", "NET": "", "PRS": "mobile", "BPN": ""}
	telecomKinds = map[string]string{ // 0202
		"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "INTERNET": "email", "X.400": "email", "SAT": "phone", "TDD": "other", "TTY": "other", "MD": "other",
	}
	encounterClasses = map[string][2]string{ // 0004
		"E": {"EMER", "emergency"}, "I": {"IMP", "inpatient encounter"}, "O": {"AMB", "ambulatory"}, "P": {"PRENC", "pre-admission"},
	}
	classStatus = map[string]string{
		"E": "in-progress", "I": "in-progress", "O": "in-progress", "P": "planned", "R": "in-progress", "B": "in-progress", "C": "in-progress", "N": "in-progress", "U": "unknown",
	}
	// eventStatus is the state that an ADT event puts an encounter in, where it says more
	// than the patient class.
	eventStatus = map[string]string{
		"A01": "in-progress", "A02": "in-progress", "A03": "finished", "A05": "planned", "A11": "cancelled", "A12": "in-progress", "A13": "in-progress",
		"A14": "planned", "A21": "onleave", "A22": "in-progress", "A23": "entered-in-error", "A27": "cancelled", "A38": "cancelled",
	}
	observationStatus = map[string]string{ // 0085
		"A": "amended", "B": "amended", "C": "corrected", "D": "entered-in-error", "F": "final", "I": "registered", "N": "registered", "O": "registered",
		"P": "preliminary", "R": "preliminary", "S": "preliminary", "U": "final", "V": "final", "W": "entered-in-error", "X": "cancelled",
	}
	reportStatus = map[string]string{ // 0123
		"A": "partial", "C": "corrected", "F": "final", "I": "registered", "M": "partial", "N": "registered", "O": "registered", "P": "preliminary", "R": "partial",
		"S": "registered", "X": "cancelled", "Y": "unknown", "Z": "unknown",
	}
	orderStatus = map[string]string{ // 0038
		"A": "active", "CA": "revoked", "CM": "completed", "DC": "revoked", "ER": "entered-in-error", "HD": "on-hold", "IP": "active", "RP": "revoked", "SC": "active",
	}
	// controlStatus holds what the guide maps of ORC-1; an order whose state nobody tells is
	// unknown. A request to cancel or hold leaves the order active until it is answered.
	controlStatus = map[string]string{ // 0119
		"AF": "active", "CA": "active", "HD": "active", "NW": "active", "OK": "active", "PR": "active", "PY": "active", "RL": "active", "RO": "active", "RQ": "active",
		"CR": "revoked", "DC": "revoked", "DF": "revoked", "DR": "revoked", "OC": "revoked", "OD": "revoked", "HR": "on-hold", "OH": "on-hold", "FU": "completed",
	}
	priorities = map[string]string{ // 0027, 0485
		"S": "stat", "A": "asap", "R": "routine", "P": "urgent", "C": "urgent", "T": "urgent", "PRN": "routine", "U": "urgent", "STAT": "stat", "ASAP": "asap", "ROUTINE": "routine", "URGENT": "urgent", "CSR": "routine", "CS": "routine", "RR": "routine", "TS": "urgent",
	}
	allergyCategories = map[string]string{ // 0127
		"DA": "medication", "MA": "medication", "FA": "food", "EA": "environment", "AA": "environment", "PA": "environment", "LA": "environment",
	}
	allergySeverities  = map[string]string{"SV": "severe", "MO": "moderate", "MI": "mild"} // 0128
	allergyCriticality = map[string]string{"SV": "high", "MO": "low", "MI": "low", "U": "unable-to-assess"}
	documentStatus     = map[string]string{ // 0271
		"DI": "preliminary", "DO": "preliminary", "IN": "preliminary", "IP": "preliminary", "PA": "preliminary", "AU": "final", "LA": "final", "AM": "amended",
	}
	availability        = map[string]string{"AV": "current", "OB": "superseded", "CA": "entered-in-error"} // 0273
	appointmentStatuses = map[string]string{                                                               // 0278
		"BOOKED": "booked", "PENDING": "pending", "COMPLETE": "fulfilled", "CANCELLED": "cancelled", "CANCELED": "cancelled", "NOSHOW": "noshow", "DELETED": "entered-in-error",
		"STARTED": "arrived", "WAITLIST": "waitlist", "DC": "cancelled", "BLOCKED": "booked", "OVERBOOK": "booked",
	}
	eventAppointments = map[string]string{
		"S12": "booked", "S13": "booked", "S14": "booked", "S15": "cancelled", "S16": "cancelled", "S17": "entered-in-error", "S18": "booked", "S19": "booked", "S20": "booked",
		"S21": "booked", "S22": "booked", "S23": "booked", "S24": "booked", "S26": "noshow", "S27": "booked",
	}
	yesNo = map[string]bool{"Y": true, "N": false} // 0136
)

// flag reads an ID of table 0136.
func flag(o *tree.Object, name string, v val) {
	if b, ok := yesNo[strings.ToUpper(v.peek())]; ok {
		v.c(1).done()
		o.Set(name, b)
	}
}
