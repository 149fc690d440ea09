package guard

import (
	"container/list"
	"sync"
	"time"
)

// memory is a bounded map with expiry. It holds what this process knows: entries that Redis
// has too (known), and entries that Redis has yet to learn (pending).
//
// Known entries make room when it is short, oldest first. Pending entries do so only if
// losePending is set; otherwise a full memory takes nothing more.
type memory struct {
	max         int
	losePending bool

	mu      sync.Mutex
	entries map[string]*list.Element // of *entry, in one of the lists
	known   list.List
	pending list.List
	swept   time.Time
}

type entry struct {
	name    string
	value   fingerprint // of the ledger; zero for nonces
	expires time.Time
	pending bool
	asking  bool // the call that entered it is asking Redis
}

func newMemory(max int, losePending bool) *memory {
	return &memory{max: max, losePending: losePending, entries: map[string]*list.Element{}}
}

// add enters a name as pending unless it is there, and returns what is there. ok is false
// if there was no room; nothing was entered then.
//
// Whoever added a name settles it when it has asked Redis or will not: until then the name
// is not sent by others, or the caller would find its own entry there and take it for
// somebody else's.
func (m *memory) add(name string, value fingerprint, expires time.Time) (there fingerprint, added, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if e := m.live(name, now); e != nil {
		return e.value, false, true
	}
	if !m.room(now) {
		return fingerprint{}, false, false
	}
	m.entries[name] = m.pending.PushBack(&entry{name: name, value: value, expires: expires, pending: true, asking: true})
	return value, true, true
}

// get returns the value of a name.
func (m *memory) get(name string) (fingerprint, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.live(name, time.Now()); e != nil {
		return e.value, true
	}
	return fingerprint{}, false
}

// settle notes that the call that added a name is through with Redis, with or without an
// answer.
func (m *memory) settle(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.entries[name]; ok {
		el.Value.(*entry).asking = false
	}
}

// confirm notes what Redis has under a name.
func (m *memory) confirm(name string, value fingerprint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	el, ok := m.entries[name]
	if !ok {
		return
	}
	e := el.Value.(*entry)
	e.value = value
	if e.pending {
		m.pending.Remove(el)
		e.pending = false
		m.entries[name] = m.known.PushBack(e)
	}
}

// unsent returns copies of entries to send to Redis: the pending ones, or all.
func (m *memory) unsent(all bool) []entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	lists := []*list.List{&m.pending}
	if all {
		lists = append(lists, &m.known)
	}
	var out []entry
	for _, l := range lists {
		for el := l.Front(); el != nil; el = el.Next() {
			if e := el.Value.(*entry); !e.asking && e.expires.After(now) {
				out = append(out, *e)
			}
		}
	}
	return out
}

// sizes returns the number of entries and how many of them are pending.
func (m *memory) sizes() (all, pending int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries), m.pending.Len()
}

// live returns the entry of a name if it has not expired.
func (m *memory) live(name string, now time.Time) *entry {
	el, ok := m.entries[name]
	if !ok {
		return nil
	}
	e := el.Value.(*entry)
	if !e.expires.After(now) {
		m.remove(el)
		return nil
	}
	return e
}

// room makes room for one entry and reports whether there is some.
func (m *memory) room(now time.Time) bool {
	for _, l := range []*list.List{&m.known, &m.pending} {
		for el := l.Front(); el != nil && !el.Value.(*entry).expires.After(now); el = l.Front() {
			m.remove(el)
		}
	}
	if len(m.entries) < m.max {
		return true
	}
	oldest := m.known.Front()
	if oldest == nil && m.sweep(now) {
		return true
	}
	if oldest == nil && m.losePending {
		oldest = m.pending.Front()
	}
	if oldest == nil {
		return false
	}
	m.remove(oldest)
	return true
}

// sweep removes expired entries behind ones that live longer, at most once a second, since
// it looks at all of them.
func (m *memory) sweep(now time.Time) bool {
	if now.Sub(m.swept) < time.Second {
		return false
	}
	m.swept = now
	for el := m.pending.Front(); el != nil; {
		next := el.Next()
		if !el.Value.(*entry).expires.After(now) {
			m.remove(el)
		}
		el = next
	}
	return len(m.entries) < m.max
}

func (m *memory) remove(el *list.Element) {
	e := el.Value.(*entry)
	delete(m.entries, e.name)
	if e.pending {
		m.pending.Remove(el)
		return
	}
	m.known.Remove(el)
}
