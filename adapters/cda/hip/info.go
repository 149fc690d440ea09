package hip

import (
	"fmt"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// Info says what a message of the platform is, without its content.
type Info struct {
	Root     string `json:"root"`
	ID       string `json:"id,omitempty"`
	Created  string `json:"created,omitempty"`
	Sender   string `json:"sender,omitempty"`
	Receiver string `json:"receiver,omitempty"`
	Charset  string `json:"charset"`
	// Query tells that the message asks for something, rather than bringing it.
	Query bool `json:"query"`
}

// Inspect reads a message as a file: by its own encoding, or that of e. Errors are
// *safexml.Error, or say that the root element is no message of the platform.
func Inspect(raw []byte, e safexml.Encoding, l safexml.Limits) (Info, error) {
	x, err := safexml.Parse(raw, e, l)
	if err != nil {
		return Info{}, err
	}
	m, err := newMessage(x)
	if err != nil {
		return Info{}, err
	}
	what := m.what()
	if what == "" {
		return Info{}, fmt.Errorf("hip: the root element is no request of the platform")
	}
	return Info{Root: m.root, ID: m.id.Extension, Created: m.created, Sender: m.sender, Receiver: m.receiver, Charset: x.Encoding,
		Query: what == "query" || what == rootSearch || what == rootFetch || what == rootPatientQuery}, nil
}

// Registered returns the document that a registration holds, checked against it by the
// partner's rules. ok is false for messages that are no registration.
func Registered(raw []byte, e safexml.Encoding, p Partner, l safexml.Limits) (d *cda.Document, ok bool, err error) {
	x, err := safexml.Parse(raw, e, l)
	if err != nil {
		return nil, false, err
	}
	m, err := newMessage(x)
	if err != nil || m.what() != rootRegister {
		return nil, false, err
	}
	r, err := readRegistration(m, p, l)
	if err != nil {
		return nil, true, err
	}
	return r.doc, true, nil
}

// PatientOf returns the person that a PatientInfoRegister or Update is about. raw is the
// text of the message as it was submitted, UTF-8.
func PatientOf(raw []byte, l safexml.Limits) (cda.Patient, error) {
	m, err := readMessage(string(raw), l)
	if err != nil {
		return cda.Patient{}, err
	}
	return personOf(m), nil
}

// personOf reads patient and patientPerson of a message.
func personOf(m *message) cda.Patient {
	patient := find(find(m.doc.Root, "controlActProcess"), "patient")
	person := patient.Child("patientPerson")
	p := cda.Patient{IDs: readIDs(patient.Child("id")), PersonIDs: readIDs(person.Child("id")), Name: nameOf(person.Child("name")),
		Gender: cda.Code{Code: person.Child("administrativeGenderCode").Attr("code")}, Birth: person.Child("birthTime").Attr("value")}
	for _, other := range person.All("asOtherIDs") {
		p.PersonIDs = append(p.PersonIDs, readIDs(other.Child("id"))...)
	}
	return p
}
