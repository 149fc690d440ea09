package rest

import (
	"hash/maphash"
	"slices"
	"sync"
)

// locks let one request at a time decide about a resource. There are fewer locks than
// resources; those of one request are taken in order, so that two never wait for each other.
type locks struct {
	seed  maphash.Seed
	once  sync.Once
	slots [256]sync.Mutex
}

// lock locks the named resources and returns what unlocks them.
func (l *locks) lock(names ...string) (unlock func()) {
	l.once.Do(func() { l.seed = maphash.MakeSeed() })
	which := make([]int, 0, len(names))
	for _, n := range names {
		which = append(which, int(maphash.String(l.seed, n)%uint64(len(l.slots))))
	}
	slices.Sort(which)
	which = slices.Compact(which)
	for _, i := range which {
		l.slots[i].Lock()
	}
	return func() {
		for _, i := range which {
			l.slots[i].Unlock()
		}
	}
}
