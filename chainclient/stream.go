package chainclient

import (
	"context"
	"time"
)

// How a stream of blocks is supervised.
const (
	streamCheck = 2 * time.Second  // between looks at the health of its peer
	streamLease = 30 * time.Second // before a stream from another than the preferred peer moves back
	streamGood  = 5 * time.Second  // a stream that lasted so long was no failure
)

// streamLink chooses the link for a stream: the preferred one, or, if streams from it
// failed before, each of the others in turn.
func (p *pool) streamLink(failures int) int {
	order := p.order()
	return order[failures%len(order)]
}

// supervise ends a stream from link i when calls to that peer fail, since a peer that hangs
// keeps its streams open and silent, and when the preferred peer can have it back. It
// returns when ctx ends.
func (p *pool) supervise(ctx context.Context, i int, end context.CancelFunc) {
	begin := p.now()
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if p.order()[0] != i && (p.now().Sub(begin) >= streamLease || p.suspended(i)) {
			end()
			return
		}
	}
}

// suspended reports whether link i is passed over until its pause ends.
func (p *pool) suspended(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now().Before(p.health[i].until)
}
