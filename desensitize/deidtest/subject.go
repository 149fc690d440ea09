package deidtest

import (
	"log/slog"
	"time"
)

// Subject is the structured part of a record: whom the note is about, and the visit.
type Subject struct {
	Name, Family, Given string
	Male                bool
	Birth, Admitted     time.Time
	IDNumber            string // resident identity number; in English notes the SSN
	Insurance           string
	Phone, Email        string
	Address, Postcode   string
	InpatientNo         string
	OutpatientNo        string
	RecordNo, ExamNo    string
	Hospital, Ward, Bed string
	Employer            string
	Relatives           []Relative
	Doctors, Nurses     []string
}

// Relative is somebody who belongs to the patient.
type Relative struct {
	Name     string `json:"name"`
	Relation string `json:"relation"`
	Phone    string `json:"phone"`
}

// LogValue keeps the person out of logs, made up or not.
func (Subject) LogValue() slog.Value { return slog.StringValue("[subject]") }

// Context is what the command deid run takes as the context of a plain text file.
type Context struct {
	File         string     `json:"file"`
	PatientName  string     `json:"patient_name"`
	IDNumber     string     `json:"id_number"`
	Phone        string     `json:"phone"`
	Address      string     `json:"address"`
	AdmissionNo  string     `json:"admission_no"`
	OutpatientNo string     `json:"outpatient_no"`
	Relatives    []Relative `json:"relatives"`
	Doctors      []string   `json:"doctors"`
	Hospital     string     `json:"hospital"`
}

// LogValue keeps the person out of logs, made up or not.
func (Context) LogValue() slog.Value { return slog.StringValue("[context]") }

// Context is the context of the note when it lies in the named file.
func (n *Note) Context(file string) Context {
	s := n.Subject
	return Context{File: file, PatientName: s.Name, IDNumber: s.IDNumber, Phone: s.Phone, Address: s.Address,
		AdmissionNo: s.InpatientNo, OutpatientNo: s.OutpatientNo, Relatives: s.Relatives, Doctors: s.Doctors, Hospital: s.Hospital}
}

func (s *scene) subject() {
	p := s.patient
	n := Subject{Name: p.full, Family: p.family, Given: p.given, Male: p.male, Birth: s.birth, Admitted: s.admitted,
		IDNumber: s.id, Insurance: s.insurance, Phone: p.phone, Email: s.email, Address: s.home.full, Postcode: s.postcode,
		InpatientNo: s.inpatient, OutpatientNo: s.outpatient, RecordNo: s.record, ExamNo: s.exam,
		Hospital: s.hospital, Ward: s.ward, Bed: s.bed, Employer: s.employer}
	if !s.chinese {
		n.IDNumber = s.ssn
	}
	if n.Family == "" {
		n.Family = p.full
	}
	for _, r := range s.relatives {
		n.Relatives = append(n.Relatives, Relative{Name: r.full, Relation: r.role, Phone: r.phone})
	}
	for _, d := range s.doctors {
		n.Doctors = append(n.Doctors, d.full)
	}
	for _, d := range s.nurses {
		n.Nurses = append(n.Nurses, d.full)
	}
	s.note.Subject = n
}
