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
}

// Reply is what came back for one message.
type Reply struct {
	hl7.Answer
	Raw     []byte // the answer as received; nil if none was asked for
	Elapsed time.Duration
}

// Client sends messages over one connection, one at a time. It is safe for concurrent
// use; sends queue up.
type Client struct {
	cfg  ClientConfig
	mu   sync.Mutex
	conn net.Conn
	r    *frameReader
	w    *bufio.Writer
}

// Dial connects to an MLLP server.
func Dial(ctx context.Context, addr string, cfg ClientConfig) (*Client, error) {
	setDefault(&cfg.DialTimeout, 10*time.Second)
	setDefault(&cfg.AnswerTimeout, 30*time.Second)
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

func newClient(conn net.Conn, cfg ClientConfig) *Client {
	limits := &Config{MaxFrame: cfg.MaxAnswer, MaxJunk: cfg.MaxAnswer, IdleTimeout: cfg.AnswerTimeout,
		ReadTimeout: cfg.AnswerTimeout, FrameTimeout: cfg.AnswerTimeout}
	return &Client{cfg: cfg, conn: conn, w: bufio.NewWriterSize(conn, 4<<10),
		r: newFrameReader(conn, limits, &budget{left: int64(cfg.MaxAnswer) + freeBytes})}
}

// Close closes the connection. A Send in progress fails.
func (c *Client) Close() error { return c.conn.Close() }

// Send sends one message, raw in its own charset, and waits for its acknowledgement. A
// negative acknowledgement is a Reply, not an error. For a message that asks for no
// answer (MSH-15 and MSH-16) an empty Reply is returned as soon as it is sent.
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
	start := time.Now()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	if err := c.write(msg); err != nil {
		return Reply{}, c.fail(ctx, ErrNotSent, err)
	}
	if ok && noAnswerAsked(h) {
		return Reply{Elapsed: time.Since(start)}, nil
	}
	for range maxForeign {
		raw, err := c.read()
		if err != nil {
			return Reply{}, c.fail(ctx, ErrNoAnswer, err)
		}
		answer, err := hl7.ReadAnswer(raw, c.cfg.Charset)
		if err != nil {
			return Reply{}, c.fail(ctx, ErrBadAnswer, err)
		}
		if answers(answer, h, ok) {
			return Reply{Answer: answer, Raw: raw, Elapsed: time.Since(start)}, nil
		}
	}
	return Reply{}, c.fail(ctx, ErrWrongAnswer, errors.New("MSA-2 differs from MSH-10"))
}

// maxForeign is how many answers to other messages are passed over while waiting.
const maxForeign = 8

// answers reports whether an answer is to the message with header h. A refusal without a
// control id is the answer to a message whose own could not be read.
func answers(a hl7.Answer, h hl7.Header, haveHeader bool) bool {
	return !haveHeader || a.ControlID == h.ControlID || a.ControlID == "" && !a.Code.Accepted()
}

func noAnswerAsked(h hl7.Header) bool {
	none := func(s string) bool { return s == "" || s == "NE" }
	return h.Enhanced() && none(h.AcceptAck) && none(h.ApplicationAck)
}

func (c *Client) write(msg []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.cfg.AnswerTimeout)); err != nil {
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

// fail closes the connection and says why.
func (c *Client) fail(ctx context.Context, kind, err error) error {
	c.conn.Close()
	c.r = nil
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", kind, err)
}
