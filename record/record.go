package record

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// ModelVersion is the version of the canonical form that this package writes.
const ModelVersion = 1

// MaxPayload is the largest payload that a canonical record may hold, in bytes.
const MaxPayload = 64 << 20

// Record is one clinical message or document with its envelope.
//
// The numbers in the tags are part of the canonical form and are never reused.
type Record struct {
	ModelVersion uint8  `cbor:"0,keyasint"`
	ID           ID     `cbor:"1,keyasint"`
	HospitalMSP  string `cbor:"2,keyasint"`
	// Sender and ControlID name the message as its sender did; with the payload they
	// determine ID.
	Sender    string `cbor:"3,keyasint"`
	ControlID string `cbor:"4,keyasint"`
	// Kind is the event or document type: ADT^A01, ORU^R01, C0039, a FHIR resource type.
	Kind            string          `cbor:"5,keyasint"`
	Patient         Patient         `cbor:"6,keyasint"`
	Encounter       string          `cbor:"7,keyasint,omitempty"`
	Author          string          `cbor:"8,keyasint,omitempty"`
	EventTime       Time            `cbor:"9,keyasint"`
	ReceivedAt      int64           `cbor:"10,keyasint"` // Unix milliseconds, fixed at intake
	MediaType       string          `cbor:"11,keyasint"`
	Charset         string          `cbor:"12,keyasint,omitempty"`
	Version         string          `cbor:"13,keyasint,omitempty"`
	Replaces        string          `cbor:"14,keyasint,omitempty"`
	Confidentiality Confidentiality `cbor:"15,keyasint,omitempty"`
	MappingVersion  string          `cbor:"16,keyasint,omitempty"`
	// Metadata holds what else the mapping could read, by stable names.
	Metadata map[string]string `cbor:"17,keyasint,omitempty"`
	// Payload is the message or document exactly as received. It stays the last entry, so
	// that a payload too long for memory can be streamed behind the rest.
	Payload []byte `cbor:"18,keyasint"`
}

// Confidentiality is the HL7 confidentiality code (table 0177, v3 Confidentiality).
type Confidentiality string

// Confidentiality classes.
const (
	Normal         Confidentiality = "N"
	Restricted     Confidentiality = "R"
	VeryRestricted Confidentiality = "V"
)

// Patient is the reference to the patient as the message gives it.
type Patient struct {
	Identifiers []Identifier `cbor:"0,keyasint,omitempty"`
	Name        string       `cbor:"1,keyasint,omitempty"`
	BirthDate   string       `cbor:"2,keyasint,omitempty"` // YYYYMMDD, or the part that is known
	Gender      string       `cbor:"3,keyasint,omitempty"` // GB/T 2261.1: 0, 1, 2 or 9
}

// Identifier is one number of a patient.
type Identifier struct {
	Authority string         `cbor:"0,keyasint,omitempty"` // assigning authority
	Type      IdentifierType `cbor:"1,keyasint"`
	Value     string         `cbor:"2,keyasint"`
}

// IdentifierType says what kind of number an identifier is.
type IdentifierType string

// Identifier types used in the consortium, whatever the source format calls them.
const (
	ResidentID   IdentifierType = "resident-id"   // 居民身份证
	InsuranceNo  IdentifierType = "insurance"     // 医保
	InpatientNo  IdentifierType = "inpatient"     // 住院号
	OutpatientNo IdentifierType = "outpatient"    // 门(急)诊号
	HealthCard   IdentifierType = "health-card"   // 居民健康卡
	MedicalNo    IdentifierType = "medical"       // 病案号
	Passport     IdentifierType = "passport"      // 护照
	TravelPermit IdentifierType = "travel-permit" // 港澳居民来往内地通行证, 台湾居民来往大陆通行证
	LocalPatient IdentifierType = "local-patient" // the hospital's own patient number
	OtherID      IdentifierType = "other"
)

// Find returns the first identifier of a type.
func (p Patient) Find(t IdentifierType) (Identifier, bool) {
	for _, id := range p.Identifiers {
		if id.Type == t {
			return id, true
		}
	}
	return Identifier{}, false
}

// LogValue implements slog.LogValuer: a patient never reaches a log.
func (p Patient) LogValue() slog.Value { return slog.StringValue("[patient]") }

// LogValue implements slog.LogValuer: a number of a patient never reaches a log.
func (i Identifier) LogValue() slog.Value {
	return slog.StringValue("[" + string(i.Type) + "]")
}

// LogValue implements slog.LogValuer with what may be logged of a record.
func (r *Record) LogValue() slog.Value {
	if r == nil {
		return slog.StringValue("<nil>")
	}
	return slog.GroupValue(slog.String("id", r.ID.String()), slog.String("kind", r.Kind),
		slog.Int("payload_bytes", len(r.Payload)))
}

// ErrInvalid reports a record that has no canonical form.
var ErrInvalid = errors.New("record: invalid")

// Validate reports what keeps the record from being sealed. The error names fields,
// never values.
func (r *Record) Validate() error { return r.validate(int64(len(r.Payload))) }

// validate is Validate for a payload of a size that need not be at hand.
func (r *Record) validate(size int64) error {
	switch {
	case r.ModelVersion != ModelVersion:
		return fmt.Errorf("%w: model version %d, this program knows %d", ErrInvalid, r.ModelVersion, ModelVersion)
	case r.ID.IsZero():
		return fmt.Errorf("%w: no id", ErrInvalid)
	case r.HospitalMSP == "":
		return fmt.Errorf("%w: no hospital", ErrInvalid)
	case r.Kind == "":
		return fmt.Errorf("%w: no kind", ErrInvalid)
	case r.MediaType == "":
		return fmt.Errorf("%w: no media type", ErrInvalid)
	case r.ReceivedAt <= 0:
		return fmt.Errorf("%w: no time of receipt", ErrInvalid)
	case size <= 0:
		return fmt.Errorf("%w: empty payload", ErrInvalid)
	case r.EventTime.Validate() != nil:
		return fmt.Errorf("%w: event time out of range", ErrInvalid)
	case size > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrInvalid, size, MaxPayload)
	}
	return nil
}

// codec holds the encoder and decoder of the canonical form. They are safe for
// concurrent use.
var codec = sync.OnceValues(func() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{
		Sort: cbor.SortBytewiseLexical, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden,
	}.EncMode()
	if err != nil {
		panic(err) // constant options: cannot fail
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels: 8, MaxArrayElements: 4096, MaxMapPairs: 4096,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: cannot fail
	}
	return enc, dec
})

// Canonical returns the canonical bytes of the record: EMR in the scheme.
func (r *Record) Canonical() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	enc, _ := codec()
	b, err := enc.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("record: encode: %w", err)
	}
	return b, nil
}

// Parse reads canonical bytes and refuses any that Canonical would not have written.
func Parse(b []byte) (*Record, error) {
	if len(b) > MaxPayload+1<<20 {
		return nil, fmt.Errorf("%w: %d bytes", ErrInvalid, len(b))
	}
	_, dec := codec()
	var r Record
	if err := dec.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: not canonical CBOR of a record", ErrInvalid)
	}
	again, err := r.Canonical()
	if err != nil {
		return nil, err
	}
	if string(again) != string(b) {
		return nil, fmt.Errorf("%w: bytes are not in canonical form", ErrInvalid)
	}
	return &r, nil
}
