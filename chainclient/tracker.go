package chainclient

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
)

// maxAsking bounds the commit status calls at a time: a gateway serves 500 calls in all,
// and calls that wait for a commit count among them.
const maxAsking = 100

// errUndecided reports that no peer has the transaction in a block yet.
var errUndecided = errors.New("not in a block yet")

// tracker learns what became of transactions from one stream of filtered blocks. While the
// stream is down, or silent for too long, it asks for single transactions.
//
// A watch is registered before the transaction is handed over, so that no block is missed.
type tracker struct {
	pool    *pool
	log     *slog.Logger
	patient time.Duration // silence after which a transaction is asked for
	height  func(context.Context) (uint64, error)
	asking  chan struct{}

	mu      sync.Mutex
	waiting map[string]*watch
	live    bool
	next    uint64             // block that the stream delivers next
	kick    context.CancelFunc // ends the present stream
}

// watch waits for one transaction. done is closed once result is set.
type watch struct {
	txID   string
	done   chan struct{}
	result outcome
}

func newTracker(p *pool, log *slog.Logger, patient time.Duration, height func(context.Context) (uint64, error)) *tracker {
	return &tracker{pool: p, log: log, patient: patient, height: height, asking: make(chan struct{}, maxAsking), waiting: map[string]*watch{}}
}

// watch starts to look out for a transaction; forget ends it.
func (t *tracker) watch(txID string) *watch {
	w := &watch{txID: txID, done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[txID] = w
	return w
}

func (t *tracker) forget(w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting[w.txID] == w {
		delete(t.waiting, w.txID)
	}
}

// await waits at most d for the transaction of w and returns errUndecided after that.
func (t *tracker) await(ctx context.Context, w *watch, d time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		pause := t.patient
		if !t.isLive() {
			pause = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-w.done:
			timer.Stop()
			return w.result, nil
		case <-ctx.Done():
			timer.Stop()
			return outcome{}, errUndecided
		case <-timer.C:
		}
		out, err := t.ask(ctx, w.txID, t.patient)
		if err == nil {
			t.overtaken(out.block)
			return out, nil
		}
		if !t.isLive() && !errors.Is(err, errUndecided) { // no peer answers at all
			(&backoff{last: backoffMin}).sleep(ctx)
		}
	}
}

// ask asks the peers, each for at most d, what became of a transaction.
func (t *tracker) ask(ctx context.Context, txID string, d time.Duration) (outcome, error) {
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	case <-ctx.Done():
		return outcome{}, errUndecided
	}
	err := errUndecided
	for _, i := range t.pool.order() {
		var out outcome
		callErr := func() error {
			call, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			var err error
			out, err = t.pool.links[i].commitStatus(call, txID)
			return err
		}()
		switch {
		case callErr == nil:
			return out, nil
		case ctx.Err() != nil:
			return outcome{}, errUndecided
		case statusOf(callErr).Code() == codes.DeadlineExceeded || errors.Is(callErr, context.DeadlineExceeded):
			// The peer serves and does not have it: others may be ahead of it.
		default:
			if linkFault(ctx, callErr) {
				t.pool.failed(i, callErr)
			}
			err = callErr
			continue
		}
		err = errUndecided
	}
	return outcome{}, err
}

func (t *tracker) isLive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}

// overtaken notes that a peer has a block. If the stream has not delivered it, the stream
// hangs and is opened anew, if possible at another peer.
func (t *tracker) overtaken(block uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live && t.next <= block && t.kick != nil {
		t.log.Warn("block stream is behind its peer, opening it anew", "stream", t.next, "block", block)
		t.kick()
	}
}

// run keeps the stream open until ctx ends.
func (t *tracker) run(ctx context.Context) {
	var pause backoff
	for turn := 0; ctx.Err() == nil; turn++ {
		if t.follow(ctx, turn) {
			pause = backoff{}
		}
		pause.sleep(ctx)
	}
}

// follow reads one stream to its end and reports whether it delivered anything.
func (t *tracker) follow(ctx context.Context, turn int) bool {
	from, err := t.start(ctx)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	order := t.pool.order()
	l := t.pool.links[order[0]]
	if turn > 0 && !l.ready() { // the preferred one just lost it
		l = t.pool.links[order[turn%len(order)]]
	}
	stream, err := l.filteredBlocks(ctx, from)
	if err != nil {
		return false
	}
	t.mu.Lock()
	t.live, t.kick = true, cancel
	t.mu.Unlock()
	delivered := false
	for block := range stream {
		delivered = true
		t.settle(block, l.msp())
	}
	t.mu.Lock()
	t.live, t.kick = false, nil
	t.mu.Unlock()
	if ctx.Err() == nil {
		t.log.Warn("block stream ended, opening it anew", "peer", l.name())
	}
	return delivered
}

// start returns the block to begin with: the one after the last seen, at first the ledger's
// height, taken before any transaction waits for a block.
func (t *tracker) start(ctx context.Context) (uint64, error) {
	t.mu.Lock()
	next := t.next
	t.mu.Unlock()
	if next > 0 {
		return next, nil
	}
	height, err := t.height(ctx)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = height
	return height, nil
}

// settle resolves the transactions of a block. Of one id the first occurrence counts.
func (t *tracker) settle(b *peer.FilteredBlock, from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tx := range b.GetFilteredTransactions() {
		if w, ok := t.waiting[tx.GetTxid()]; ok {
			w.result = outcome{code: tx.GetTxValidationCode(), block: b.GetNumber(), peer: from}
			close(w.done)
			delete(t.waiting, tx.GetTxid())
		}
	}
	t.next = b.GetNumber() + 1
}
