package guard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limit allows Events in each Per on average, and Burst of them at once.
type Limit struct {
	Events int           // 1 to 1 000 000
	Per    time.Duration // 1 ms to 24 h, at least 1 µs for each event
	Burst  int           // 1 to 1 000 000
}

func (l Limit) validate() error {
	const most = 1_000_000
	if l.Events < 1 || l.Events > most || l.Burst < 1 || l.Burst > most ||
		l.Per < time.Millisecond || l.Per > 24*time.Hour || l.interval() < time.Microsecond {
		return fmt.Errorf("%w: a limit has 1 to %d events and burst, per 1 ms to 24 h", ErrInvalid, most)
	}
	return nil
}

// interval is the time that one event costs.
func (l Limit) interval() time.Duration { return l.Per / time.Duration(l.Events) }

// gcra is the generic cell rate algorithm on the server's clock. The value of a name is its
// theoretical arrival time in µs: when its budget will be whole again.
//
// A stored value outside what the limit can produce is brought back into its bounds, also
// when the event is refused, or a single wrong value would lock its name out.
//
// ARGV: µs that an event costs; burst; what the caller knows to be owed, in µs from now.
// Returns: 1 if allowed; µs to wait if not; µs owed now.
var gcra = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost, burst, owed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local stored = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if stored ~= stored then stored = 0 end
local tat = math.min(math.max(stored, now + owed, now), now + cost * burst)
local wait = tat + cost - cost * burst - now
if wait <= 0 then
  tat, wait = tat + cost, 0
end
if tat ~= stored then
  redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1000)
end
return {wait == 0 and 1 or 0, wait, tat - now}
`)

// Allow takes one event from the budget of a key, for all processes together, and reports
// whether there was one; if not, when there will be. key names who is limited and for what,
// up to 1024 bytes. Its error is ErrInvalid, ErrClosed or that of ctx.
func (g *Guard) Allow(ctx context.Context, key string, limit Limit) (ok bool, retryAfter time.Duration, err error) {
	if err := g.enter(ctx); err != nil {
		return false, 0, err
	}
	if len(key) > maxText {
		return false, 0, fmt.Errorf("%w: a key has up to %d bytes", ErrInvalid, maxText)
	}
	if err := limit.validate(); err != nil {
		return false, 0, err
	}
	name := g.secret.name(prefixRate, []byte(key))
	var reply []int64
	done, err := g.remote(ctx, func(ctx context.Context) (err error) {
		reply, err = gcra.Run(ctx, g.client, []string{name}, limit.interval().Microseconds(), limit.Burst,
			g.limiter.owed(name).Microseconds()).Int64Slice()
		if err == nil && len(reply) != 3 {
			err = fmt.Errorf("rate script returned %d numbers", len(reply))
		}
		return err
	})
	if err != nil {
		return false, 0, err
	}
	if done {
		g.limiter.mirror(name, time.Duration(reply[2])*time.Microsecond)
		ok, retryAfter = reply[0] == 1, time.Duration(reply[1])*time.Microsecond
	} else {
		var room bool
		if ok, retryAfter, room = g.limiter.allow(name, limit); !room {
			g.count.saturated.Add(1)
		}
	}
	if !ok {
		g.count.limited.Add(1)
	}
	return ok, retryAfter, nil
}

// limiter is the same algorithm in local memory, for the share of one process.
type limiter struct {
	max, instances int

	mu    sync.Mutex
	whole map[string]budget
	swept time.Time
}

// budget is that of one name.
type budget struct {
	tat   time.Time // when it will be whole again
	local bool      // something was taken that Redis does not know of
}

func newLimiter(max, instances int) *limiter {
	return &limiter{max: max, instances: instances, whole: map[string]budget{}}
}

// allow takes an event. room is false if it was refused for want of memory.
func (l *limiter) allow(name string, limit Limit) (ok bool, retryAfter time.Duration, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if _, there := l.whole[name]; !there && !l.makeRoom(now) {
		return false, time.Second, false
	}
	cost := limit.interval() * time.Duration(l.instances)
	depth := limit.interval() * time.Duration(limit.Burst)
	depth = max(depth, cost) // a share of less than one event is still one, later
	tat := l.whole[name].tat
	if tat.Before(now) {
		tat = now
	}
	if most := now.Add(depth); tat.After(most) {
		tat = most
	}
	if wait := tat.Add(cost - depth).Sub(now); wait > 0 {
		return false, wait, true
	}
	l.whole[name] = budget{tat.Add(cost), true}
	return true, 0, true
}

// owed returns how far the budget of a name is from whole, if Redis cannot know it. What it
// does know is not sent back: each round would add the time of the exchange.
func (l *limiter) owed(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.whole[name]; ok && b.local {
		return max(time.Until(b.tat), 0)
	}
	return 0
}

// mirror notes what Redis said, so that an outage gives nobody a fresh budget.
func (l *limiter) mirror(name string, owed time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if _, there := l.whole[name]; !there && !l.makeRoom(now) {
		return
	}
	l.whole[name] = budget{tat: now.Add(owed)}
}

func (l *limiter) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.whole)
}

// makeRoom drops names whose budget is whole when memory is full, at most ten times a
// second, since it looks at all of them.
func (l *limiter) makeRoom(now time.Time) bool {
	if len(l.whole) < l.max {
		return true
	}
	if now.Sub(l.swept) < 100*time.Millisecond {
		return false
	}
	l.swept = now
	for name, b := range l.whole {
		if !b.tat.After(now) {
			delete(l.whole, name)
		}
	}
	return len(l.whole) < l.max
}
