package chainclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// How long a peer that failed is passed over, doubled with every failure in a row. One
// that let a call run into its deadline costs more to try again than one that refuses.
const (
	cooldownMin  = time.Second
	cooldownHung = 10 * time.Second
	cooldownMax  = 30 * time.Second
)

// pool keeps the links in order of preference and says which to use. A link that failed is
// passed over for a while, so that work goes on at the next one and comes back to the
// preferred peer by itself.
type pool struct {
	links []link
	log   *slog.Logger
	now   func() time.Time

	mu     sync.Mutex
	health []health // of links[i]
}

type health struct {
	failures int
	until    time.Time // passed over until then
}

func newPool(links []link, log *slog.Logger, now func() time.Time) *pool {
	return &pool{links: links, log: log, now: now, health: make([]health, len(links))}
}

// order returns the indexes of the links in which they are to be tried: those in good
// health first, in order of preference, then the others.
func (p *pool) order() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	good, bad := make([]int, 0, len(p.links)), []int(nil)
	for i, l := range p.links {
		// One that failed before must have its connection back: calls on a connection in
		// the making would wait for it.
		if h := p.health[i]; now.Before(h.until) || (h.failures > 0 && !l.ready()) {
			bad = append(bad, i)
		} else {
			good = append(good, i)
		}
	}
	return append(good, bad...)
}

// failed notes that link i did not serve.
func (p *pool) failed(i int, err error) {
	p.mu.Lock()
	h := &p.health[i]
	first := h.failures == 0
	rest := cooldownMin
	if timedOut(err) {
		rest = cooldownHung
	}
	h.until = p.now().Add(min(rest<<min(h.failures, 10), cooldownMax))
	h.failures++
	p.mu.Unlock()
	if first {
		p.log.Warn("gateway peer fails, going on with the next", "peer", p.links[i].name(), "error", err)
	}
}

func (p *pool) served(i int) {
	p.mu.Lock()
	back := p.health[i].failures > 0
	p.health[i] = health{}
	p.mu.Unlock()
	if back {
		p.log.Info("gateway peer serves again", "peer", p.links[i].name())
	}
}

// do calls f with one link after another until one serves. An error that is not the link's
// fault is returned at once.
func (p *pool) do(ctx context.Context, timeout time.Duration, f func(context.Context, link) error) error {
	return p.doUntil(ctx, timeout, f, func(error) bool { return true })
}

// doUntil is do for calls where another peer may know better: an error that is not final
// leads on to the next link.
func (p *pool) doUntil(ctx context.Context, timeout time.Duration, f func(context.Context, link) error, final func(error) bool) error {
	var last error
	for _, i := range p.order() {
		err := p.call(ctx, i, timeout, f)
		if err == nil || !linkFault(ctx, err) && (ctx.Err() != nil || final(err)) {
			return err
		}
		last = fmt.Errorf("gateway peer %s: %w", p.links[i].name(), err)
	}
	if last == nil {
		last = errors.New("no gateway peer is configured")
	}
	return last
}

func (p *pool) call(ctx context.Context, i int, timeout time.Duration, f func(context.Context, link) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f(call, p.links[i])
	if err != nil && linkFault(ctx, err) {
		p.failed(i, err)
	} else if ctx.Err() == nil {
		p.served(i)
	}
	return err
}

// linkFault reports whether err says that the peer itself does not serve, as opposed to an
// answer that it passes on from the contract, another peer or the orderers. ctx is the
// caller's, whose end is nobody's fault.
func linkFault(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, errForged) || timedOut(err) {
		return true
	}
	st := statusOf(err)
	switch st.Code() {
	case codes.Unimplemented:
		return true
	case codes.Unavailable:
		return len(st.Details()) == 0 && len(missingOrgs(err)) == 0
	default:
		return false
	}
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || statusOf(err).Code() == codes.DeadlineExceeded
}

// missingOrgs reads which organisations a gateway finds no peer of.
func missingOrgs(err error) []string {
	const phrase = "failed to find any endorsing peers for org(s): "
	_, list, found := strings.Cut(statusOf(err).Message(), phrase)
	if !found {
		return nil
	}
	return strings.Split(list, ", ")
}

// warm has every link connect and waits until one stands.
func (p *pool) warm(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		standing := false
		for _, l := range p.links {
			standing = l.ready() || standing
		}
		if standing {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("chainclient: no gateway peer answers within %s (tried %s): is the network up, do address and TLS authority fit?", timeout, p.names())
		case <-tick.C:
		}
	}
}

func (p *pool) names() string {
	names := make([]string, len(p.links))
	for i, l := range p.links {
		names[i] = l.name()
	}
	return strings.Join(names, ", ")
}

func (p *pool) close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}
