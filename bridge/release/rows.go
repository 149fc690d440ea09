package release

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/fingerprint"
)

// Domains of what is derived from the key of a project.
const (
	subjectDomain  = "emrbridge/research/subject/v1"
	resourceDomain = "emrbridge/research/resource/v1"
)

// keyed is HMAC-SM3 over a domain and names, each after its length.
func keyed(key [32]byte, domain string, names ...[]byte) (out [32]byte) {
	mac := hmac.New(sm3.New, key[:])
	mac.Write([]byte(domain))
	for _, n := range names {
		mac.Write([]byte{byte(len(n) >> 8), byte(len(n))})
		mac.Write(n)
	}
	mac.Sum(out[:0])
	return out
}

// subjectKey is the project's secret of one person: the same in every hospital, since the
// tag is.
func subjectKey(project [32]byte, tag evidence.Tag) [32]byte {
	return keyed(project, subjectDomain, tag[:])
}

// surrogate is how the person is called in the dataset.
func surrogate(m *fingerprint.Marker, key [32]byte) string {
	return m.Surrogate([fingerprint.BodySize]byte(key[:fingerprint.BodySize]))
}

// released are the resource types that may leave at all. Who wrote, where and how a message
// came is no part of a dataset; the patient is written anew from the risk gate's table.
var released = map[string]bool{
	"AllergyIntolerance": true, "Condition": true, "DiagnosticReport": true, "DocumentReference": true, "Encounter": true,
	"Immunization": true, "Medication": true, "MedicationAdministration": true, "MedicationDispense": true, "MedicationRequest": true,
	"MedicationStatement": true, "Observation": true, "Procedure": true, "ServiceRequest": true, "Specimen": true, "Composition": true,
}

// patientType is the resource type that every subject has.
const patientType = "Patient"

// shaper gives resources the form in which they leave: surrogate ids, references that lead
// to them, and only what the project may see.
type shaper struct {
	key      [32]byte
	hospital string
	marker   *fingerprint.Marker
	fields   map[string][]string // of each type the elements that may leave; nil means all
	only     bool                // fields limit at all

	visit   string // number of the visit that the present record belongs to, as the hospital gave it
	visitID string // id of the Encounter that stands for it in the record
}

const encounterType = "Encounter"

// record tells of the record whose resources come next.
func (s *shaper) record(visit string, list []map[string]any) {
	s.visit, s.visitID = "", ""
	for _, m := range list {
		if m["resourceType"] != encounterType {
			continue
		}
		if s.visitID != "" { // two visits in one record: the number could be of either
			s.visit = ""
			return
		}
		s.visitID, _ = m["id"].(string)
		s.visit = visit
	}
}

func newShaper(key [32]byte, hospital string, marker *fingerprint.Marker, fields []string) *shaper {
	s := &shaper{key: key, hospital: hospital, marker: marker, fields: map[string][]string{}, only: len(fields) > 0}
	for _, f := range fields {
		typ, element, deep := strings.Cut(f, ".")
		list, known := s.fields[typ]
		switch {
		case !deep:
			s.fields[typ] = nil
		case !known || list != nil:
			s.fields[typ] = append(list, element)
		}
	}
	return s
}

// allows reports whether resources of a type leave.
func (s *shaper) allows(typ string) bool {
	_, named := s.fields[typ]
	return released[typ] && (named || !s.only)
}

// decode reads one resource and keeps numbers as they are written.
func decode(raw []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: the de-identified resource is no JSON object", ErrUnfit)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the de-identified resource", ErrUnfit)
	}
	return m, nil
}

// always are elements that stay whatever the fields of the project are.
var always = []string{"resourceType", "id", "subject", "patient", "encounter", "meta", "status"}

// shape returns the resource as it leaves; ok is false if it does not.
func (s *shaper) shape(m map[string]any, subject string) (typ string, ok bool) {
	typ, _ = m["resourceType"].(string)
	if !s.allows(typ) {
		return typ, false
	}
	if list := s.fields[typ]; list != nil {
		for name := range m {
			if !slices.Contains(always, name) && !slices.Contains(list, name) {
				delete(m, name)
			}
		}
	}
	id, _ := m["id"].(string)
	m["id"] = s.id(typ, id)
	// Business numbers were given by the hospital, and the narrative repeats what the
	// elements say.
	delete(m, "identifier")
	delete(m, "masterIdentifier")
	delete(m, "text")
	meta(m)
	s.walk(m, subject, false)
	if typ == "Composition" && m["author"] == nil {
		m["author"] = authors
	}
	return typ, true
}

// meta keeps the labels that tell how the resource was de-identified.
func meta(m map[string]any) {
	old, _ := m["meta"].(map[string]any)
	delete(m, "meta")
	if labels := old["security"]; labels != nil {
		m["meta"] = map[string]any{"security": labels}
	}
}

// id is the surrogate of a resource of this hospital. The same visit has one in all records
// that name it.
func (s *shaper) id(typ, id string) string {
	if typ == encounterType && id == s.visitID && s.visit != "" {
		typ, id = "visit", s.visit
	}
	sum := keyed(s.key, resourceDomain, []byte(s.hospital), []byte(typ), []byte(id))
	return surrogate(s.marker, sum)
}

// bound are elements that FHIR requires in an element that repeats: where such a reference
// ends, what holds it goes too (Encounter.location.location, Procedure.performer.actor and
// their like).
var bound = map[string]bool{"location": true, "actor": true}

// authors stands where FHIR wants an author and none may be named.
var authors = []any{map[string]any{"display": "[de-identified · 已去标识]"}}

// walk rewrites the references within v and leaves nothing empty behind. It reports whether v
// has something left; false takes it out of what holds it. repeats says that v is one of a list.
func (s *shaper) walk(v any, subject string, repeats bool) (any, bool) {
	switch v := v.(type) {
	case []any:
		out := v[:0]
		for _, e := range v {
			if e, ok := s.walk(e, subject, true); ok {
				out = append(out, e)
			}
		}
		return out, len(out) > 0
	case map[string]any:
		if ref, ok := v["reference"].(string); ok {
			s.reference(v, ref, subject)
		}
		for name, e := range v {
			e, ok := s.walk(e, subject, false)
			switch {
			case ok:
				v[name] = e
			case repeats && bound[name]:
				return nil, false
			default:
				delete(v, name)
			}
		}
		return v, len(v) > 0
	}
	return v, v != nil
}

// reference leads to the surrogate of what leaves too; any other one ends here, with the name
// and number that may stand beside it.
func (s *shaper) reference(v map[string]any, ref, subject string) {
	delete(v, "display")
	delete(v, "identifier")
	if strings.HasPrefix(ref, "#") {
		return
	}
	parts := strings.Split(ref, "/")
	if i := slices.Index(parts, "_history"); i > 0 {
		parts = parts[:i]
	}
	if len(parts) >= 2 {
		typ, id := parts[len(parts)-2], parts[len(parts)-1]
		switch {
		case typ == patientType:
			v["reference"] = patientType + "/" + subject
			return
		case s.allows(typ) && len(parts) == 2: // what lies on another server is not in the dataset
			v["reference"] = typ + "/" + s.id(typ, id)
			return
		}
	}
	delete(v, "reference")
}
