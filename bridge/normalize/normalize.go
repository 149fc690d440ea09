// Package normalize turns what an adapter took into a record: the second hop.
//
//	emr.received (raw bytes) ─▶ parse ─▶ canonical bytes ─▶ emr.normalized
//
// The steps, for each message:
//
//  1. The parser is chosen by media type. It is a pure function of the bytes and of what the
//     intake fixed (time of receipt), so that doing this hop again gives the same bytes.
//  2. The record's id must be the one under which the intake acknowledged the message. If
//     not, adapter and parser read the message differently, and somebody has to look.
//  3. The canonical bytes go on. Of a body that waits in a claim file the parser reads the
//     skeleton that came along, and the envelope goes on alone: the file is not touched here.
//  4. What cannot be parsed, although the adapter let it pass, is
//     rejected with its reason; the raw bytes go to the quarantine.
package normalize

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// Name is the name of the stage.
const Name = "normalize"

// Reason codes.
const (
	CodeUnparseable = "UNPARSEABLE"
	CodeInvalid     = "INVALID_RECORD"
	CodeNoParser    = "NO_PARSER"
	CodeIDMismatch  = "ID_MISMATCH"
	CodeReference   = "BAD_REFERENCE"
)

// Input is what a parser gets.
type Input struct {
	// Raw is the message or document. Of one that is too long for memory it is the skeleton,
	// in UTF-8; the parser need not know.
	Raw                           []byte
	MediaType, Charset            string
	Sender, ControlID, Kind, Peer string
	ReceivedAt                    time.Time
}

// Parser reads raw bytes into a record. Its result must depend on the input alone. It is
// called concurrently. Its errors must not quote the input.
type Parser func(ctx context.Context, in Input) (*record.Record, error)

// Deps is what the stage needs.
type Deps struct {
	// Parsers by media type, without parameters and in lower case.
	Parsers map[string]Parser
	Now     func() time.Time // nil: time.Now
}

// New returns the handler of the stage.
func New(d Deps) stage.Handler {
	if d.Now == nil {
		d.Now = time.Now
	}
	return &handler{d}
}

type handler struct{ d Deps }

// Handle implements stage.Handler.
func (h *handler) Handle(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	if m.Meta.Claim != "" {
		return h.large(ctx, m)
	}
	r, err := h.parse(ctx, m, m.Body, m.Meta.Charset)
	if err != nil {
		return nil, err
	}
	if r.ID != m.Meta.Record {
		return nil, stage.Park(CodeIDMismatch, fmt.Errorf("intake acknowledged %s, the parser reads %s", m.Meta.Record, r.ID))
	}
	emr, err := r.Canonical()
	if err != nil {
		return nil, stage.Reject(CodeInvalid, err)
	}
	return h.next(m.Meta, r, emr), nil
}

// large is Handle for a body in a claim file.
func (h *handler) large(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	ref, err := claims.ParseReference(m.Body)
	if err != nil || ref.Claim != m.Meta.Claim {
		return nil, stage.Park(CodeReference, errors.Join(claims.ErrReference, err))
	}
	r, err := h.parse(ctx, m, ref.Head, charsetUTF8)
	if err != nil {
		return nil, keep(err)
	}
	r.ID = record.NewIDFromDigest(record.Origin{HospitalNumber: m.Meta.Record.HospitalNumber(), HospitalMSP: r.HospitalMSP,
		Sender: r.Sender, ControlID: r.ControlID}, ref.Digest)
	if r.ID != m.Meta.Record {
		return nil, stage.Park(CodeIDMismatch, fmt.Errorf("intake acknowledged %s, the parser reads %s", m.Meta.Record, r.ID))
	}
	r.Charset = m.Meta.Charset
	if ref.Partial { // nobody has read all of it: it may name other patients
		r.Confidentiality = record.VeryRestricted
	}
	if ref.Head, err = r.CanonicalPrefix(ref.Size); err != nil {
		return nil, stage.Park(CodeInvalid, err)
	}
	body, err := ref.Encode()
	if err != nil {
		return nil, stage.Park(CodeReference, err)
	}
	return h.next(m.Meta, r, body), nil
}

// charsetUTF8 is the charset of every skeleton.
const charsetUTF8 = "UTF-8"

// keep turns a rejection into parking: a rejected body goes to the quarantine, which takes
// it into memory, and this one was acknowledged, so that nobody else may have it.
func keep(err error) error {
	var reject *stage.RejectError
	if errors.As(err, &reject) {
		return stage.Park(reject.Code, reject.Err)
	}
	return err
}

// parse runs the parser of the message's media type.
func (h *handler) parse(ctx context.Context, m bus.Message, raw []byte, charset string) (*record.Record, error) {
	parse, err := h.parser(m.Meta.MediaType)
	if err != nil {
		return nil, err
	}
	r, err := parse(ctx, Input{Raw: raw, MediaType: m.Meta.MediaType, Charset: charset, Sender: m.Meta.Sender,
		ControlID: m.Meta.ControlID, Kind: m.Meta.Kind, Peer: m.Meta.Peer, ReceivedAt: m.Meta.ReceivedAt})
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, stage.Reject(CodeUnparseable, err)
}

// next hands a record on.
func (h *handler) next(meta topology.Meta, r *record.Record, body []byte) []bus.Message {
	meta.Stage, meta.Code, meta.Kind, meta.At = stage.Normalized, "", r.Kind, h.d.Now().Truncate(time.Millisecond)
	meta.Barrier = patientindex.HasMerge(r)
	return []bus.Message{{Subject: topology.Normalized, Meta: meta, Body: body}}
}

func (h *handler) parser(mediaType string) (Parser, error) {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return nil, stage.Reject(CodeNoParser, errors.New("media type is malformed"))
	}
	p, ok := h.d.Parsers[base]
	if !ok {
		// Set aside, not refused: a later configuration may know it.
		return nil, stage.Park(CodeNoParser, fmt.Errorf("no parser for media type %s", base))
	}
	return p, nil
}
