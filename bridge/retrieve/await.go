package retrieve

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// Pauses between two looks at the ledger, growing from the first to the last.
const (
	firstPause = 3 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// eventually calls try until it is done, the time is over or ctx ends, and returns the
// last error of try, or that of ctx if try was not done.
func eventually(ctx context.Context, limit time.Duration, try func() (done bool, err error)) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		done, err := try()
		if done {
			return err
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-timeout.C:
			wait.Stop()
			return err
		case <-wait.C:
		}
	}
}

// commit submits a statement. Refusals with one of the early codes are tried again within
// limit: a peer that endorses may not have seen yet what this hospital's peer has.
func commit(ctx context.Context, ledger Ledger, limit time.Duration, body evidence.Body, early ...evidence.Code) error {
	return eventually(ctx, limit, func() (bool, error) {
		_, err := ledger.Submit(ctx, body)
		code, refused := refusal(err)
		return !refused || !slices.Contains(early, code), err
	})
}

// turns lets one at a time work on the same access request.
type turns struct {
	mu   sync.Mutex
	busy map[evidence.Nonce]chan struct{}
}

// take waits for the turn and returns the function that ends it.
func (t *turns) take(ctx context.Context, id evidence.Nonce) (release func(), err error) {
	for {
		t.mu.Lock()
		running, taken := t.busy[id]
		if !taken {
			if t.busy == nil {
				t.busy = map[evidence.Nonce]chan struct{}{}
			}
			done := make(chan struct{})
			t.busy[id] = done
			t.mu.Unlock()
			return func() { t.end(id, done) }, nil
		}
		t.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) end(id evidence.Nonce, done chan struct{}) {
	t.mu.Lock()
	delete(t.busy, id)
	t.mu.Unlock()
	close(done)
}
