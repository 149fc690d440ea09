package hip

import (
	"errors"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// MappingVersion names the rules of this file in the records they made.
const MappingVersion = "hip/1"

// Mapper reads HL7 v3 messages of the platform into records; documents are read by
// cda.Mapper. It is immutable and safe for concurrent use.
type Mapper struct{ c cda.MapperConfig }

// NewMapper makes a mapper with the same configuration as that for documents.
func NewMapper(c cda.MapperConfig) *Mapper {
	if c.Zone == nil {
		c.Zone = hl7.ChinaStandardTime
	}
	if c.Roots == nil {
		c.Roots = func(string) cda.Roots { return cda.Roots{} }
	}
	return &Mapper{c: c}
}

// Map reads a message into a record. Errors are those of reading it as XML.
func (m *Mapper) Map(src cda.Source) (*record.Record, error) {
	x, err := safexml.Parse(src.Raw, safexml.Encoding{Default: src.Charset, Force: src.Charset != ""}, m.c.Limits)
	if err != nil {
		return nil, err
	}
	msg, err := newMessage(x)
	if err != nil {
		return nil, err
	}
	r := &record.Record{
		ModelVersion: record.ModelVersion,
		ID: record.NewID(record.Origin{HospitalNumber: src.HospitalNumber, HospitalMSP: src.HospitalMSP,
			Sender: src.Sender, ControlID: src.ControlID, Payload: src.Raw}),
		HospitalMSP: src.HospitalMSP, Sender: src.Sender, ControlID: src.ControlID, Kind: msg.kind(),
		ReceivedAt: src.ReceivedAt.UnixMilli(), MediaType: MediaType, Charset: x.Encoding, Confidentiality: record.Normal,
		MappingVersion: MappingVersion, Metadata: map[string]string{}, Payload: src.Raw,
	}
	m.fill(r, msg, m.c.Roots(src.Sender))
	return r, nil
}

// kind returns the root element, if it can stand in a kind.
func (m *message) kind() string {
	if len(m.root) > 64 || strings.Trim(m.root, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "HL7V3"
	}
	return m.root
}

// subject is the patient that a message is about.
type subject struct {
	numbers     []record.Identifier
	name, birth string
	gender      string
	unread      []string
}

func (m *Mapper) fill(r *record.Record, msg *message, roots cda.Roots) {
	s := m.subject(msg, roots)
	r.Patient = record.Patient{Identifiers: s.numbers, Name: s.name, BirthDate: s.birth, Gender: s.gender}
	if t, err := hl7.ParseTime(msg.created, m.c.Zone); err == nil {
		r.EventTime = t
	} else if msg.created != "" {
		s.unread = append(s.unread, "creationTime")
	}
	if author := find(find(msg.doc.Root, "controlActProcess"), "author"); author != nil {
		r.Author = short(strings.TrimSpace(extensionOf(find(author, "id")) + " " + nameOf(find(author, "name"))))
	}
	if e := find(msg.doc.Root, "encounter"); e != nil {
		r.Encounter = short(extensionOf(e.Child("id")))
	}
	for name, v := range map[string]string{"interaction": msg.interaction, "receiver": msg.receiver, "message-id": msg.id.Extension} {
		if v = short(v); v != "" {
			r.Metadata[name] = v
		}
	}
	if msg.what() == rootPatientMerge {
		if merge, err := m.merge(msg, roots); err == nil {
			r.Metadata[hl7.MergeKey] = merge.Encode()
		} else {
			s.unread = append(s.unread, "merge")
		}
	}
	if len(s.unread) > 0 {
		slices.Sort(s.unread)
		r.Metadata["unread"] = strings.Join(slices.Compact(s.unread), ",")
	}
}

// short leaves out what is too long for the envelope; it stays in the payload.
func short(s string) string {
	if len(s) > 256 {
		return ""
	}
	return s
}

func extensionOf(n *safexml.Node) string {
	for _, id := range readIDs(n) {
		return id.Extension
	}
	return ""
}

// subject reads the patient of a message: patient with patientPerson, or patientId and
// the like in orders.
func (m *Mapper) subject(msg *message, roots cda.Roots) subject {
	var s subject
	act := find(msg.doc.Root, "controlActProcess")
	patient := find(act, "patient")
	if patient == nil {
		return s
	}
	person := patient.Child("patientPerson")
	if person == nil {
		person = find(patient, "patientPerson")
	}
	ids := slices.Concat(readIDs(patient.Child("id")), readIDs(person.Child("id")))
	for _, other := range person.All("asOtherIDs") {
		ids = append(ids, readIDs(other.Child("id"))...)
	}
	s.numbers, s.unread = m.numbers(ids, roots)
	s.name = short(nameOf(person.Child("name")))
	if g := person.Child("administrativeGenderCode").Attr("code"); slices.Contains([]string{"0", "1", "2", "9"}, g) {
		s.gender = g
	}
	if b := person.Child("birthTime").Attr("value"); b != "" {
		if _, err := hl7.ParseTime(b, m.c.Zone); err == nil {
			s.birth = b[:min(8, len(b))]
		} else {
			s.unread = append(s.unread, "birthTime")
		}
	}
	return s
}

// maxNumbers bounds the numbers of one patient.
const maxNumbers = 64

// numbers gives each number its kind by its root.
func (m *Mapper) numbers(ids []cda.ID, roots cda.Roots) (out []record.Identifier, unread []string) {
	for _, id := range ids {
		n := record.Identifier{Authority: roots.Standard(id.Root), Type: record.LocalPatient, Value: short(id.Extension)}
		if name, ok := m.c.Authorities[id.Root]; ok {
			n.Authority = name
		}
		if t, ok := roots.Type(id.Root); ok {
			n.Type = t
		}
		if n.Type == record.ResidentID {
			number, ok := hl7.NormalResidentID(n.Value)
			if ok {
				n.Value = number
			} else {
				n.Type = record.OtherID
				unread = append(unread, "id")
			}
		}
		if n.Value != "" && len(out) < maxNumbers && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, unread
}

// Errors of a merge.
var (
	errMergeSelf  = errors.New("hip: a patient is to be merged into itself")
	errMergeEmpty = errors.New("hip: the merge does not name both patients")
)

// merge reads PRPA_IN201304UV02: the survivor is the patient of the registration, the prior
// one stands under replacementOf.
func (m *Mapper) merge(msg *message, roots cda.Roots) (hl7.Merge, error) {
	prior := find(find(msg.doc.Root, "replacementOf"), "priorRegisteredRole")
	out := hl7.Merge{Event: msg.kind(), Subject: hl7.PatientSubject}
	out.Survivor = m.subject(msg, roots).numbers
	out.Prior, _ = m.numbers(readIDs(prior.Child("id")), roots)
	if len(out.Survivor) == 0 || len(out.Prior) == 0 {
		return out, errMergeEmpty
	}
	for _, id := range out.Prior {
		if slices.Contains(out.Survivor, id) {
			return out, errMergeSelf
		}
	}
	return out, nil
}
