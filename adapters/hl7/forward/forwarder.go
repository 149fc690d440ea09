package forward

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Source is where a Forwarder takes its messages from; DirQueue is one.
type Source interface {
	// Next waits for the oldest message that is neither sent nor held. One that cannot be
	// read is named with an error wrapping ErrUnreadable.
	Next(ctx context.Context) (Message, error)
	// Done makes durable that the destination has taken a message.
	Done(ctx context.Context, id string, r Receipt) error
	// Hold sets a message aside.
	Hold(ctx context.Context, id string, why Hold) error
}

// Hold says why a message is held. It names nothing of the message.
type Hold struct {
	At        time.Time `json:"at"`
	Code      string    `json:"code"` // AE, AR, CE, CR, or CodeUnreadable
	ErrorCode string    `json:"error_code,omitempty"`
	Tries     int       `json:"tries"`
}

// CodeUnreadable is the code of a held message that could not be read from the queue.
const CodeUnreadable = "UNREADABLE"

// destination delivers messages; Sender is one.
type destination interface {
	Deliver(ctx context.Context, m Message) (Receipt, error)
}

// Forwarder moves messages from a source to a destination, in order.
type Forwarder struct {
	from Source
	to   destination
	now  func() time.Time
}

// New returns a Forwarder.
func New(from Source, to destination) *Forwarder {
	return &Forwarder{from: from, to: to, now: time.Now}
}

// Run forwards until ctx ends, and returns nil then. An error is one of the source: what
// it cannot note as sent must not be followed by more.
func (f *Forwarder) Run(ctx context.Context) error {
	for {
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, ErrAway):
			return err
		}
	}
}

// step takes one message to its end. What it has begun to note it notes even if ctx ends.
func (f *Forwarder) step(ctx context.Context) error {
	note := context.WithoutCancel(ctx)
	m, err := f.from.Next(ctx)
	if errors.Is(err, ErrUnreadable) {
		return f.from.Hold(note, m.ID, Hold{At: f.now().UTC(), Code: CodeUnreadable})
	}
	if err != nil {
		return fmt.Errorf("forward: next message: %w", err)
	}
	r, err := f.to.Deliver(ctx, m)
	var held *HeldError
	switch {
	case err == nil:
		err = f.from.Done(note, m.ID, r)
	case errors.As(err, &held):
		err = f.from.Hold(note, m.ID, Hold{At: f.now().UTC(), Code: string(held.Code), ErrorCode: short(held.ErrorCode), Tries: held.Tries})
	default:
		return err
	}
	if err != nil {
		return fmt.Errorf("forward: %s: %w", m.ID, err)
	}
	return nil
}
