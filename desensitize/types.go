package desensitize

import (
	"log/slog"
	"strings"
)

// Type says what identifying thing a value is. The names are those of the recognisers of free
// text, so that a value has one type wherever it stands.
type Type string

// Types of identifiers. They cover the direct identifiers of GB/T 37964-2019 Annex A and the
// eighteen of 45 CFR 164.514(b)(2)(i).
const (
	Name         Type = "name"
	IDCard       Type = "id-card"      // resident identity number, GB 11643
	InsuranceNo  Type = "insurance-no" // medical or social insurance
	Phone        Type = "phone"
	Fax          Type = "fax"
	BankCard     Type = "bank-card"
	Passport     Type = "passport"
	OfficerID    Type = "officer-id"
	HMTPermit    Type = "hmt-permit" // permits of Hong Kong, Macao and Taiwan residents
	Plate        Type = "plate"
	WeChat       Type = "wechat"
	QQ           Type = "qq"
	Email        Type = "email"
	URL          Type = "url"
	IP           Type = "ip"
	Address      Type = "address"
	Postcode     Type = "postcode"
	Hospital     Type = "hospital"
	Ward         Type = "ward"
	Bed          Type = "bed"
	InpatientNo  Type = "inpatient-no"
	OutpatientNo Type = "outpatient-no"
	RecordNo     Type = "record-no"
	ExamNo       Type = "exam-no"
	Date         Type = "date"
	Age          Type = "age"
	Employer     Type = "employer"
	Account      Type = "account"
	Licence      Type = "licence"
	Device       Type = "device"
	Biometric    Type = "biometric"
	SSN          Type = "ssn"
	OtherID      Type = "other-id"
)

// Types that only structure tells; recognisers of free text do not report them.
const (
	Text       Type = "text"       // narrative, notes, comments
	Attachment Type = "attachment" // content of another format
	Diagnosis  Type = "diagnosis"  // a code of ICD-10 or its text
	Quantity   Type = "quantity"   // a number that was measured or counted
	BirthDate  Type = "birth-date"
	Coded      Type = "coded" // a code of a terminology and its display
	Reference  Type = "reference"
	Other      Type = "other"
)

// identifierTypes are the types that a policy's text rules may name.
var identifierTypes = []Type{
	Name, IDCard, InsuranceNo, Phone, Fax, BankCard, Passport, OfficerID, HMTPermit, Plate, WeChat, QQ, Email, URL, IP,
	Address, Postcode, Hospital, Ward, Bed, InpatientNo, OutpatientNo, RecordNo, ExamNo, Date, Age, Employer, Account,
	Licence, Device, Biometric, SSN, OtherID,
}

// IdentifierTypes returns the types that can be found in free text, in a fixed order.
func IdentifierTypes() []Type { return append([]Type(nil), identifierTypes...) }

// domain is the namespace of pseudonyms that a type belongs to. All numbers that name a
// person or an event share one: the same number is a CX in HL7 v2, an Identifier in FHIR, an
// II in CDA and 住院号 in a note, and must stay one number.
func (t Type) domain() string {
	switch t {
	case Reference, Name, Address, Hospital, Employer, Email, URL, IP, WeChat, QQ, Date, Age, Ward, Bed, Postcode:
		return string(t)
	case Phone, Fax:
		return string(Phone)
	}
	return "id"
}

// Known is what the structured part of a record says about the people in it: every variant of
// these values is removed from the record's free text before recognisers look at it.
type Known struct {
	Names         []string // of the patient
	Relatives     []string
	Staff         []string
	IDNumbers     []string
	Phones        []string
	Addresses     []string
	Hospitals     []string
	Employers     []string
	RecordNumbers []string
	Dates         []string // of birth and other dates that name the patient
}

// LogValue implements slog.LogValuer: these are identifiers.
func (k *Known) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// maxKnown bounds each list of Known: a record that names more people than this is a list of
// people, and searching all of them in every note would take quadratic time.
const maxKnown = 256

// Add puts a value into the list of its type; relatives and staff are added to their own
// lists directly. Values of other types, blanks and repetitions are passed over.
func (k *Known) Add(t Type, value string) {
	switch t {
	case Name:
		add(&k.Names, value)
	case Phone, Fax, WeChat, QQ, Email:
		add(&k.Phones, value)
	case Address:
		add(&k.Addresses, value)
	case Hospital:
		add(&k.Hospitals, value)
	case Employer:
		add(&k.Employers, value)
	case BirthDate:
		add(&k.Dates, value)
	case IDCard, InsuranceNo, Passport, OfficerID, HMTPermit, SSN, BankCard, Account, Licence:
		add(&k.IDNumbers, value)
	case InpatientNo, OutpatientNo, RecordNo, ExamNo, OtherID:
		add(&k.RecordNumbers, value)
	}
}

// AddRelative and AddStaff put a name of a relative, or of a member of the staff, in.
func (k *Known) AddRelative(name string) { add(&k.Relatives, name) }

// AddStaff puts the name of a member of the staff in.
func (k *Known) AddStaff(name string) { add(&k.Staff, name) }

// Merge adds all that other knows. other may be nil.
func (k *Known) Merge(other *Known) {
	if other == nil {
		return
	}
	for _, l := range []struct {
		to   *[]string
		from []string
	}{
		{&k.Names, other.Names}, {&k.Relatives, other.Relatives}, {&k.Staff, other.Staff}, {&k.IDNumbers, other.IDNumbers},
		{&k.Phones, other.Phones}, {&k.Addresses, other.Addresses}, {&k.Hospitals, other.Hospitals},
		{&k.Employers, other.Employers}, {&k.RecordNumbers, other.RecordNumbers}, {&k.Dates, other.Dates},
	} {
		for _, v := range l.from {
			add(l.to, v)
		}
	}
}

func add(list *[]string, value string) {
	value = strings.TrimSpace(value)
	if value == "" || len(*list) >= maxKnown {
		return
	}
	for _, have := range *list {
		if have == value {
			return
		}
	}
	*list = append(*list, value)
}
