package text

import "log/slog"

// Type names a kind of identifier.
type Type string

// The types of identifiers.
const (
	Name         Type = "name"          // of a patient, a relative, a member of staff
	IDCard       Type = "id-card"       // 居民身份证, GB 11643-1999, 18 or 15 digits
	InsuranceNo  Type = "insurance-no"  // 医保、社保 or health plan number
	Phone        Type = "phone"         // mobile or landline with extension
	BankCard     Type = "bank-card"     // ISO/IEC 7812 number
	Passport     Type = "passport"      // passport number
	OfficerID    Type = "officer-id"    // 军官证、士兵证、警官证
	HMTPermit    Type = "hmt-permit"    // 港澳台 permits and identity cards
	Plate        Type = "plate"         // licence plate of a vehicle
	WeChat       Type = "wechat"        // WeChat account
	QQ           Type = "qq"            // QQ number
	Email        Type = "email"         // electronic mail address
	URL          Type = "url"           // web address
	IP           Type = "ip"            // IPv4, IPv6 or MAC address
	Address      Type = "address"       // place of residence, birth, work or event
	Postcode     Type = "postcode"      // postal code
	Hospital     Type = "hospital"      // institution that treats
	Ward         Type = "ward"          // ward by number
	Bed          Type = "bed"           // bed by number
	InpatientNo  Type = "inpatient-no"  // 住院号
	OutpatientNo Type = "outpatient-no" // 门诊号
	RecordNo     Type = "record-no"     // 病历号, medical record number
	ExamNo       Type = "exam-no"       // number of an examination, image or specimen
	Date         Type = "date"          // calendar date or a part of one
	Age          Type = "age"           // age with its unit; only the number is spanned
	Employer     Type = "employer"      // place of work or school
	Account      Type = "account"       // account, login or staff number
	Licence      Type = "licence"       // driving or professional licence
	Device       Type = "device"        // serial number of a device
	Biometric    Type = "biometric"     // mention of a biometric record by number
	SSN          Type = "ssn"           // social security number (US)
	Fax          Type = "fax"           // facsimile number
	OtherID      Type = "other-id"      // any other number that identifies
)

// types lists all types; a type's place in it is its code inside the engine.
var types = []Type{"", Name, IDCard, InsuranceNo, Phone, BankCard, Passport, OfficerID, HMTPermit, Plate,
	WeChat, QQ, Email, URL, IP, Address, Postcode, Hospital, Ward, Bed, InpatientNo, OutpatientNo, RecordNo,
	ExamNo, Date, Age, Employer, Account, Licence, Device, Biometric, SSN, Fax, OtherID}

// Types returns all types that the engine reports, in a fixed order.
func Types() []Type { return append([]Type(nil), types[1:]...) }

// Known is what a structured header tells about the text: every value is searched in all
// forms that people write it in. A nil Known is an empty one.
//
// The values are patient data. A Known logs as its counts only.
type Known struct {
	Names         []string // the patient's names, in characters or in letters ("Zhang Wei")
	Relatives     []string // names of relatives and contacts
	Staff         []string // names of physicians, nurses and other staff
	IDNumbers     []string // resident identity numbers, passports, insurance numbers
	Phones        []string
	Addresses     []string
	Hospitals     []string
	Employers     []string
	RecordNumbers []string // numbers of admissions, visits, records, examinations
	Dates         []string // such as 1962-03-05, 19620305 or 1962年3月5日

	compiled *knowledge
}

// LogValue implements slog.LogValuer: it shows no value.
func (k *Known) LogValue() slog.Value {
	if k == nil {
		return slog.StringValue("none")
	}
	n := len(k.Names) + len(k.Relatives) + len(k.Staff) + len(k.IDNumbers) + len(k.Phones) +
		len(k.Addresses) + len(k.Hospitals) + len(k.Employers) + len(k.RecordNumbers) + len(k.Dates)
	return slog.GroupValue(slog.Int("values", n))
}

// Span is a part of the text that identifies: the bytes from Start up to but not including
// End, both on the edge of a character.
type Span struct {
	Start, End int
	Type       Type
	// Known tells that the value came from Known and not from a recogniser.
	Known bool
	// Score is how sure the engine is, from 0 to 1; known values have 1.
	Score float32
}
