package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Guard is the shared short-lived state. It is safe for concurrent use.
type Guard struct {
	cfg      Config
	secret   secret
	client   redis.UniversalClient
	embedded *standIn // nil with a real Redis
	marker   string

	link    link
	nonces  *memory
	ledger  *memory
	written *ring // ledger names in Redis, if MaxLedger is set
	limiter *limiter
	count   counters

	stop    context.CancelFunc
	ended   chan struct{}
	closing sync.Once
	closed  chan struct{}
}

// Open starts a guard. It tries once to reach Redis, for a second at most, and starts
// without it if need be. ctx bounds that attempt only. Close releases the guard.
func Open(ctx context.Context, cfg Config) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cfg.Key = bytes.Clone(cfg.Key)
	if len(cfg.Key) == 0 {
		cfg.Key = make([]byte, KeySize)
		_, _ = rand.Read(cfg.Key) // never fails
	}
	var instance [16]byte
	_, _ = rand.Read(instance[:])
	g := &Guard{
		cfg: cfg, secret: secret{cfg.Key}, marker: prefixMarker + hex.EncodeToString(instance[:]),
		nonces: newMemory(cfg.MaxMemory, false), ledger: newMemory(cfg.MaxMemory, true),
		limiter: newLimiter(cfg.MaxMemory, cfg.Instances),
		ended:   make(chan struct{}), closed: make(chan struct{}),
	}
	if cfg.MaxLedger > 0 {
		g.written = newRing(cfg.MaxLedger)
	}
	if cfg.Embedded {
		g.embedded = startStandIn()
	}
	g.client = newClient(cfg, g.embedded)
	g.link.start(cfg.OnState)
	g.probe(ctx)
	loop, stop := context.WithCancel(context.Background())
	g.stop = stop
	go g.watch(loop)
	return g, nil
}

// Healthy returns nil while Redis is in use, else an ErrDegraded that says why and since
// when. The guard works in both states.
func (g *Guard) Healthy() error {
	select {
	case <-g.closed:
		return ErrClosed
	default:
	}
	open, since, cause := g.link.state()
	if !open {
		return nil
	}
	return fmt.Errorf("%w since %s, working on local memory: %w", ErrDegraded, since.UTC().Format(time.RFC3339), cause)
}

// Close ends the guard. What local memory holds and Redis does not is lost.
func (g *Guard) Close() error {
	var err error
	g.closing.Do(func() {
		close(g.closed)
		g.stop()
		<-g.ended
		err = g.client.Close()
		if g.embedded != nil {
			g.embedded.close()
		}
	})
	if err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("guard: close: %w", err)
	}
	return nil
}

// Stats are counters since the start, and sizes.
type Stats struct {
	Healthy        bool
	Fallbacks      uint64 // calls answered from local memory, wholly or in part
	Failures       uint64 // calls to Redis that failed or timed out
	Outages        uint64 // times that Redis was given up
	Replays        uint64 // nonces refused as used
	Saturated      uint64 // nonces and callers refused for want of room
	Forged         uint64 // ledger values in Redis that no guard wrote
	Limited        uint64 // calls refused by a rate
	LocalNonces    int
	PendingNonces  int // of those, not in Redis yet
	LocalLedger    int
	PendingLedger  int
	LocalRates     int
	RepeatedUpload uint64 // times that Redis was found to have forgotten
}

// Stats returns a snapshot.
func (g *Guard) Stats() Stats {
	open, _, _ := g.link.state()
	s := Stats{
		Healthy: !open, Fallbacks: g.count.fallbacks.Load(), Failures: g.count.failures.Load(),
		Outages: g.link.outages.Load(), Replays: g.count.replays.Load(), Saturated: g.count.saturated.Load(),
		Forged: g.count.forged.Load(), Limited: g.count.limited.Load(), RepeatedUpload: g.count.uploads.Load(),
		LocalRates: g.limiter.size(),
	}
	s.LocalNonces, s.PendingNonces = g.nonces.sizes()
	s.LocalLedger, s.PendingLedger = g.ledger.sizes()
	return s
}

// enter refuses calls after Close and with a context that has ended.
func (g *Guard) enter(ctx context.Context) error {
	select {
	case <-g.closed:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// remote runs one exchange with Redis. done is false if local memory has to answer. The
// error is the caller's context only.
func (g *Guard) remote(ctx context.Context, exchange func(context.Context) error) (done bool, err error) {
	if open, _, _ := g.link.state(); open {
		g.count.fallbacks.Add(1)
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, g.cfg.OpTimeout)
	defer cancel()
	err = exchange(bounded)
	if err == nil {
		g.link.success()
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	g.count.failures.Add(1)
	g.count.fallbacks.Add(1)
	g.link.failure(err)
	return false, nil
}
