package claims

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

// Reference is what the bus carries in the place of a body.
//
// Encoded: version 1 ‖ flags (1: partial) ‖ claim id (16 bytes) ‖ size (u64) ‖ SM3 digest
// of the body (32 bytes) ‖ head; numbers are big-endian.
type Reference struct {
	Claim  string   // id
	Size   int64    // of the body, bytes
	Digest [32]byte // SM3 of the body
	// Head is what the next stage needs to read: the skeleton of a message that was
	// received, or the envelope of a record that was normalized.
	Head []byte
	// Partial says that the skeleton lacks parts that may concern other patients or facts
	// that decide on confidentiality.
	Partial bool
}

// LogValue implements slog.LogValuer: the head may hold patient data.
func (r Reference) LogValue() slog.Value {
	return slog.GroupValue(slog.String("claim", r.Claim), slog.Int64("bytes", r.Size))
}

// ErrReference reports bytes that are no reference.
var ErrReference = errors.New("claims: malformed reference")

const (
	referenceVersion = 1
	referenceSize    = 2 + idSize + 8 + 32
	flagPartial      = 1
)

// Encode returns the bytes that travel.
func (r Reference) Encode() ([]byte, error) {
	id, err := parseID(r.Claim)
	if err != nil || r.Size <= 0 {
		return nil, fmt.Errorf("%w: id or size", ErrReference)
	}
	var flags byte
	if r.Partial {
		flags |= flagPartial
	}
	b := make([]byte, 0, referenceSize+len(r.Head))
	b = append(b, referenceVersion, flags)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Size))
	b = append(b, r.Digest[:]...)
	return append(b, r.Head...), nil
}

// ParseReference reads what Encode wrote. Head shares memory with b.
func ParseReference(b []byte) (Reference, error) {
	if len(b) < referenceSize || b[0] != referenceVersion || b[1]&^flagPartial != 0 {
		return Reference{}, ErrReference
	}
	r := Reference{Partial: b[1]&flagPartial != 0, Claim: idText([idSize]byte(b[2:])), Head: b[referenceSize:]}
	size := binary.BigEndian.Uint64(b[2+idSize:])
	if size == 0 || size > 1<<40 {
		return Reference{}, ErrReference
	}
	r.Size = int64(size)
	copy(r.Digest[:], b[2+idSize+8:])
	return r, nil
}
