package mllp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// lingerTime is how long a connection that is being given up may still send.
const lingerTime = time.Second

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("mllp: server closed")

// Server accepts MLLP connections. Make it with New.
type Server struct {
	cfg    Config
	mem    budget
	ctx    context.Context // of the handlers
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	active    sync.WaitGroup
}

// New checks the configuration and makes a server.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, mem: budget{left: cfg.MaxInFlight},
		listeners: make(map[net.Listener]struct{}), conns: make(map[*serverConn]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts connections on l until Shutdown or Close, and then returns
// ErrServerClosed. A failing accept is tried again with growing pauses.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		_ = l.Close()
		return ErrServerClosed
	}
	defer s.untrack(l)
	const firstPause, longestPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = firstPause
			s.open(conn)
			continue
		}
		if s.isClosing() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("mllp: listener: %w", err)
		}
		s.cfg.Observe(Event{Kind: AcceptError, Err: err})
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return ErrServerClosed
		}
		pause = min(2*pause, longestPause)
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// open starts a connection, or closes it if there are too many.
func (s *Server) open(conn net.Conn) {
	c := &serverConn{server: s, conn: conn, peer: conn.RemoteAddr().String(), gone: make(chan struct{})}
	s.mu.Lock()
	full := s.closing || len(s.conns) >= s.cfg.MaxConns
	if !full {
		s.conns[c] = struct{}{}
		s.active.Add(1)
	}
	s.mu.Unlock()
	if full {
		conn.Close()
		s.cfg.Observe(Event{Kind: Refused, Peer: c.peer})
		return
	}
	go c.run()
}

func (s *Server) forget(c *serverConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.active.Done()
}

// Conns returns the number of open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting, closes idle connections, lets frames that were read
// completely be handled and answered, and waits for them. A frame that is still being
// received is given up without an answer, so its sender has it still. When ctx ends first
// all connections are closed by force and the error of ctx is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() { s.active.Wait(); close(done) }()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.closeAll()
		<-done
		return fmt.Errorf("mllp: shutdown: %w", context.Cause(ctx))
	}
}

// Close ends the server at once and waits for its goroutines. A message that is being
// handled is not answered.
func (s *Server) Close() error {
	s.stop()
	s.closeAll()
	s.active.Wait()
	return nil
}

// stop closes the listeners and wakes the connections that are reading.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		c.wake()
	}
}

func (s *Server) closeAll() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.conn.Close()
	}
}

// serverConn is one connection, served by one goroutine.
type serverConn struct {
	server *Server
	conn   net.Conn
	peer   string
	cert   *x509.Certificate

	mu       sync.Mutex
	handling bool // a frame is being handled or answered: not to be woken
	woken    bool

	wmu  sync.Mutex // answers and later replies
	w    *bufio.Writer
	gone chan struct{} // closed when nothing can be written any more
}

// wake makes a connection that waits for its peer stop. It must hold server.mu.
func (c *serverConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	if !c.handling {
		c.conn.Close()
	}
}

// setHandling reports false if the server is stopping, when leaving the handling state.
func (c *serverConn) setHandling(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handling = on
	return !c.woken
}

func (c *serverConn) observe(kind EventKind, bytes int64, err error) {
	c.server.cfg.Observe(Event{Kind: kind, Peer: c.peer, Bytes: bytes, Err: err})
}

// run serves the connection until it ends.
func (c *serverConn) run() {
	defer c.server.forget(c)
	c.observe(Opened, 0, nil)
	raw := c.conn
	if err := c.handshake(); err != nil {
		c.observe(HandshakeError, 0, err)
		raw.Close()
		c.observe(Closed, 0, nil)
		return
	}
	r := newFrameReader(c.conn, &c.server.cfg, &c.server.mem)
	c.w = bufio.NewWriterSize(c.conn, 1<<10)
	err := c.serve(r)
	close(c.gone)
	r.release()
	if errors.Is(err, errDrain) {
		c.linger()
	}
	c.conn.Close()
	c.observe(Closed, r.total, err)
}

// linger lets a peer that is still sending read the answer: closing a socket with unread
// bytes would reset it. Bounded in time and bytes.
func (c *serverConn) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.conn, min(drainFactor*int64(c.server.cfg.MaxFrame), drainMost))
}

// handshake does TLS, bounded by ReadTimeout. c.conn is exchanged under the lock because
// wake closes it from outside.
func (c *serverConn) handshake() error {
	if c.server.cfg.TLS == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.server.ctx, c.server.cfg.ReadTimeout)
	defer cancel()
	tc := tls.Server(c.conn, c.server.cfg.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		return err
	}
	if chains := tc.ConnectionState().VerifiedChains; len(chains) > 0 {
		c.cert = chains[0][0]
	}
	c.server.mu.Lock() // closeAll and wake read conn
	c.conn = tc
	c.server.mu.Unlock()
	return nil
}

// serve takes frame after frame. It returns why the connection ended, nil if the peer
// closed it between frames.
func (c *serverConn) serve(r *frameReader) error {
	for {
		junk, err := r.skipToStart()
		if junk > 0 {
			c.observe(Junk, junk, nil)
		}
		if err != nil {
			return quiet(err)
		}
		err = r.readFrame()
		if !c.setHandling(true) {
			return ErrServerClosed
		}
		if again := c.take(r, err); again != nil {
			return again
		}
		r.release()
		if !c.setHandling(false) {
			return ErrServerClosed
		}
	}
}

// take handles one frame, whole or not, and answers it. An error ends the connection.
func (c *serverConn) take(r *frameReader, cause error) error {
	body := r.finish()
	switch r.fault {
	case Whole:
		c.observe(Received, r.size, nil)
	case Oversize:
		c.observe(TooLong, r.size, cause)
	case NoMemory:
		c.observe(OutOfMemory, r.size, errors.Join(errNoMemory, r.spoolErr))
	case Incomplete:
		c.observe(CutOff, r.size, cause)
		if r.size == 0 {
			return cause
		}
	}
	answered := make(chan struct{})
	defer close(answered)
	answer, err := c.handle(Frame{Payload: r.buf, Body: body, Peer: c.peer, PeerCert: c.cert,
		ReceivedAt: c.server.cfg.Now(), Fault: r.fault, Size: r.size, Reply: c.replier(answered)})
	if body != nil {
		body.Discard()
	}
	if err != nil {
		c.observe(HandlerError, 0, err)
		return err
	}
	if answer != nil {
		if err := c.write(answer); err != nil {
			return err
		}
	}
	return cause
}

// handle calls the handler and turns a panic into an error.
func (c *serverConn) handle(f Frame) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("mllp: the handler panicked (%T)", p)
		}
	}()
	ctx, cancel := context.WithTimeout(c.server.ctx, c.server.cfg.HandlerTimeout)
	defer cancel()
	return c.server.cfg.Handler(ctx, f)
}

// replier makes Frame.Reply for a frame that counts as answered when answered is closed.
func (c *serverConn) replier(answered <-chan struct{}) func(context.Context, []byte) error {
	return func(ctx context.Context, raw []byte) error {
		select {
		case <-answered:
		case <-c.gone:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-c.gone:
			return ErrClosed
		default:
		}
		if err := c.write(raw); err != nil {
			_ = c.conn.Close() // half a frame may have gone out: nothing can follow it
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return nil
	}
}

// write sends one message within WriteTimeout, so that a peer that never reads holds
// nothing but its own connection, and that not for long.
func (c *serverConn) write(raw []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.cfg.WriteTimeout)); err != nil {
		return err
	}
	if err := writeFrame(c.w, raw); err != nil {
		if timedOut(err) {
			c.observe(SlowReader, int64(len(raw)), err)
		}
		return err
	}
	c.observe(Answered, int64(len(raw)), nil)
	return nil
}

// writeFrame writes and flushes one frame.
func writeFrame(w *bufio.Writer, payload []byte) error {
	_ = w.WriteByte(startBlock) // errors stick and come out of Flush
	_, _ = w.Write(payload)
	_, _ = w.Write([]byte{endBlock, carriage})
	return w.Flush()
}

// quiet maps the usual ends of a connection between frames to nil.
func quiet(err error) error {
	if errors.Is(err, net.ErrClosed) || isEOF(err) {
		return nil
	}
	return err
}
