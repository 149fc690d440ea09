package chainclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"

	"github.com/emrbridge/emrbridge/evidence"
)

// maxPolicyFailures bounds the attempts after a block rejected the endorsements: one
// dishonest endorser is set aside after the first.
const maxPolicyFailures = 3

// order is one call of the contract on its way to the ledger.
type order struct {
	kind     evidence.Kind
	nonce    evidence.Nonce
	signed   evidence.Signed
	call     proposal
	attempts int
	voices   voices
	doubted  time.Time     // when foreign peers first refused what the own peer endorsed
	reasked  int           // how often a refusal of the own peer was doubted
	failures int           // policy failures
	handed   chan struct{} // closed at the first hand-over, if not nil
}

func (o *order) txError(txID string, err error) TxError {
	return TxError{Kind: o.kind, TxID: txID, Nonce: o.nonce, Err: err}
}

// run brings the order to its end: it is on the ledger, refused, or its time is over.
func (c *Client) run(ctx context.Context, o *order) (Commit, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	ctx, stop := context.WithTimeout(ctx, c.cfg.Patience)
	defer stop()
	var pause backoff
	lag := backoff{least: lagPause}
	for {
		commit, err := c.attempt(ctx, o)
		if err == nil {
			return commit, nil
		}
		if !o.again(err) {
			return Commit{}, err
		}
		next := &pause
		if errors.Is(err, errDisagree) || errors.Is(err, errBehind) {
			next = &lag
		}
		if !next.sleep(ctx) {
			return Commit{}, ended(ctx, err)
		}
		c.cfg.Logger.Debug("transaction is tried again", "kind", string(o.kind), "nonce", o.nonce.String(), "attempt", o.attempts, "error", err)
	}
}

// attempt makes one transaction of the order and waits for it.
func (c *Client) attempt(ctx context.Context, o *order) (Commit, error) {
	if c.ctx.Err() != nil {
		return Commit{}, &EndorseError{o.txError("", ErrClosed)}
	}
	o.attempts++
	call := o.call
	call.orgs = c.endorsers.choose()
	begun := time.Now()
	e, err := c.endorse(ctx, o, call)
	if err != nil {
		return Commit{}, &EndorseError{o.txError("", ended(ctx, err))}
	}
	steps := Steps{Endorse: time.Since(begun)}
	out, err := c.deliver(ctx, o, e, &steps)
	if err != nil {
		return Commit{}, err
	}
	if !out.valid() {
		if out.code == peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
			c.endorsers.failed(c.endorsers.others(call.orgs)...)
		}
		return Commit{}, &CommitError{TxError: o.txError(e.txID, errors.New("the transaction is on the ledger and invalid")), Code: out.code, Block: out.block}
	}
	c.endorsers.served(call.orgs)
	return Commit{TxID: e.txID, Block: out.block, Nonce: o.nonce, Signed: o.signed, Result: e.result, Peer: out.peer, Attempts: o.attempts, Steps: steps}, nil
}

// again reports whether another attempt may help. Nothing of the order is on its way then.
func (o *order) again(err error) bool {
	if _, refused := RefusalOf(err); refused || errors.Is(err, ErrClosed) {
		return false
	}
	var commit *CommitError
	if errors.As(err, &commit) {
		if commit.Code == peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE {
			o.failures++
			return o.failures < maxPolicyFailures
		}
		return collided(commit.Code)
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return false
	}
	return transient(err) || errors.Is(err, errDisagree) || errors.Is(err, errBehind) || errors.Is(err, errForged)
}

// ended puts the reason into err if the caller's context is over.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// deliver hands an endorsed transaction to the orderers until a block has it. The same
// envelope may be handed over any number of times.
func (c *Client) deliver(ctx context.Context, o *order, e endorsed, steps *Steps) (outcome, error) {
	begun := time.Now()
	w := c.tracker.watch(e.txID)
	defer c.tracker.forget(w)
	var pause backoff
	doubtful := false
	for {
		err := c.pool.do(ctx, c.cfg.SubmitTimeout, func(ctx context.Context, l link) error { return l.submit(ctx, e) })
		if err != nil && !doubtful && turnedDown(err) {
			return outcome{}, &SubmitError{o.txError(e.txID, ended(ctx, err))}
		}
		doubtful = true
		wait := c.cfg.CommitTimeout
		if err != nil {
			wait = pause.next()
		} else {
			steps.Order = time.Since(begun)
			o.handedOver()
		}
		out, waitErr := c.tracker.await(ctx, w, wait)
		if waitErr == nil && out.code == peer.TxValidationCode_DUPLICATE_TXID {
			out, waitErr = c.tracker.ask(ctx, e.txID, c.cfg.QueryTimeout) // an earlier block has the true one
		}
		if waitErr == nil {
			steps.Block = time.Since(begun) - steps.Order
			return out, nil
		}
		if ctx.Err() != nil {
			return c.lastLook(ctx, o, e)
		}
		c.cfg.Logger.Debug("transaction is handed over again", "tx", e.txID, "error", err)
	}
}

// lastLook asks once more after the caller's time is over, so that an unknown outcome
// stays the exception.
func (c *Client) lastLook(ctx context.Context, o *order, e endorsed) (outcome, error) {
	if c.ctx.Err() == nil {
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if out, err := c.tracker.ask(look, e.txID, 300*time.Millisecond); err == nil {
			return out, nil
		}
	}
	return outcome{}, &UnknownError{TxError: o.txError(e.txID, context.Cause(ctx)), TxIDs: []string{e.txID}, Signed: o.signed}
}

func (o *order) handedOver() {
	if o.handed != nil {
		close(o.handed)
		o.handed = nil
	}
}

// turnedDown reports a submission that certainly did not reach the orderers' queue: the
// gateway rejected it itself, or every orderer that it names found it at fault. With BFT a
// gateway names more orderers than may be dishonest.
func turnedDown(err error) bool {
	st := statusOf(err)
	switch st.Code() {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.NotFound, codes.FailedPrecondition:
		return true
	case codes.ResourceExhausted:
		return true // refused before it was handled: too many calls, or too large
	case codes.Unavailable, codes.Aborted:
		list := complaintsOf(err)
		return len(list) > 0 && !slices.ContainsFunc(list, func(c complaint) bool { return !atFault(c.message) })
	default:
		return false
	}
}

// atFault reports an orderer's status that blames the message.
func atFault(message string) bool {
	for _, s := range []string{"status=BAD_REQUEST", "status=FORBIDDEN", "status=REQUEST_ENTITY_TOO_LARGE", "status=NOT_FOUND"} {
		if strings.Contains(message, s) {
			return true
		}
	}
	return false
}

// tooLarge reports a transaction that is beyond a limit of the network.
func tooLarge(err error) bool {
	if strings.Contains(statusOf(err).Message(), errTooLarge) {
		return true
	}
	return slices.ContainsFunc(complaintsOf(err), func(c complaint) bool {
		return strings.Contains(c.message, "status=REQUEST_ENTITY_TOO_LARGE") || strings.Contains(c.message, "bytes, max") ||
			strings.Contains(c.message, errTooLarge)
	})
}
