// Package stage is the vocabulary between the worker runtime and the handlers of the
// stages: what a handler gets, what it hands on, and how it says that it could not.
//
// A handler returns one of these as its error, by type:
//
//	Retry        this item failed, another try may do; parked after a bounded number of tries
//	Unavailable  a neighbour is away; the whole stage waits for it and no item is blamed
//	Park         set the item aside with its reason, an operator releases it
//	Reject       refuse the item for good; its bytes go to the quarantine
//
// Any other error, and a panic, counts as Retry. Messages of these errors name steps and
// codes, never patient data: they are logged and shown to operators.
package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/bridge/bus"
)

// Names of the stages, as trail, metrics and parked subjects show them.
const (
	Received   = "received"
	Duplicate  = "duplicate" // known bytes under a known control id: acknowledged, not carried on
	Incident   = "incident"  // other bytes under a known control id, told beside received
	Normalized = "normalized"
	Stored     = "stored"
	Anchored   = "anchored"
	Parked     = "parked"
	Released   = "released"
	Rejected   = "rejected"
	Recovered  = "recovered"  // put back on the bus by reconciliation
	Unanswered = "unanswered" // an application acknowledgement could not be delivered
)

// CodeReusedID marks a message whose control id stood for other bytes before.
const CodeReusedID = "CONTROL_ID_REUSED"

// Handler does the work of one stage on one message. It must be idempotent: a message is
// delivered again after every crash between its effects and its acknowledgement. What it
// returns is stored on the bus, durably and in order, before the message is acknowledged.
type Handler interface {
	Handle(ctx context.Context, m bus.Message) ([]bus.Message, error)
}

// HandlerFunc is a function as Handler.
type HandlerFunc func(ctx context.Context, m bus.Message) ([]bus.Message, error)

// Handle implements Handler.
func (f HandlerFunc) Handle(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	return f(ctx, m)
}

// RetryError is made by Retry.
type RetryError struct {
	Code string
	Err  error
}

// UnavailableError is made by Unavailable.
type UnavailableError struct {
	Neighbour string
	Err       error
}

// ParkError is made by Park.
type ParkError struct {
	Code string
	Err  error
}

// RejectError is made by Reject.
type RejectError struct {
	Code string
	Err  error
}

// Retry says that this item failed and may succeed if tried again.
func Retry(code string, err error) error { return &RetryError{Code: code, Err: err} }

// Unavailable says that a neighbour (store, ledger, keystore, bus) is away.
func Unavailable(neighbour string, err error) error {
	return &UnavailableError{Neighbour: neighbour, Err: err}
}

// Park sets the item aside.
func Park(code string, err error) error { return &ParkError{Code: code, Err: err} }

// Reject refuses the item for good.
func Reject(code string, err error) error { return &RejectError{Code: code, Err: err} }

// Error implements error.
func (e *RetryError) Error() string { return describe("retry", e.Code, e.Err) }

// Error implements error.
func (e *UnavailableError) Error() string { return describe("unavailable", e.Neighbour, e.Err) }

// Error implements error.
func (e *ParkError) Error() string { return describe("park", e.Code, e.Err) }

// Error implements error.
func (e *RejectError) Error() string { return describe("reject", e.Code, e.Err) }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Unwrap returns the cause.
func (e *ParkError) Unwrap() error { return e.Err }

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Err }

func describe(what, code string, err error) string {
	if err == nil {
		return fmt.Sprintf("%s (%s)", what, code)
	}
	return fmt.Sprintf("%s (%s): %v", what, code, err)
}

// CodeOf returns the reason code of a handler's error, "ERROR" if it has none.
func CodeOf(err error) string {
	var (
		retry       *RetryError
		unavailable *UnavailableError
		park        *ParkError
		reject      *RejectError
	)
	switch {
	case errors.As(err, &park):
		return park.Code
	case errors.As(err, &reject):
		return reject.Code
	case errors.As(err, &unavailable):
		return unavailable.Neighbour
	case errors.As(err, &retry):
		return retry.Code
	}
	return "ERROR"
}
