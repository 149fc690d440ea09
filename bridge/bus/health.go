package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/internal/diskspace"
)

// health remembers which streams fail and since when.
type health struct {
	mu      sync.Mutex
	failing map[string]failure
}

type failure struct {
	since, last time.Time
	err         error
}

// newsLasts is how long a failure counts that nobody has repeated: readiness that waits for
// traffic must not keep traffic away for ever.
const newsLasts = 30 * time.Second

func (h *health) observe(stream string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrTooLarge) {
		return // says nothing about the bus
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failing, stream)
		return
	}
	if h.failing == nil {
		h.failing = map[string]failure{}
	}
	f, ok := h.failing[stream]
	if !ok {
		f.since = time.Now()
	}
	f.err, f.last = err, time.Now()
	h.failing[stream] = f
}

// err describes a failing stream, nil if there is none.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream, f := range h.failing {
		if time.Since(f.last) > newsLasts {
			continue
		}
		return fmt.Errorf("stream %s fails since %s: %w", stream, f.since.UTC().Format(time.RFC3339), f.err)
	}
	return nil
}

// broken returns how long a stream has failed for another reason than being full.
func (h *health) broken() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var longest time.Duration
	for _, f := range h.failing {
		if !atLimit(f.err) && time.Since(f.last) < newsLasts {
			longest = max(longest, time.Since(f.since))
		}
	}
	return longest
}

func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failing = nil
}

// watch restarts an embedded server whose storage has failed. After a write error (a full
// disk) a server refuses a stream until it is started again, even when there is space.
func (b *Bus) watch(ctx context.Context) {
	pause := b.cfg.Heal
	tick := time.NewTicker(max(b.cfg.Heal/4, 10*time.Millisecond))
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sick := b.health.broken() > b.cfg.Heal || !b.server.Healthy()
		if !sick {
			pause = b.cfg.Heal
			continue
		}
		if time.Since(last) < pause {
			continue
		}
		if free, err := diskspace.Free(b.cfg.Dir); err == nil && free < reserve {
			continue
		}
		last, pause = time.Now(), min(2*pause, time.Minute)
		b.cfg.Logger.Warn("bus: embedded server is restarted after failures of its storage")
		err := b.server.Restart()
		if errors.Is(err, ErrStuck) {
			b.dead <- err
			return
		}
		if err != nil {
			b.cfg.Logger.Error("bus: embedded server does not start again", "error", err)
			continue
		}
		b.health.forget()
	}
}

// roomToTrim is how many bytes must be free for a purge: far more than it writes, so that no
// other writer can use them up meanwhile.
const roomToTrim = 8 << 20

// Trim removes from the hops what all their consumers have acknowledged, and returns how
// many messages went.
//
// A disk without room is left alone: nats-server 2.15 locks itself up for good when it
// cannot write the marks of a purge (fileStore.compact, with its lock held, calls
// msgBlock.flushPendingMsgs, which takes the lock again when a write fails).
func (b *Bus) Trim(ctx context.Context) (removed uint64, err error) {
	for _, s := range topology.Streams(b.cfg.Limits) {
		if !s.Flow {
			continue
		}
		n, e := b.trimStream(ctx, s)
		removed += n
		err = errors.Join(err, e)
	}
	return removed, err
}

func (b *Bus) trimStream(ctx context.Context, s topology.Stream) (uint64, error) {
	floor := ^uint64(0)
	for _, want := range s.Consumers {
		c, err := b.js.Consumer(ctx, s.Config.Name, want.Durable)
		if err != nil {
			return 0, fmt.Errorf("bus: consumer %s of %s: %w", want.Durable, s.Config.Name, err)
		}
		floor = min(floor, c.CachedInfo().AckFloor.Stream)
	}
	stream, err := b.js.Stream(ctx, s.Config.Name)
	if err != nil {
		return 0, fmt.Errorf("bus: stream %s: %w", s.Config.Name, err)
	}
	first := stream.CachedInfo().State.FirstSeq
	if stream.CachedInfo().State.Msgs == 0 || floor < first {
		return 0, nil
	}
	if free, err := diskspace.Free(b.cfg.Dir); b.server != nil && err == nil && free < roomToTrim {
		return 0, nil
	}
	if err := purge(ctx, stream, floor+1); err != nil {
		return 0, fmt.Errorf("bus: trim %s: %w", s.Config.Name, err)
	}
	return floor + 1 - first, nil
}
