package deidtest

// Type names a kind of identifier, in the words of the free-text engine.
type Type string

// The types of identifiers that notes hold.
const (
	Name        Type = "name"
	IDCard      Type = "id-card"
	InsuranceNo Type = "insurance-no"
	Phone       Type = "phone"
	BankCard    Type = "bank-card"
	Passport    Type = "passport"
	OfficerID   Type = "officer-id"
	Permit      Type = "hmt-permit"
	Plate       Type = "plate"
	WeChat      Type = "wechat"
	QQ          Type = "qq"
	Email       Type = "email"
	URL         Type = "url"
	IP          Type = "ip"
	Address     Type = "address"
	Postcode    Type = "postcode"
	Hospital    Type = "hospital"
	Ward        Type = "ward"
	Bed         Type = "bed"
	InpatientNo Type = "inpatient-no"
	OutpatNo    Type = "outpatient-no"
	RecordNo    Type = "record-no"
	ExamNo      Type = "exam-no"
	Date        Type = "date"
	Age         Type = "age"
	Employer    Type = "employer"
	Account     Type = "account"
	Licence     Type = "licence"
	Device      Type = "device"
	SSN         Type = "ssn"
	Fax         Type = "fax"
	OtherID     Type = "other-id"
)

// Span is a part of a note's text, in bytes; Start is included, End is not.
type Span struct {
	Start, End int
	Type       Type // empty for Keep and Neutral
}

// Known is what a structured header would tell about the note: the patient, those around
// the patient, and the numbers of the visit. Its values carry no noise.
type Known struct {
	Names, Relatives, Staff, IDNumbers, Phones, Addresses, Hospitals, Employers, RecordNumbers []string
	Dates                                                                                      []string
}

// Note is one synthetic document. The people in it do not exist.
type Note struct {
	ID       string // such as zh-00017
	Language string // zh or en
	Kind     string // such as admission
	Noise    string // what was done to the text; empty for none
	Text     string
	// Gold must be removed, Keep must stay, Neutral is not judged. Each is sorted and
	// disjoint, and no two of them overlap.
	Gold, Keep, Neutral []Span
	Known               Known
	Subject             Subject
	// Header says that Known goes with the note; without it, it holds what the header would
	// have said, for searches in the output.
	Header bool
}
