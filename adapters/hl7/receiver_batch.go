package hl7

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// A batch (HL7 v2 chapter 2, §2.10.3: FHS, BHS, messages, BTS, FTS) may come in one frame.
// Its wrapper is checked first, since a count that is wrong means that something is
// missing: then nothing of it is taken, and the answer is a batch with one AR whose MSA-2
// is the batch's own control id. Otherwise each message is taken for itself, and the answer
// is a batch of the acknowledgements in the same order and nesting, with BHS-12 naming
// BHS-11 of the request. A message that asks for no answer has none in it.

// ErrBatch reports a batch whose wrapper is at fault.
var ErrBatch = errors.New("hl7: batch")

// defaultMaxBatch is the most messages of a batch where the receiver sets no other limit.
const defaultMaxBatch = 10_000

// IsBatch reports whether raw begins with a file or batch header.
func IsBatch(raw []byte) bool {
	raw = bytes.TrimLeft(bytes.TrimPrefix(raw, utf8BOM), "\r\n")
	return len(raw) > 3 && (bytes.HasPrefix(raw, []byte("FHS")) || bytes.HasPrefix(raw, []byte("BHS"))) && usableDelimiter(raw[3])
}

// CheckBatch returns why a stream cannot be taken as a batch of at most limit messages
// (10,000 if 0): wrong nesting or counts, bytes between the messages, too many or none.
func (s *Stream) CheckBatch(limit int) error {
	if limit <= 0 {
		limit = defaultMaxBatch
	}
	if len(s.Problems) > 0 {
		p := s.Problems[0]
		return fmt.Errorf("%w: %s (byte %d)", ErrBatch, p.Text, p.Offset)
	}
	n := 0
	for _, it := range s.Items {
		if it.Kind == ItemMessage {
			n++
		}
	}
	switch {
	case n > limit:
		return fmt.Errorf("%w: %d messages, the limit is %d; send smaller batches", ErrBatch, n, limit)
	case n == 0 && len(s.Items) == 0:
		return fmt.Errorf("%w: there is nothing in it", ErrBatch)
	}
	return nil
}

// handleBatch takes the messages of a batch and answers them together.
func (r *Receiver) handleBatch(ctx context.Context, in Incoming) []byte {
	s := SplitMessages(in.Raw)
	if err := s.CheckBatch(r.MaxBatch); err != nil {
		return r.refuseBatch(ctx, in, s, err)
	}
	var out []byte
	answers, batches := 0, 0
	for _, it := range s.Items {
		switch it.Kind {
		case ItemFileHeader:
			out = append(out, r.wrapper("FHS", it.Raw)...)
		case ItemBatchHeader:
			out, answers = append(out, r.wrapper("BHS", it.Raw)...), 0
			batches++
		case ItemBatchTrailer:
			out = fmt.Appendf(out, "BTS|%d\r", answers)
		case ItemFileTrailer:
			out = fmt.Appendf(out, "FTS|%d\r", batches)
		case ItemMessage:
			one := in
			one.Raw, one.Size = it.Raw, int64(len(it.Raw))
			if v := r.Take(ctx, one); v.Code != "" {
				if ack := r.answer(v, one); ack != nil {
					out = append(out, ack...)
					answers++
				}
			}
		}
	}
	return out
}

// refuseBatch quarantines a batch as a whole and answers it with one AR.
func (r *Receiver) refuseBatch(ctx context.Context, in Incoming, s *Stream, cause error) []byte {
	head := readWrapper(nil, r.Charset)
	for _, it := range s.Items {
		if it.Kind == ItemBatchHeader || it.Kind == ItemFileHeader && head.controlID == "" {
			head = readWrapper(it.Raw, r.Charset)
		}
	}
	fault := Fault{Code: CodeSegmentSequence, Diagnostics: cause.Error()}
	why := Reason{Ack: AppReject, Fault: fault, Sender: head.app + "|" + head.facility, ControlID: head.controlID,
		Kind: "BATCH", Charset: head.charset.String(), Peer: in.Peer, ReceivedAt: in.ReceivedAt, Size: int64(len(in.Raw))}
	if r.Quarantine != nil {
		if err := r.Quarantine(ctx, in.Raw, why); err != nil && r.QuarantineFailed != nil {
			r.QuarantineFailed(why, err)
		}
	}
	d := DefaultDelimiters
	h := Header{Delimiters: d, ControlID: head.controlID, controlRaw: string(d.EscapeText(head.controlID)),
		SendingApplication: string(d.EscapeText(head.app)), SendingFacility: string(d.EscapeText(head.facility))}
	out := append(head.answer("BHS", r.Ack), r.Ack.Build(h, AppReject, &fault)...)
	out = append(out, "BTS|1\r"...)
	return head.encode(out)
}

// wrapper builds the header of a response from that of the request.
func (r *Receiver) wrapper(name string, line []byte) []byte {
	w := readWrapper(line, r.Charset)
	return w.encode(w.answer(name, r.Ack))
}

// wrapperHeader is what FHS or BHS says, as text. Both have the same fields.
type wrapperHeader struct {
	charset       Charset
	app, facility string // FHS-3, FHS-4
	toApp, toFac  string // FHS-5, FHS-6
	controlID     string // FHS-11
	usual         bool   // the fields are written with the usual delimiters
}

// readWrapper reads as much of a file or batch header as it can. The header names no
// charset: the endpoint's is used, and names that do not decode by it are left out.
func readWrapper(line []byte, policy CharsetPolicy) wrapperHeader {
	w := wrapperHeader{charset: ASCII}
	line = bytes.TrimRight(bytes.TrimPrefix(line, utf8BOM), "\r\n")
	if len(line) < 5 {
		return w
	}
	text, cs, err := policy.Decode(line)
	if err == nil {
		w.charset = cs
	} else {
		text = blankNonASCII(line)
	}
	w.usual = bytes.HasPrefix(text[3:], []byte(`|^~\&|`))
	fields := bytes.Split(text, text[3:4]) // FHS-n is fields[n-1]
	get := func(n int) string {
		if n > len(fields) || len(fields[n-1]) > maxControlID {
			return ""
		}
		return string(bytes.Map(printable, fields[n-1]))
	}
	w.app, w.facility, w.toApp, w.toFac, w.controlID = get(3), get(4), get(5), get(6), get(11)
	return w
}

// printable drops control characters.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// answer builds the header of a response with the usual delimiters: sender and receiver
// exchanged, a control id of its own, and the request's in FHS-12.
func (w wrapperHeader) answer(name string, a Ack) []byte {
	d := DefaultDelimiters
	b := builder{d: &d}
	b.out = append(b.out, name...)
	b.out = append(append(b.out, d.Field), d.EncodingCharacters()...)
	app, facility := w.toApp, w.toFac
	if app == "" {
		app = a.Application
	}
	if facility == "" {
		facility = a.Facility
	}
	for _, v := range []string{app, facility, w.app, w.facility, a.now().Format("20060102150405-0700"), "", "", "", a.controlID(), w.controlID} {
		if w.usual {
			b.raw(v)
		} else {
			b.text(v)
		}
	}
	b.end()
	return b.out
}

// encode puts a response into the charset of the request's header. What the charset lacks
// can only be a name of this system's own; question marks take its place.
func (w wrapperHeader) encode(text []byte) []byte {
	if out, err := w.charset.Encode(text); err == nil {
		return out
	}
	return bytes.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, text)
}
