package ferry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The protocol in the small, explored to its end: one lane, three bundles, a gatekeeper that
// holds at most two files of each direction and may lose, keep a copy of, and reorder them,
// and two sides that may crash between any two steps. What is durable survives a crash:
// spool, mark of the inlet, confirmed mark. What a side merely remembers does not.
//
// The model keeps from docs/design/ferry.md: a bundle is written to the spool before it is
// sent; the receiver delivers the bundle after its mark only, together with the mark; it says
// its mark and what it lacks; the sender forgets what is at or below a mark that it was told.
type state struct {
	spooled   int      // bundles 1..spooled were sent by the source
	confirmed int      // forgotten up to here
	delivered []int    // what the inlet got, in order
	ahead     []int    // files on the receiving side that wait for one before them
	out       []int    // bundles with the gatekeeper
	back      []string // control files with the gatekeeper: "mark"
}

const (
	modelBundles = 3
	modelHeld    = 2
)

func (s state) key() string { return fmt.Sprint(s) }

func (s state) clone() state {
	s.delivered, s.ahead = slices.Clone(s.delivered), slices.Clone(s.ahead)
	s.out, s.back = slices.Clone(s.out), slices.Clone(s.back)
	return s
}

func (s state) mark() int { return len(s.delivered) }

// next are the states that one step of anybody leads to.
func (s state) next() (all []state) {
	to := func(change func(*state)) {
		n := s.clone()
		change(&n)
		slices.Sort(n.out)
		slices.Sort(n.back)
		slices.Sort(n.ahead)
		n.ahead = slices.Compact(n.ahead)
		all = append(all, n)
	}
	if s.spooled < modelBundles {
		to(func(n *state) { n.spooled++ })
	}
	for b := s.confirmed + 1; b <= s.spooled; b++ { // sent, sent again, asked for, or after a crash
		if len(s.out) < modelHeld {
			to(func(n *state) { n.out = append(n.out, b) })
		}
	}
	for i, b := range s.out {
		to(func(n *state) { n.out = slices.Delete(n.out, i, i+1) })                               // lost
		to(func(n *state) { n.ahead = append(n.ahead, b) })                                       // brought, and a copy kept
		to(func(n *state) { n.out = slices.Delete(n.out, i, i+1); n.ahead = append(n.ahead, b) }) // brought
	}
	for i, b := range s.ahead {
		switch {
		case b == s.mark()+1: // delivered with its mark in one step; the file may survive a crash
			to(func(n *state) { n.delivered = append(n.delivered, b) })
			to(func(n *state) { n.delivered = append(n.delivered, b); n.ahead = slices.Delete(n.ahead, i, i+1) })
		case b <= s.mark(): // a duplicate is dropped
			to(func(n *state) { n.ahead = slices.Delete(n.ahead, i, i+1) })
		default: // put aside as altered: it will be asked for
			to(func(n *state) { n.ahead = slices.Delete(n.ahead, i, i+1) })
		}
	}
	if len(s.back) < modelHeld {
		to(func(n *state) { n.back = append(n.back, fmt.Sprint(s.mark())) })
	}
	for i, text := range s.back {
		var mark int
		_, _ = fmt.Sscan(text, &mark)
		to(func(n *state) { n.back = slices.Delete(n.back, i, i+1) })
		to(func(n *state) { n.confirmed = max(n.confirmed, mark) }) // heard, and a copy kept
	}
	return all
}

// sound is what must hold in every state.
func (s state) sound() error {
	for i, b := range s.delivered {
		if b != i+1 {
			return fmt.Errorf("delivered %v: not each once and in order", s.delivered)
		}
	}
	if s.confirmed > s.mark() {
		return fmt.Errorf("bundle %d is forgotten and was never delivered", s.confirmed)
	}
	return nil
}

func (s state) done() bool { return s.mark() == modelBundles && s.confirmed == modelBundles }

// TestTheProtocolLosesAndDoublesNothing visits every state that can be reached, and then
// every one again from the end: from wherever loss and crashes lead, there is a way to all
// bundles being delivered and confirmed.
func TestTheProtocolLosesAndDoublesNothing(t *testing.T) {
	begin := state{}
	seen := map[string]state{begin.key(): begin}
	before := map[string][]string{}
	queue := []string{begin.key()}
	var goals []string
	for len(queue) > 0 {
		key := queue[0]
		queue = queue[1:]
		s := seen[key]
		require.NoError(t, s.sound(), "%+v", s)
		if s.done() {
			goals = append(goals, key)
		}
		for _, n := range s.next() {
			k := n.key()
			before[k] = append(before[k], key)
			if _, known := seen[k]; !known {
				seen[k] = n
				queue = append(queue, k)
			}
		}
	}
	t.Logf("%d states", len(seen))
	require.Greater(t, len(seen), 1000)
	reaches := map[string]bool{}
	for queue = goals; len(queue) > 0; queue = queue[1:] {
		if reaches[queue[0]] {
			continue
		}
		reaches[queue[0]] = true
		queue = append(queue, before[queue[0]]...)
	}
	for key := range seen {
		require.True(t, reaches[key], "no way out of %s", key)
	}
}
