package cda

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// MediaType is the media type of clinical documents in records.
const MediaType = "application/hl7-cda+xml"

// MappingVersion names the rules of this file in the records they made.
const MappingVersion = "cda/1"

// MapperConfig says how documents become records. The zero value serves.
type MapperConfig struct {
	// Zone is assumed for times without one; hl7.ChinaStandardTime if nil.
	Zone *time.Location
	// Roots gives the roots of a sender; nil: those of WS/T 500 for all.
	Roots func(sender string) Roots
	// Authorities names the assigning authority of a root, so that a number has the same
	// authority here and in HL7 v2. Without an entry the root itself is the authority.
	Authorities map[string]string
	Limits      safexml.Limits
}

// Source is a document with where and when it was received.
type Source struct {
	Raw            []byte // as received; becomes the payload unchanged
	HospitalNumber uint16
	HospitalMSP    string
	// Sender and ControlID are those of the submission: with Raw they make the record's id.
	Sender, ControlID string
	ReceivedAt        time.Time
	// Charset is the encoding that the receiver read the document in; "" lets the document
	// itself decide.
	Charset string
}

// Mapper reads documents into records. It is immutable and safe for concurrent use.
type Mapper struct{ c MapperConfig }

// NewMapper makes a mapper.
func NewMapper(c MapperConfig) *Mapper {
	if c.Zone == nil {
		c.Zone = hl7.ChinaStandardTime
	}
	if c.Roots == nil {
		c.Roots = func(string) Roots { return Roots{} }
	}
	return &Mapper{c: c}
}

// Map reads a document into a record. Errors are those of Parse. A fact that cannot be
// understood is left out and named in Metadata["unread"].
func (m *Mapper) Map(src Source) (*record.Record, error) {
	d, err := Parse(src.Raw, ReadOptions{AnyNamespace: true, Limits: m.c.Limits,
		Encoding: safexml.Encoding{Default: src.Charset, Force: src.Charset != ""}})
	if err != nil {
		return nil, err
	}
	r := &record.Record{
		ModelVersion: record.ModelVersion,
		ID: record.NewID(record.Origin{HospitalNumber: src.HospitalNumber, HospitalMSP: src.HospitalMSP,
			Sender: src.Sender, ControlID: src.ControlID, Payload: src.Raw}),
		HospitalMSP: src.HospitalMSP, Sender: src.Sender, ControlID: src.ControlID, Kind: d.Kind(),
		ReceivedAt: src.ReceivedAt.UnixMilli(), MediaType: MediaType, Charset: d.Charset(),
		MappingVersion: MappingVersion, Metadata: map[string]string{}, Payload: src.Raw,
	}
	g := &mapping{Mapper: m, d: d, r: r, roots: m.c.Roots(src.Sender)}
	g.patient()
	g.document()
	g.visit()
	if len(g.unread) > 0 {
		slices.Sort(g.unread)
		r.Metadata["unread"] = strings.Join(slices.Compact(g.unread), ",")
	}
	return r, nil
}

// mapping is one run.
type mapping struct {
	*Mapper
	d      *Document
	r      *record.Record
	roots  Roots
	unread []string
}

// Bounds of the envelope: what is longer is no name or number and stays in the payload.
const (
	maxMetadata    = 256
	maxIdentifiers = 64
)

func (g *mapping) bounded(path, v string) string {
	if len(v) > maxMetadata {
		g.unread = append(g.unread, path)
		return ""
	}
	return v
}

func (g *mapping) set(name, v string) {
	if v = g.bounded(name, v); v != "" {
		g.r.Metadata[name] = v
	}
}

// numberNames names numbers on patientRole/id that are not the patient's.
var numberNames = map[string]string{
	rootPrefix + "14": "specimen", rootPrefix + "20": "prescription", rootPrefix + "24": "request-form",
	rootPrefix + "32": "exam-report", rootPrefix + "33": "lab-report", rootPrefix + "34": "consent", rootPrefix + "8": "catalogue-number",
}

func (g *mapping) patient() {
	p := g.d.Patient
	for _, id := range p.IDs {
		if name := numberNames[g.roots.Standard(id.Root)]; name != "" {
			g.set(name, id.Extension)
			continue
		}
		g.identifier(id, record.LocalPatient, "patientRole/id")
	}
	for _, id := range p.PersonIDs {
		g.identifier(id, record.OtherID, "patient/id")
	}
	out := &g.r.Patient
	out.Name = g.bounded("patient/name", p.Name)
	out.Gender = gender(p.Gender)
	if p.Birth != "" {
		if _, err := hl7.ParseTime(p.Birth, g.c.Zone); err != nil {
			g.unread = append(g.unread, "birthTime")
		} else {
			out.BirthDate = p.Birth[:min(8, len(p.Birth))]
		}
	}
}

// identifier adds a number of the patient. A number under the root of resident ids that is
// none becomes another number: a wrong identity is worse than a missing one.
func (g *mapping) identifier(id ID, unknown record.IdentifierType, path string) {
	if id.Extension == "" && id.Root == "" || id.Extension == "" && g.d.Type != nil || len(g.r.Patient.Identifiers) >= maxIdentifiers {
		return
	}
	n := record.Identifier{Authority: g.authority(id.Root), Type: unknown, Value: g.bounded(path, id.Extension)}
	if id.Extension == "" {
		n.Authority, n.Value = "", g.bounded(path, id.Root)
	}
	if t, ok := g.roots.Type(id.Root); ok {
		n.Type = t
	}
	if n.Type == record.ResidentID {
		if number, ok := hl7.NormalResidentID(n.Value); ok {
			n.Value = number
		} else {
			n.Type = record.OtherID
			g.unread = append(g.unread, path)
		}
	}
	if n.Value != "" && len(n.Authority) <= maxMetadata && !slices.Contains(g.r.Patient.Identifiers, n) {
		g.r.Patient.Identifiers = append(g.r.Patient.Identifiers, n)
	}
}

func (g *mapping) authority(root string) string {
	if name, ok := g.c.Authorities[root]; ok {
		return name
	}
	return g.roots.Standard(root)
}

// gender returns the code of GB/T 2261.1. Other documents use HL7 AdministrativeGender.
func gender(c Code) string {
	switch c.Code {
	case "0", "1", "2", "9":
		return c.Code
	case "M":
		return "1"
	case "F":
		return "2"
	case "UN":
		return "9"
	}
	return ""
}

func (g *mapping) document() {
	d, r := g.d, g.r
	r.EventTime = g.time("effectiveTime", d.Time)
	if len(d.Authors) > 0 {
		r.Author = g.bounded("author", strings.TrimSpace(d.Authors[0].ID.Extension+" "+d.Authors[0].Name))
	}
	r.Version = g.bounded("versionNumber", d.Version)
	for _, rel := range d.Related {
		if rel.TypeCode == "RPLC" && r.Replaces == "" {
			r.Replaces = g.bounded("relatedDocument", related(rel))
		} else {
			g.set("related-"+strings.ToLower(rel.TypeCode), related(rel))
		}
	}
	r.Confidentiality = confidentiality(d)
	g.set("document-id", d.ID.String())
	g.set("set-id", d.SetID.String())
	g.set("title", d.Title)
	g.set("document-code", d.Code.Code)
	g.set("language", d.Language)
	g.set("custodian", strings.TrimSpace(d.Custodian.ID.Extension+" "+d.Custodian.Name))
	if len(d.Templates) > 0 {
		g.set("template", d.Templates[0].Root)
	}
	if len(d.Legal) > 0 {
		g.set("legal-authenticator", strings.TrimSpace(d.Legal[0].ID.Extension+" "+d.Legal[0].Name))
	}
	if d.Patients > 1 {
		r.Metadata["patients"] = strconv.Itoa(d.Patients)
	}
	if d.NonXML != nil {
		g.set("body", strings.TrimSpace("non-xml "+d.NonXML.MediaType))
	} else if n := len(d.Sections); n > 0 {
		r.Metadata["sections"] = strconv.Itoa(n)
		g.set("section-codes", sectionCodes(d.Sections))
	}
	g.set("diagnosis-code", firstDiagnosis(d.Sections))
}

// sectionCodes lists the codes of the sections, as many as fit the envelope.
func sectionCodes(sections []Section) string {
	var out strings.Builder
	for _, s := range sections {
		if c := s.Code.Code; plainToken(c) && out.Len()+len(c) < maxMetadata && !strings.Contains(out.String(), c) {
			out.WriteString(" " + c)
		}
	}
	return strings.TrimSpace(out.String())
}

// related names a related document: by its id, else by the id of its set and its version.
func related(r Related) string {
	switch {
	case !r.ID.IsZero():
		return r.ID.String()
	case !r.SetID.IsZero():
		return strings.TrimSuffix(r.SetID.String()+" "+r.Version, " ")
	}
	return ""
}

// confidentiality maps the HL7 code. A document about more than one patient gets the
// strictest class, since a grant for one must not open the other's data.
func confidentiality(d *Document) record.Confidentiality {
	switch {
	case d.Patients > 1, d.Confidential.Code == "V":
		return record.VeryRestricted
	case slices.Contains([]string{"R", "ETH", "HIV", "PSY", "SDV", "S", "T", "C"}, d.Confidential.Code):
		return record.Restricted
	}
	return record.Normal
}

// diagnosisElement is the data element for codes of diagnoses (WS 364.10).
const diagnosisElement = "DE05.01.024.00"

func firstDiagnosis(sections []Section) string {
	for i := range sections {
		if code := diagnosisIn(sections[i].Entries); code != "" {
			return code
		}
	}
	return ""
}

func diagnosisIn(entries []Entry) string {
	for i := range entries {
		if entries[i].Code.Code == diagnosisElement {
			for _, v := range entries[i].Values {
				if v.Code.Code != "" {
					return v.Code.Code
				}
			}
		}
		if code := diagnosisIn(entries[i].Entries); code != "" {
			return code
		}
	}
	return ""
}

func (g *mapping) time(path, value string) record.Time {
	if value == "" {
		return record.Time{}
	}
	t, err := hl7.ParseTime(value, g.c.Zone)
	if err != nil {
		g.unread = append(g.unread, path)
	}
	return t
}

// placeNames names the places of WS/T 500 by their roots.
var placeNames = map[string]string{rootPrefix + "22": "bed", rootPrefix + "21": "room", rootPrefix + "26": "department", rootPrefix + "27": "ward"}

// visit: the encounter by its own number, else by the number of the stay or visit on the
// patient, which is what WS/T 500 has.
func (g *mapping) visit() {
	for _, t := range []record.IdentifierType{record.InpatientNo, record.OutpatientNo} {
		if n, ok := g.r.Patient.Find(t); ok && g.r.Encounter == "" {
			g.r.Encounter = n.Value
		}
	}
	e := g.d.Encounter
	if e == nil {
		return
	}
	for _, id := range e.IDs {
		if id.Extension != "" {
			g.r.Encounter = g.bounded("encompassingEncounter/id", id.Extension)
			break
		}
	}
	g.set("admitted", e.Time.Start())
	g.set("discharged", e.Time.High)
	g.set("patient-class", e.Code.Display)
	for _, p := range e.Location {
		if name := placeNames[p.ID.Root]; name != "" {
			g.set(name, strings.TrimSpace(p.ID.Extension+" "+p.Name))
		}
	}
}
