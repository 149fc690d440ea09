package v2

import (
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
)

// whose says whom a field is about; it decides into which list of Known its names go.
type whose uint8

const (
	staff    whose = iota // professionals, and whoever is not told
	patient               // the patient
	relative              // relatives, contacts, guarantors, insured persons
)

// meaningTable says what the simple type of a field does not tell: fields of text or numbers
// that identify somebody, and names and places of other people than the type suggests.
const meaningTable = `
name          GT1-3 GT1-4 SDD-7 IN3-15 CER-13 ACC-9 FAC-6
ssn           PID-19 GT1-12 NK1-37 IN2-2
birth-date    PID-7 NK1-16 GT1-8 IN1-18 STF-6 DON-11
address       PID-12 PID-23 NK1-38 GT1-56 IN1-52 ACC-3 PV2-6 URD-6
employer      NK1-13 GT1-16 GT1-21 GT1-51 IN1-9 IN1-11 IN2-69 IN2-70
insurance-no  IN1-8 IN1-10 IN1-28 IN1-36 IN1-49 IN2-1 IN2-6 IN2-8 IN2-25 IN2-26 IN2-61 PM1-7 IN3-2
officer-id    IN2-10
account       PID-18 PV1-50 PV1-19 MRG-3 GT1-2 BLG-3 PMT-9 PMT-10 IVC-26 IVC-27 IVC-30
record-no     PID-2 PID-3 PID-4 PID-21 MRG-1 MRG-2 MRG-4 MRG-5 MRG-6 PV1-5 PD1-10
exam-no       OBR-2 OBR-3 ORC-2 ORC-3 ORC-4 TXA-12 TXA-13 TXA-14 TXA-15 SPM-2 SPM-3 RXE-15 RXD-7 RX1-26 RX1-23 FT1-2 FT1-3 FT1-23 FT1-42 OBR-18 OBR-19 OBR-20 OBR-21 UB2-12
other-id      MSH-8 MSH-10 MSH-13 MSH-14 MSA-2 MSA-4 BHS-8 BHS-9 BHS-11 BHS-12 FHS-8 FHS-9 FHS-11 FHS-12 MFE-2 MFA-2 TXA-16 EQP-2 QRD-4 QAK-1 QPD-2 QID-1 CON-3 ADD-1 DSC-1 CER-2 STF-37 SFT-4
email         STF-15
licence       PID-20 STF-22 PRA-6
device        DON-26 PRT-19 PRT-20 PCR-12 OBX-18 PRT-10 PRT-16 SCP-4 SCP-5 SCP-6 SDD-3 SLT-2 PDC-8 EQU-1
hospital      MSH-3 MSH-4 MSH-5 MSH-6 BHS-3 BHS-4 BHS-5 BHS-6 FHS-3 FHS-4 FHS-5 FHS-6 EVN-7 PID-34 LOC-2 LOC-3 VND-3 AUT-3
diagnosis     DG1-3 DG1-4 PRB-3 PV2-3 FT1-19 DRG-1 OBR-31
quantity      OBX-5
text          NTE-3 PV1-53 PV2-5 PV2-12 ACC-8 PR1-4 OBR-13 OBR-39 OBR-46 RXE-7 RXO-6 RXO-7 TXA-25 AL1-5 IAM-5 ERR-7 ERR-8 MSA-3 DSP-3 DSP-5 PES-7 PES-8 PEO-16 PEO-17
attachment    CER-6 STF-41 UAC-2
`

var meanings = func() map[string]desensitize.Type {
	out := map[string]desensitize.Type{}
	for _, line := range strings.Split(strings.TrimSpace(meaningTable), "\n") {
		fields := strings.Fields(line)
		for _, place := range fields[1:] {
			out[place] = desensitize.Type(fields[0])
		}
	}
	return out
}()

// people says whom the names in a segment are about, where it is not the staff; fields of a
// segment that differ stand with their number.
var people = map[string]whose{
	"PID": patient, "MRG": patient, "PID-6": relative, "NK1": relative, "GT1": relative, "IN1": relative, "IN2": relative,
	"CON": relative, "PD1": staff, "IN1-30": staff, "IN2-3": relative, "IN2-22": relative, "DON": relative, "PYE": relative,
}

// structural fields make a message what it is. Their tokens are kept whatever a policy says;
// a value that is no token is refused or emptied.
var structural = map[string]bool{
	"MSH-1": true, "MSH-2": true, "MSH-9": true, "MSH-11": true, "MSH-12": true, "MSH-15": true, "MSH-16": true, "MSH-17": true,
	"MSH-18": true, "MSH-20": true, "EVN-1": true, "OBX-2": true, "BTS-1": true, "FTS-1": true, "BHS-1": true, "BHS-2": true, "FHS-1": true, "FHS-2": true,
	"MSA-1": true, "QAK-2": true, "MFE-5": true, "ORC-1": true, "PID-1": true, "OBX-1": true, "OBR-1": true, "NTE-1": true,
}

// identifierCodes gives the type of an identifier by its code of HL7 table 0203.
var identifierCodes = map[string]desensitize.Type{
	"NNCHN": desensitize.IDCard, "NI": desensitize.IDCard, "SS": desensitize.SSN, "PPN": desensitize.Passport, "PPCHN": desensitize.Passport,
	"DL": desensitize.Licence, "MI": desensitize.OfficerID, "AN": desensitize.Account, "BA": desensitize.BankCard, "BC": desensitize.BankCard,
	"HC": desensitize.InsuranceNo, "MA": desensitize.InsuranceNo, "MC": desensitize.InsuranceNo, "SN": desensitize.InsuranceNo,
	"NIIP": desensitize.InsuranceNo, "MR": desensitize.RecordNo, "PI": desensitize.RecordNo, "PT": desensitize.RecordNo, "LR": desensitize.RecordNo,
	"VN": desensitize.InpatientNo, "VISIT": desensitize.InpatientNo,
}
