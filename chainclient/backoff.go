package chainclient

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pauses between attempts.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
)

// backoff gives growing pauses with jitter. The zero value is ready.
type backoff struct{ last time.Duration }

// next returns a pause between half and all of a time that doubles with each call.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, backoffMin), backoffMax)
	return b.last/2 + rand.N(b.last/2) //nolint:gosec // jitter needs no secret
}

// sleep pauses and reports false if ctx ended meanwhile.
func (b *backoff) sleep(ctx context.Context) bool {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
