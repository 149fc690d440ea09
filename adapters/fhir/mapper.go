package fhir

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// MediaType is the media type of FHIR JSON (FHIR R4 §3.1.0.2).
const MediaType = "application/fhir+json"

// MappingVersion names what this mapping reads; it changes with the mapping.
const MappingVersion = "fhir-r4/1"

// LocalAuthority is the assigning authority of a patient's logical id on this server.
const LocalAuthority = "fhir"

// Numbering says what kind of number the identifiers of a system are, and by which authority
// name other formats know it.
type Numbering struct {
	Type      record.IdentifierType
	Authority string // "": the system itself
}

// DefaultNumbering holds the identifier systems of the WS/T 500 family of standards and the
// passport.
func DefaultNumbering() map[string]Numbering {
	const root = "urn:oid:2.16.156.10011.1."
	return map[string]Numbering{
		root + "3": {Type: record.ResidentID}, root + "11": {Type: record.OutpatientNo}, root + "12": {Type: record.InpatientNo},
		root + "13": {Type: record.MedicalNo}, root + "19": {Type: record.HealthCard},
		"http://hl7.org/fhir/sid/passport-CHN": {Type: record.Passport},
	}
}

// typeCodes are codes of HL7 table 0203, which Identifier.type carries, for systems that are
// not in the numbering.
var typeCodes = map[string]record.IdentifierType{
	"NNCHN": record.ResidentID, "MR": record.MedicalNo, "PPN": record.Passport, "PI": record.LocalPatient,
	"JHN": record.HealthCard, "MC": record.InsuranceNo, "NIIP": record.InsuranceNo, "SN": record.OtherID,
}

// MappingConfig sets a Mapper up. The zero value has the defaults.
type MappingConfig struct {
	Numbering map[string]Numbering // by identifier system; nil: DefaultNumbering
	Zone      *time.Location       // of dates without a zone; nil: UTC
	Limits    Limits
}

// Mapper makes records of resources. It is safe for concurrent use.
type Mapper struct{ cfg MappingConfig }

// NewMapper returns a mapper.
func NewMapper(cfg MappingConfig) *Mapper {
	if cfg.Numbering == nil {
		cfg.Numbering = DefaultNumbering()
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Mapper{cfg}
}

// Source is a resource as it was received, with the names under which it was submitted.
type Source struct {
	Raw            []byte
	HospitalNumber uint16
	HospitalMSP    string
	// Sender and ControlID are those of the submission; ControlID is Type/id/_history/version
	// as the server assigned it.
	Sender, ControlID string
	ReceivedAt        time.Time
}

// ErrSource reports a source that lacks what a record needs.
var ErrSource = errors.New("fhir: incomplete source")

// Map makes the record of a resource or Bundle. The payload is Raw, unchanged. Map does not
// judge the resource; what cannot be read is a *SyntaxError.
func (m *Mapper) Map(src Source) (*record.Record, error) {
	kind, id, version, ok := ParseControlID(src.ControlID)
	if !ok || src.HospitalMSP == "" {
		return nil, fmt.Errorf("%w: a control id Type/id/_history/version and a hospital are needed", ErrSource)
	}
	root, err := Parse(src.Raw, m.cfg.Limits)
	if err != nil {
		return nil, err
	}
	r := &record.Record{
		ModelVersion: record.ModelVersion, HospitalMSP: src.HospitalMSP, Sender: src.Sender, ControlID: src.ControlID,
		ID: record.NewID(record.Origin{HospitalNumber: src.HospitalNumber, HospitalMSP: src.HospitalMSP, Sender: src.Sender,
			ControlID: src.ControlID, Payload: src.Raw}),
		Kind: KindOf(root), ReceivedAt: src.ReceivedAt.UnixMilli(), MediaType: MediaType, Charset: "UTF-8", Version: strconv.Itoa(version),
		MappingVersion: MappingVersion, Metadata: map[string]string{}, Payload: src.Raw,
	}
	if version > 1 {
		r.Replaces = ControlID(kind, id, version-1)
	}
	m.fill(r, root, kind+"/"+id)
	if len(r.Metadata) == 0 {
		r.Metadata = nil
	}
	return r, nil
}

// ControlID names a version of a resource on this server.
func ControlID(kind, id string, version int) string {
	return kind + "/" + id + "/_history/" + strconv.Itoa(version)
}

// ParseControlID takes a control id apart.
func ParseControlID(s string) (kind, id string, version int, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 || parts[2] != "_history" || !isName(parts[0]) || !isID(parts[1]) {
		return "", "", 0, false
	}
	version, err := strconv.Atoi(parts[3])
	return parts[0], parts[1], version, err == nil && version > 0
}

// KindOf is the kind of a record: the resource type; for Bundles with the type behind it, and
// for messages with their event.
func KindOf(root *Node) string {
	kind := root.Get("resourceType").Str()
	if !isName(kind) {
		return "Resource"
	}
	if kind != "Bundle" {
		return kind
	}
	if t := root.Get("type").Str(); isID(t) {
		kind += "/" + t
	}
	if root.Get("type").Str() == "message" {
		if event := root.At("entry", "resource", "eventCoding", "code").Str(); isID(event) {
			kind += "/" + event
		}
	}
	return kind
}

// fill reads who, when and where into the record.
func (m *Mapper) fill(r *record.Record, root *Node, self string) {
	main, patient := root, (*Node)(nil)
	if root.Get("resourceType").Str() == "Bundle" {
		main, patient = bundleMain(root)
	} else if root.Get("resourceType").Str() == "Patient" {
		patient = root
	}
	reference, identifier := SubjectOf(main)
	switch {
	case patient == root:
		reference = self
	case patient == nil && strings.HasPrefix(reference, "#"):
		patient, reference = containedOf(main, reference), ""
	}
	if patient != nil {
		m.patient(&r.Patient, patient)
	}
	m.identifiers(&r.Patient, identifier)
	if kind, id, ok := SplitReference(reference); ok && kind == "Patient" && !strings.Contains(reference, "://") {
		r.Patient.Identifiers = append(r.Patient.Identifiers, record.Identifier{Authority: LocalAuthority, Type: record.LocalPatient, Value: id})
	}
	if r.Encounter = EncounterOf(main); main.Get("resourceType").Str() == "Encounter" {
		r.Encounter = self
	}
	r.Author = authorOf(main)
	if _, _, text, ok := DatesOf(main, m.cfg.Zone); ok {
		r.EventTime = TimeOf(text, m.cfg.Zone)
	}
	r.Confidentiality = confidentiality(root)
	if status := main.Get("status").Str(); isID(status) {
		r.Metadata["status"] = status
	}
	if n := len(root.Get("entry").List()); n > 0 && root != main {
		r.Metadata["entries"] = strconv.Itoa(n)
	}
}

// bundleMain returns the resource that speaks for a Bundle, and its patient: the Composition
// or MessageHeader's focus where there is one, else the first entry with a subject.
func bundleMain(root *Node) (main, patient *Node) {
	entries := root.Get("entry").List()
	byURL := map[string]*Node{}
	var patients []*Node
	for _, e := range entries {
		resource := e.Get("resource")
		if resource == nil {
			continue
		}
		byURL[e.Get("fullUrl").Str()] = resource
		byURL[resource.Get("resourceType").Str()+"/"+resource.Get("id").Str()] = resource
		if resource.Get("resourceType").Str() == "Patient" {
			patients = append(patients, resource)
		}
	}
	main = entriesMain(entries)
	if main == nil {
		return root, nil
	}
	if ref, _ := SubjectOf(main); ref != "" && byURL[ref].Get("resourceType").Str() == "Patient" {
		return main, byURL[ref]
	}
	if len(patients) > 0 {
		return main, patients[0]
	}
	return main, nil
}

func entriesMain(entries []*Node) *Node {
	var first *Node
	for _, e := range entries {
		resource := e.Get("resource")
		if resource.Get("resourceType").Str() == "Composition" {
			return resource
		}
		if ref, identifier := SubjectOf(resource); first == nil && (ref != "" || identifier != nil) {
			first = resource
		}
	}
	if first == nil && len(entries) > 0 {
		first = entries[0].Get("resource")
	}
	return first
}

// genders maps administrative-gender to GB/T 2261.1.
var genders = map[string]string{"male": "1", "female": "2", "unknown": "0", "other": "9"}

func (m *Mapper) patient(p *record.Patient, n *Node) {
	for _, id := range n.Get("identifier").List() {
		m.identifiers(p, id)
	}
	for _, name := range n.Get("name").List() {
		if p.Name == "" || name.Get("use").Str() == "official" {
			p.Name = nameOf(name)
		}
	}
	p.BirthDate = strings.ReplaceAll(n.Get("birthDate").Str(), "-", "")
	p.Gender = genders[n.Get("gender").Str()]
}

// nameOf writes a name: its text, else family before given without a space for Chinese
// characters, with one for others.
func nameOf(n *Node) string {
	if text := n.Get("text").Str(); text != "" {
		return text
	}
	parts := []string{}
	if f := n.Get("family").Str(); f != "" {
		parts = append(parts, f)
	}
	for _, g := range n.Get("given").List() {
		if g.Str() != "" {
			parts = append(parts, g.Str())
		}
	}
	separator := " "
	if len(parts) > 0 && parts[0][0] >= 0xE3 && parts[0][0] <= 0xE9 { // CJK ideographs in UTF-8
		separator = ""
	}
	return strings.Join(parts, separator)
}

func (m *Mapper) identifiers(p *record.Patient, id *Node) {
	value := strings.TrimSpace(id.Get("value").Str())
	if value == "" {
		return
	}
	system := id.Get("system").Str()
	out := record.Identifier{Authority: system, Type: record.OtherID, Value: value}
	if known, ok := m.cfg.Numbering[system]; ok {
		out.Type = known.Type
		if known.Authority != "" {
			out.Authority = known.Authority
		}
	} else {
		for _, c := range id.At("type", "coding").List() {
			if t, ok := typeCodes[c.Get("code").Str()]; ok {
				out.Type = t
				break
			}
		}
	}
	if out.Type == record.ResidentID {
		out.Authority, out.Value = "", strings.ToUpper(value)
	}
	p.Identifiers = append(p.Identifiers, out)
}

// confidentiality reads meta.security (HL7 v3 Confidentiality).
func confidentiality(root *Node) record.Confidentiality {
	for _, label := range root.At("meta", "security").List() {
		switch c := record.Confidentiality(label.Get("code").Str()); c {
		case record.Normal, record.Restricted, record.VeryRestricted:
			return c
		}
	}
	return ""
}
