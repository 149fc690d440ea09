package chainclient

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Handler takes what the ledger brings. An error ends Events, and the transaction or block
// it was returned for comes again next time.
type Handler struct {
	// Tx is called for each transaction that called the contract, valid or not, in order.
	Tx func(context.Context, Tx) error
	// Repeatable says that Tx bears to get the transactions of one block again after a crash.
	// The position is then saved once for each block, not for each transaction.
	Repeatable bool
	// Block is called after the transactions of a block. It may be nil.
	Block func(context.Context, Block) error
}

// Events hands every block from the checkpoint on to h, follows the ledger, and opens the
// stream anew when it breaks. It blocks until ctx ends or h returns an error, and returns
// that. ErrOtherLedger means that the network is not the one the checkpoint was made on.
func (c *Client) Events(ctx context.Context, cp Checkpoint, h Handler) error {
	pos, err := cp.Load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	f := &follower{client: c, checkpoint: cp, handler: h, pos: pos}
	if err := f.identify(ctx); err != nil {
		return err
	}
	return f.run(ctx)
}

// follower walks along the ledger.
type follower struct {
	client     *Client
	checkpoint Checkpoint
	handler    Handler
	pos        Position
	misfits    int // blocks in a row that do not continue the chain
}

// handlerError is an error of the handler or the checkpoint: it ends Events.
type handlerError struct{ error }

func (e handlerError) Unwrap() error { return e.error }

// identify compares the ledger that the peers serve with the one of the checkpoint.
func (f *follower) identify(ctx context.Context) error {
	var pause backoff
	for {
		first, err := f.client.BlockByNumber(ctx, 0)
		if err == nil {
			ledger := hex.EncodeToString(first.Hash[:])
			if f.pos.Ledger != "" && f.pos.Ledger != ledger {
				return fmt.Errorf("%w: remove the checkpoint to start over", ErrOtherLedger)
			}
			f.pos.Ledger = ledger
			return nil
		}
		if !IsRetriable(err) && ctx.Err() == nil {
			return err
		}
		if !pause.sleep(ctx) {
			return context.Cause(ctx)
		}
	}
}

func (f *follower) run(ctx context.Context) error {
	var pause backoff
	failures := 0
	for {
		before, begin := f.pos, time.Now()
		err := f.stream(ctx, f.client.pool.streamLink(failures))
		var stop handlerError
		switch {
		case errors.As(err, &stop):
			return stop.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case f.misfits >= 2*len(f.client.pool.links):
			return ErrOtherLedger
		}
		if f.misfits == 0 && (f.pos != before || time.Since(begin) > streamGood) {
			pause, failures = backoff{}, 0
		} else {
			failures++
		}
		f.client.cfg.Logger.Debug("event stream ended, opening it anew", "block", f.pos.Block, "error", err)
		if !pause.sleep(ctx) {
			return context.Cause(ctx)
		}
	}
}

// stream reads one stream of blocks from link i to its end.
func (f *follower) stream(ctx context.Context, i int) error {
	ctx, cancel := context.WithCancel(ctx)
	l := f.client.pool.links[i]
	blocks, err := l.blocks(ctx, f.pos.Block)
	if err != nil {
		cancel()
		return err
	}
	supervised := make(chan struct{})
	go func() { defer close(supervised); f.client.pool.supervise(ctx, i, cancel) }()
	defer func() { // the sender does not look at ctx while it hands over a block
		cancel()
		for range blocks { //nolint:revive // draining
		}
		<-supervised
	}()
	for raw := range blocks {
		b, err := decodeBlock(raw, "")
		if err == nil {
			err = f.fits(b)
		}
		if err != nil {
			f.misfits++
			return fmt.Errorf("gateway peer %s: %w", l.name(), err)
		}
		f.misfits = 0
		if err := f.handle(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// fits checks that b continues the chain.
func (f *follower) fits(b Block) error {
	if b.Number != f.pos.Block || (f.pos.Previous != "" && hex.EncodeToString(b.PreviousHash[:]) != f.pos.Previous) {
		return ErrOtherLedger
	}
	return nil
}

// handle gives a block to the handler and moves the checkpoint along.
func (f *follower) handle(ctx context.Context, b Block) error {
	if err := f.handleTxs(ctx, b); err != nil {
		return err
	}
	if f.handler.Block != nil {
		if err := f.handler.Block(ctx, b); err != nil {
			return handlerError{errors.Join(err, f.checkpoint.Save(f.pos))}
		}
	}
	f.pos.Block, f.pos.Tx, f.pos.Previous = b.Number+1, 0, hex.EncodeToString(b.Hash[:])
	return f.save()
}

func (f *follower) handleTxs(ctx context.Context, b Block) error {
	if f.handler.Tx == nil {
		return nil
	}
	for _, tx := range b.Txs[min(f.pos.Tx, len(b.Txs)):] {
		if tx.Contract != f.client.cfg.Contract {
			continue
		}
		if err := f.handler.Tx(ctx, tx); err != nil {
			return handlerError{errors.Join(err, f.checkpoint.Save(f.pos))}
		}
		f.pos.Tx = tx.Index + 1
		if f.handler.Repeatable || tx.Index+1 == len(b.Txs) { // saved with the block
			continue
		}
		if err := f.save(); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) save() error {
	if err := f.checkpoint.Save(f.pos); err != nil {
		return handlerError{err}
	}
	return nil
}
