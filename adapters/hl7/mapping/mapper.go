package mapping

import (
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Options say how a document is applied at an endpoint. The zero value serves.
type Options struct {
	// Charset is the endpoint's policy, used when mapping from raw bytes. Where its Default
	// is not set the document's charset is.
	Charset hl7.CharsetPolicy
	// Zone is that of times without one, unless the document names one;
	// hl7.ChinaStandardTime if nil.
	Zone *time.Location
	// Unmapped is told of each code without an entry in its table; may be nil. It is called
	// while a message is mapped, from several goroutines at a time.
	Unmapped func(Unmapped)
}

// Mapper applies a document to messages. It is immutable and safe for concurrent use.
type Mapper struct {
	doc      *Document
	p        *program
	id       string
	charset  hl7.CharsetPolicy
	zone     *time.Location
	unmapped func(Unmapped)
}

// NewMapper makes a mapper; a nil document is the embedded one.
func NewMapper(doc *Document, o Options) *Mapper {
	if doc == nil {
		doc = Default()
	}
	m := &Mapper{doc: doc, p: doc.program, id: doc.ID(), charset: o.Charset, zone: doc.Zone(), unmapped: o.Unmapped}
	if cs, ok := doc.Charset(); ok && o.Charset == (hl7.CharsetPolicy{}) {
		m.charset.Default = cs
	}
	if m.zone == nil {
		m.zone = o.Zone
	}
	if m.zone == nil {
		m.zone = hl7.ChinaStandardTime
	}
	return m
}

// Document returns the rules that the mapper applies.
func (m *Mapper) Document() *Document { return m.doc }

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

// Map reads a raw message into a record. Errors are those of hl7.CharsetPolicy.Decode,
// hl7.Parse and hl7.Header.Check. A field that cannot be understood is never an error: it
// is left out and named in Metadata["unread"].
func (m *Mapper) Map(src Source) (*record.Record, error) {
	msg, cs, err := m.parse(src)
	if err != nil {
		return nil, err
	}
	return m.mapWhole(msg, cs, src)
}

// parse decodes and parses the raw bytes.
func (m *Mapper) parse(src Source) (*hl7.Message, hl7.Charset, error) {
	policy := m.charset
	if cs, ok := hl7.CharsetByName(src.Charset); ok {
		policy = hl7.CharsetPolicy{Default: cs, Force: true}
	}
	text, cs, err := policy.Decode(src.Raw)
	if err != nil {
		return nil, cs, err
	}
	msg, err := hl7.Parse(text)
	return msg, cs, err
}

// mapWhole maps a message whose payload is at hand.
func (m *Mapper) mapWhole(msg *hl7.Message, cs hl7.Charset, src Source) (*record.Record, error) {
	r, err := m.mapParsed(msg, cs, src)
	if err != nil {
		return nil, err
	}
	r.ID = record.NewID(record.Origin{HospitalNumber: src.HospitalNumber, HospitalMSP: src.HospitalMSP,
		Sender: r.Sender, ControlID: r.ControlID, Payload: src.Raw})
	return r, nil
}

// mapParsed fills the envelope of a message that was parsed already, all but the id, with
// src.Raw as its payload.
func (m *Mapper) mapParsed(msg *hl7.Message, cs hl7.Charset, src Source) (*record.Record, error) {
	h := msg.Header()
	if err := h.Check(); err != nil {
		return nil, err
	}
	r := &record.Record{
		ModelVersion: record.ModelVersion,
		HospitalMSP:  src.HospitalMSP, Sender: h.Sender(), ControlID: h.ControlID, Kind: h.Kind(),
		ReceivedAt: src.ReceivedAt.UnixMilli(), MediaType: hl7.MediaType, Charset: cs.String(),
		Confidentiality: record.Normal, MappingVersion: m.id, Payload: src.Raw,
	}
	g := m.begin(msg, h)
	g.rec = r
	g.fill()
	g.end()
	return r, nil
}

// Identifiers returns the numbers of a message's patient, of the first PID, in the order
// of the document's fields. It implements hl7.Mapping.
func (m *Mapper) Identifiers(msg *hl7.Message) []record.Identifier {
	g := m.begin(msg, hl7.Header{})
	defer g.end()
	return identifiersOf(g.patient(g.fieldOfFirst))
}

// Knows reports whether the document has rules for a kind such as "ADT^A01", or for any
// event of a message code such as "ADT". It implements hl7.Mapping.
func (m *Mapper) Knows(kind string) bool { return m.p.knows(kind) }

// String names the mapper's rules, for logs.
func (m *Mapper) String() string { return m.id }
