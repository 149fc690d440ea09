package mllp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Errors of a client. After any of them but ErrNotSent the connection is closed, because
// a late answer would be taken for the next message's.
var (
	ErrNotSent     = errors.New("mllp: not sent")
	ErrNoAnswer    = errors.New("mllp: no answer in time")
	ErrWrongAnswer = errors.New("mllp: the answer is to another message")
	ErrBadAnswer   = errors.New("mllp: the answer is not an acknowledgement")
	ErrClosed      = errors.New("mllp: connection closed")
)

// ClientConfig configures a client. Zero fields take the defaults given.
type ClientConfig struct {
	// TLS turns TLS on. ServerName is taken from the address where it is empty.
	TLS *tls.Config
	// DialTimeout includes the TLS handshake. Default 10 s.
	DialTimeout time.Duration
	// AnswerTimeout is the time from sending to the whole answer. Default 30 s.
	AnswerTimeout time.Duration
	// MaxAnswer is the longest answer in bytes. Default 1 MiB.
	MaxAnswer int
	// Charset is how messages and answers are read for matching; UTF-8 if they name none.
	Charset hl7.CharsetPolicy
	// AwaitApplication makes Send wait for the application acknowledgement too, where the
	// message asks for one always (MSH-16 AL) beside the accept acknowledgement. It may take
	// as long as ApplicationTimeout, default 1 min, and is then the Reply.
	AwaitApplication   bool
	ApplicationTimeout time.Duration
	// SilenceTimeout is how long Send waits for a refusal of a message that asks for an answer
	// in case of error only (MSH-15 or MSH-16 ER): silence then means that it was taken.
	// Default 2 s, at most AnswerTimeout.
	SilenceTimeout time.Duration
	// Late is told of answers that nobody waits for any more: they are passed over. It must
	// not call the client. May be nil.
	Late func(hl7.Answer)
}

// Reply is what came back for one message.
type Reply struct {
	hl7.Answer
	// Commit is the accept acknowledgement that came before an application acknowledgement.
	Commit  hl7.AckCode
	Raw     []byte // the answer as received; nil if none was asked for
	Elapsed time.Duration
}

// Client sends messages over one connection, one at a time. It is safe for concurrent
// use; sends queue up.
type Client struct {
	cfg  ClientConfig
	mu   sync.Mutex
	conn *boundConn
	r    *frameReader
	w    *bufio.Writer
	// letIn says that something has come from the server.
	letIn bool
}

// boundConn is a connection whose reads all end at one time, whatever deadlines the frame
// reader sets: a peer that sends answers to others all the time cannot hold the client.
type boundConn struct {
	net.Conn
	until time.Time
}

// SetReadDeadline implements net.Conn.
func (c *boundConn) SetReadDeadline(t time.Time) error {
	if t.After(c.until) {
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

// Dial connects to an MLLP server.
func Dial(ctx context.Context, addr string, cfg ClientConfig) (*Client, error) {
	setDefault(&cfg.DialTimeout, 10*time.Second)
	setDefault(&cfg.AnswerTimeout, 30*time.Second)
	setDefault(&cfg.ApplicationTimeout, time.Minute)
	setDefault(&cfg.SilenceTimeout, 2*time.Second)
	cfg.SilenceTimeout = min(cfg.SilenceTimeout, cfg.AnswerTimeout)
	setDefault(&cfg.MaxAnswer, 1<<20)
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	var conn net.Conn
	var err error
	if cfg.TLS != nil {
		conn, err = (&tls.Dialer{Config: cfg.TLS}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("mllp: dial: %w", err)
	}
	return newClient(conn, cfg), nil
}

func newClient(raw net.Conn, cfg ClientConfig) *Client {
	conn, wait := &boundConn{Conn: raw}, max(cfg.AnswerTimeout, cfg.ApplicationTimeout)
	limits := &Config{MaxFrame: cfg.MaxAnswer, MaxJunk: cfg.MaxAnswer, IdleTimeout: wait, ReadTimeout: wait, FrameTimeout: wait}
	return &Client{cfg: cfg, conn: conn, w: bufio.NewWriterSize(conn, 4<<10),
		r: newFrameReader(conn, limits, &budget{left: int64(cfg.MaxAnswer) + freeBytes})}
}

// Close closes the connection. A Send in progress fails.
func (c *Client) Close() error { return c.conn.Close() }

// Send sends one message, raw in its own charset, and waits for its acknowledgement. A
// negative acknowledgement is a Reply, not an error. For a message that asks for no
// answer (MSH-15 and MSH-16) an empty Reply is returned as soon as it is sent, for one that
// asks for refusals only after SilenceTimeout.
func (c *Client) Send(ctx context.Context, msg []byte) (Reply, error) {
	h, _, ok := hl7.PeekHeader(msg, c.cfg.Charset)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r == nil {
		return Reply{}, fmt.Errorf("%w: %w; dial again", ErrNotSent, ErrClosed)
	}
	if ctx.Err() != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	if c.ended() {
		return Reply{}, c.fail(ctx, fmt.Errorf("%w: %w by the peer", ErrNotSent, ErrClosed))
	}
	start := time.Now()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	if err := c.write(msg); err != nil {
		return Reply{}, c.fail(ctx, fmt.Errorf("%w: %w", ErrNotSent, err))
	}
	if ok && noAnswerAsked(h) {
		return Reply{Elapsed: time.Since(start)}, nil
	}
	quiet := ok && refusalsOnly(h)
	if quiet {
		c.conn.until = time.Now().Add(c.cfg.SilenceTimeout)
	}
	reply, err := c.await(h, ok, "")
	if quiet && timedOut(err) && !errors.Is(err, errSilence) {
		return Reply{Elapsed: time.Since(start)}, nil
	}
	if err == nil && c.awaitsApplication(h, ok, reply.Code) {
		c.conn.until = time.Now().Add(c.cfg.ApplicationTimeout)
		reply, err = c.await(h, ok, reply.Code)
	}
	if err != nil {
		return Reply{}, c.fail(ctx, err)
	}
	reply.Elapsed = time.Since(start)
	return reply, nil
}

// endTime is how long to wait for what an idle TLS connection has received.
const endTime = 100 * time.Millisecond

// ended reports whether the peer has closed the connection since the last answer, as some
// do after each message. A message that is sent all the same would be lost, or, worse,
// nobody would know whether it was. Bytes on a TLS connection may be its end; on a plain
// one they are answers to earlier messages, which await passes over.
func (c *Client) ended() bool {
	if c.r.br.Buffered() > 0 {
		return false
	}
	if c.conn.Conn.SetReadDeadline(time.Time{}) != nil { // that of the last answer has passed, perhaps
		return true
	}
	secure, isTLS := c.conn.Conn.(*tls.Conn)
	if !isTLS {
		ended, _ := peek(c.conn.Conn)
		return ended
	}
	ended, waiting := peek(secure.NetConn())
	if ended || !waiting {
		return ended
	}
	c.conn.until = time.Now().Add(endTime)
	if c.conn.SetReadDeadline(c.conn.until) != nil {
		return true
	}
	_, err := c.r.br.Peek(1)
	return err != nil && !timedOut(err)
}

// awaitsApplication reports whether an accept acknowledgement is only the first answer.
func (c *Client) awaitsApplication(h hl7.Header, known bool, code hl7.AckCode) bool {
	return c.cfg.AwaitApplication && known && code == hl7.CommitAccept && h.ApplicationAck == "AL"
}

// await reads until the answer to the message with header h has come. After an accept
// acknowledgement, commit, only an application acknowledgement will do.
func (c *Client) await(h hl7.Header, known bool, commit hl7.AckCode) (Reply, error) {
	for range maxForeign {
		raw, err := c.read()
		if err != nil && !c.letIn && alerted(err) {
			return Reply{}, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		c.letIn = true
		answer, err := hl7.ReadAnswer(raw, c.cfg.Charset)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
		}
		if err := c.commit(raw); err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		if answers(answer, h, known) && (commit == "" || answer.Code.Commit() != answer.Code) {
			return Reply{Answer: answer, Commit: commit, Raw: raw}, nil
		}
		if c.cfg.Late != nil {
			c.cfg.Late(answer)
		}
	}
	return Reply{}, fmt.Errorf("%w: MSA-2 differs from MSH-10", ErrWrongAnswer)
}

// alerted reports a TLS alert of the server. Before anything has come from it, that is the
// end of a handshake: in TLS 1.3 a client learns that its certificate is refused only when
// it takes the handshake for done and has sent (RFC 8446 §4.4.2.4, §6.2). The server has
// looked at nothing of it.
func alerted(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// commit answers an acknowledgement that itself asks for an accept acknowledgement.
func (c *Client) commit(raw []byte) error {
	h, _, ok := hl7.PeekHeader(raw, c.cfg.Charset)
	if !ok || h.AcceptAck != "AL" && h.AcceptAck != "SU" {
		return nil
	}
	if err := c.conn.SetWriteDeadline(c.conn.until); err != nil {
		return err
	}
	return writeFrame(c.w, hl7.Ack{}.Build(h, hl7.CommitAccept, nil))
}

// maxForeign is how many answers to other messages are passed over while waiting: those
// that are owed to earlier messages may come at any time.
const maxForeign = 1024

// answers reports whether an answer is to the message with header h. A refusal without a
// control id is the answer to a message whose own could not be read.
func answers(a hl7.Answer, h hl7.Header, haveHeader bool) bool {
	return !haveHeader || a.ControlID == h.ControlID || a.ControlID == "" && !a.Code.Accepted()
}

func noAnswerAsked(h hl7.Header) bool {
	none := func(s string) bool { return s == "" || s == "NE" }
	return h.Enhanced() && none(h.AcceptAck) && none(h.ApplicationAck)
}

// refusalsOnly reports a message that is answered only if it is refused.
func refusalsOnly(h hl7.Header) bool {
	none := func(s string) bool { return s == "" || s == "NE" || s == "ER" }
	return h.Enhanced() && none(h.AcceptAck) && none(h.ApplicationAck)
}

func (c *Client) write(msg []byte) error {
	c.conn.until = time.Now().Add(c.cfg.AnswerTimeout)
	if err := c.conn.SetWriteDeadline(c.conn.until); err != nil {
		return err
	}
	return writeFrame(c.w, msg)
}

// read waits for one frame.
func (c *Client) read() ([]byte, error) {
	if _, err := c.r.skipToStart(); err != nil {
		return nil, err
	}
	defer c.r.release()
	if err := c.r.readFrame(); err != nil {
		return nil, err
	}
	if c.r.fault != Whole {
		return nil, fmt.Errorf("answer above %d bytes", c.cfg.MaxAnswer)
	}
	return c.r.buf, nil
}

// fail resets the connection and says why. It is reset rather than closed so that an
// answer that is still under way is thrown away by both sides.
func (c *Client) fail(ctx context.Context, err error) error {
	conn := c.conn.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // fails only on a closed connection
	}
	_ = conn.Close()
	c.r = nil
	if ctx.Err() != nil {
		for _, kind := range []error{ErrNotSent, ErrNoAnswer, ErrBadAnswer, ErrWrongAnswer} {
			if errors.Is(err, kind) {
				return fmt.Errorf("%w: %w", kind, context.Cause(ctx))
			}
		}
	}
	return err
}
