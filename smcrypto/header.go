package smcrypto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Constants of the sealed-record format, version 1 (docs/design/sealed-record.md).
const (
	// SealVersion is the format version this build writes and reads.
	SealVersion = 1
	// SuiteSM2SM3SM4GCM is the only suite of version 1.
	SuiteSM2SM3SM4GCM = 1
	// SegmentSize is the plaintext size of a segment that this build writes, in bytes.
	SegmentSize = 64 << 10
	// MinSegmentSize and MaxSegmentSize bound what is read; a segment size is a power of two.
	MinSegmentSize = 1 << 10
	MaxSegmentSize = 1 << 20
	// SegmentOverhead is the GCM tag of each segment, in bytes.
	SegmentOverhead = 16
	// MaxEMRLength bounds the record inside, in bytes.
	MaxEMRLength = 256 << 20
	// MaxMSPIDLength bounds an MSP id, in bytes.
	MaxMSPIDLength = 64
	// HeaderFixedSize is the header without the MSP id; MaxHeaderSize with the longest one.
	HeaderFixedSize = 80
	MaxHeaderSize   = HeaderFixedSize + MaxMSPIDLength

	sealMagic     = "EMRS"
	noncePrefix   = 7
	maxUnixMillis = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// Header is the clear part of a sealed record, authenticated with every segment.
// It names no person: Tag is a keyed digest.
type Header struct {
	// RecordID is the record's id. Its first two bytes are the hospital number, big-endian.
	RecordID [RecordIDSize]byte
	// HospitalNumber is 1 to 65535 and unique in the consortium.
	HospitalNumber uint16
	// MSPID is the hospital's Fabric MSP id: 1 to 64 of A-Z a-z 0-9 . _ -
	MSPID string
	// Tag is the opaque index key of the patient.
	Tag [TagSize]byte
	// Epoch is the patient key's epoch, from 1.
	Epoch uint32
	// SealedAt is the time of sealing, whole milliseconds of Unix time.
	SealedAt time.Time
	// EMRLength is the length of the record inside, 1 to MaxEMRLength bytes.
	EMRLength uint64
	// SignatureLength is the length of the DER signature that follows it, 8 to 72 bytes.
	SignatureLength uint16
	// SegmentSize is the plaintext bytes in each segment but the last. Zero means
	// SegmentSize when sealing.
	SegmentSize uint32
	// noncePrefix is drawn at random by the sealer.
	nonce [noncePrefix]byte
}

// Size is the length of the encoded header in bytes.
func (h Header) Size() int { return HeaderFixedSize + len(h.MSPID) }

// PlaintextLength is the length of EMR ‖ signature.
func (h Header) PlaintextLength() uint64 { return h.EMRLength + uint64(h.SignatureLength) }

// SealedLength is the exact length of the whole sealed record in bytes.
func (h Header) SealedLength() uint64 {
	return uint64(h.Size()) + h.PlaintextLength() + h.segments()*SegmentOverhead
}

func (h Header) segments() uint64 {
	return (h.PlaintextLength() + uint64(h.SegmentSize) - 1) / uint64(h.SegmentSize)
}

// validate checks every field; encode and parse both call it, so that what is
// written can be read and what is read could have been written.
func (h Header) validate() error {
	bad := func(why string) error { return fmt.Errorf("%w: sealed header: %s", ErrMalformed, why) }
	ms := h.SealedAt.UnixMilli()
	switch {
	case h.HospitalNumber == 0:
		return bad("hospital number is zero")
	case binary.BigEndian.Uint16(h.RecordID[:2]) != h.HospitalNumber:
		return bad("record id does not start with the hospital number")
	case !validMSPID(h.MSPID):
		return bad("MSP id must be 1 to 64 of A-Z a-z 0-9 . _ -")
	case h.Epoch == 0:
		return bad("key epoch is zero")
	case ms <= 0 || ms > maxUnixMillis:
		return bad("sealing time out of range")
	case h.EMRLength == 0 || h.EMRLength > MaxEMRLength:
		return bad("record length out of range")
	case h.SignatureLength < MinSignature || h.SignatureLength > MaxSignature:
		return bad("signature length out of range")
	case h.SegmentSize < MinSegmentSize || h.SegmentSize > MaxSegmentSize || h.SegmentSize&(h.SegmentSize-1) != 0:
		return bad("segment size must be a power of two from 1 KiB to 1 MiB")
	}
	return nil
}

func validMSPID(s string) bool {
	if len(s) == 0 || len(s) > MaxMSPIDLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// appendTo encodes a validated header.
func (h Header) appendTo(b []byte) []byte {
	b = append(b, sealMagic...)
	b = append(b, SealVersion, SuiteSM2SM3SM4GCM)
	b = binary.BigEndian.AppendUint16(b, uint16(h.Size()))
	b = append(b, h.RecordID[:]...)
	b = binary.BigEndian.AppendUint16(b, h.HospitalNumber)
	b = append(b, h.Tag[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(h.SealedAt.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, h.EMRLength)
	b = binary.BigEndian.AppendUint16(b, h.SignatureLength)
	b = binary.BigEndian.AppendUint32(b, h.SegmentSize)
	b = append(b, h.nonce[:]...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, byte(len(h.MSPID)))
	return append(b, h.MSPID...)
}

// ParseHeader reads the header at the start of b and returns its length. Bytes
// after the header are not looked at. It refuses anything that this package would
// not have written, with ErrMalformed, ErrUnsupported or ErrTruncated.
func ParseHeader(b []byte) (Header, int, error) {
	if len(b) < HeaderFixedSize {
		return Header{}, 0, fmt.Errorf("%w: sealed header needs %d bytes", ErrTruncated, HeaderFixedSize)
	}
	if string(b[:4]) != sealMagic {
		return Header{}, 0, fmt.Errorf("%w: not a sealed record", ErrMalformed)
	}
	if b[4] != SealVersion || b[5] != SuiteSM2SM3SM4GCM {
		return Header{}, 0, fmt.Errorf("%w: sealed record version %d suite %d", ErrUnsupported, b[4], b[5])
	}
	size, mspLen := int(binary.BigEndian.Uint16(b[6:])), int(b[79])
	if size != HeaderFixedSize+mspLen || mspLen > MaxMSPIDLength {
		return Header{}, 0, fmt.Errorf("%w: sealed header: lengths disagree", ErrMalformed)
	}
	if len(b) < size {
		return Header{}, 0, fmt.Errorf("%w: sealed header needs %d bytes", ErrTruncated, size)
	}
	h := decodeFields(b, size)
	if err := h.validate(); err != nil {
		return Header{}, 0, err
	}
	if again := h.appendTo(make([]byte, 0, MaxHeaderSize)); !bytes.Equal(again, b[:size]) {
		return Header{}, 0, fmt.Errorf("%w: sealed header: not canonical", ErrMalformed)
	}
	return h, size, nil
}

func decodeFields(b []byte, size int) Header {
	h := Header{
		HospitalNumber:  binary.BigEndian.Uint16(b[24:]),
		MSPID:           string(b[HeaderFixedSize:size]),
		Epoch:           binary.BigEndian.Uint32(b[42:]),
		EMRLength:       binary.BigEndian.Uint64(b[54:]),
		SignatureLength: binary.BigEndian.Uint16(b[62:]),
		SegmentSize:     binary.BigEndian.Uint32(b[64:]),
	}
	// An instant beyond the range is mapped to zero, which validate refuses.
	if ms := binary.BigEndian.Uint64(b[46:]); ms <= maxUnixMillis {
		h.SealedAt = time.UnixMilli(int64(ms)).UTC()
	} else {
		h.SealedAt = time.UnixMilli(0)
	}
	copy(h.RecordID[:], b[8:])
	copy(h.Tag[:], b[26:])
	copy(h.nonce[:], b[68:])
	return h
}

// ReadHeader reads exactly one header from r and returns it with its raw bytes.
func ReadHeader(r io.Reader) (Header, []byte, error) {
	raw := make([]byte, HeaderFixedSize, MaxHeaderSize)
	if err := readFull(r, raw); err != nil {
		return Header{}, nil, err
	}
	if n := int(raw[79]); n <= MaxMSPIDLength {
		raw = raw[:HeaderFixedSize+n]
		if err := readFull(r, raw[HeaderFixedSize:]); err != nil {
			return Header{}, nil, err
		}
	}
	h, _, err := ParseHeader(raw)
	return h, raw, err
}

// readFull maps an early end of input to ErrTruncated and keeps other errors.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: sealed record ended early", ErrTruncated)
	}
	if err != nil {
		return fmt.Errorf("smcrypto: read sealed record: %w", err)
	}
	return nil
}

// segmentNonce is the STREAM nonce: prefix ‖ counter as 4 bytes big-endian ‖ last flag.
func segmentNonce(prefix [noncePrefix]byte, counter uint32, last bool) (n [12]byte) {
	copy(n[:], prefix[:])
	binary.BigEndian.PutUint32(n[noncePrefix:], counter)
	if last {
		n[11] = 1
	}
	return n
}
