package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrCut reports a stream that stopped before its end: the transfer may be resumed.
	ErrCut = errors.New("wire: delivery stopped before its end")
	// ErrDropped reports, from Read, that the owner declared the record void. The stream
	// goes on with Next.
	ErrDropped = errors.New("wire: the owner dropped the record")
)

// Reader reads a delivery stream with the memory of one frame. It is not safe for
// concurrent use.
type Reader struct {
	r       io.Reader
	stage   stage
	begun   bool
	left    uint64 // of the record that is being read
	pending []byte // rest of the data frame that is being read
	items   int
	records uint32
	absent  uint32
	grants  int
	buf     []byte
}

// NewReader returns a reader of a stream.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next item of the stream: *RecordHead, *Absent, *Grant, *End or
// *Failure, after the last two io.EOF. After a RecordHead the sealed record is read with
// Read up to its io.EOF; calling Next earlier is an error. A stream that stops gives
// ErrCut, bytes out of form or order ErrMalformed.
func (r *Reader) Next() (any, error) {
	if r.stage == stageData {
		return nil, fmt.Errorf("%w: record was not read to its end", ErrMalformed)
	}
	if r.stage == stageClosed {
		return nil, io.EOF
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	kind, n, err := r.head()
	if err != nil {
		return nil, err
	}
	if n > maxControl {
		return nil, fmt.Errorf("%w: frame of %d bytes, the limit is %d", ErrMalformed, n, maxControl)
	}
	payload, err := r.payload(n)
	if err != nil {
		return nil, err
	}
	item, err := r.item(kind, payload)
	if err != nil {
		r.stage = stageClosed
	}
	return item, err
}

func (r *Reader) begin() error {
	if r.begun {
		return nil
	}
	var start [len(magic) + 1]byte
	if err := r.full(start[:]); err != nil {
		return err
	}
	if string(start[:len(magic)]) != magic || start[len(magic)] != Version {
		return fmt.Errorf("%w: not a delivery stream of version %d", ErrMalformed, Version)
	}
	r.begun = true
	return nil
}

func (r *Reader) item(kind byte, payload []byte) (any, error) {
	switch kind {
	case frameRecord:
		return r.record(payload)
	case frameAbsent:
		var a Absent
		err := r.take(payload, &a, r.stage == stageRecords && r.items < MaxItems)
		r.items++
		r.absent++
		return &a, err
	case frameGrant:
		var g Grant
		r.grants++
		err := r.take(payload, &g, r.grants <= MaxItems)
		if err == nil && (len(g.Bytes) == 0 || len(g.Bytes) > MaxGrant) {
			err = fmt.Errorf("%w: grant of %d bytes", ErrMalformed, len(g.Bytes))
		}
		r.stage = stageGrants
		return &g, err
	case frameEnd:
		var e End
		err := r.take(payload, &e, true)
		if err == nil && (e.Records != r.records || e.Absent != r.absent) {
			err = fmt.Errorf("%w: %d records and %d absences counted, %d and %d announced", ErrMalformed, r.records, r.absent, e.Records, e.Absent)
		}
		r.stage = stageClosed
		return &e, err
	case frameFailure:
		var f Failure
		err := r.take(payload, &f, true)
		if err == nil && !validName(f.Code) {
			err = fmt.Errorf("%w: failure without a code", ErrMalformed)
		}
		r.stage = stageClosed
		return &f, err
	}
	return nil, fmt.Errorf("%w: frame of type %d", ErrMalformed, kind)
}

func (r *Reader) record(payload []byte) (any, error) {
	var h RecordHead
	if err := r.take(payload, &h, r.stage == stageRecords && r.items < MaxItems); err != nil {
		return nil, err
	}
	if h.Length == 0 || h.Length > MaxSealed {
		return nil, fmt.Errorf("%w: sealed record of %d bytes, the limit is %d", ErrMalformed, h.Length, MaxSealed)
	}
	r.items++
	r.records++
	r.left = h.Length
	r.stage = stageData
	return &h, nil
}

func (r *Reader) take(payload []byte, v any, inOrder bool) error {
	if !inOrder {
		return fmt.Errorf("%w: %T out of order or too many", ErrMalformed, v)
	}
	return unmarshal(payload, v, maxControl)
}

// Read reads the sealed record that was announced last and returns io.EOF at its end.
func (r *Reader) Read(p []byte) (int, error) {
	if r.stage != stageData {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.pending) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	r.left -= uint64(n)
	if r.left == 0 {
		r.stage = stageRecords
	}
	return n, nil
}

// fill reads one data frame.
func (r *Reader) fill() error {
	kind, n, err := r.head()
	if err != nil {
		return err
	}
	if kind == frameDropped && n <= maxControl {
		return r.dropped(n)
	}
	if kind != frameData || n == 0 || n > MaxData || uint64(n) > r.left {
		r.stage = stageClosed
		return fmt.Errorf("%w: frame inside a sealed record", ErrMalformed)
	}
	r.pending, err = r.payload(n)
	return err
}

func (r *Reader) dropped(n int) error {
	payload, err := r.payload(n)
	if err != nil {
		return err
	}
	var a Absent
	if err := unmarshal(payload, &a, maxControl); err != nil {
		r.stage = stageClosed
		return err
	}
	r.stage = stageRecords
	r.records--
	r.absent++
	return ErrDropped
}

func (r *Reader) head() (kind byte, n int, err error) {
	var head [headSize]byte
	if err := r.full(head[:]); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > MaxData {
		r.stage = stageClosed
		return 0, 0, fmt.Errorf("%w: frame of %d bytes, the limit is %d", ErrMalformed, length, MaxData)
	}
	return head[0], int(length), nil
}

// payload reads into the buffer of the reader, which grows to one frame at most.
func (r *Reader) payload(n int) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	return b, r.full(b)
}

func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if err == nil {
		return nil
	}
	r.stage = stageClosed
	return fmt.Errorf("%w: %w", ErrCut, err)
}
