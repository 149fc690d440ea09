package english

// Type names a kind of identifier, in the words of package text.
type Type string

// The types that are found.
const (
	Name         Type = "name"
	Phone        Type = "phone"
	Fax          Type = "fax"
	Date         Type = "date"
	Age          Type = "age" // the number alone
	Address      Type = "address"
	Postcode     Type = "postcode"
	Hospital     Type = "hospital"
	Employer     Type = "employer"
	Ward         Type = "ward"
	Bed          Type = "bed"
	SSN          Type = "ssn"
	RecordNo     Type = "record-no"
	ExamNo       Type = "exam-no"
	OutpatientNo Type = "outpatient-no"
	InsuranceNo  Type = "insurance-no"
	Account      Type = "account"
	Licence      Type = "licence"
	Passport     Type = "passport"
	Plate        Type = "plate"
	Device       Type = "device"
	OtherID      Type = "other-id"
)
