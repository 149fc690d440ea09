package chainclient

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// maxAsking bounds the commit status calls at a time: a gateway serves 500 calls in all,
// and calls that wait for a commit count among them.
const maxAsking = 100

// overtakenAfter is how long the stream may lag behind a commit that was asked for.
const overtakenAfter = 500 * time.Millisecond

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
	moved   time.Time          // when the newest block came
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
		out, err := t.askFor(ctx, w)
		if err == nil {
			time.AfterFunc(overtakenAfter, func() { t.overtaken(out.block) })
			return out, nil
		}
		if !t.isLive() && !errors.Is(err, errUndecided) { // no peer answers at all
			(&backoff{last: backoffMin}).sleep(ctx)
		}
	}
}

// askFor asks for the transaction of w until the stream has told of it.
func (t *tracker) askFor(ctx context.Context, w *watch) (outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-w.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return t.ask(ctx, w.txID, t.patient)
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
		case timedOut(callErr):
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
	failures := 0
	for ctx.Err() == nil {
		begin := time.Now()
		if delivered := t.follow(ctx, t.pool.streamLink(failures)); delivered || time.Since(begin) > streamGood {
			pause, failures = backoff{}, 0
		} else {
			failures++
		}
		pause.sleep(ctx)
	}
}

// follow reads one stream from link i to its end and reports whether it delivered anything.
func (t *tracker) follow(ctx context.Context, i int) bool {
	from, err := t.start(ctx)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := t.pool.links[i]
	stream, err := l.filteredBlocks(ctx, from)
	if err != nil {
		return false
	}
	t.setLive(true, cancel)
	supervised := make(chan struct{})
	go func() { defer close(supervised); t.pool.supervise(ctx, i, cancel) }()
	delivered := false
	for block := range stream {
		delivered = true
		t.settle(block, l.msp())
	}
	t.setLive(false, nil)
	t.log.Debug("block stream ended", "peer", l.name(), "cancelled", ctx.Err() != nil)
	cancel()
	<-supervised
	return delivered
}

func (t *tracker) setLive(live bool, kick context.CancelFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live, t.kick = live, kick
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
	t.next, t.moved = b.GetNumber()+1, time.Now()
}

// movedWithin reports whether a block came less than d ago.
func (t *tracker) movedWithin(d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.moved) < d
}
