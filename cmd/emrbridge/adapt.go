package main

import (
	"context"
	"time"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/guard"
)

// The packages declare the small interfaces that they need; these types fit one to the
// other. They hold no logic of their own.

// chainLedger lets retrieval submit statements and use their nonce as id.
type chainLedger struct{ *chainclient.Client }

// Submit implements retrieve.Ledger.
func (l chainLedger) Submit(ctx context.Context, body evidence.Body) (evidence.Nonce, error) {
	commit, err := l.Client.Submit(ctx, body)
	return commit.Nonce, err
}

// gatewayGuard limits each calling member and takes each nonce once.
type gatewayGuard struct {
	g    *guard.Guard
	rate int // requests of one member in a second
}

// Allow implements gateway.Guard.
func (l gatewayGuard) Allow(ctx context.Context, caller string) (bool, time.Duration, error) {
	return l.g.Allow(ctx, "gateway/"+caller, guard.Limit{Events: l.rate, Per: time.Second, Burst: 2 * l.rate})
}

// UseNonce implements gateway.Guard.
func (l gatewayGuard) UseNonce(ctx context.Context, scope string, nonce []byte, ttl time.Duration) (bool, error) {
	return l.g.UseNonce(ctx, scope, nonce, ttl)
}
