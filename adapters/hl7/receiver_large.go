package hl7

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Body is a message too long for memory, in its own charset and without framing, kept by
// whoever received it. Somebody has to take it over (the function behind Submit does) or
// to discard it.
type Body interface {
	// Size is its length in bytes.
	Size() int64
	// Reader reads it from the beginning.
	Reader() (io.ReadSeekCloser, error)
	// Discard removes it, unless it was taken over.
	Discard()
}

// largestBatch is the longest batch in one frame, in bytes. A batch is cut into its
// messages in memory; longer ones come in files.
const largestBatch = 8 << 20

// batchesInMemory bounds how many batches from bodies are in memory at a time.
var batchesInMemory = make(chan struct{}, 2)

// largeAtOnce bounds how many messages in bodies are read and submitted at a time, since
// their skeletons are in memory meanwhile: MaxSkeleton for each, if senders mean ill.
var largeAtOnce = make(chan struct{}, 8)

// turn waits until a message in a body may be read; others need not wait. release ends it.
func (r *Receiver) turn(ctx context.Context, in Incoming) (release func(), err error) {
	if in.Body == nil {
		return func() {}, nil
	}
	select {
	case largeAtOnce <- struct{}{}:
		return func() { <-largeAtOnce }, nil
	case <-ctx.Done():
		return nil, &bodyError{context.Cause(ctx)}
	}
}

// tryAgain is the verdict on a message that could not be looked at.
func (r *Receiver) tryAgain(in Incoming, err error) Verdict {
	h, cs, _ := PeekHeader(in.Raw, r.Charset)
	fault := FaultOf(err)
	return Verdict{Code: AppError, Fault: &fault, Again: true, Header: h, charset: cs}
}

// readLarge is read for a message in a body: it is read once from beginning to end, and
// what stays of it is read like any other message.
func (r *Receiver) readLarge(ctx context.Context, in Incoming) (got read, err error) {
	defer parserFailed(&err)
	if IsBatch(in.Raw) {
		return got, &transportError{AppReject, CodeInternal, fmt.Sprintf("a batch of %d bytes in one frame, the limit is %d; send smaller ones, or files", in.Body.Size(), largestBatch)}
	}
	s, err := r.Charset.Skim(ctx, func() (io.ReadCloser, error) { return in.Body.Reader() })
	if err != nil {
		return got, bodyFault(err)
	}
	got, err = r.inspect(s.Text, s.Charset)
	got.skeleton = s
	return got, err
}

// bodyError is a body that could not be read: the message may be well, and may come again.
type bodyError struct{ cause error }

func (e *bodyError) Error() string {
	return "hl7: a large message could not be read back: " + e.cause.Error()
}

func (e *bodyError) Unwrap() error { return e.cause }

// bodyFault keeps errors of reading apart from those of the message.
func bodyFault(err error) error {
	var pe *ParseError
	var ce *CharsetError
	if errors.As(err, &pe) || errors.As(err, &ce) {
		return err
	}
	return &bodyError{err}
}

// inMemory brings a batch that is not too long back into memory; release ends its use.
func (r *Receiver) inMemory(ctx context.Context, in Incoming) (_ Incoming, release func(), err error) {
	release = func() {}
	if in.Body == nil || !IsBatch(in.Raw) || in.Body.Size() > largestBatch {
		return in, release, nil
	}
	select {
	case batchesInMemory <- struct{}{}:
		release = func() { <-batchesInMemory }
	case <-ctx.Done():
		return in, release, context.Cause(ctx)
	}
	raw := make([]byte, in.Body.Size())
	b, err := in.Body.Reader()
	if err == nil {
		_, err = io.ReadFull(b, raw)
		_ = b.Close()
	}
	if err != nil {
		release()
		return in, func() {}, fmt.Errorf("hl7: read a batch: %w", err)
	}
	in.Raw, in.Body = raw, nil
	return in, release, nil
}
