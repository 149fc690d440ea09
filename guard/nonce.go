package guard

import (
	"context"
	"fmt"
	"time"
)

// Limits of a nonce, in bytes.
const (
	minNonce = 8
	maxNonce = 64
	maxScope = 256
)

// UseNonce reports whether a nonce is used for the first time within its scope, and uses it
// up, for all processes, until ttl is over: at least as long as the request that carries
// it is accepted, up to 30 days. Of concurrent calls exactly one gets fresh.
//
// Refuse the request on any error. After an error the nonce may be used up: a client that
// tries again draws a new one.
func (g *Guard) UseNonce(ctx context.Context, scope string, nonce []byte, ttl time.Duration) (fresh bool, err error) {
	if err := g.enter(ctx); err != nil {
		return false, err
	}
	if len(nonce) < minNonce || len(nonce) > maxNonce || len(scope) > maxScope || ttl < time.Millisecond || ttl > maxTTL {
		return false, fmt.Errorf("%w: a nonce has %d to %d bytes, a scope up to %d, and ttl is 1 ms to %v",
			ErrInvalid, minNonce, maxNonce, maxScope, maxTTL)
	}
	name := g.secret.name(prefixNonce, []byte(scope), nonce)
	// Local memory comes first: it settles calls of this process among themselves, whatever
	// becomes of Redis meanwhile.
	_, added, ok := g.nonces.add(name, fingerprint{}, time.Now().Add(ttl))
	if !ok {
		g.count.saturated.Add(1)
		return false, ErrSaturated
	}
	if !added {
		g.count.replays.Add(1)
		return false, nil
	}
	defer g.nonces.settle(name)
	done, err := g.remote(ctx, func(ctx context.Context) (err error) {
		fresh, err = g.client.SetNX(ctx, name, "1", ttl).Result()
		return err
	})
	switch {
	case err != nil:
		return false, err
	case done:
		g.nonces.confirm(name, fingerprint{})
		if !fresh {
			g.count.replays.Add(1)
		}
		return fresh, nil
	case g.cfg.StrictNonces:
		return false, ErrUnavailable
	default:
		return true, nil
	}
}
