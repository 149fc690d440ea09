package record

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm3"
)

// IDSize is the length of a record id in bytes.
const IDSize = 16

// idDomain separates record ids from every other SM3 digest of the system.
const idDomain = "emrbridge/record-id/v1"

// ErrBadID reports text or bytes that are not a record id.
var ErrBadID = errors.New("record: not a record id (32 hexadecimal digits)")

// ID identifies a record in the whole consortium. It is deterministic, so that the same
// message received twice is the same record:
//
//	bytes 0..1   number of the hospital, big-endian
//	bytes 2..15  first 14 bytes of SM3(domain, hospital MSP, sender, control id, SM3(payload))
//
// The hospital's number stands in the clear because the contract refuses ids outside the
// number registered for the submitting member: no hospital can occupy another's ids.
// The text form is 32 lowercase hexadecimal digits.
type ID [IDSize]byte

// Origin is what a record id is derived from.
type Origin struct {
	HospitalNumber uint16 // unique in the consortium, 1..65535
	HospitalMSP    string // membership service provider, for example H1MSP
	Sender         string // sending application and facility as the message names them
	ControlID      string // MSH-10, document id, or resource id and version
	Payload        []byte // the bytes as received
}

// NewID derives the record id of an origin.
func NewID(o Origin) ID { return NewIDFromDigest(o, sm3.Sum(o.Payload)) }

// NewIDFromDigest is NewID for a payload that is not at hand: content is its SM3 digest,
// and o.Payload is ignored.
func NewIDFromDigest(o Origin, content [32]byte) ID {
	h := sm3.New()
	for _, part := range []string{idDomain, o.HospitalMSP, o.Sender, o.ControlID, string(content[:])} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var id ID
	binary.BigEndian.PutUint16(id[:2], o.HospitalNumber)
	copy(id[2:], h.Sum(nil))
	return id
}

// HospitalNumber returns the number of the hospital that the id belongs to.
func (id ID) HospitalNumber() uint16 { return binary.BigEndian.Uint16(id[:2]) }

// String returns the 32 hexadecimal digits of the id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// ParseID reads the text form of an id.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*IDSize {
		return ID{}, fmt.Errorf("%w: %d characters", ErrBadID, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, ErrBadID
	}
	return id, nil
}

// IDFromBytes copies a 16-byte id.
func IDFromBytes(b []byte) (ID, error) {
	var id ID
	if len(b) != IDSize {
		return ID{}, fmt.Errorf("%w: %d bytes", ErrBadID, len(b))
	}
	copy(id[:], b)
	return id, nil
}
