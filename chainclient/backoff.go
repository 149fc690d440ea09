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
	// lagPause is the first pause after organisations disagreed: mostly one of them is a
	// block behind, for some milliseconds.
	lagPause = 10 * time.Millisecond
)

// backoff gives growing pauses with jitter. The zero value is ready and begins with
// backoffMin, if least does not say otherwise.
type backoff struct{ last, least time.Duration }

// next returns a pause between half and all of a time that doubles with each call.
func (b *backoff) next() time.Duration {
	least := b.least
	if least == 0 {
		least = backoffMin
	}
	b.last = min(max(2*b.last, least), backoffMax)
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
