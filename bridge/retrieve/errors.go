package retrieve

import (
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// Code says why an owner does not deliver, in an answer to the requester.
type Code string

// Codes of refusals.
const (
	CodeUnknown   Code = "unknown-request"  // no such access request on the ledger
	CodeForeign   Code = "foreign-request"  // the request is another hospital's
	CodeUntrusted Code = "untrusted-ledger" // a statement on the ledger does not verify
	CodeDenied    Code = "denied"           // the decision, on the ledger, is a denial
	CodeClosed    Code = "closed"           // the request was confirmed
	CodeExpired   Code = "expired"          // the grant has ended
	CodeWithdrawn Code = "withdrawn"        // the consent ended after the decision
	CodeGone      Code = "gone"             // delivered earlier, and the key grants are not kept any more
	CodeTooMany   Code = "too-many"         // more records than one request may bring
	CodeKey       Code = "wrong-key"        // the request names a key that is not registered
	CodeLedger    Code = "ledger"           // the ledger does not answer; try again
	CodeInternal  Code = "internal"         // store or custody fails
)

// RefusedError is an owner's refusal.
type RefusedError struct {
	Code Code
	// Reason is the reason on the ledger, for CodeDenied and CodeWithdrawn.
	Reason string
	Err    error // cause, for the owner's eyes only
}

// Error implements error.
func (e *RefusedError) Error() string {
	s := "retrieve: refused: " + string(e.Code)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(code Code, err error) error { return &RefusedError{Code: code, Err: err} }

// DeniedError reports that an owner denied a request. The denial is on the ledger.
type DeniedError struct {
	Owner   string
	Request evidence.Nonce
	Reason  string // code of package policy
}

// Error implements error.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("retrieve: %s denied request %s: %s", e.Owner, e.Request, e.Reason)
}

var (
	// ErrNothing reports that no other hospital has anchored a record that was asked for.
	ErrNothing = errors.New("retrieve: no hospital has anchored such a record of this patient")
	// ErrQuery reports a query that is incomplete or contradicts itself.
	ErrQuery = errors.New("retrieve: invalid query")
	// ErrUntrusted reports a ledger entry whose signature or certificate does not verify.
	ErrUntrusted = errors.New("retrieve: ledger entry does not verify")
	// ErrInactive reports a member that is suspended.
	ErrInactive = errors.New("retrieve: member is not active")
	// ErrTransfer reports that a delivery could not be completed.
	ErrTransfer = errors.New("retrieve: delivery failed")
	// ErrLimit reports that more would have been returned than the caller allowed.
	ErrLimit = errors.New("retrieve: result exceeds its limit")
)

// refusal finds the contract's refusal in an error.
func refusal(err error) (evidence.Code, bool) {
	var r *evidence.Refusal
	if errors.As(err, &r) {
		return r.Code, true
	}
	return "", false
}
