package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
	"github.com/fxamacker/cbor/v2"
)

// Records with payloads too long for memory. The payload is the last entry of the canonical
// map, so the canonical bytes of such a record are its prefix (everything up to and with
// the head of the payload's byte string) and then the payload as it is.

// MaxPrefix bounds the prefix of canonical bytes, in bytes: the envelope of one record.
const MaxPrefix = 1 << 20

// keyPayload is the key of Record.Payload in the canonical map.
const keyPayload = 18

// emptyBytes is a CBOR byte string of length 0: the last byte of an encoded envelope.
const emptyBytes = 0x40

// CanonicalPrefix returns the canonical bytes of the record up to its payload, which has
// size bytes and is not needed: prefix ‖ payload is what Canonical returns for the record
// with that payload. r.Payload is ignored.
func (r *Record) CanonicalPrefix(size int64) ([]byte, error) {
	if err := r.validate(size); err != nil {
		return nil, err
	}
	bare := *r
	bare.Payload = []byte{}
	enc, _ := codec()
	b, err := enc.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("record: encode: %w", err)
	}
	if b[len(b)-1] != emptyBytes {
		return nil, fmt.Errorf("%w: the payload is not the last entry of the canonical form", ErrInvalid)
	}
	b = appendBytesHead(b[:len(b)-1], uint64(size))
	if len(b) > MaxPrefix {
		return nil, fmt.Errorf("%w: envelope of %d bytes, the limit is %d", ErrInvalid, len(b), MaxPrefix)
	}
	return b, nil
}

// appendBytesHead appends the head of a byte string in its shortest form (RFC 8949 §4.2.1).
func appendBytesHead(b []byte, n uint64) []byte {
	const major = 2 << 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= 0xff:
		return append(b, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// ParsePrefix reads what CanonicalPrefix wrote: the record without its payload, and the
// payload's size in bytes. Anything else, and anything behind the prefix, is ErrInvalid.
func ParsePrefix(b []byte) (r *Record, size int64, err error) {
	head, n, err := splitPrefix(b)
	switch {
	case errors.Is(err, errShort):
		return nil, 0, errPrefix
	case err != nil:
		return nil, 0, err
	case head != len(b):
		return nil, 0, fmt.Errorf("%w: %d bytes behind the prefix", ErrInvalid, len(b)-head)
	}
	return decodePrefix(b, n)
}

// decodePrefix decodes a whole prefix and refuses any that CanonicalPrefix would not write.
func decodePrefix(prefix []byte, size int64) (*Record, int64, error) {
	headLen := len(appendBytesHead(nil, uint64(size)))
	if headLen >= len(prefix) {
		return nil, 0, errPrefix
	}
	_, dec := codec()
	var r Record
	bare := append(bytes.Clone(prefix[:len(prefix)-headLen]), emptyBytes)
	if err := dec.Unmarshal(bare, &r); err != nil {
		return nil, 0, errPrefix
	}
	r.Payload = nil
	again, err := r.CanonicalPrefix(size)
	if err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(again, prefix) {
		return nil, 0, fmt.Errorf("%w: bytes are not in canonical form", ErrInvalid)
	}
	return &r, size, nil
}

var (
	errPrefix = fmt.Errorf("%w: not the canonical CBOR of a record", ErrInvalid)
	// errShort says that more bytes are needed to tell.
	errShort = errors.New("record: prefix is not complete")
)

// splitPrefix finds the end of the prefix at the head of b and the size of the payload.
// The error wraps ErrInvalid, or is errShort.
func splitPrefix(b []byte) (end int, size int64, err error) {
	if len(b) == 0 {
		return 0, 0, errShort
	}
	rest, pairs, err := readHead(b, 5)
	if err != nil {
		return 0, 0, err
	}
	for range min(pairs, keyPayload+1) {
		var key uint64
		if rest, key, err = readHead(rest, 0); err != nil {
			return 0, 0, err
		}
		if key == keyPayload {
			var n uint64
			if rest, n, err = readHead(rest, 2); err != nil {
				return 0, 0, err
			}
			if n > MaxPayload {
				return 0, 0, fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrInvalid, n, MaxPayload)
			}
			return len(b) - len(rest), int64(n), nil
		}
		if rest, err = skipItem(rest); err != nil {
			return 0, 0, err
		}
	}
	return 0, 0, errPrefix
}

// readHead reads the head of a CBOR item of the major type wanted, with its argument.
func readHead(b []byte, major byte) (rest []byte, n uint64, err error) {
	if len(b) == 0 {
		return nil, 0, errShort
	}
	if b[0]>>5 != major {
		return nil, 0, errPrefix
	}
	info := b[0] & 0x1f
	if info < 24 {
		return b[1:], uint64(info), nil
	}
	if info > 27 {
		return nil, 0, errPrefix
	}
	width := 1 << (info - 24)
	if len(b) < 1+width {
		return nil, 0, errShort
	}
	for _, c := range b[1 : 1+width] {
		n = n<<8 | uint64(c)
	}
	return b[1+width:], n, nil
}

// skipItem steps over one item of the envelope. The decoder checks it later.
func skipItem(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	_, dec := codec()
	var item cbor.RawMessage
	rest, err := dec.UnmarshalFirst(b, &item)
	if err == nil {
		return rest, nil
	}
	if len(b) < MaxPrefix {
		return nil, errShort // cut off or broken: more bytes will tell
	}
	return nil, errPrefix
}

// Scan reads canonical bytes as they pass, for records that are too long to hold: write all
// of them to it, then call Done. It keeps the envelope (MaxPrefix at most) and the digest
// of the payload. It is not safe for concurrent use. The zero value is ready.
type Scan struct {
	prefix  []byte
	grown   int // length of prefix at which it is looked at again
	found   bool
	size    int64 // of the payload, by its head
	got     int64 // of the payload, so far
	payload hash.Hash
	record  *Record
	err     error
}

// Write takes the next bytes. It fails with an error wrapping ErrInvalid as soon as they
// cannot be those of a record.
func (s *Scan) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	rest := p
	if !s.found {
		rest = s.envelope(p)
	}
	if s.err == nil && len(rest) > 0 && s.found {
		s.got += int64(len(rest))
		if s.got > s.size {
			s.err = fmt.Errorf("%w: bytes behind the payload", ErrInvalid)
		} else {
			s.payload.Write(rest)
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// envelope takes bytes until the prefix is whole and returns those behind it.
func (s *Scan) envelope(p []byte) []byte {
	before := len(s.prefix)
	s.prefix = append(s.prefix, p[:min(len(p), MaxPrefix-before+1)]...)
	if len(s.prefix) < s.grown && len(s.prefix) <= MaxPrefix {
		return nil
	}
	end, size, err := splitPrefix(s.prefix)
	switch {
	case errors.Is(err, errShort) && len(s.prefix) <= MaxPrefix:
		s.grown = 2 * len(s.prefix)
		return nil
	case errors.Is(err, errShort):
		s.err = fmt.Errorf("%w: envelope above %d bytes", ErrInvalid, MaxPrefix)
		return nil
	case err != nil:
		s.err = err
		return nil
	}
	if s.record, s.size, s.err = decodePrefix(s.prefix[:end], size); s.err != nil {
		return nil
	}
	s.found, s.payload = true, sm3.New()
	// What was gathered behind the end belongs to the payload; so does what was not.
	if end < before {
		s.got = int64(before - end)
		s.payload.Write(s.prefix[end:before])
		return p
	}
	return p[end-before:]
}

// Scanned is what a Scan found.
type Scanned struct {
	// Record is the record without its payload.
	Record *Record
	// Size is the length of the payload in bytes, Digest its SM3.
	Size   int64
	Digest [32]byte
}

// ID derives the id of the record from what was scanned, for a hospital of this number.
func (s Scanned) ID(hospitalNumber uint16) ID {
	return NewIDFromDigest(Origin{HospitalNumber: hospitalNumber, HospitalMSP: s.Record.HospitalMSP,
		Sender: s.Record.Sender, ControlID: s.Record.ControlID}, s.Digest)
}

// Done returns what was found once all bytes were written. The error wraps ErrInvalid for
// bytes that Parse would refuse.
func (s *Scan) Done() (Scanned, error) {
	switch {
	case s.err != nil:
		return Scanned{}, s.err
	case !s.found:
		s.grown = 0
		if s.envelope(nil); s.err != nil {
			return Scanned{}, s.err
		}
		if !s.found {
			return Scanned{}, errPrefix
		}
	}
	if s.got != s.size {
		return Scanned{}, fmt.Errorf("%w: payload of %d bytes where %d are announced", ErrInvalid, s.got, s.size)
	}
	out := Scanned{Record: s.record, Size: s.size}
	s.payload.Sum(out.Digest[:0])
	return out, nil
}
