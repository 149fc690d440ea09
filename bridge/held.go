package bridge

import (
	"context"
	"sync"
	"time"
)

// held knows what a worker has in hand and what it has lately done, so that a message that
// the server delivers again (its acknowledgement was lost, or came late) is not done twice.
type held struct {
	mu     sync.Mutex
	budget int64
	bytes  int64
	items  map[uint64]*item
	freed  chan struct{} // one token when bytes were given back

	finished map[uint64]time.Time // stream sequence and time of what is done
	order    []uint64             // of finished, a ring
	next     int
}

// remember is how many finished messages are recognised.
const remember = 8192

type taken uint8

const (
	takenNew  taken = iota
	takenHeld       // in hand already
	takenDone       // done already
)

func (h *held) init(budget int64) {
	h.budget, h.items, h.freed = budget, map[uint64]*item{}, make(chan struct{}, 1)
	h.finished, h.order = make(map[uint64]time.Time, remember), make([]uint64, remember)
}

// wait returns once the budget has room for a message of the largest size, or nothing is in
// hand.
func (h *held) wait(ctx context.Context, largest int64) error {
	for {
		h.mu.Lock()
		free, none := h.budget-h.bytes, len(h.items) == 0
		h.mu.Unlock()
		if free >= largest+overhead || none {
			return nil
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// overhead is what headers, subjects and sealing add to a body, in bytes, at most.
const overhead = 32 << 10

// take puts a message in hand.
func (h *held) take(it *item) taken {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.items[it.seq]; ok {
		return takenHeld
	}
	// A stream that was made anew counts from 1 again, so the time has to agree too.
	if at, ok := h.finished[it.seq]; ok && at.Equal(it.at) {
		return takenDone
	}
	h.items[it.seq] = it
	h.bytes += it.size
	return takenNew
}

// drop gives a message back without having done it.
func (h *held) drop(it *item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.items[it.seq] != it {
		return
	}
	delete(h.items, it.seq)
	h.bytes -= it.size
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// done notes that a message is done.
func (h *held) done(it *item) {
	h.drop(it)
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.order[h.next]; old != 0 {
		delete(h.finished, old)
	}
	h.order[h.next] = it.seq
	h.finished[it.seq] = it.at
	h.next = (h.next + 1) % remember
}

// all returns what is in hand.
func (h *held) all() []*item {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*item, 0, len(h.items))
	for _, it := range h.items {
		out = append(out, it)
	}
	return out
}
