package evidence

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrMalformed reports bytes or text that are not a statement, entry or id.
var ErrMalformed = errors.New("evidence: malformed")

// TagSize is the length of a tag in bytes.
const TagSize = 16

// Tag is the opaque index key under which the ledger files the records of one patient.
// Only the holders of the consortium identity key can compute it; see package keystore.
type Tag [TagSize]byte

// Digest is an SM3 digest.
type Digest [32]byte

// Nonce makes a statement unique. It also names what the statement creates on the ledger:
// a batch, a consent, an access request.
type Nonce [16]byte

// RecordID is the id of a record as package record derives it: bytes 0..1 are the number
// of its hospital.
type RecordID [16]byte

// HospitalNumber returns the number of the hospital that the id belongs to.
func (id RecordID) HospitalNumber() uint16 { return uint16(id[0])<<8 | uint16(id[1]) }

// String returns lowercase hexadecimal digits.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// String returns lowercase hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// String returns lowercase hexadecimal digits.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

// String returns lowercase hexadecimal digits.
func (id RecordID) String() string { return hex.EncodeToString(id[:]) }

// Equal compares in constant time.
func (d Digest) Equal(other Digest) bool { return subtle.ConstantTimeCompare(d[:], other[:]) == 1 }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// IsZero reports whether the tag was never set.
func (t Tag) IsZero() bool { return t == Tag{} }

// IsZero reports whether the nonce was never set.
func (n Nonce) IsZero() bool { return n == Nonce{} }

// MarshalText implements encoding.TextMarshaler.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (id RecordID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Tag) UnmarshalText(b []byte) error { return unhex(t[:], b, "tag") }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error { return unhex(d[:], b, "digest") }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Nonce) UnmarshalText(b []byte) error { return unhex(n[:], b, "nonce") }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *RecordID) UnmarshalText(b []byte) error { return unhex(id[:], b, "record id") }

// ParseTag reads the text form of a tag.
func ParseTag(s string) (t Tag, err error) { return t, t.UnmarshalText([]byte(s)) }

// ParseNonce reads the text form of a nonce.
func ParseNonce(s string) (n Nonce, err error) { return n, n.UnmarshalText([]byte(s)) }

// ParseRecordID reads the text form of a record id.
func ParseRecordID(s string) (id RecordID, err error) { return id, id.UnmarshalText([]byte(s)) }

func unhex(dst, src []byte, what string) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%w: %s has %d characters, %d are wanted", ErrMalformed, what, len(src), 2*len(dst))
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%w: %s is not hexadecimal", ErrMalformed, what)
	}
	return nil
}
