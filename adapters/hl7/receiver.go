package hl7

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Incoming is one frame as a transport received it.
type Incoming struct {
	Raw []byte // in its own charset, without framing
	// Body is set where the frame is too long for memory; Raw is its beginning then.
	Body       Body
	Peer       string // address or certificate name, for the trail
	ReceivedAt time.Time
	Fault      TransportFault
	Size       int64 // bytes of the frame where Raw is only its beginning
	// Reply sends a further message to the sender, after the answer to this frame; it may be
	// called at any time and fails once the sender has gone. Nil where nothing can follow.
	Reply func(ctx context.Context, raw []byte) error
}

// TransportFault says why a frame is not whole.
type TransportFault uint8

// Transport faults.
const (
	FrameWhole      TransportFault = iota
	FrameOversize                  // longer than the limit; Raw is its beginning
	FrameIncomplete                // the sender fell silent or went away; Raw is what came
	FrameNoMemory                  // the budget for frames in flight was used up; Raw is its beginning
)

// Submission is a message that was read and is to be made durable.
type Submission struct {
	Raw []byte // exactly as received; nil where Body is set
	// Body is a message too long for memory, and Skeleton what stays of it: see Skim. Submit
	// takes the body over when it returns nil.
	Body       Body
	Skeleton   *Skeleton
	Sender     string // MSH-3|MSH-4
	ControlID  string // MSH-10
	Kind       string // as ADT^A01
	Version    string // MSH-12
	Charset    string // name of HL7 table 0211 that Raw was decoded by
	Peer       string
	ReceivedAt time.Time
	// RoutingHint is the same for all messages that name the same patient in the same way.
	// It is a 16-bit bucket, from which nobody can be told: "p" and four hex digits, or
	// "none" for a message without a patient.
	RoutingHint string
	// Later is set where the sender awaits an application acknowledgement that the endpoint
	// defers. Who makes the message durable then sees to it that Later.Send is called once,
	// when the record has come as far as the endpoint promises, or has failed on the way.
	Later *Later
}

// LogValue implements slog.LogValuer.
func (s Submission) LogValue() slog.Value {
	size := int64(len(s.Raw))
	if s.Body != nil {
		size = s.Body.Size()
	}
	return slog.GroupValue(slog.String("kind", s.Kind), slog.String("charset", s.Charset),
		slog.Int64("bytes", size), slog.String("peer", s.Peer))
}

// Reason says why input was refused, free of message content apart from the names by
// which its sender knows it.
type Reason struct {
	Ack        AckCode
	Fault      Fault
	Sender     string // MSH-3|MSH-4, "" if it could not be read
	ControlID  string
	Kind       string
	Charset    string
	Peer       string
	ReceivedAt time.Time
	Truncated  bool  // the raw bytes are only the beginning
	Size       int64 // of the whole frame, 0 if not known
}

// LogValue implements slog.LogValuer.
func (r Reason) LogValue() slog.Value {
	return slog.GroupValue(slog.String("ack", string(r.Ack)), slog.Int("code", int(r.Fault.Code)),
		slog.String("why", r.Fault.Diagnostics), slog.String("kind", r.Kind), slog.String("peer", r.Peer))
}

// Refusal is an error with which Submit refuses a message for good instead of asking for
// it again: for example a control id that was used for other bytes.
type Refusal struct {
	Ack   AckCode // AppError or AppReject
	Fault Fault
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("hl7: refused with %s, code %d: %s", r.Ack, int(r.Fault.Code), r.Fault.Diagnostics)
}

// Receiver turns frames into submissions and answers them. Its fields are set before
// first use; it is then safe for concurrent use.
type Receiver struct {
	// Submit makes a message durable. It returns nil only when the message is on disk:
	// the answer AA or CA follows at once. A *Refusal is answered as it says; any other
	// error with AE, code 207, on which the sender tries again.
	Submit func(ctx context.Context, s Submission) error
	// Quarantine keeps refused input for inspection. Its error changes nothing in the
	// answer: the sender still has the message.
	Quarantine func(ctx context.Context, raw []byte, why Reason) error
	// Charset is the endpoint's policy.
	Charset CharsetPolicy
	// Ack builds the answers.
	Ack Ack
	// Mapper reads the patient's numbers for the routing hint, and knows which kinds have
	// rules. Without one messages carry no hint and no kind is known.
	Mapper Mapping
	// RejectUnknown refuses kinds that the mapping does not know with AR, code 200 or
	// 201. The default is to accept them: they are sealed as they are.
	RejectUnknown bool
	// ProcessingIDs are the values of MSH-11 that are taken (P, T, D); all if empty.
	ProcessingIDs []string
	// OriginalModeOnly answers every message with AA, AE or AR whatever MSH-15 and MSH-16
	// ask for.
	OriginalModeOnly bool
	// DeferApplicationAck hands the application acknowledgement of the enhanced mode to
	// Submission.Later. The default is to send it as soon as the message is durable.
	DeferApplicationAck bool
	// MaxBatch is the most messages that one batch may hold; 10,000 if 0.
	MaxBatch int
	// QuarantineFailed is told when Quarantine fails; may be nil.
	QuarantineFailed func(Reason, error)
}

// read is a frame that was understood.
type read struct {
	header  Header
	charset Charset
	hint    string
	// skeleton is set for a message in a body.
	skeleton *Skeleton
}

// HandleFrame takes one frame and returns the answer as it goes on the wire, in the
// charset of the frame. A nil answer means that the sender asked for none, or that the
// frame was itself an acknowledgement, which is never answered. A frame that begins with
// FHS or BHS is a batch: see Batch.
func (r *Receiver) HandleFrame(ctx context.Context, in Incoming) []byte {
	if in.Fault == FrameWhole && IsBatch(in.Raw) {
		whole, release, err := r.inMemory(ctx, in)
		defer release()
		if err == nil && whole.Body == nil {
			return r.handleBatch(ctx, whole)
		}
	}
	v := r.Take(ctx, in)
	if v.Code == "" {
		return nil
	}
	return r.answer(v, in)
}

// Verdict is what became of one message.
type Verdict struct {
	// Code is AppAccept, AppError or AppReject; empty for a frame that is itself an
	// acknowledgement.
	Code AckCode
	// Fault says why the message was not taken; nil if it was.
	Fault *Fault
	// Again says that the same message may be taken if it is sent again: the fault lies here.
	Again  bool
	Header Header // as far as it could be read

	charset Charset
}

// Take reads one message and submits it, or puts it into quarantine. It answers nobody:
// see HandleFrame for what comes over a connection.
func (r *Receiver) Take(ctx context.Context, in Incoming) Verdict {
	if in.Fault != FrameWhole {
		return r.refuse(ctx, in, faultOfTransport(in))
	}
	release, err := r.turn(ctx, in)
	if err != nil {
		return r.tryAgain(in, err)
	}
	defer release()
	got, err := r.readAny(ctx, in)
	var unread *bodyError
	switch {
	case errors.As(err, &unread):
		return r.tryAgain(in, err)
	case err != nil:
		return r.refuse(ctx, in, err)
	}
	h := got.header
	v := Verdict{Code: AppAccept, Header: h, charset: got.charset}
	raw := in.Raw
	if in.Body != nil {
		raw = nil
	}
	err = r.Submit(ctx, Submission{
		Raw: raw, Body: in.Body, Skeleton: got.skeleton, Sender: h.Sender(), ControlID: h.ControlID, Kind: h.Kind(), Version: h.Version,
		Charset: got.charset.String(), Peer: in.Peer, ReceivedAt: in.ReceivedAt, RoutingHint: got.hint,
		Later: r.later(v, in),
	})
	var refusal *Refusal
	switch {
	case err == nil:
	case errors.As(err, &refusal):
		return r.refuse(ctx, in, refusal)
	default:
		fault := FaultOf(err)
		v.Code, v.Fault, v.Again = AppError, &fault, true
	}
	return v
}

// errIsAck marks a frame that is an acknowledgement.
var errIsAck = errors.New("hl7: an acknowledgement, not a message")

// read decodes, parses and checks a frame. A panic in the parser becomes an error: one
// hostile message must not take the listener down.
func (r *Receiver) read(raw []byte) (got read, err error) {
	defer parserFailed(&err)
	text, cs, err := r.Charset.Decode(raw)
	if err != nil {
		return got, err
	}
	return r.inspect(text, cs)
}

// readAny reads a frame in memory or in a body.
func (r *Receiver) readAny(ctx context.Context, in Incoming) (read, error) {
	if in.Body != nil {
		return r.readLarge(ctx, in)
	}
	return r.read(in.Raw)
}

// parserFailed turns a panic into an error. It is deferred.
func parserFailed(err *error) {
	if recover() != nil {
		*err = &ParseError{Kind: ErrSegment, Code: CodeInternal, Problem: "the parser failed on this message; report it"}
	}
}

// inspect parses and checks decoded text.
func (r *Receiver) inspect(text []byte, cs Charset) (got read, err error) {
	m, err := Parse(text)
	if err != nil {
		return got, err
	}
	h := m.Header()
	if _, answers := m.Find("MSA", 1); answers && (h.MessageCode == "ACK" || h.MessageCode == "") || h.MessageCode == "ACK" {
		return got, errIsAck
	}
	if err := h.Check(); err != nil {
		return got, err
	}
	if err := r.admit(h); err != nil {
		return got, err
	}
	return read{header: h, charset: cs, hint: r.hint(m)}, nil
}

// admit applies the endpoint's policy on processing ids and message types.
func (r *Receiver) admit(h Header) error {
	refuse := func(code ErrorCode, field int, problem string) error {
		return &ParseError{Kind: ErrHeader, Code: code, Segment: "MSH", Sequence: 1, Field: field, Problem: problem}
	}
	if len(r.ProcessingIDs) > 0 {
		known := false
		for _, p := range r.ProcessingIDs {
			known = known || p == h.ProcessingID
		}
		if !known {
			return refuse(CodeUnsupportedProcess, 11, "this endpoint does not take the processing id")
		}
	}
	if r.RejectUnknown && (r.Mapper == nil || !r.Mapper.Knows(h.Kind())) {
		if r.Mapper != nil && r.Mapper.Knows(h.MessageCode) {
			return refuse(CodeUnsupportedEvent, 9, "this endpoint does not take the trigger event")
		}
		return refuse(CodeUnsupportedMessage, 9, "this endpoint does not take the message type")
	}
	return nil
}

// refuse quarantines a frame.
func (r *Receiver) refuse(ctx context.Context, in Incoming, cause error) Verdict {
	h, cs, found := PeekHeader(in.Raw, r.Charset)
	code, fault := verdict(cause)
	if !found {
		code = AppReject
	}
	why := Reason{Ack: code, Fault: fault, Kind: h.Kind(), ControlID: h.ControlID, Charset: cs.String(),
		Peer: in.Peer, ReceivedAt: in.ReceivedAt, Truncated: in.Fault != FrameWhole || in.Body != nil, Size: max(in.Size, int64(len(in.Raw)))}
	if found {
		why.Sender = h.Sender()
	}
	if r.Quarantine != nil {
		if err := r.Quarantine(ctx, in.Raw, why); err != nil && r.QuarantineFailed != nil {
			r.QuarantineFailed(why, err)
		}
	}
	if errors.Is(cause, errIsAck) {
		return Verdict{Header: h, charset: cs}
	}
	return Verdict{Code: code, Fault: &fault, Header: h, charset: cs,
		Again: in.Fault == FrameIncomplete || in.Fault == FrameNoMemory}
}

// verdict chooses the code and the ERR segment for a cause of refusal. AR is for what the
// header says (type, version, charset name, no header); AE for an error in the content.
func verdict(cause error) (AckCode, Fault) {
	var refusal *Refusal
	var ce *CharsetError
	switch {
	case errors.As(cause, &refusal):
		return refusal.Ack, refusal.Fault
	case errors.As(cause, &ce) && ce.Unknown,
		errors.Is(cause, ErrNoHeader), errors.Is(cause, ErrDelimiters), errors.Is(cause, ErrHeader):
		return AppReject, FaultOf(cause)
	}
	var transport *transportError
	if errors.As(cause, &transport) {
		return transport.ack, Fault{Code: transport.code, Diagnostics: transport.text}
	}
	return AppError, FaultOf(cause)
}

// transportError describes a frame that is not whole.
type transportError struct {
	ack  AckCode
	code ErrorCode
	text string
}

func (e *transportError) Error() string { return "hl7: " + e.text }

func faultOfTransport(in Incoming) error {
	switch in.Fault {
	case FrameOversize:
		return &transportError{AppReject, CodeInternal, fmt.Sprintf("the message is longer than this endpoint takes (%d bytes)", in.Size)}
	case FrameIncomplete:
		return &transportError{AppError, CodeSegmentSequence, "the frame was not completed; send the message again"}
	}
	return &transportError{AppError, CodeInternal, "too much is being received at the moment; send the message again"}
}

// asked reports whether a condition of HL7 table 0155 asks for an answer with this code.
// In enhanced mode an empty condition asks for none.
func asked(condition string, code AckCode) bool {
	switch condition {
	case "", "NE":
		return false
	case "ER":
		return !code.Accepted()
	case "SU":
		return code.Accepted()
	}
	return true
}
