package bridge

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// gate makes a stage wait as a whole while a neighbour is away. The first item that meets
// the absence closes it; from then on one item at a time probes, with growing pauses, and
// the others wait. When a probe gets through, all go on. Nobody but the stage itself has to
// notice that the neighbour is back.
type gate struct {
	min, max time.Duration

	mu        sync.Mutex
	neighbour string // "" while open
	err       error
	since     time.Time
	pause     time.Duration
	next      time.Time     // earliest moment of the next probe
	opened    chan struct{} // closed when the gate opens
	turn      chan struct{} // holds one token while nobody probes
}

func newGate(least, most time.Duration) *gate {
	g := &gate{min: least, max: most, turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

// shut notes that a neighbour is away, as the holder of a ticket has found. Thousands may
// find it at once; only a probe that fails makes the pauses longer.
func (g *gate) shut(t ticket, neighbour string, err error) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.neighbour == "":
		first = true
		g.since, g.pause, g.opened = time.Now(), g.min, make(chan struct{})
	case !t.probe:
		return false
	default:
		g.pause = min(2*g.pause, g.max)
	}
	g.neighbour, g.err = neighbour, err
	// Half of the pause is random, so that stages and processes do not come back in step.
	g.next = time.Now().Add(g.pause/2 + rand.N(g.pause/2+1)) //nolint:gosec // jitter needs no secret
	return first
}

// open lets all items through.
func (g *gate) open() (was bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.neighbour == "" {
		return false
	}
	g.neighbour, g.err = "", nil
	close(g.opened)
	return true
}

// state returns which neighbour is missing, "" if none, and why.
func (g *gate) state() (string, time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.neighbour, g.since, g.err
}

// ticket is the leave to try.
type ticket struct{ probe bool }

// pass returns when the caller may try: at once while the gate is open. The ticket is given
// back with leave after the try. The error is the context's.
func (g *gate) pass(ctx context.Context) (ticket, error) {
	for {
		g.mu.Lock()
		if g.neighbour == "" {
			g.mu.Unlock()
			return ticket{}, nil
		}
		opened := g.opened
		g.mu.Unlock()
		select {
		case <-opened:
			continue
		case <-ctx.Done():
			return ticket{}, ctx.Err()
		case <-g.turn:
		}
		if err := g.sleep(ctx, opened); err != nil {
			g.turn <- struct{}{}
			return ticket{}, err
		}
		return ticket{probe: true}, nil
	}
}

// leave gives a ticket back.
func (g *gate) leave(t ticket) {
	if t.probe {
		g.turn <- struct{}{}
	}
}

// sleep waits for the time of the next probe, or until the gate is open.
func (g *gate) sleep(ctx context.Context, opened chan struct{}) error {
	g.mu.Lock()
	wait := time.Until(g.next)
	g.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
