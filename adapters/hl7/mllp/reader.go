package mllp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// freeBytes is the part of a frame that needs no budget: with MaxConns connections it is
// what the server holds at most besides MaxInFlight. It is also what is kept of a frame
// that is too long.
const freeBytes = 64 << 10

// drainFactor says how much of a frame that is too long is read to its end, in multiples
// of MaxFrame, and drainMost how much beyond MaxFrame at most, in bytes; then the connection
// is closed.
const (
	drainFactor = 16
	drainMost   = 64 << 20
)

// spoolPace is how much of a spooled frame gets one more second beside FrameTimeout, in
// bytes: a sender that is as fast is not cut off for the length of its message.
const spoolPace = 1 << 20

var (
	errJunk     = errors.New("mllp: too many bytes outside a frame; is the peer speaking MLLP?")
	errDrain    = errors.New("mllp: frame far above the limit; its end was not awaited")
	errSilence  = errors.New("mllp: the peer fell silent inside a frame")
	errGone     = errors.New("mllp: the peer went away inside a frame")
	errNoMemory = errors.New("mllp: no memory left for frames in flight")
)

// frameReader cuts the bytes of one connection into frames. It keeps its buffer from one
// frame to the next, so pipelined bytes are never lost.
type frameReader struct {
	conn    net.Conn
	br      *bufio.Reader
	cfg     *Config
	mem     *budget
	started time.Time // of the frame being read
	total   int64     // bytes received

	buf   []byte // the frame, or the beginning of one that is spooled
	taken int64  // from mem, given back by release
	size  int64  // bytes of the frame so far
	fault Fault

	spool    Spool // takes the frame; nil while it is in buf
	heldBack bool  // an FS that may be the end of the frame is not in the spool yet
	spoolErr error // why the spool refused
}

func newFrameReader(conn net.Conn, cfg *Config, mem *budget) *frameReader {
	return &frameReader{conn: conn, br: bufio.NewReaderSize(conn, 4<<10), cfg: cfg, mem: mem}
}

// release gives back the memory of the last frame, and its spool if nobody took it.
func (r *frameReader) release() {
	r.mem.give(r.taken)
	r.dropSpool()
	r.buf, r.taken, r.size, r.fault, r.spoolErr = nil, 0, 0, Whole, nil
}

func (r *frameReader) dropSpool() {
	if r.spool != nil {
		r.spool.Abort()
	}
	r.spool, r.heldBack = nil, false
}

// skipToStart reads up to and including the next VT. It returns the number of bytes
// skipped, apart from line ends, which many senders put between frames.
func (r *frameReader) skipToStart() (junk int64, err error) {
	r.deadline(r.cfg.IdleTimeout)
	for n := 0; ; n++ {
		c, err := r.br.ReadByte()
		if err != nil {
			return junk, err
		}
		r.total++
		switch {
		case c == startBlock:
			r.started = time.Now()
			return junk, nil
		case c != carriage && c != '\n' && c != endBlock:
			junk++
		}
		if n >= r.cfg.MaxJunk {
			return junk, errJunk
		}
	}
}

// readFrame reads the rest of a frame after its VT. On an error with Fault set the frame
// is not whole and r.buf holds its beginning.
func (r *frameReader) readFrame() error {
	for {
		if err := r.fillDeadline(); err != nil {
			return r.cut(err)
		}
		chunk, err := r.br.ReadSlice(endBlock)
		r.total += int64(len(chunk))
		if err := r.keep(chunk); err != nil {
			return err
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return r.cut(err)
		}
		end, err := r.atEnd()
		if err != nil {
			return r.cut(err)
		}
		if end {
			return nil
		}
	}
}

// keep adds bytes to the frame within the limits. Beyond them it only counts.
func (r *frameReader) keep(chunk []byte) error {
	r.size += int64(len(chunk))
	if r.fault == Whole && r.size > int64(r.cfg.MaxFrame)+1 { // the FS is not part of the frame
		r.fault = Oversize
	}
	if r.fault == Whole && !r.store(chunk) {
		r.fault = NoMemory
	}
	if r.fault == Whole {
		return nil
	}
	r.shrink()
	if limit := int64(r.cfg.MaxFrame); r.size > min(drainFactor*limit, limit+drainMost) {
		return errDrain
	}
	return nil
}

// store puts bytes into the buffer, or into the spool once the frame is long enough.
func (r *frameReader) store(chunk []byte) bool {
	if r.spool == nil && r.cfg.Spool != nil && len(r.buf)+len(chunk) > r.cfg.SpoolFrom {
		if r.spoolErr = r.spill(); r.spoolErr != nil {
			return false
		}
	}
	if r.spool != nil {
		r.spoolErr = r.toSpool(chunk)
		return r.spoolErr == nil
	}
	if !r.afford(len(r.buf) + len(chunk)) {
		return false
	}
	r.buf = append(r.buf, chunk...)
	return true
}

// spill moves the frame from memory into a spool.
func (r *frameReader) spill() error {
	sp, err := r.cfg.Spool()
	if err != nil {
		return err
	}
	r.spool = sp
	_, err = sp.Write(r.buf)
	r.head()
	return err
}

// toSpool holds back an FS at the end until it is known to be part of the message.
func (r *frameReader) toSpool(chunk []byte) error {
	if r.heldBack {
		r.heldBack = false
		if _, err := r.spool.Write([]byte{endBlock}); err != nil {
			return err
		}
	}
	if n := len(chunk); n > 0 && chunk[n-1] == endBlock {
		chunk, r.heldBack = chunk[:n-1], true
	}
	_, err := r.spool.Write(chunk)
	return err
}

// afford makes room for n bytes in the buffer, on the budget where that is above
// freeBytes.
func (r *frameReader) afford(n int) bool {
	if n <= cap(r.buf) {
		return true
	}
	grown := min(max(2*cap(r.buf), n, 1<<10), max(r.cfg.MaxFrame+1, n))
	if extra := int64(grown-freeBytes) - r.taken; extra > 0 {
		if !r.mem.take(extra) {
			return false
		}
		r.taken += extra
	}
	buf := make([]byte, len(r.buf), grown)
	copy(buf, r.buf)
	r.buf = buf
	return true
}

// shrink keeps only the beginning of a frame that will not be taken.
func (r *frameReader) shrink() {
	r.dropSpool()
	r.head()
}

// head keeps only the beginning of the frame in memory.
func (r *frameReader) head() {
	if cap(r.buf) <= freeBytes && r.taken == 0 {
		return
	}
	r.buf = bytes.Clone(r.buf[:min(len(r.buf), freeBytes)])
	r.mem.give(r.taken)
	r.taken = 0
}

// atEnd decides, after an FS, whether the frame ends: CR follows, or LF or the next VT
// from a sender that leaves the CR out. Any other byte makes the FS part of the message.
func (r *frameReader) atEnd() (bool, error) {
	waited := r.br.Buffered() == 0 && r.cfg.EndWait > 0
	if waited {
		r.deadline(min(r.cfg.EndWait, r.cfg.ReadTimeout))
	}
	next, err := r.br.Peek(1)
	if err != nil {
		if waited && timedOut(err) {
			r.trimEnd()
			return true, nil
		}
		return false, err
	}
	switch next[0] {
	case carriage, '\n':
		_, _ = r.br.Discard(1) // it was peeked
		r.total++
	case startBlock:
	default:
		return false, nil
	}
	r.trimEnd()
	return true, nil
}

// trimEnd drops the FS that ended the frame.
func (r *frameReader) trimEnd() {
	r.size--
	switch {
	case r.fault != Whole:
	case r.spool != nil:
		r.heldBack = false
	default:
		r.buf = r.buf[:len(r.buf)-1]
	}
}

// finish makes a spooled frame durable and returns it; nil for one in memory. A spool that
// fails makes the frame one that could not be held.
func (r *frameReader) finish() hl7.Body {
	if r.spool == nil || r.fault != Whole {
		return nil
	}
	body, err := r.spool.Finish()
	r.spool = nil
	if err != nil {
		r.fault, r.spoolErr = NoMemory, err
		return nil
	}
	return body
}

// cut turns a read error inside a frame into its reason.
func (r *frameReader) cut(err error) error {
	if r.fault == Whole {
		r.fault = Incomplete
	}
	r.dropSpool()
	switch {
	case timedOut(err):
		return errSilence
	case errors.Is(err, io.EOF):
		return errGone
	}
	return err
}

// fillDeadline sets the deadline of the next read inside a frame: the silence allowed or
// what is left of the time for the whole frame.
func (r *frameReader) fillDeadline() error {
	left := r.cfg.FrameTimeout - time.Since(r.started)
	if r.spool != nil {
		left += time.Duration(r.size/spoolPace) * time.Second
	}
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	r.deadline(min(left, r.cfg.ReadTimeout))
	return nil
}

func (r *frameReader) deadline(d time.Duration) {
	_ = r.conn.SetReadDeadline(time.Now().Add(d)) // fails only on a closed connection, which the read reports
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
