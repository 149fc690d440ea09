package hl7

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// MediaType is the media type of HL7 v2 payloads in records.
const MediaType = "x-application/hl7-v2+er7"

// MappingVersion names the rules of this file in the records they made.
const MappingVersion = "hl7v2/1"

// MappingConfig says how an endpoint's messages are to be read. The zero value serves.
type MappingConfig struct {
	// Charset is the endpoint's policy, used when mapping from raw bytes.
	Charset CharsetPolicy
	// Zone is assumed for times without one; ChinaStandardTime if nil.
	Zone *time.Location
	// IDTypes adds to or replaces entries of the default table from the type code of a
	// number (PID-3.5, compared without regard to case) to the consortium's type.
	IDTypes map[string]record.IdentifierType
	// AuthorityTypes gives the type of numbers by their assigning authority (PID-3.4.1, or
	// PID-3.4.2 where that is empty). It has precedence over the type code.
	AuthorityTypes map[string]record.IdentifierType
}

// defaultIDTypes holds codes of HL7 table 0203 and others that Chinese systems write.
var defaultIDTypes = map[string]record.IdentifierType{
	"NI": record.ResidentID, "NNCHN": record.ResidentID, "SFZ": record.ResidentID,
	"IDCARD": record.ResidentID, "IDENTIFYNO": record.ResidentID, "IDENTIFYNUMBER": record.ResidentID,
	"SS": record.InsuranceNo, "MC": record.InsuranceNo, "MA": record.InsuranceNo, "YB": record.InsuranceNo,
	"INSURANCENO": record.InsuranceNo, "SSNUMBER": record.InsuranceNo,
	"HC": record.HealthCard, "JKK": record.HealthCard, "HEALTHCARDNO": record.HealthCard,
	"IP": record.InpatientNo, "ZYH": record.InpatientNo, "INPATIENTNO": record.InpatientNo,
	"OP": record.OutpatientNo, "MZH": record.OutpatientNo, "OUTPATIENTNO": record.OutpatientNo,
	"MR": record.MedicalNo, "MRN": record.MedicalNo, "BAH": record.MedicalNo,
	"PPN": record.Passport, "PP": record.Passport,
	"PI": record.LocalPatient, "PATIENTID": record.LocalPatient, "PATIENTNO": record.LocalPatient,
	"PT": record.LocalPatient, "": record.LocalPatient,
}

// Mapper reads messages into records. It is immutable and safe for concurrent use.
type Mapper struct {
	charset     CharsetPolicy
	zone        *time.Location
	types       map[string]record.IdentifierType
	authorities map[string]record.IdentifierType
}

var defaultMapper = NewMapper(MappingConfig{})

// NewMapper makes a mapper from its configuration.
func NewMapper(c MappingConfig) *Mapper {
	m := &Mapper{charset: c.Charset, zone: c.Zone, types: make(map[string]record.IdentifierType),
		authorities: make(map[string]record.IdentifierType)}
	if m.zone == nil {
		m.zone = ChinaStandardTime
	}
	for code, t := range defaultIDTypes {
		m.types[code] = t
	}
	for code, t := range c.IDTypes {
		m.types[strings.ToUpper(code)] = t
	}
	for name, t := range c.AuthorityTypes {
		m.authorities[name] = t
	}
	return m
}

// Source is a message with where and when it was received.
type Source struct {
	Raw            []byte // as received; becomes the payload unchanged
	HospitalNumber uint16
	HospitalMSP    string
	ReceivedAt     time.Time
	// Charset is Submission.Charset, the name under which the endpoint decoded Raw. Where
	// it is empty MSH-18 and the mapper's own policy decide.
	Charset string
}

// mapped lists the kinds for which the mapping reads more than header and patient.
var mapped = map[string]bool{
	"ADT^A01": true, "ADT^A03": true, "ADT^A04": true, "ADT^A08": true,
	"ORU^R01": true, "MDM^T02": true, "ORM^O01": true,
}

// Supported reports whether the mapping knows a kind such as ADT^A01. Other kinds become
// records too, with what can be read of any message.
func Supported(kind string) bool { return mapped[kind] }

// supportedCode reports whether any event of a message code is known.
func supportedCode(code string) bool {
	switch code {
	case "ADT", "ORU", "MDM", "ORM":
		return true
	}
	return false
}

// Map reads a raw message into a record. Errors are those of CharsetPolicy.Decode, Parse
// and Header.Check. A field that cannot be understood is never an error: it is left out
// and named in Metadata["unread"].
func (m *Mapper) Map(src Source) (*record.Record, error) {
	policy := m.charset
	if cs, ok := CharsetByName(src.Charset); ok {
		policy = CharsetPolicy{Default: cs, Force: true}
	}
	text, cs, err := policy.Decode(src.Raw)
	if err != nil {
		return nil, err
	}
	msg, err := Parse(text)
	if err != nil {
		return nil, err
	}
	h := msg.Header()
	if err := h.Check(); err != nil {
		return nil, err
	}
	r := &record.Record{
		ModelVersion: record.ModelVersion,
		ID: record.NewID(record.Origin{HospitalNumber: src.HospitalNumber, HospitalMSP: src.HospitalMSP,
			Sender: h.Sender(), ControlID: h.ControlID, Payload: src.Raw}),
		HospitalMSP: src.HospitalMSP, Sender: h.Sender(), ControlID: h.ControlID, Kind: h.Kind(),
		ReceivedAt: src.ReceivedAt.UnixMilli(), MediaType: MediaType, Charset: cs.String(),
		Confidentiality: record.Normal, MappingVersion: MappingVersion, Payload: src.Raw,
	}
	(&reading{Mapper: m, msg: msg, rec: r, header: h}).fill()
	return r, nil
}

// reading is one run of the mapping.
type reading struct {
	*Mapper
	msg    *Message
	rec    *record.Record
	header Header
	unread []string
}

func (g *reading) fill() {
	r := g.rec
	r.Metadata = map[string]string{}
	pid, _ := g.msg.Find("PID", 1)
	for _, n := range g.patient(g.msg) {
		if n.invalid {
			g.unread = append(g.unread, n.path)
		}
		r.Patient.Identifiers = append(r.Patient.Identifiers, n.Identifier)
	}
	r.Patient.Name = g.bounded("PID-5", personName(pid.Field(5)))
	r.Patient.Gender = gender(pid.Field(8).Comp(1).Text())
	r.Patient.BirthDate = g.birthDate(pid)
	r.Encounter = g.first(encounterRule)
	r.Author = g.bounded("author", g.author())
	r.EventTime = g.eventTime()
	g.confidentiality()
	g.metadata()
	if len(g.unread) > 0 {
		slices.Sort(g.unread)
		r.Metadata["unread"] = strings.Join(slices.Compact(g.unread), ",")
	}
}

// first returns the first of the values that is there.
func (g *reading) first(paths []Path) string {
	for _, p := range paths {
		if s := g.bounded(p.String(), strings.TrimSpace(g.msg.At(p).Text())); s != "" {
			return s
		}
	}
	return ""
}

// maxMetadata bounds one value of the envelope, in bytes. What is longer is no name or
// number; it stays in the payload.
const maxMetadata = 256

// bounded leaves out a value that is too long and notes where it stood.
func (g *reading) bounded(path, v string) string {
	if len(v) > maxMetadata {
		g.unread = append(g.unread, path)
		return ""
	}
	return v
}

// rule says where a message code keeps a fact, in order of preference.
type rule map[string][]Path

// timeRule: when the event took place, not when the message was written; MSH-7 is last.
var timeRule = rule{
	"ADT": paths("EVN-6", "EVN-2"),
	"ORU": paths("OBR-7", "OBR-22", "OBX-14", "OBR-14"),
	"MDM": paths("TXA-4", "TXA-6", "TXA-7", "EVN-2"),
	"ORM": paths("ORC-9", "OBR-6", "ORC-15", "OBR-7"),
}

// authorRule: who answers for the content.
var authorRule = rule{
	"ADT": paths("EVN-5", "PV1-7"),
	"ORU": paths("OBR-32", "OBR-16", "PV1-7"),
	"MDM": paths("TXA-9", "TXA-5", "TXA-10", "PV1-7"),
	"ORM": paths("ORC-12", "OBR-16", "PV1-7"),
}

// metadataRule: what is kept beside the payload, by stable names.
var metadataRule = []struct {
	name string
	path Path
}{
	{"structure", path("MSH-9.3")}, {"processing-id", path("MSH-11.1")}, {"hl7-version", path("MSH-12.1")},
	{"receiver", path("MSH-5")}, {"event-reason", path("EVN-4.1")},
	{"patient-class", path("PV1-2.1")}, {"department", path("PV1-3.1")}, {"bed", path("PV1-3.3")},
	{"admitted", path("PV1-44")}, {"discharged", path("PV1-45")}, {"diagnosis-code", path("DG1-3.1")},
	{"placer-order", path("OBR-2.1")}, {"placer-order", path("ORC-2.1")}, {"filler-order", path("OBR-3.1")},
	{"filler-order", path("ORC-3.1")}, {"order-control", path("ORC-1")}, {"service-code", path("OBR-4.1")},
	{"service", path("OBR-4.2")}, {"result-status", path("OBR-25")}, {"document-id", path("TXA-12.1")},
	{"document-type", path("TXA-2.1")}, {"document-status", path("TXA-17")}, {"parent-document", path("TXA-13.1")},
}

// The other facts, each with where it stands, in order of preference.
var (
	encounterRule       = paths("PV1-19.1", "PV1-50.1")
	anyTimeRule         = paths("EVN-6", "EVN-2")
	messageTime         = path("MSH-7")
	documentSecrecyRule = paths("TXA-18")
	protectionRule      = paths("PD1-12")
)

// path reads a path that is written in this file.
func path(s string) Path {
	p, err := ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

func paths(list ...string) []Path {
	out := make([]Path, len(list))
	for i, s := range list {
		out[i] = path(s)
	}
	return out
}

func (g *reading) metadata() {
	for _, e := range metadataRule {
		if g.rec.Metadata[e.name] != "" {
			continue
		}
		if v := strings.TrimSpace(g.msg.At(e.path).Text()); v != "" && g.bounded(e.path.String(), v) != "" {
			g.rec.Metadata[e.name] = v
		}
	}
	if n := g.count("OBX"); n > 0 {
		g.rec.Metadata["observations"] = strconv.Itoa(n)
	}
	if n := g.distinctPatients(); n > 1 {
		g.rec.Metadata["patients"] = strconv.Itoa(n)
	}
}

func (g *reading) count(name string) int {
	n := 0
	for _, s := range g.msg.Segments() {
		if s.Name() == name {
			n++
		}
	}
	return n
}

// distinctPatients counts PID segments with different PID-3.
func (g *reading) distinctPatients() int {
	seen := map[string]bool{}
	for _, s := range g.msg.Segments() {
		if s.Name() == "PID" {
			seen[string(s.Field(3).Raw())] = true
		}
	}
	return len(seen)
}

func (g *reading) author() string {
	for _, p := range authorRule[g.header.MessageCode] {
		if s := staffName(g.msg.At(p)); s != "" {
			return s
		}
	}
	return ""
}

func (g *reading) eventTime() record.Time {
	rules, known := timeRule[g.header.MessageCode]
	if !known {
		rules = anyTimeRule
	}
	for _, p := range rules {
		if t, ok := g.timeAt(p); ok {
			return t
		}
	}
	t, _ := g.timeAt(messageTime)
	return t
}

// timeAt reads the time at a path; a value that is none is noted as unread.
func (g *reading) timeAt(p Path) (record.Time, bool) {
	v := g.msg.At(p).Comp(1).Sub(1).Text()
	if v == "" {
		return record.Time{}, false
	}
	t, err := ParseTime(v, g.zone)
	if err != nil {
		g.unread = append(g.unread, p.String())
		return record.Time{}, false
	}
	return t, true
}

func (g *reading) birthDate(pid Segment) string {
	v := pid.Field(7).Comp(1).Text()
	if v == "" {
		return ""
	}
	if _, err := ParseTime(v, g.zone); err != nil {
		g.unread = append(g.unread, "PID-7")
		return ""
	}
	return v[:min(len(v), 8)]
}

// confidentiality reads TXA-18 (HL7 table 0272) and PD1-12. A message about more than one
// patient gets the strictest class, since a grant for one must not open the other's data.
func (g *reading) confidentiality() {
	switch {
	case g.distinctPatients() > 1, g.first(documentSecrecyRule) == "V":
		g.rec.Confidentiality = record.VeryRestricted
	case g.first(documentSecrecyRule) == "R", g.first(protectionRule) == "Y":
		g.rec.Confidentiality = record.Restricted
	}
}

// String names the mapper's rules, for logs.
func (m *Mapper) String() string {
	return fmt.Sprintf("%s (%d id types)", MappingVersion, len(m.types))
}
