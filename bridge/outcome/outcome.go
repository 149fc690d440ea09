// Package outcome tells who waits for a record how far it has come.
//
// What it knows comes from the trail, which is fed from the bus: an outcome is told only
// when the event is durable in the index. A watch that begins late misses nothing, because
// it looks into the index after it has been entered. Watches live in memory; after a
// restart whoever still owes somebody an answer watches again.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
)

// ErrBusy reports that too many records are being watched.
var ErrBusy = errors.New("outcome: too many records are being watched")

// ErrStage reports a stage that nothing can be promised for.
var ErrStage = errors.New("outcome: a record can be watched until it is stored or anchored")

// Outcome is how a record came along.
type Outcome struct {
	Record string
	// Reached says that the record has come to the stage that was asked for, or beyond.
	// Otherwise it was set aside: Stage is stage.Parked or stage.Rejected, Code says why.
	Reached bool
	Stage   string
	Code    string
}

// index is the trail.
type index interface {
	Find(ctx context.Context, q trail.Query) ([]trail.Event, error)
}

// watch is one who waits. Its channel holds one outcome.
type watch struct {
	stage string
	tell  chan Outcome
	stop  func() bool // lets go of the context; nil until it is held
	ended bool
}

// Hub tells outcomes. It is safe for concurrent use.
type Hub struct {
	index index
	limit int

	mu      sync.Mutex
	watches map[string][]*watch // by record id
	count   int
}

// defaultLimit is the most watches at a time.
const defaultLimit = 20_000

// New returns a Hub over the index of the trail. At most limit records are watched at a
// time; 20,000 if 0.
func New(x index, limit int) *Hub {
	if limit <= 0 {
		limit = defaultLimit
	}
	return &Hub{index: x, limit: limit, watches: map[string][]*watch{}}
}

// Watch returns a channel that gives one outcome when the record has reached a stage,
// stage.Stored (sealed, its ciphertext in the store) or stage.Anchored, or was set aside on
// the way. The watch ends with the outcome or with ctx; then nothing comes. Errors wrap
// ErrBusy, ErrStage or come from the index.
func (h *Hub) Watch(ctx context.Context, record, until string) (<-chan Outcome, error) {
	if until != stage.Stored && until != stage.Anchored {
		return nil, fmt.Errorf("%w, not %q", ErrStage, until)
	}
	w := &watch{stage: until, tell: make(chan Outcome, 1)}
	if err := h.enter(record, w); err != nil {
		return nil, err
	}
	events, err := h.index.Find(ctx, trail.Query{Record: record})
	if err != nil {
		h.leave(record, w)
		return nil, fmt.Errorf("outcome: %w", err)
	}
	if o, ok := soFar(events, until); ok && h.leave(record, w) {
		w.tell <- o
		return w.tell, nil
	}
	h.hold(ctx, record, w)
	return w.tell, nil
}

// hold ends the watch with ctx, and lets go of ctx with the watch.
func (h *Hub) hold(ctx context.Context, record string, w *watch) {
	stop := context.AfterFunc(ctx, func() { h.leave(record, w) })
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.stop = stop; w.ended {
		stop()
	}
}

func (h *Hub) enter(record string, w *watch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= h.limit {
		return fmt.Errorf("%w: %d", ErrBusy, h.count)
	}
	h.watches[record] = append(h.watches[record], w)
	h.count++
	return nil
}

// leave ends a watch. It reports whether this call ended it.
func (h *Hub) leave(record string, w *watch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.drop(record, w)
}

// drop must hold h.mu.
func (h *Hub) drop(record string, w *watch) bool {
	list := h.watches[record]
	for i := range list {
		if list[i] != w {
			continue
		}
		if len(list) == 1 {
			delete(h.watches, record)
		} else {
			h.watches[record] = append(append([]*watch{}, list[:i]...), list[i+1:]...)
		}
		h.count--
		if w.ended = true; w.stop != nil {
			w.stop()
		}
		return true
	}
	return false
}

// Told takes events that are in the index now. It does not block.
func (h *Hub) Told(events []trail.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		for _, w := range h.watches[e.Record] {
			if o, ok := outcomeOf(e, w.stage); ok && h.drop(e.Record, w) {
				w.tell <- o
			}
		}
	}
}

// Watching returns how many watches there are.
func (h *Hub) Watching() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// outcomeOf reports what one event means to who waits for a stage.
func outcomeOf(e trail.Event, until string) (Outcome, bool) {
	o := Outcome{Record: e.Record, Stage: e.Stage, Code: e.Code}
	switch e.Stage {
	case stage.Anchored:
		o.Reached = true
	case stage.Stored:
		o.Reached = until == stage.Stored
	case stage.Parked, stage.Rejected:
	default:
		return o, false
	}
	return o, o.Reached || e.Stage == stage.Parked || e.Stage == stage.Rejected
}

// soFar reports what the events until now mean. Reaching the stage counts whenever it was;
// being set aside only if nothing happened to the record since.
func soFar(events []trail.Event, until string) (Outcome, bool) {
	var last Outcome
	aside := false
	for _, e := range events {
		o, ok := outcomeOf(e, until)
		switch {
		case ok && o.Reached:
			return o, true
		case ok:
			last, aside = o, true
		case e.Stage != stage.Duplicate && e.Stage != stage.Incident && e.Stage != stage.Unanswered:
			aside = false
		}
	}
	return last, aside
}
