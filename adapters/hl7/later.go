package hl7

import (
	"context"
	"errors"
)

// The acknowledgements of the enhanced mode (HL7 v2 chapter 2, §2.9.3): the accept
// acknowledgement CA, CE or CR says whether the message was taken into safe keeping, and
// is the answer to the frame. The application acknowledgement AA, AE or AR says what
// became of it; it is a message of its own, may come much later, and asks for no answer
// (MSH-15 and MSH-16 NE). MSH-15 says when the sender wants the first, MSH-16 the second.

// ErrNoReply reports that the sender of a message can no longer be reached over the
// connection on which the message came.
var ErrNoReply = errors.New("hl7: the sender is no longer connected")

// Outcome is what became of a message after it was taken.
type Outcome struct {
	Code  AckCode // AppAccept, AppError or AppReject
	Fault *Fault  // why it failed; nil with AppAccept
}

// Later is an application acknowledgement that is owed. It is safe for concurrent use.
type Later struct {
	receiver *Receiver
	verdict  Verdict
	reply    func(ctx context.Context, raw []byte) error
}

// Ack returns the acknowledgement as it goes on the wire, or nil if MSH-16 asks for none
// with this outcome.
func (l *Later) Ack(o Outcome) []byte {
	if !asked(l.verdict.Header.ApplicationAck, o.Code) {
		return nil
	}
	v := l.verdict
	v.Code, v.Fault = o.Code, o.Fault
	return l.receiver.encode(v, o.Code, "NE")
}

// Send sends the acknowledgement to where the message came from. It returns what was to
// be sent, nil if nothing was, and an error wrapping ErrNoReply if the sender has gone.
func (l *Later) Send(ctx context.Context, o Outcome) (ack []byte, err error) {
	ack = l.Ack(o)
	if ack == nil {
		return nil, nil
	}
	if l.reply == nil {
		return ack, ErrNoReply
	}
	if err := l.reply(ctx, ack); err != nil {
		return ack, errors.Join(ErrNoReply, err)
	}
	return ack, nil
}

// later returns what is owed to the sender of a message that is about to be submitted,
// nil if nothing is deferred.
func (r *Receiver) later(v Verdict, in Incoming) *Later {
	if !r.DeferApplicationAck || !r.enhanced(v.Header) || none(v.Header.ApplicationAck) {
		return nil
	}
	return &Later{receiver: r, verdict: v, reply: in.Reply}
}

func (r *Receiver) enhanced(h Header) bool { return h.Enhanced() && !r.OriginalModeOnly }

// none reports a condition of HL7 table 0155 that never asks for an answer.
func none(condition string) bool { return condition == "" || condition == "NE" }

// answer builds what goes back at once. In enhanced mode that is the accept
// acknowledgement where MSH-15 asks for it. The application acknowledgement is the answer
// where the sender wants no other and it is not deferred, or where the message was not
// taken; otherwise it follows the accept acknowledgement, now or later.
func (r *Receiver) answer(v Verdict, in Incoming) []byte {
	h := v.Header
	if !r.enhanced(h) {
		return r.encode(v, v.Code, "")
	}
	taken := v.Code == AppAccept
	now := asked(h.ApplicationAck, v.Code) && (!taken || !r.DeferApplicationAck)
	switch {
	case asked(h.AcceptAck, v.Code):
		if taken && now && in.Reply != nil {
			// Reply waits until the accept acknowledgement is out. A sender that has gone by
			// then learns the outcome when it sends the message again.
			go func() { _ = in.Reply(context.Background(), r.encode(v, v.Code, "NE")) }()
		}
		return r.encode(v, v.Code.Commit(), "")
	case now:
		return r.encode(v, v.Code, "")
	}
	return nil
}

// encode builds an acknowledgement in the charset of the message. A character that the
// charset lacks can only come from a header that was read by force; the answer is then
// sent without the echoed names.
func (r *Receiver) encode(v Verdict, code AckCode, conditions string) []byte {
	h := v.Header
	out, err := v.charset.Encode(r.Ack.build(h, code, v.Fault, conditions))
	if err == nil {
		return out
	}
	bare := Header{Delimiters: DefaultDelimiters, ControlID: h.ControlID, controlRaw: h.controlRaw, Version: h.Version}
	if firstNonASCII([]byte(h.controlRaw)) < len(h.controlRaw) {
		bare.ControlID, bare.controlRaw = "", ""
	}
	return (Ack{Now: r.Ack.Now, NewControlID: r.Ack.NewControlID}).build(bare, code, v.Fault, conditions)
}
