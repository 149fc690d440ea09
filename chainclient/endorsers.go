package chainclient

import (
	"slices"
	"sync"
	"time"
)

// endorsers chooses which organisations endorse a transaction: the own one first, then the
// others in turn, leaving out for a while those that failed.
type endorsers struct {
	own  string
	all  []string
	need int
	now  func() time.Time

	mu     sync.Mutex
	turn   int
	health map[string]health
}

func newEndorsers(cfg Config) *endorsers {
	return &endorsers{own: cfg.MSPID, all: cfg.Endorsers, need: cfg.EndorsersNeeded, now: time.Now, health: map[string]health{}}
}

// choose returns the organisations for the next attempt. If too few are in good health,
// those whose rest ends soonest fill up.
func (e *endorsers) choose() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Clone(e.all)
	e.turn++
	shift := e.turn % len(list)
	list = append(list[shift:], list[:shift]...)
	now := e.now()
	slices.SortStableFunc(list, func(a, b string) int {
		if c := e.rest(a, now).Compare(e.rest(b, now)); c != 0 {
			return c
		}
		return rank(a == e.own) - rank(b == e.own)
	})
	return list[:min(e.need, len(list))]
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// rest returns when org may be asked again, the zero time if now.
func (e *endorsers) rest(org string, now time.Time) time.Time {
	if until := e.health[org].until; now.Before(until) {
		return until
	}
	return time.Time{}
}

// failed lets organisations rest.
func (e *endorsers) failed(orgs ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, org := range orgs {
		h := e.health[org]
		h.failures++
		h.until = e.now().Add(min(cooldownMin<<min(h.failures-1, 10), cooldownMax))
		e.health[org] = h
	}
}

// served notes that organisations endorsed and the ledger agreed.
func (e *endorsers) served(orgs []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, org := range orgs {
		delete(e.health, org)
	}
}

// others returns orgs without the own one.
func (e *endorsers) others(orgs []string) []string {
	return slices.DeleteFunc(slices.Clone(orgs), func(o string) bool { return o == e.own })
}
