package chainclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/emrbridge/emrbridge/evidence"
)

// ErrClosed reports the use of a client or anchorer after Close.
var ErrClosed = errors.New("chainclient: closed")

// ErrOtherLedger reports that a peer serves another chain than the one a checkpoint
// belongs to, or blocks that do not follow each other.
var ErrOtherLedger = errors.New("chainclient: blocks belong to another ledger than the checkpoint")

// TxError is what all errors of a transaction have in common.
type TxError struct {
	Kind  evidence.Kind  // empty for Bootstrap
	TxID  string         // empty if no transaction was endorsed
	Nonce evidence.Nonce // of the statement
	Err   error
}

func (e TxError) describe(step string) string {
	tx := ""
	if e.TxID != "" {
		tx = " in transaction " + e.TxID
	}
	return fmt.Sprintf("chainclient: %s of %s %s%s: %v", step, e.Kind, e.Nonce, tx, e.Err)
}

// Unwrap returns the cause; a refusal of the contract is found with errors.As.
func (e TxError) Unwrap() error { return e.Err }

// EndorseError reports that a transaction was not endorsed: nothing is on its way.
type EndorseError struct{ TxError }

// Error implements error.
func (e *EndorseError) Error() string { return e.describe("endorsement") }

// SubmitError reports that an endorsed transaction was not accepted for ordering.
type SubmitError struct{ TxError }

// Error implements error.
func (e *SubmitError) Error() string { return e.describe("submission") }

// CommitError reports a transaction that is on the ledger as invalid: it changed nothing.
type CommitError struct {
	TxError
	Code  peer.TxValidationCode
	Block uint64
}

// Error implements error.
func (e *CommitError) Error() string {
	return e.describe(fmt.Sprintf("commit (%s in block %d)", e.Code, e.Block))
}

// UnknownError reports a statement whose fate could not be found out in time: it may take
// effect yet. Client.Resolve asks again later.
type UnknownError struct {
	TxError
	TxIDs  []string // transactions that may carry it
	Signed evidence.Signed
}

// Error implements error.
func (e *UnknownError) Error() string { return e.describe("outcome unknown") }

// QueryError reports a query that was not answered.
type QueryError struct {
	Query string
	Err   error
}

// Error implements error.
func (e *QueryError) Error() string { return fmt.Sprintf("chainclient: query %s: %v", e.Query, e.Err) }

// Unwrap returns the cause.
func (e *QueryError) Unwrap() error { return e.Err }

// PoisonError reports an entry that the ledger refuses for its own sake. The other entries
// of its batch were anchored.
type PoisonError struct {
	ID      evidence.RecordID
	Refusal *evidence.Refusal
}

// Error implements error.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("chainclient: record %s cannot be anchored: %s: %s", e.ID, e.Refusal.Code, e.Refusal.Message)
}

// Unwrap returns the refusal.
func (e *PoisonError) Unwrap() error { return e.Refusal }

// RefusalOf returns the contract's refusal within err.
func RefusalOf(err error) (*evidence.Refusal, bool) {
	var r *evidence.Refusal
	return r, errors.As(err, &r)
}

// IsPoison reports whether the ledger refuses this very entry, so that repeating it is
// pointless and somebody has to look.
func IsPoison(err error) bool {
	var p *PoisonError
	return errors.As(err, &p)
}

// IsUnknown reports whether the outcome is open: it may take effect yet.
func IsUnknown(err error) bool {
	var u *UnknownError
	return errors.As(err, &u)
}

// IsNotFound reports whether the contract answered that there is no such thing.
func IsNotFound(err error) bool {
	r, ok := RefusalOf(err)
	return ok && r.Code == evidence.CodeNotFound
}

// IsRetriable reports whether the same may succeed later without anybody changing it: a
// neighbour is down, the time ran out, two transactions collided. An unknown outcome is
// retriable if the statement has the same effect once or twice; others go to Client.Resolve.
func IsRetriable(err error) bool {
	if err == nil {
		return false
	}
	if r, ok := RefusalOf(err); ok {
		return r.Code == evidence.CodeStale || r.Code == evidence.CodeNotMember
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return idempotent(unknown.Kind)
	}
	var commit *CommitError
	if errors.As(err, &commit) {
		return collided(commit.Code)
	}
	return errors.Is(err, ErrClosed) || errors.Is(err, context.DeadlineExceeded) || transient(err)
}

// idempotent reports whether two statements with the same body do what one does.
func idempotent(k evidence.Kind) bool {
	switch k {
	case evidence.KindAnchorBatch, evidence.KindRegisterMember, evidence.KindRegisterPatient,
		evidence.KindSetMemberStatus, evidence.KindRevokeConsent:
		return true
	default:
		return false
	}
}

// collided reports codes of transactions that failed because of another at the same time.
func collided(c peer.TxValidationCode) bool {
	switch c {
	case peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT,
		peer.TxValidationCode_EXPIRED_CHAINCODE, peer.TxValidationCode_CHAINCODE_VERSION_CONFLICT:
		return true
	default:
		return false
	}
}

// errTooLarge marks a message beyond the limit of gRPC: sending it again cannot help.
const errTooLarge = "larger than max"

// transient reports gRPC failures that pass by themselves.
func transient(err error) bool {
	switch st := statusOf(err); st.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.FailedPrecondition, codes.Internal:
		return true
	case codes.ResourceExhausted: // the gateway's limit of concurrent calls
		return !strings.Contains(st.Message(), errTooLarge)
	default:
		return false
	}
}

// statusOf finds the gRPC status of err, Unknown if there is none.
func statusOf(err error) *status.Status {
	st, ok := status.FromError(err)
	if !ok {
		return status.New(codes.Unknown, err.Error())
	}
	return st
}

// complaint is what one endorsing peer said against a transaction.
type complaint struct{ msp, message string }

// complaintsOf reads the details that a gateway attaches to its error.
func complaintsOf(err error) []complaint {
	var list []complaint
	for _, d := range statusOf(err).Details() {
		if d, ok := d.(*gateway.ErrorDetail); ok {
			list = append(list, complaint{msp: d.GetMspId(), message: d.GetMessage()})
		}
	}
	return list
}

// unwrapRefusal puts a contract's refusal in the message of err into the chain of errors.
func unwrapRefusal(err error) error {
	texts := []string{statusOf(err).Message()}
	for _, c := range complaintsOf(err) {
		texts = append(texts, c.message)
	}
	for _, text := range texts {
		if r, ok := evidence.ParseRefusal(text); ok {
			return r
		}
	}
	return err
}
