package keystore

import (
	"container/list"
	"sync"
)

// lru is a bounded map that forgets the least recently used entry. It is safe for
// concurrent use. Values of type *node are overwritten when they leave.
type lru[K comparable, V any] struct {
	mu      sync.Mutex
	limit   int
	order   *list.List
	entries map[K]*list.Element
	drop    func(*V)
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int, drop func(*V)) *lru[K, V] {
	return &lru[K, V]{limit: limit, order: list.New(), entries: make(map[K]*list.Element), drop: drop}
}

func (c *lru[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

func (c *lru[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[k]; ok {
		e.Value.(*lruEntry[K, V]).value = v
		c.order.MoveToFront(e)
		return
	}
	c.entries[k] = c.order.PushFront(&lruEntry[K, V]{k, v})
	if c.order.Len() > c.limit {
		c.remove(c.order.Back())
	}
}

func (c *lru[K, V]) forget(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[k]; ok {
		c.remove(e)
	}
}

func (c *lru[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *lru[K, V]) remove(e *list.Element) {
	entry := e.Value.(*lruEntry[K, V])
	delete(c.entries, entry.key)
	c.order.Remove(e)
	if c.drop != nil {
		c.drop(&entry.value)
	}
}
