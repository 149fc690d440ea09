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
//  3. The canonical bytes go on. What cannot be parsed, although the adapter let it pass, is
//     rejected with its reason; the raw bytes go to the quarantine.
package normalize

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
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
)

// Input is what a parser gets.
type Input struct {
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
	parse, err := h.parser(m.Meta.MediaType)
	if err != nil {
		return nil, err
	}
	r, err := parse(ctx, Input{Raw: m.Body, MediaType: m.Meta.MediaType, Charset: m.Meta.Charset, Sender: m.Meta.Sender,
		ControlID: m.Meta.ControlID, Kind: m.Meta.Kind, Peer: m.Meta.Peer, ReceivedAt: m.Meta.ReceivedAt})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, stage.Reject(CodeUnparseable, err)
	}
	if r.ID != m.Meta.Record {
		return nil, stage.Park(CodeIDMismatch, fmt.Errorf("intake acknowledged %s, the parser reads %s", m.Meta.Record, r.ID))
	}
	emr, err := r.Canonical()
	if err != nil {
		return nil, stage.Reject(CodeInvalid, err)
	}
	meta := m.Meta
	meta.Stage, meta.Code, meta.Kind, meta.At = stage.Normalized, "", r.Kind, h.d.Now().Truncate(time.Millisecond)
	return []bus.Message{{Subject: topology.Normalized, Meta: meta, Body: emr}}, nil
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
