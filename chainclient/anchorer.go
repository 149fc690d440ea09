package chainclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// Receipt tells where a record is anchored.
type Receipt struct {
	TxID  string
	Block uint64
	Batch evidence.Nonce // names the batch header on the ledger
	// Duplicate says that the record was anchored before with the same content. TxID, Block
	// and Batch are then those of the transaction that found it, not of the one that wrote it.
	Duplicate bool
}

// batchSubmitter is what the anchorer needs of a client.
type batchSubmitter interface {
	SubmitBatch(ctx context.Context, entries []evidence.Entry) (Commit, evidence.AnchorReceipt, error)
}

// Anchorer gathers entries into batches and keeps several of them on their way.
//
// A batch leaves when it is full or its first entry has waited BatchWait, and a place among
// InFlight is free. Invariants: an entry is answered exactly once; a record id is on its
// way in at most one batch, later entries of the same id wait for the first and then ask
// the ledger themselves; entries leave in the order in which they came. An entry is durable
// when its receipt is given, never earlier: who adds it keeps it until then.
type Anchorer struct {
	submitter batchSubmitter
	cfg       Config
	places    chan struct{} // MaxPending
	in        chan *item
	closing   chan struct{}
	closeOnce sync.Once
	ended     chan struct{}
	ctx       context.Context // of the batches
	cancel    context.CancelCauseFunc
}

// item is an entry that waits for its answer.
type item struct {
	entry evidence.Entry
	done  func(Receipt, error)
	since time.Time
	later []*item // entries of the same id that came while this one was on its way
}

// NewAnchorer returns an anchorer that anchors through the client. The caller closes it
// before the client.
func (c *Client) NewAnchorer() *Anchorer { return newAnchorer(c, c.cfg) }

func newAnchorer(s batchSubmitter, cfg Config) *Anchorer {
	a := &Anchorer{submitter: s, cfg: cfg, places: make(chan struct{}, cfg.MaxPending), in: make(chan *item),
		closing: make(chan struct{}), ended: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	go a.run()
	return a
}

// Add accepts an entry and returns; done is called once with the answer, on a goroutine of
// the anchorer, and must not block. While MaxPending entries wait, Add blocks until ctx
// ends. If Add returns an error, done is not called.
func (a *Anchorer) Add(ctx context.Context, e evidence.Entry, done func(Receipt, error)) error {
	if len(e.Pointer) > evidence.MaxPointer {
		return fmt.Errorf("%w: pointer of %d bytes, the limit is %d", evidence.ErrMalformed, len(e.Pointer), evidence.MaxPointer)
	}
	select {
	case <-a.closing: // before a free place is taken by chance
		return ErrClosed
	default:
	}
	select {
	case a.places <- struct{}{}:
	case <-a.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case a.in <- &item{entry: e, done: done, since: time.Now()}:
		return nil
	case <-a.closing:
		<-a.places
		return ErrClosed
	}
}

// Anchor adds an entry and waits for its receipt. If ctx ends first, the entry may be
// anchored all the same; anchoring it again is harmless.
func (a *Anchorer) Anchor(ctx context.Context, e evidence.Entry) (Receipt, error) {
	type answer struct {
		receipt Receipt
		err     error
	}
	got := make(chan answer, 1)
	if err := a.Add(ctx, e, func(r Receipt, err error) { got <- answer{r, err} }); err != nil {
		return Receipt{}, err
	}
	select {
	case r := <-got:
		return r.receipt, r.err
	case <-ctx.Done():
		return Receipt{}, context.Cause(ctx)
	}
}

// Close takes no more entries, sends off what it has and waits for the answers. If ctx ends
// first, what is left is answered with errors at once. All answers are given when Close
// returns.
func (a *Anchorer) Close(ctx context.Context) error {
	a.closeOnce.Do(func() { close(a.closing) })
	select {
	case <-a.ended:
		return nil
	case <-ctx.Done():
		a.cancel(ErrClosed)
		<-a.ended
		return context.Cause(ctx)
	}
}

// dispatcher is the state of the anchorer's one loop; only that touches it.
type dispatcher struct {
	a        *Anchorer
	pending  []*item
	byID     map[evidence.RecordID]*item // first of its id: pending or on its way
	inFlight int
	finished chan []*item // batches that were answered
}

// run is the loop: it takes entries in, sends batches off and lets waiting ids follow.
func (a *Anchorer) run() {
	defer close(a.ended)
	defer a.cancel(ErrClosed)
	d := &dispatcher{a: a, byID: map[evidence.RecordID]*item{}, finished: make(chan []*item)}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	closing := a.closing
	for {
		d.dispatch(closing == nil)
		if closing == nil && d.inFlight == 0 {
			return // nothing is pending: dispatch sent it all off
		}
		timer.Reset(d.untilDue())
		select {
		case it := <-a.in:
			d.accept(it)
		case batch := <-d.finished:
			d.finish(batch)
		case <-timer.C:
		case <-closing:
			closing = nil
		}
	}
}

// untilDue returns when the oldest pending entry has waited long enough.
func (d *dispatcher) untilDue() time.Duration {
	if len(d.pending) == 0 || d.inFlight >= d.a.cfg.InFlight {
		return time.Hour
	}
	return max(0, d.a.cfg.BatchWait-time.Since(d.pending[0].since))
}

func (d *dispatcher) accept(it *item) {
	if first, busy := d.byID[it.entry.ID]; busy {
		first.later = append(first.later, it)
		return
	}
	d.byID[it.entry.ID] = it
	d.pending = append(d.pending, it)
}

// dispatch sends off every batch that is full or due. flush makes all due.
func (d *dispatcher) dispatch(flush bool) {
	cfg := d.a.cfg
	for len(d.pending) > 0 && d.inFlight < cfg.InFlight {
		if len(d.pending) < cfg.BatchMax && !flush && time.Since(d.pending[0].since) < cfg.BatchWait {
			return
		}
		n := min(len(d.pending), cfg.BatchMax)
		batch := append([]*item(nil), d.pending[:n]...)
		d.pending = append([]*item(nil), d.pending[n:]...)
		d.inFlight++
		go func() {
			d.a.anchor(batch)
			d.finished <- batch
		}()
	}
}

// finish frees the ids of a batch and lets the next entry of each follow.
func (d *dispatcher) finish(batch []*item) {
	d.inFlight--
	for _, it := range batch {
		<-d.a.places
		delete(d.byID, it.entry.ID)
		for i, next := range it.later {
			if i == 0 {
				next.later = it.later[1:]
				d.byID[next.entry.ID] = next
				d.pending = append(d.pending, next)
			}
		}
		it.later = nil
	}
}
