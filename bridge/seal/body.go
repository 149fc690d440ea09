package seal

import (
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// Stored is the body of emr.stored: T_M of the record, and the digest of its patient's T_R,
// so that whoever anchors can register the patient first without knowing who it is.
//
// Encoded: version 1 ‖ digest of T_R (32 bytes, zero if not known) ‖ canonical entry.
type Stored struct {
	Entry        evidence.Entry
	Registration evidence.Digest
}

const storedVersion = 1

// Encode returns the bytes that travel.
func (s Stored) Encode() []byte {
	b := append([]byte{storedVersion}, s.Registration[:]...)
	return s.Entry.Append(b)
}

// ParseStored reads what Encode wrote and refuses anything else with an error wrapping
// evidence.ErrMalformed.
func ParseStored(b []byte) (Stored, error) {
	if len(b) < 33 || b[0] != storedVersion {
		return Stored{}, fmt.Errorf("%w: body of emr.stored", evidence.ErrMalformed)
	}
	entries, err := evidence.DecodeEntries(b[33:])
	if err != nil {
		return Stored{}, err
	}
	if len(entries) != 1 {
		return Stored{}, fmt.Errorf("%w: %d entries in the body of emr.stored", evidence.ErrMalformed, len(entries))
	}
	return Stored{Entry: entries[0], Registration: evidence.Digest(b[1:33])}, nil
}
