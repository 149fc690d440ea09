package ledger

import (
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// Systems of identifiers and codes of the consortium.
const (
	SystemMember  = tree.LocalURL + "NamingSystem/member"       // MSP id of a hospital
	SystemTag     = tree.LocalURL + "NamingSystem/patient-tag"  // keyed tag of a patient, 32 hexadecimal digits
	SystemRecord  = tree.LocalURL + "NamingSystem/record"       // record id, 32 hexadecimal digits
	SystemConsent = tree.LocalURL + "NamingSystem/consent"      // id of a consent on the ledger
	SystemRequest = tree.LocalURL + "NamingSystem/access"       // id of an access request on the ledger
	SystemKind    = tree.LocalURL + "CodeSystem/record-kind"    // kind of a record, as ORU^R01 or C0039
	SystemStep    = tree.LocalURL + "CodeSystem/statement"      // kind of a statement on the ledger
	SystemStage   = tree.LocalURL + "CodeSystem/stage"          // step of a record on its way to the ledger
	SystemState   = tree.LocalURL + "CodeSystem/access-outcome" // what came of an access
)

const (
	terminology = "http://terminology.hl7.org/CodeSystem/"
	actReason   = terminology + "v3-ActReason"
	partTypes   = terminology + "v3-ParticipationType"
	dicom       = "http://dicom.nema.org/resources/ontology/DCM"
)

// Anyone stands for every member of the consortium.
const Anyone = "*"

// instant writes a time as FHIR instant; "" for the zero time.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}

// member is a logical reference to a hospital.
func member(msp string) *tree.Object {
	if msp == "" {
		return nil
	}
	display := msp
	if msp == Anyone {
		display = "any member of the consortium · 联盟任一成员"
	}
	return tree.New("type", "Organization", "identifier", tree.New("system", SystemMember, "value", msp), "display", display)
}

// bearer is a logical reference to the patient behind a tag.
func bearer(tag string) *tree.Object {
	if tag == "" {
		return nil
	}
	return tree.New("type", "Patient", "identifier", tree.New("system", SystemTag, "value", tag))
}

// purposes gives the codes of v3-ActReason for the ledger's purposes.
var purposes = map[string][2]string{
	"treatment": {"TREAT", "treatment"}, "research": {"HRESCH", "healthcare research"},
}

func purposeCoding(purpose string) *tree.Object {
	if p, ok := purposes[purpose]; ok {
		return tree.Code(actReason, p[0], p[1])
	}
	return nil
}
