package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// A stream is the magic, the version and frames: type 1 byte, length 4 bytes big-endian,
// payload. Their order is fixed:
//
//	(record data+ | record data* dropped | absent)*  grant*  end
//
// or, between any of these, failure.
const (
	magic    = "EMRD"
	headSize = 5

	frameRecord  = 'R' // canonical CBOR of RecordHead
	frameData    = 'D' // 1 to MaxData bytes of the sealed record
	frameDropped = 'X' // canonical CBOR of Absent: the record that was begun is void
	frameAbsent  = 'A' // canonical CBOR of Absent
	frameGrant   = 'G' // canonical CBOR of Grant
	frameEnd     = 'E' // canonical CBOR of End
	frameFailure = 'F' // canonical CBOR of Failure
)

// Limits of a stream, in bytes where not said otherwise.
const (
	MaxData  = 64 << 10
	MaxGrant = 4 << 10
	// MaxSealed is the largest sealed record that a stream carries.
	MaxSealed = 300 << 20
	// MaxItems is the largest number of records and absences in a stream.
	MaxItems = MaxRecords

	maxControl = MaxGrant + 64
)

// ContentType is the media type of a delivery stream.
const ContentType = "application/vnd.emrbridge.delivery"

// RecordHead announces a sealed record, which follows in data frames.
type RecordHead struct {
	ID     evidence.RecordID `cbor:"0,keyasint"`
	Length uint64            `cbor:"1,keyasint"` // of the sealed record, bytes
}

// AbsentCode says why a record that was asked for is not in the stream.
type AbsentCode string

// Codes of absence.
const (
	NotStored AbsentCode = "not-stored" // the owner's store does not have it
	Withheld  AbsentCode = "withheld"   // the consent does not reach its kind
	Erased    AbsentCode = "erased"     // its key was destroyed
	Foreign   AbsentCode = "foreign"    // not anchored by this owner for this patient
	Damaged   AbsentCode = "damaged"    // the owner's own copy failed its check
	NoKey     AbsentCode = "no-key"     // the owner's custody cannot give its key
)

// Absent tells that a record is not in the stream.
type Absent struct {
	ID   evidence.RecordID `cbor:"0,keyasint"`
	Code AbsentCode        `cbor:"1,keyasint"`
}

// Grant carries the key grant of a record. Grants follow after all records, because none
// may leave the owner before its delivery is on the ledger.
type Grant struct {
	ID    evidence.RecordID `cbor:"0,keyasint"`
	Bytes []byte            `cbor:"1,keyasint"`
}

// End closes a complete stream.
type End struct {
	Records uint32 `cbor:"0,keyasint"`
	Absent  uint32 `cbor:"1,keyasint"`
	// More is true where the delivery on the ledger holds other records beside those in
	// this stream, as after a resumption.
	More bool `cbor:"2,keyasint"`
}

// Failure closes a stream that the owner cannot complete.
type Failure struct {
	Code string `cbor:"0,keyasint"`
}

// stage is the progress of a stream; both sides enforce the same order.
type stage uint8

const (
	stageRecords stage = iota
	stageData
	stageGrants
	stageClosed
)

// Writer writes a delivery stream. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	stage stage
	items int
	begun bool

	records, absent uint32
}

// NewWriter returns a writer of a stream. Nothing is written before the first frame.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Begun reports whether bytes were written, so that the caller cannot turn to an error
// response any more.
func (w *Writer) Begun() bool { return w.begun }

// Record writes one sealed record of the announced length from r, with the memory of one
// data frame. If r fails, or is shorter or longer than announced, the record is declared
// void, the error is a *DroppedError and the stream goes on; the last data frame is held
// back until r has said io.EOF, so that a source that checks itself at its end is heard.
// Any other error leaves the stream unusable.
func (w *Writer) Record(head RecordHead, r io.Reader) error {
	if w.stage != stageRecords || w.items == MaxItems {
		return fmt.Errorf("%w: record out of order or too many", ErrMalformed)
	}
	if head.Length == 0 || head.Length > MaxSealed {
		return fmt.Errorf("%w: sealed record of %d bytes, the limit is %d", ErrMalformed, head.Length, MaxSealed)
	}
	w.items++
	if err := w.control(frameRecord, head); err != nil {
		return err
	}
	w.stage = stageData
	err := w.data(head.Length, r)
	var dropped *DroppedError
	if errors.As(err, &dropped) {
		if werr := w.control(frameDropped, Absent{ID: head.ID, Code: Damaged}); werr != nil {
			err = werr
		} else {
			w.stage = stageRecords
			w.absent++
		}
	} else if err == nil {
		w.stage = stageRecords
		w.records++
	}
	return err
}

// DroppedError reports that the source of a sealed record failed in the middle. The
// record is void, the stream goes on.
type DroppedError struct{ Err error }

// Error implements error.
func (e *DroppedError) Error() string { return "wire: sealed record dropped: " + e.Err.Error() }

// Unwrap returns the error of the source.
func (e *DroppedError) Unwrap() error { return e.Err }

func (w *Writer) data(left uint64, r io.Reader) error {
	buf := make([]byte, headSize+min(left, MaxData))
	for left > 0 {
		n := min(left, MaxData)
		if _, err := io.ReadFull(r, buf[headSize:headSize+n]); err != nil {
			return &DroppedError{err}
		}
		if left -= n; left == 0 {
			if err := atEnd(r); err != nil {
				return &DroppedError{err}
			}
		}
		putHead(buf, frameData, int(n))
		if _, err := w.w.Write(buf[:headSize+n]); err != nil {
			return fmt.Errorf("wire: write delivery: %w", err)
		}
	}
	return nil
}

func atEnd(r io.Reader) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n != 0:
		return fmt.Errorf("%w: sealed record is longer than announced", ErrMalformed)
	case err != io.EOF:
		return err
	}
	return nil
}

// Absent writes that a record is not in the stream.
func (w *Writer) Absent(a Absent) error {
	if w.stage != stageRecords || w.items == MaxItems {
		return fmt.Errorf("%w: absence out of order or too many", ErrMalformed)
	}
	w.items++
	w.absent++
	return w.control(frameAbsent, a)
}

// Grant writes a key grant. No record may follow.
func (w *Writer) Grant(g Grant) error {
	if w.stage != stageRecords && w.stage != stageGrants {
		return fmt.Errorf("%w: grant out of order", ErrMalformed)
	}
	if len(g.Bytes) == 0 || len(g.Bytes) > MaxGrant {
		return fmt.Errorf("%w: grant of %d bytes, the limit is %d", ErrMalformed, len(g.Bytes), MaxGrant)
	}
	w.stage = stageGrants
	return w.control(frameGrant, g)
}

// End closes the stream as complete; more says that the delivery on the ledger holds
// other records beside those in this stream.
func (w *Writer) End(more bool) error {
	if w.stage != stageRecords && w.stage != stageGrants {
		return fmt.Errorf("%w: end out of order", ErrMalformed)
	}
	w.stage = stageClosed
	return w.control(frameEnd, End{Records: w.records, Absent: w.absent, More: more})
}

// Fail closes the stream as failed. In the middle of a record it writes nothing: the
// reader sees the stream end early.
func (w *Writer) Fail(f Failure) error {
	if w.stage == stageData || w.stage == stageClosed {
		return nil
	}
	w.stage = stageClosed
	return w.control(frameFailure, f)
}

func (w *Writer) control(kind byte, v any) error {
	payload, err := marshal(v, maxControl)
	if err != nil {
		return err
	}
	var out []byte
	if !w.begun {
		out = append(out, magic...)
		out = append(out, Version)
	}
	head := make([]byte, headSize)
	putHead(head, kind, len(payload))
	out = append(append(out, head...), payload...)
	w.begun = true
	if _, err := w.w.Write(out); err != nil {
		return fmt.Errorf("wire: write delivery: %w", err)
	}
	return nil
}

// GrantsDigest is the digest of the key grants of one delivery, which goes on the ledger:
// SM3 over a domain and, for each grant in ascending order of record ids, its length as 4
// bytes big-endian and its bytes.
func GrantsDigest(grants [][]byte) evidence.Digest {
	h := smcrypto.Default().NewSM3()
	h.Write([]byte(grantsDomain))
	var n [4]byte
	for _, g := range grants {
		binary.BigEndian.PutUint32(n[:], uint32(len(g)))
		h.Write(n[:])
		h.Write(g)
	}
	return evidence.Digest(h.Sum(nil))
}

const grantsDomain = "emrbridge/grants/v1\n"

func putHead(b []byte, kind byte, n int) {
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}
