package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Outcome is what the ledger of control ids says about a message.
type Outcome int

// Outcomes.
const (
	// New is a control id that is not known of this sender. Everything behind the guard is
	// idempotent, so this is also the answer when the ledger cannot know.
	New Outcome = iota
	// Duplicate is a control id known with the same content.
	Duplicate
	// Conflict is a control id known with other content: an incident.
	Conflict
)

// String returns a word for logs and metrics.
func (o Outcome) String() string {
	switch o {
	case New:
		return "new"
	case Duplicate:
		return "duplicate"
	case Conflict:
		return "conflict"
	default:
		return fmt.Sprintf("Outcome(%d)", int(o))
	}
}

// Control is a message by its sender's control id, with the digest of its content.
type Control struct {
	Sender    string // sending application and facility, as the record id uses them
	ControlID string // MSH-10, or what stands for it
	Digest    [32]byte
}

// Limits of a call.
const (
	maxControls = 10_000
	maxText     = 1024 // bytes of a sender or control id
)

// Control looks one message up. Its error is ErrInvalid, ErrClosed or that of ctx.
func (g *Guard) Control(ctx context.Context, c Control) (Outcome, error) {
	outcomes, err := g.ControlAll(ctx, []Control{c})
	if err != nil {
		return New, err
	}
	return outcomes[0], nil
}

// ControlAll looks messages up in one exchange; outcomes come in their order. Messages of
// one call are not compared with each other.
func (g *Guard) ControlAll(ctx context.Context, controls []Control) ([]Outcome, error) {
	asked, err := g.ask(ctx, controls)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(asked))
	var unknown []int
	for i, a := range asked {
		if there, ok := g.ledger.get(a.name); ok {
			outcomes[i] = a.compare(there)
			continue
		}
		unknown = append(unknown, i)
	}
	if len(unknown) == 0 {
		return outcomes, nil
	}
	replies := make([]*redis.StringCmd, len(unknown))
	done, err := g.remote(ctx, func(ctx context.Context) error {
		pipe := g.client.Pipeline()
		for k, i := range unknown {
			replies[k] = pipe.Get(ctx, asked[i].name)
		}
		return execute(ctx, pipe)
	})
	if err != nil || !done {
		return outcomes, err
	}
	for k, i := range unknown {
		outcomes[i] = g.judge(asked[i], replies[k])
	}
	return outcomes, nil
}

// Remember enters messages that have been published durably. The first entry of a control
// id stays: New means that it is this one; Duplicate and Conflict say what was there.
func (g *Guard) Remember(ctx context.Context, controls ...Control) ([]Outcome, error) {
	asked, err := g.ask(ctx, controls)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(asked))
	var mine []int // first seen by this process
	expires := time.Now().Add(g.cfg.LedgerTTL)
	for i, a := range asked {
		// Local memory makes room for it, if need be at the cost of the oldest entry.
		there, added, room := g.ledger.add(a.name, a.content, expires)
		if room && !added {
			outcomes[i] = a.compare(there)
			continue
		}
		if added {
			defer g.ledger.settle(a.name)
		}
		mine = append(mine, i)
	}
	if len(mine) == 0 {
		return outcomes, nil
	}
	set, get := make([]*redis.BoolCmd, len(mine)), make([]*redis.StringCmd, len(mine))
	done, err := g.remote(ctx, func(ctx context.Context) error {
		pipe := g.client.Pipeline()
		for k, i := range mine {
			a := asked[i]
			set[k] = pipe.SetNX(ctx, a.name, g.secret.seal(a.name, a.content), g.cfg.LedgerTTL)
			get[k] = pipe.Get(ctx, a.name)
			g.forgetOldest(ctx, pipe, a.name)
		}
		return execute(ctx, pipe)
	})
	if err != nil || !done {
		return outcomes, err
	}
	for k, i := range mine {
		outcomes[i] = g.entered(ctx, asked[i], set[k].Val(), get[k])
	}
	return outcomes, nil
}

// asked is a message as the ledger knows it.
type asked struct {
	name    string
	content fingerprint
}

func (a asked) compare(there fingerprint) Outcome {
	if there == a.content {
		return Duplicate
	}
	return Conflict
}

func (g *Guard) ask(ctx context.Context, controls []Control) ([]asked, error) {
	if err := g.enter(ctx); err != nil {
		return nil, err
	}
	if len(controls) > maxControls {
		return nil, fmt.Errorf("%w: %d messages in one call, the limit is %d", ErrInvalid, len(controls), maxControls)
	}
	out := make([]asked, len(controls))
	for i, c := range controls {
		if c.ControlID == "" || len(c.ControlID) > maxText || len(c.Sender) > maxText {
			return nil, fmt.Errorf("%w: a control id has 1 to %d bytes, a sender up to %d", ErrInvalid, maxText, maxText)
		}
		name := g.secret.name(prefixLedger, []byte(c.Sender), []byte(c.ControlID))
		out[i] = asked{name, g.secret.fingerprint(name, c.Digest)}
	}
	return out, nil
}

// judge reads the answer of Redis to a look-up.
func (g *Guard) judge(a asked, reply *redis.StringCmd) Outcome {
	value, err := reply.Result()
	if err != nil { // nothing under the name
		return New
	}
	there, ok := g.secret.open(a.name, value)
	if !ok {
		g.count.forged.Add(1)
		return New
	}
	return a.compare(there)
}

// entered reads the answer of Redis to an entry, and corrects local memory where another
// process came first.
func (g *Guard) entered(ctx context.Context, a asked, set bool, get *redis.StringCmd) Outcome {
	if set {
		g.ledger.confirm(a.name, a.content)
		return New
	}
	there, ok := g.secret.open(a.name, get.Val())
	if !ok { // what stands there is no entry: replace it
		g.count.forged.Add(1)
		done, _ := g.remote(ctx, func(ctx context.Context) error {
			return g.client.Set(ctx, a.name, g.secret.seal(a.name, a.content), g.cfg.LedgerTTL).Err()
		})
		if done {
			g.ledger.confirm(a.name, a.content)
		}
		return New
	}
	g.ledger.confirm(a.name, there)
	return a.compare(there)
}

// forgetOldest bounds what this process keeps in Redis.
func (g *Guard) forgetOldest(ctx context.Context, pipe redis.Pipeliner, name string) {
	if g.written == nil {
		return
	}
	if oldest := g.written.push(name); oldest != "" && oldest != name {
		pipe.Del(ctx, oldest)
	}
}

// execute runs a pipeline; a name without a value is no failure.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

// ring holds the last names written. Names may repeat: one written again is forgotten at
// its first place, which only makes the ledger answer New.
type ring struct {
	mu    sync.Mutex
	names []string
	next  int
}

func newRing(size int) *ring { return &ring{names: make([]string, size)} }

// push enters a name and returns the one it displaces, if any.
func (r *ring) push(name string) (oldest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest, r.names[r.next] = r.names[r.next], name
	r.next = (r.next + 1) % len(r.names)
	return oldest
}
