package smcrypto

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// Check says what an opened record must satisfy beside its own tags.
type Check struct {
	// Signer is the sealing hospital's signing key. Required.
	Signer PublicKey
	// Former are keys that the hospital has renewed since; they are tried in order after
	// Signer. Only the caller knows how long each of them counts.
	Former []PublicKey
	// CipherDigest, if not nil, is the h(EMR_en) expected from the ledger.
	CipherDigest *[DigestSize]byte
	// Statement builds the seal statement that the signature must cover, from the
	// authenticated header, the digest and the record. In OpenStream emr is nil: the
	// caller has already received the record through its writer. Required.
	Statement func(h Header, emrDigest [DigestSize]byte, emr []byte) ([]byte, error)
}

// Opened is a record that passed every check.
type Opened struct {
	Header Header
	// EMR is the record; nil when it went to a writer.
	EMR []byte
	// Signature is the hospital's DER signature over the seal statement.
	Signature []byte
	// EMRDigest is h(EMR) and CipherDigest is h(EMR_en).
	EMRDigest, CipherDigest [DigestSize]byte
}

// Open checks and decrypts a sealed record held in memory. Nothing is returned
// unless lengths, ledger digest (if given), every tag, and the signature hold.
// The errors tell the failing step: ErrMalformed, ErrUnsupported, ErrTruncated,
// ErrTrailing, ErrDigest, ErrAuthentication, ErrInvalidSignature.
func Open(p Provider, key Key, sealed []byte, check Check) (Opened, error) {
	h, size, err := ParseHeader(sealed)
	if err != nil {
		return Opened{}, err
	}
	if err := checkLength(h, uint64(len(sealed))); err != nil {
		return Opened{}, err
	}
	out := Opened{Header: h, CipherDigest: p.SM3(sealed)}
	if err := checkDigest(out.CipherDigest, check.CipherDigest); err != nil {
		return Opened{}, err
	}
	plain, err := openSegments(p, key, h, sealed[:size], sealed[size:])
	if err != nil {
		return Opened{}, err
	}
	out.EMR, out.Signature = plain[:h.EMRLength:h.EMRLength], plain[h.EMRLength:]
	out.EMRDigest = p.SM3(out.EMR)
	if err := checkSignature(p, check, out, out.EMR); err != nil {
		Zero(plain)
		return Opened{}, err
	}
	return out, nil
}

// Inspect parses the header of a complete sealed record and checks its length,
// without a key. It returns h(EMR_en) as well.
func Inspect(p Provider, sealed []byte) (Header, [DigestSize]byte, error) {
	h, _, err := ParseHeader(sealed)
	if err != nil {
		return Header{}, [DigestSize]byte{}, err
	}
	if err := checkLength(h, uint64(len(sealed))); err != nil {
		return Header{}, [DigestSize]byte{}, err
	}
	return h, p.SM3(sealed), nil
}

func checkLength(h Header, got uint64) error {
	switch want := h.SealedLength(); {
	case got < want:
		return fmt.Errorf("%w: sealed record has %d of %d bytes", ErrTruncated, got, want)
	case got > want:
		return fmt.Errorf("%w: sealed record has %d bytes more than announced", ErrTrailing, got-want)
	}
	return nil
}

func checkDigest(got [DigestSize]byte, want *[DigestSize]byte) error {
	if want != nil && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return fmt.Errorf("%w: sealed record differs from its anchored digest", ErrDigest)
	}
	return nil
}

func openSegments(p Provider, key Key, h Header, aad, body []byte) ([]byte, error) {
	aead, err := p.NewGCM(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, h.PlaintextLength())
	step := int(h.SegmentSize) + SegmentOverhead
	for counter := uint32(0); len(body) > 0; counter++ {
		n := min(step, len(body))
		nonce := segmentNonce(h.nonce, counter, n == len(body))
		if plain, err = aead.Open(plain, nonce[:], body[:n], aad); err != nil {
			return nil, fmt.Errorf("%w: segment %d", ErrAuthentication, counter)
		}
		body = body[n:]
	}
	return plain, nil
}

func checkSignature(p Provider, check Check, out Opened, emr []byte) error {
	if check.Statement == nil {
		return fmt.Errorf("%w: no statement to verify the signature over", ErrInvalidSignature)
	}
	statement, err := check.Statement(out.Header, out.EMRDigest, emr)
	if err != nil {
		return fmt.Errorf("smcrypto: build seal statement: %w", err)
	}
	err = p.Verify(check.Signer, statement, out.Signature)
	for i := 0; err != nil && i < len(check.Former); i++ {
		err = p.Verify(check.Former[i], statement, out.Signature)
	}
	if err != nil {
		return fmt.Errorf("sealed record: %w", err)
	}
	return nil
}

// OpenStream decrypts from r to w with a memory of one segment. Bytes reach w
// after their segment's tag verified but before the signature and the ledger
// digest did: the caller must throw them away unless OpenStream returns nil.
// r is read to its end; a byte after the announced length is ErrTrailing.
func OpenStream(p Provider, key Key, r io.Reader, w io.Writer, check Check) (Opened, error) {
	total := p.NewSM3()
	in := io.TeeReader(r, total)
	h, aad, err := ReadHeader(in)
	if err != nil {
		return Opened{}, err
	}
	out := Opened{Header: h}
	sum := p.NewSM3()
	out.Signature, err = streamSegments(p, key, h, aad, in, io.MultiWriter(sum, w))
	if err != nil {
		return Opened{}, err
	}
	var extra [1]byte
	if n, err := io.ReadFull(in, extra[:]); n != 0 {
		return Opened{}, fmt.Errorf("%w: after the sealed record", ErrTrailing)
	} else if err != io.EOF {
		return Opened{}, fmt.Errorf("smcrypto: read sealed record: %w", err)
	}
	total.Sum(out.CipherDigest[:0])
	sum.Sum(out.EMRDigest[:0])
	if err := checkDigest(out.CipherDigest, check.CipherDigest); err != nil {
		return Opened{}, err
	}
	if err := checkSignature(p, check, out, nil); err != nil {
		return Opened{}, err
	}
	return out, nil
}

// streamSegments sends the record to w and returns the signature that follows it.
func streamSegments(p Provider, key Key, h Header, aad []byte, r io.Reader, w io.Writer) ([]byte, error) {
	aead, err := p.NewGCM(key)
	if err != nil {
		return nil, err
	}
	left, emrLeft := h.PlaintextLength(), h.EMRLength
	buf := make([]byte, min(uint64(h.SegmentSize), left)+SegmentOverhead)
	defer Zero(buf)
	var sig []byte
	for counter := uint32(0); left > 0; counter++ {
		n := min(uint64(h.SegmentSize), left)
		left -= n
		segment := buf[:n+SegmentOverhead]
		if err := readFull(r, segment); err != nil {
			return nil, err
		}
		nonce := segmentNonce(h.nonce, counter, left == 0)
		plain, err := aead.Open(segment[:0], nonce[:], segment, aad)
		if err != nil {
			return nil, fmt.Errorf("%w: segment %d", ErrAuthentication, counter)
		}
		emr := min(emrLeft, n)
		if _, err := w.Write(plain[:emr]); err != nil {
			return nil, fmt.Errorf("smcrypto: write opened record: %w", err)
		}
		emrLeft -= emr
		sig = append(sig, plain[emr:]...)
	}
	return sig, nil
}
