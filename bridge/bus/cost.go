package bus

import (
	"sync"
	"time"
)

// cost decides between committing a group as an atomic batch and message by message. The
// batch stages its messages first, which is a price that a small group on a disk with fast
// syncs does not earn back; on a slow disk two messages do. Both prices are learned while
// running.
type cost struct {
	mu     sync.Mutex
	single float64 // seconds for each message of a group stored one by one
	fixed  float64 // seconds for a batch, whatever its size
}

const (
	learn  = 0.2  // weight of the newest observation
	forget = 0.01 // what is not chosen gets cheaper by this share, so that it is tried again
)

func (c *cost) batchPays(n int) bool {
	if n == 1 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fixed <= float64(n)*c.single
}

func (c *cost) observe(batch bool, n int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if batch {
		c.fixed += learn * (took.Seconds() - c.fixed)
		c.single *= 1 - forget
		return
	}
	c.single += learn * (took.Seconds()/float64(n) - c.single)
	c.fixed *= 1 - forget
}

// patience is how long a group may wait for more messages: what a commit takes.
func (c *cost) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return min(time.Duration(c.fixed*float64(time.Second)), maxPatience)
}

// maxPatience bounds the wait on a disk that hardly moves.
const maxPatience = 10 * time.Millisecond
