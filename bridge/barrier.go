package bridge

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/emrbridge/emrbridge/bridge/correction"
	"github.com/emrbridge/emrbridge/bridge/topology"
)

// A message about who is who (a merge of patients, its undoing) concerns at least two
// identities, and the runtime cannot know which lanes those have: lanes come from keyed
// hashes of whatever number a message names. So it is a barrier for the whole stage: it
// waits until everything before it is done or set aside, and everything after it waits for
// it. Merges are rare, and what waits is one stage of one hospital for some milliseconds.

// barrierEvents are the merge, move, link and unlink events of HL7 v2 chapter 3.
var barrierEvents = []string{
	"A18", "A24", "A30", "A34", "A35", "A36", "A37", "A38", "A39", "A40", "A41", "A42", "A43", "A44", "A45", "A46", "A47",
	"A48", "A49", "A50", "A51",
}

// barrierKinds are others: PatientInfoMerge of the WS/T 500 platform service, and the word
// of an operator.
var barrierKinds = []string{"PRPA_IN201304UV02", "PatientInfoMerge", correction.KindMerge, correction.KindUnmerge}

// isBarrier reports whether a message has to be alone in an ordered stage: by its kind, or
// because the mapping found a merge in it.
func isBarrier(m topology.Meta) bool {
	if m.Barrier || slices.Contains(barrierKinds, m.Kind) {
		return true
	}
	event, isADT := strings.CutPrefix(m.Kind, "ADT^")
	return isADT && slices.Contains(barrierEvents, event)
}

// flight counts the items that lanes have in hand.
type flight struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n becomes 0; nil while nobody waits
}

func (f *flight) enter() {
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
}

func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.n == 0 && f.empty != nil {
		close(f.empty)
		f.empty = nil
	}
}

// drained returns once no lane has an item in hand. Nothing may enter meanwhile. The error
// is the context's.
func (f *flight) drained(ctx context.Context) error {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return ctx.Err()
	}
	if f.empty == nil {
		f.empty = make(chan struct{})
	}
	empty := f.empty
	f.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
