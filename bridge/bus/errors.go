package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of the bus; test with errors.Is.
var (
	// ErrUnavailable: the server cannot be reached or does not answer. Whether the message
	// was stored is not known; publishing it again is harmless, since stages are idempotent.
	ErrUnavailable = errors.New("bus: not available")
	// ErrFull: the stream has reached its limit, or the disk is full. Nothing was stored.
	ErrFull = errors.New("bus: full")
	// ErrTooLarge: the message exceeds the limit of the topology. Nothing was stored.
	ErrTooLarge = errors.New("bus: message too large")
	// ErrClosed: the bus was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrStuck: the embedded server neither works nor stops. Only a new process helps; nothing
	// that was acknowledged is lost by ending this one.
	ErrStuck = errors.New("bus: the embedded server does not stop; end this process and start it again")
	// ErrSealed: a body does not open under the bus key, or was moved to another subject.
	ErrSealed = errors.New("bus: body does not open")
)

// Error codes of the server that mean that something is full.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeAccountResources      jetstream.ErrorCode = 10002
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeStoreFailed           jetstream.ErrorCode = 10077
)

// classify names the kind of an error that publishing gave.
func classify(stream string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api):
		switch api.ErrorCode {
		case codeInsufficientResources, codeAccountResources, codeStorageExceeded, codeStoreFailed:
			return fmt.Errorf("%w: stream %s: %w", ErrFull, stream, err)
		}
		return fmt.Errorf("%w: stream %s: %w", ErrUnavailable, stream, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: stream %s: %w", ErrTooLarge, stream, err)
	case errors.Is(err, context.Canceled):
		return err
	default:
		return fmt.Errorf("%w: stream %s: %w", ErrUnavailable, stream, err)
	}
}

// atLimit reports whether a stream refused because it holds what it may hold, which is no
// fault of its storage. The server gives limit and disk failure the same code.
func atLimit(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "maximum bytes")
}
