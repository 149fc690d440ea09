package anchor

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// marks tells the store where records are anchored. Receipts of a batch arrive together;
// while one write is on its way, the marks of the next gather, so that a batch of hundreds
// costs a few writes and not hundreds.
type marks struct {
	store store
	mu    sync.Mutex
	busy  bool // a drain is running
	queue []*group
}

// group is what one write marks: records of one batch.
type group struct {
	ref  recordstore.AnchorRef
	ids  []record.ID
	done chan struct{}
	err  error
}

func newMarks(s store) *marks { return &marks{store: s} }

// mark returns when the mark is durable. The error is that of the record: other records of
// a group do not suffer from one that the store does not know.
func (m *marks) mark(ctx context.Context, id record.ID, ref recordstore.AnchorRef) error {
	g := m.join(id, ref)
	select {
	case <-g.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	var missing *recordstore.MissingError
	if errors.As(g.err, &missing) && len(missing.IDs) > 0 && !slices.Contains(missing.IDs, id) {
		return nil
	}
	return g.err
}

func (m *marks) join(id record.ID, ref recordstore.AnchorRef) *group {
	m.mu.Lock()
	defer m.mu.Unlock()
	var g *group
	for _, waiting := range m.queue {
		if waiting.ref.TxID == ref.TxID && waiting.ref.Batch == ref.Batch && waiting.ref.Block == ref.Block && len(waiting.ids) < recordstore.MaxGroup {
			g = waiting
		}
	}
	if g == nil {
		g = &group{ref: ref, done: make(chan struct{})}
		m.queue = append(m.queue, g)
	}
	g.ids = append(g.ids, id)
	if !m.busy {
		m.busy = true
		go m.drain()
	}
	return g
}

// drain writes groups until none waits.
func (m *marks) drain() {
	for {
		m.mu.Lock()
		if len(m.queue) == 0 {
			m.busy = false
			m.mu.Unlock()
			return
		}
		g := m.queue[0]
		m.queue = m.queue[1:]
		m.mu.Unlock()
		g.err = m.store.MarkAnchored(context.Background(), g.ids, g.ref)
		close(g.done)
	}
}
