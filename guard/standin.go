package guard

import (
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// ageEvery is how often the stand-in ages its entries: they live up to this much longer.
const ageEvery = 5 * time.Second

// standIn is an in-process Redis. It listens on no port: connections are pipes.
type standIn struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	wg     sync.WaitGroup
}

func startStandIn() *standIn {
	in := &standIn{server: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	in.wg.Go(func() {
		tick := time.NewTicker(ageEvery)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-in.stop:
				return
			case now := <-tick.C:
				in.server.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	return in
}

func (in *standIn) dial() (net.Conn, error) {
	pipe, err := in.server.Dial()
	if err != nil {
		return nil, err
	}
	c := &pipeConn{Conn: pipe}
	c.filled = sync.NewCond(&c.mu)
	in.wg.Go(c.pump)
	return c, nil
}

// close is called after the client was closed, which ends the pumps.
func (in *standIn) close() {
	close(in.stop)
	in.wg.Wait()
	in.server.Close()
}

// pipeConn gives a pipe the buffer that a socket has. Without it a long pipeline of
// commands hangs: the client writes on, the server waits for its first answer to be read.
type pipeConn struct {
	net.Conn
	mu     sync.Mutex
	filled *sync.Cond
	buf    []byte
	err    error // why no more can be written
}

// Write implements net.Conn. It never waits, so write deadlines have no meaning.
func (c *pipeConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.buf = append(c.buf, p...)
	c.filled.Signal()
	return len(p), nil
}

// SetDeadline implements net.Conn.
func (c *pipeConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *pipeConn) SetWriteDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (c *pipeConn) Close() error {
	c.fail(net.ErrClosed)
	return c.Conn.Close() // also ends a write of pump
}

func (c *pipeConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.filled.Signal()
}

// pump carries what was written to the server.
func (c *pipeConn) pump() {
	for {
		c.mu.Lock()
		for len(c.buf) == 0 && c.err == nil {
			c.filled.Wait()
		}
		out, failed := c.buf, c.err != nil
		c.buf = nil
		c.mu.Unlock()
		if failed {
			return
		}
		if _, err := c.Conn.Write(out); err != nil {
			c.fail(err)
			return
		}
	}
}
