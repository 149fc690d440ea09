package smcrypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"hash"
	"io"
)

// SignFunc returns the DER signature over the caller's seal statement for a record
// whose digest h(EMR) is given.
type SignFunc func(emrDigest [DigestSize]byte) ([]byte, error)

// Sealed is the outcome of sealing.
type Sealed struct {
	// Header is what was written, lengths filled in.
	Header Header
	// Bytes is the whole sealed record; nil when it went to a writer.
	Bytes []byte
	// CipherDigest is h(EMR_en), SM3 over the whole sealed record.
	CipherDigest [DigestSize]byte
	// EMRDigest is h(EMR), SM3 over the record.
	EMRDigest [DigestSize]byte
	// Signature is the DER signature that was sealed with the record.
	Signature []byte
}

// SealWriter encrypts EMR ‖ signature segment by segment as it is written, with a
// memory of one segment. Write exactly Header.PlaintextLength bytes, then Close.
// It is not safe for concurrent use.
type SealWriter struct {
	w       io.Writer
	aead    cipher.AEAD
	header  Header
	aad     []byte
	sum     hash.Hash
	buf     []byte // pending plaintext, capacity one segment and its tag
	counter uint32
	left    uint64
	err     error
	closed  bool
}

// NewSealWriter writes the header to w and returns the writer for the plaintext.
// h must have its lengths set; a zero SegmentSize becomes SegmentSize. random is
// the source of the nonce prefix; nil means the operating system's.
func NewSealWriter(p Provider, key Key, h Header, w io.Writer, random io.Reader) (*SealWriter, error) {
	h, aad, aead, err := prepareSeal(p, key, h, random)
	if err != nil {
		return nil, err
	}
	s := &SealWriter{
		w: w, aead: aead, header: h, aad: aad, sum: p.NewSM3(), left: h.PlaintextLength(),
		buf: make([]byte, 0, int(min(uint64(h.SegmentSize), h.PlaintextLength()))+SegmentOverhead),
	}
	return s, s.emit(aad)
}

func prepareSeal(p Provider, key Key, h Header, random io.Reader) (Header, []byte, cipher.AEAD, error) {
	if key.isZero() {
		return h, nil, nil, fmt.Errorf("%w: record key is all zero", ErrInvalidKey)
	}
	if h.SegmentSize == 0 {
		h.SegmentSize = SegmentSize
	}
	if err := h.validate(); err != nil {
		return h, nil, nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, h.nonce[:]); err != nil {
		return h, nil, nil, fmt.Errorf("smcrypto: draw nonce prefix: %w", err)
	}
	aead, err := p.NewGCM(key)
	if err != nil {
		return h, nil, nil, err
	}
	return h, h.appendTo(make([]byte, 0, MaxHeaderSize)), aead, nil
}

// Write takes plaintext. It returns ErrLimit when more is written than the header announces.
func (s *SealWriter) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.closed {
		return 0, fmt.Errorf("smcrypto: write after close of a sealed record")
	}
	if uint64(len(b)) > s.left {
		s.err = fmt.Errorf("%w: more plaintext than the header announces", ErrLimit)
		return 0, s.err
	}
	total := len(b)
	for len(b) > 0 {
		n := min(int(s.header.SegmentSize)-len(s.buf), len(b))
		s.buf = append(s.buf, b[:n]...)
		b = b[n:]
		s.left -= uint64(n)
		if len(s.buf) == int(s.header.SegmentSize) || s.left == 0 {
			if err := s.flush(s.left == 0); err != nil {
				return total - len(b), err
			}
		}
	}
	return total, nil
}

func (s *SealWriter) flush(last bool) error {
	nonce := segmentNonce(s.header.nonce, s.counter, last)
	out := s.aead.Seal(s.buf[:0], nonce[:], s.buf, s.aad)
	s.counter++
	s.buf = s.buf[:0]
	return s.emit(out)
}

func (s *SealWriter) emit(b []byte) error {
	s.sum.Write(b)
	if _, err := s.w.Write(b); err != nil {
		s.err = fmt.Errorf("smcrypto: write sealed record: %w", err)
	}
	return s.err
}

// Close checks that all of the announced plaintext was written and overwrites the
// buffer. It does not close the underlying writer.
func (s *SealWriter) Close() error {
	if s.closed {
		return s.err
	}
	s.closed = true
	Zero(s.buf[:cap(s.buf)])
	if s.err == nil && s.left != 0 {
		s.err = fmt.Errorf("%w: less plaintext than the header announces", ErrTruncated)
	}
	return s.err
}

// Digest is h(EMR_en) over everything written; call it after a successful Close.
func (s *SealWriter) Digest() (sum [DigestSize]byte) {
	s.sum.Sum(sum[:0])
	return sum
}

// Header returns the header as written.
func (s *SealWriter) Header() Header { return s.header }

// Seal digests, signs and encrypts a record held in memory. h.EMRLength and
// h.SignatureLength are filled in. It makes one allocation for the result beside
// the provider's own.
func Seal(p Provider, key Key, h Header, emr []byte, sign SignFunc) (Sealed, error) {
	return sealWith(p, key, h, emr, sign, nil)
}

func sealWith(p Provider, key Key, h Header, emr []byte, sign SignFunc, random io.Reader) (Sealed, error) {
	digest := p.SM3(emr)
	sig, err := signDigest(digest, sign)
	if err != nil {
		return Sealed{}, err
	}
	h.EMRLength, h.SignatureLength = uint64(len(emr)), uint16(len(sig))
	h, aad, aead, err := prepareSeal(p, key, h, random)
	if err != nil {
		return Sealed{}, err
	}
	out := make([]byte, 0, h.SealedLength())
	out = append(out, aad...)
	out = sealSegments(out, aead, h, aad, emr, sig)
	return Sealed{Header: h, Bytes: out, CipherDigest: p.SM3(out), EMRDigest: digest, Signature: sig}, nil
}

// sealSegments encrypts whole segments straight from emr; the segments that touch
// the signature are assembled in the output and encrypted in place.
func sealSegments(out []byte, aead cipher.AEAD, h Header, aad, emr, sig []byte) []byte {
	size, total := int(h.SegmentSize), len(emr)+len(sig)
	for counter, off := uint32(0), 0; off < total; counter++ {
		end := min(off+size, total)
		nonce := segmentNonce(h.nonce, counter, end == total)
		if end <= len(emr) {
			out = aead.Seal(out, nonce[:], emr[off:end], aad)
		} else {
			start := len(out)
			if off < len(emr) {
				out = append(out, emr[off:]...)
			}
			out = append(out, sig[max(off-len(emr), 0):end-len(emr)]...)
			out = aead.Seal(out[:start], nonce[:], out[start:], aad)
		}
		off = end
	}
	return out
}

func signDigest(digest [DigestSize]byte, sign SignFunc) ([]byte, error) {
	sig, err := sign(digest)
	if err != nil {
		return nil, fmt.Errorf("smcrypto: sign sealed record: %w", err)
	}
	if err := CheckSignatureEncoding(sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// SealStream seals a record that is too large to hold: emr is read twice from its
// current position, once to digest and sign and once to encrypt, in a memory of
// one segment. ErrSource says that the second reading differed from the first; what
// was written to w must then be discarded.
func SealStream(p Provider, key Key, h Header, emr io.ReadSeeker, sign SignFunc, w io.Writer) (Sealed, error) {
	start, err := emr.Seek(0, io.SeekCurrent)
	if err != nil {
		return Sealed{}, fmt.Errorf("smcrypto: position of the record source: %w", err)
	}
	length, digest, err := digestReader(p, emr)
	if err != nil {
		return Sealed{}, err
	}
	sig, err := signDigest(digest, sign)
	if err != nil {
		return Sealed{}, err
	}
	if _, err := emr.Seek(start, io.SeekStart); err != nil {
		return Sealed{}, fmt.Errorf("smcrypto: rewind the record source: %w", err)
	}
	h.EMRLength, h.SignatureLength = length, uint16(len(sig))
	sw, err := NewSealWriter(p, key, h, w, nil)
	if err != nil {
		return Sealed{}, err
	}
	defer func() { _ = sw.Close() }()
	again, second, err := digestReader(p, io.TeeReader(io.LimitReader(emr, int64(length)), sw))
	if err != nil {
		return Sealed{}, err
	}
	if again != length || !bytes.Equal(second[:], digest[:]) || !atEnd(emr) {
		return Sealed{}, ErrSource
	}
	if _, err := sw.Write(sig); err != nil {
		return Sealed{}, err
	}
	if err := sw.Close(); err != nil {
		return Sealed{}, err
	}
	return Sealed{Header: sw.Header(), CipherDigest: sw.Digest(), EMRDigest: digest, Signature: sig}, nil
}

// digestReader reads r to its end, at most MaxEMRLength bytes.
func digestReader(p Provider, r io.Reader) (n uint64, sum [DigestSize]byte, err error) {
	h := p.NewSM3()
	read, err := io.Copy(writerOnly{h}, io.LimitReader(r, MaxEMRLength+1))
	if err != nil {
		return 0, sum, fmt.Errorf("smcrypto: read the record source: %w", err)
	}
	if read > MaxEMRLength {
		return 0, sum, fmt.Errorf("%w: record exceeds %d bytes", ErrLimit, MaxEMRLength)
	}
	h.Sum(sum[:0])
	return uint64(read), sum, nil
}

// writerOnly hides other methods, so that io.Copy keeps its own bounded buffer.
type writerOnly struct{ io.Writer }

func atEnd(r io.Reader) bool {
	var one [1]byte
	n, err := io.ReadFull(r, one[:])
	return n == 0 && err == io.EOF
}
