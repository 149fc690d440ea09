package mllp

import (
	"context"
	"errors"
	"io"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// ForReceiver makes a handler that gives frames to an HL7 receiver. Peer in the
// submissions is the name of the client certificate where there is one, and the address.
func ForReceiver(r *hl7.Receiver) Handler {
	return func(ctx context.Context, f Frame) ([]byte, error) {
		in := hl7.Incoming{Raw: f.Payload, Body: f.Body, Peer: f.Peer, ReceivedAt: f.ReceivedAt, Size: f.Size, Reply: f.Reply}
		if f.PeerCert != nil {
			in.Peer = f.PeerCert.Subject.CommonName + "@" + f.Peer
		}
		switch f.Fault {
		case Oversize:
			in.Fault = hl7.FrameOversize
		case Incomplete:
			in.Fault = hl7.FrameIncomplete
		case NoMemory:
			in.Fault = hl7.FrameNoMemory
		}
		return r.HandleFrame(ctx, in), nil
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
