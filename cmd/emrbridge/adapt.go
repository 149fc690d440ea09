package main

import (
	"context"
	"time"

	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/guard"
)

// The packages declare the small interfaces that they need; these types fit one to the
// other. They hold no logic of their own.

// controlLedger lets the intake ask the guard what a control id stood for.
type controlLedger struct{ g *guard.Guard }

// Check implements the intake's ledger.
func (l controlLedger) Check(ctx context.Context, sender, controlID string, digest [32]byte) (intake.Verdict, error) {
	out, err := l.g.Control(ctx, guard.Control{Sender: sender, ControlID: controlID, Digest: digest})
	return verdictOf(out), err
}

// Remember implements the intake's ledger.
func (l controlLedger) Remember(ctx context.Context, sender, controlID string, digest [32]byte) (intake.Verdict, error) {
	out, err := l.g.Remember(ctx, guard.Control{Sender: sender, ControlID: controlID, Digest: digest})
	if err != nil || len(out) != 1 {
		return intake.Unknown, err
	}
	return verdictOf(out[0]), nil
}

func verdictOf(o guard.Outcome) intake.Verdict {
	switch o {
	case guard.Duplicate:
		return intake.Same
	case guard.Conflict:
		return intake.Differs
	}
	return intake.Unknown
}

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
