package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/leak"
)

// Detect tells the format of data by its beginning.
func Detect(data []byte) desensitize.Format {
	switch leak.Detect(data) {
	case leak.HL7v2:
		return desensitize.HL7v2
	case leak.FHIR:
		return desensitize.FHIR
	case leak.CDA:
		return desensitize.CDA
	}
	return desensitize.FreeText
}

// Run de-identifies all records of in: the messages of a file or batch of HL7 v2, the
// resources of NDJSON or one resource, one CDA document, one text. Each record is written to
// out only after it passed the leak gate; memory is bounded by the largest record. After an
// error, a *Failure or that of ctx or of in or out, what was written is whole records, and
// the caller throws it away. input is the same for all records.
func (e *Engine) Run(ctx context.Context, f desensitize.Format, in io.Reader, out io.Writer, input Input) (*desensitize.Report, error) {
	report := &desensitize.Report{}
	item := 0
	for u := range e.units(f, in) {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		if u.err != nil {
			return report, &Failure{Item: item + 1, Err: u.err}
		}
		do := e.record
		if u.frame {
			do = e.frame
		} else {
			item++
		}
		result, err := do(ctx, f, u.data, input, report)
		if ctxErr := ctx.Err(); ctxErr != nil {
			return report, ctxErr
		}
		if err != nil {
			return report, &Failure{Item: max(item, 1), Err: err}
		}
		if _, err := out.Write(append(result, u.after...)); err != nil {
			return report, err
		}
	}
	if item == 0 {
		return report, &Failure{Item: 1, Err: ErrEmpty}
	}
	return report, nil
}

// unit is one record of a stream, or a line of the frame around records.
type unit struct {
	data  []byte
	after string // what stands between it and the next
	frame bool   // a segment of a batch
	err   error
}

// units splits a stream.
func (e *Engine) units(f desensitize.Format, in io.Reader) iter.Seq[unit] {
	r := bufio.NewReaderSize(in, 64<<10)
	switch f {
	case desensitize.HL7v2:
		return e.messages(r)
	case desensitize.FHIR:
		return e.resources(r)
	}
	return func(yield func(unit) bool) {
		data, err := e.rest(nil, r)
		if err != nil || len(bytes.TrimSpace(data)) > 0 || f == desensitize.FreeText {
			yield(unit{data: data, err: err})
		}
	}
}

// rest reads to the end, behind what was read already.
func (e *Engine) rest(head []byte, r io.Reader) ([]byte, error) {
	left := int64(e.config.MaxRecord - len(head))
	more, err := io.ReadAll(io.LimitReader(r, max(left, 0)+1))
	if err == nil && int64(len(more)) > left {
		err = ErrTooLarge
	}
	return append(head, more...), err
}

// line reads one line with its end; a line over the limit is an error.
func (e *Engine) line(r *bufio.Reader, end func([]byte) int) ([]byte, error) {
	var out []byte
	for {
		chunk, err := r.Peek(1)
		if len(chunk) == 0 {
			if errors.Is(err, io.EOF) && len(out) > 0 {
				return out, nil
			}
			return out, err
		}
		chunk, _ = r.Peek(r.Buffered())
		n := end(chunk)
		if n > 0 {
			chunk = chunk[:n]
		}
		out = append(out, chunk...)
		_, _ = r.Discard(len(chunk)) // they are buffered
		if n > 0 {
			return out, nil
		}
		if len(out) > e.config.MaxRecord {
			return nil, ErrTooLarge
		}
	}
}

func newline(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

func carriageReturn(b []byte) int { return bytes.IndexAny(b, "\r\n") + 1 }

// resources yields the lines of NDJSON, or the one resource that fills the input.
func (e *Engine) resources(r *bufio.Reader) iter.Seq[unit] {
	return func(yield func(unit) bool) {
		first, err := e.line(r, newline)
		for err == nil && len(bytes.TrimSpace(first)) == 0 {
			first, err = e.line(r, newline)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				yield(unit{err: err})
			}
			return
		}
		first = bytes.TrimPrefix(first, []byte("\xef\xbb\xbf"))
		if !json.Valid(first) { // a resource over several lines
			data, err := e.rest(first, r)
			yield(unit{data: data, after: "\n", err: err})
			return
		}
		for err == nil {
			if len(bytes.TrimSpace(first)) > 0 && !yield(unit{data: bytes.TrimSpace(first), after: "\n"}) {
				return
			}
			first, err = e.line(r, newline)
		}
		if !errors.Is(err, io.EOF) {
			yield(unit{err: err})
		}
	}
}

// segment reads one segment with its end, CRLF as one.
func (e *Engine) segment(r *bufio.Reader) ([]byte, error) {
	line, err := e.line(r, carriageReturn)
	if next, _ := r.Peek(1); bytes.HasSuffix(line, []byte("\r")) && string(next) == "\n" {
		line = append(line, '\n')
		_, _ = r.Discard(1) // it is buffered
	}
	return line, err
}

// messages yields the messages of a file and the segments of the batch around them (HL7 v2
// chapter 2, §2.10.3). Bytes of MLLP frames are left out.
func (e *Engine) messages(r *bufio.Reader) iter.Seq[unit] {
	return func(yield func(unit) bool) {
		var message []byte
		flush := func() bool {
			data := message
			message = nil
			return len(bytes.TrimSpace(data)) == 0 || yield(unit{data: data})
		}
		for {
			line, err := e.segment(r)
			if len(message)+len(line) > e.config.MaxRecord {
				err = ErrTooLarge
			}
			if err != nil {
				if flush() && !errors.Is(err, io.EOF) {
					yield(unit{err: err})
				}
				return
			}
			segment := bytes.TrimLeft(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), "\x0b\x1c")
			frame := isFrame(segment)
			if (frame || bytes.HasPrefix(segment, []byte("MSH"))) && !flush() || frame && !yield(unit{data: segment, frame: true}) {
				return
			}
			framing := len(segment) < len(line) && len(bytes.TrimSpace(segment)) == 0
			if !frame && !framing {
				message = append(message, segment...)
			}
		}
	}
}

// isFrame reports a segment of a batch.
func isFrame(line []byte) bool {
	for _, name := range []string{"FHS", "BHS", "BTS", "FTS"} {
		if bytes.HasPrefix(line, []byte(name)) {
			return true
		}
	}
	return false
}

// frame de-identifies a segment of a batch, and lets it pass the gate.
func (e *Engine) frame(ctx context.Context, _ desensitize.Format, data []byte, _ Input, report *desensitize.Report) ([]byte, error) {
	if e.wrapper == nil {
		return nil, fmt.Errorf("%w: %s", ErrFormat, desensitize.HL7v2)
	}
	line := bytes.TrimRight(data, "\r\n")
	out, err := e.wrapper(ctx, line, report)
	if err != nil {
		return nil, err
	}
	out = append(bytes.TrimRight(out, "\r\n"), data[len(line):]...)
	found, err := e.gate.Check(ctx, leak.HL7v2, out, nil)
	if err == nil && len(found) > 0 {
		err = &leak.Found{Findings: found}
	}
	return out, err
}

// Describe says what was wrong with a record, for a report: the types and places that the
// gate found, or the error. It holds no value.
func Describe(err error) (findings []leak.Finding, problem string) {
	var found *leak.Found
	if errors.As(err, &found) {
		return found.Findings, fmt.Sprint(found)
	}
	if err == nil {
		return nil, ""
	}
	return nil, err.Error()
}
