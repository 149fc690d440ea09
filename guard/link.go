package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	failuresToOpen = 3
	probeTimeout   = time.Second
	probeHealthy   = time.Second            // between looks at the marker
	probeFirst     = 100 * time.Millisecond // after an outage began, doubling
	probeMost      = 2 * time.Second
	markerTTL      = time.Hour
	uploadBatch    = 500
)

var errNotTried = errors.New("not reached yet")

type counters struct {
	fallbacks, failures, replays, saturated, forged, limited, uploads atomic.Uint64
}

// link is a circuit breaker. It is open while Redis is not to be asked.
type link struct {
	outages atomic.Uint64
	wake    chan struct{} // an outage began

	mu       sync.Mutex
	open     bool
	since    time.Time
	cause    error
	failures int // in a row
	onState  func(bool, error)
}

func (l *link) start(onState func(bool, error)) {
	l.wake = make(chan struct{}, 1)
	l.open, l.since, l.cause, l.onState = true, time.Now(), errNotTried, onState
}

func (l *link) state() (open bool, since time.Time, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.since, l.cause
}

func (l *link) success() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = 0
}

// failure counts a failed exchange and opens the link after a few in a row.
func (l *link) failure(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	if l.open {
		l.cause = err
		return
	}
	if l.failures < failuresToOpen {
		return
	}
	l.open, l.since, l.cause = true, time.Now(), err
	l.outages.Add(1)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if l.onState != nil {
		go l.onState(false, err)
	}
}

// recovered closes the link.
func (l *link) recovered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = 0
	if !l.open {
		return
	}
	l.open, l.cause = false, nil
	if l.onState != nil {
		go l.onState(true, nil)
	}
}

// watch probes until its context ends: now and then while all is well, to notice a Redis
// that forgot, and with growing pauses during an outage.
func (g *Guard) watch(ctx context.Context) {
	defer close(g.ended)
	pause := probeFirst
	for {
		open, _, _ := g.link.state()
		wait := probeHealthy
		if open {
			wait = pause
			pause = min(2*pause, probeMost)
		} else {
			pause = probeFirst
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.link.wake:
			timer.Stop()
			continue // into the short pause of an outage
		case <-timer.C:
		}
		g.probe(ctx)
	}
}

// probe asks for the marker. If it is missing, Redis has forgotten what this process told
// it; if the link is open, it may have missed something: either way memory goes up first.
func (g *Guard) probe(ctx context.Context) {
	there, err := g.hasMarker(ctx)
	if err == nil {
		open, _, _ := g.link.state()
		if !there && !open {
			g.count.uploads.Add(1)
		}
		err = g.upload(ctx, !there)
	}
	if err == nil {
		err = g.setMarker(ctx)
	}
	if err != nil {
		g.count.failures.Add(1)
		g.link.failure(describe(err))
		return
	}
	g.link.recovered()
	// What was used while memory went up.
	if err := g.upload(ctx, false); err != nil {
		g.link.failure(describe(err))
	}
}

func (g *Guard) hasMarker(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	n, err := g.client.Exists(ctx, g.marker).Result()
	return n == 1, err
}

func (g *Guard) setMarker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return g.client.Set(ctx, g.marker, "1", markerTTL).Err()
}

// upload sends pending entries, or all, to Redis. Entries of others that came first stay.
func (g *Guard) upload(ctx context.Context, all bool) error {
	for _, m := range []*memory{g.nonces, g.ledger} {
		entries := m.unsent(all)
		for len(entries) > 0 {
			n := min(len(entries), uploadBatch)
			if err := g.uploadBatch(ctx, m, entries[:n]); err != nil {
				return err
			}
			entries = entries[n:]
		}
	}
	return nil
}

func (g *Guard) uploadBatch(ctx context.Context, m *memory, entries []entry) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	pipe := g.client.Pipeline()
	for _, e := range entries {
		value := "1"
		if m == g.ledger {
			value = g.secret.seal(e.name, e.value)
		}
		pipe.SetNX(ctx, e.name, value, max(time.Until(e.expires), time.Millisecond))
		if m == g.ledger {
			g.forgetOldest(ctx, pipe, e.name)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("send local memory: %w", err)
	}
	for _, e := range entries {
		m.confirm(e.name, e.value)
	}
	return nil
}

// describe shortens errors of the client to what an operator needs. They name addresses,
// never passwords.
func describe(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v: %w", probeTimeout, err)
	}
	return err
}

// quiet stops the client library from writing to standard error by itself: what it would
// say is in Healthy, for the caller to log.
var quiet = sync.OnceFunc(logging.Disable)

// newClient makes a client that never retries by itself: a repeated SET NX would find its
// own first attempt.
func newClient(cfg Config, in *standIn) redis.UniversalClient {
	quiet()
	opts := &redis.UniversalOptions{
		Addrs: cfg.Addrs, MasterName: cfg.MasterName, Username: cfg.Username, Password: cfg.Password,
		SentinelUsername: cfg.Username, SentinelPassword: cfg.Password, DB: cfg.DB,
		DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: probeTimeout, ReadTimeout: probeTimeout, WriteTimeout: probeTimeout,
		PoolSize: 32, PoolTimeout: maxOpTimeout, ConnMaxIdleTime: 5 * time.Minute, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.TLS != nil {
		opts.TLSConfig = cfg.TLS.Clone()
		opts.TLSConfig.MinVersion = max(opts.TLSConfig.MinVersion, tls.VersionTLS12)
	}
	if in != nil {
		opts.Addrs, opts.MasterName, opts.TLSConfig, opts.DB = []string{"embedded"}, "", nil, 0
		opts.Username, opts.Password = "", ""
		opts.Dialer = func(context.Context, string, string) (net.Conn, error) { return in.dial() }
	}
	return redis.NewUniversalClient(opts)
}
