package mllp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Framing bytes.
const (
	startBlock = 0x0b // VT
	endBlock   = 0x1c // FS
	carriage   = 0x0d // CR
)

// Fault says why a frame is not whole.
type Fault uint8

// Faults of a frame.
const (
	Whole      Fault = iota
	Oversize         // longer than MaxFrame; Payload is its beginning
	Incomplete       // the peer fell silent or went away; Payload is what came
	NoMemory         // MaxInFlight or the spool was used up; Payload is the beginning
)

// Frame is what came between the framing bytes. The handler owns Payload.
type Frame struct {
	Payload []byte
	// Body holds a frame that was spooled; Payload is its beginning then. The server discards
	// it when the handler has returned, unless somebody else has taken it over.
	Body       hl7.Body
	Peer       string            // remote address
	PeerCert   *x509.Certificate // verified client certificate, nil without mutual TLS
	ReceivedAt time.Time         // when the last byte came
	Fault      Fault
	Size       int64 // bytes between the framing bytes, as far as they were counted
	// Reply sends one more message over the connection, after the handler's answer to this
	// frame. It may be called from any goroutine, also after the handler has returned (within
	// the handler it would wait for itself), and fails with ErrClosed once the connection has
	// ended.
	Reply func(ctx context.Context, raw []byte) error
}

// Handler takes a frame and returns the answer to be framed and sent; nil for none. ctx
// ends when the server is closed by force or after HandlerTimeout. An error closes the
// connection without an answer. Handlers of different connections run concurrently.
type Handler func(ctx context.Context, f Frame) (answer []byte, err error)

// EventKind says what happened on a connection.
type EventKind uint8

// Events that a server reports.
const (
	Opened         EventKind = iota
	Closed                   // Bytes: received in all
	Received                 // a whole frame; Bytes: its size
	Answered                 // Bytes: size of the answer
	Junk                     // Bytes outside frames were skipped
	TooLong                  // a frame above MaxFrame; Bytes: its size as far as counted
	CutOff                   // a frame that was not completed
	OutOfMemory              // a frame refused because of MaxInFlight
	SlowReader               // the peer did not take its answer within WriteTimeout
	Refused                  // a connection above MaxConns
	HandshakeError           // TLS
	HandlerError             // the handler failed or panicked
	AcceptError              // the listener failed for a moment
)

var eventNames = [...]string{"opened", "closed", "received", "answered", "junk", "too-long", "cut-off",
	"out-of-memory", "slow-reader", "refused", "handshake-error", "handler-error", "accept-error"}

// String returns the name of the event as used in metrics.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something that happened on a connection. It holds no message content.
type Event struct {
	Kind  EventKind
	Peer  string
	Bytes int64
	Err   error
}

// Spool takes a frame too long for memory as it arrives.
type Spool interface {
	io.Writer
	// Finish makes what was written durable. On an error nothing is left.
	Finish() (hl7.Body, error)
	// Abort removes what was written; it does nothing after Finish.
	Abort()
}

// Config configures a server. Zero fields take the defaults given.
type Config struct {
	// Handler is required.
	Handler Handler
	// TLS turns TLS on. For mutual TLS set ClientCAs and RequireAndVerifyClientCert.
	TLS *tls.Config
	// MaxFrame is the longest frame, in bytes. Default 4 MiB, limits 1 KiB to 1 GiB.
	MaxFrame int
	// MaxInFlight bounds the bytes in memory of all frames being read or handled that are
	// longer than 64 KiB. Default 64 MiB, at least MaxFrame, or SpoolFrom with a Spool.
	MaxInFlight int64
	// Spool opens a place for a frame that grows over SpoolFrom bytes. Such a frame needs
	// little memory, and gets a second more than FrameTimeout for each MiB. Default nil:
	// frames stay in memory.
	Spool func() (Spool, error)
	// SpoolFrom is the size from which frames are spooled, in bytes. Default 1 MiB, at least
	// 64 KiB.
	SpoolFrom int
	// MaxConns is the number of connections; one more is closed at once. Default 256.
	MaxConns int
	// MaxJunk is the number of bytes outside frames after which a connection is closed
	// between two frames. Default 64 KiB.
	MaxJunk int
	// IdleTimeout is how long a connection may be silent between frames. Default 10 min.
	IdleTimeout time.Duration
	// ReadTimeout is how long a peer may be silent inside a frame. Default 30 s.
	ReadTimeout time.Duration
	// FrameTimeout is how long a frame may take in all. Default 2 min.
	FrameTimeout time.Duration
	// EndWait is how long to wait for the CR after FS. Where it runs out the frame counts
	// as whole, for senders that leave the CR out. Default 0: such a frame is incomplete.
	EndWait time.Duration
	// HandlerTimeout is when the handler's context ends. Default 30 s.
	HandlerTimeout time.Duration
	// WriteTimeout is how long a peer may take to accept an answer. Default 10 s.
	WriteTimeout time.Duration
	// Observe is told of events; it must be quick and safe for concurrent use. May be nil.
	Observe func(Event)
	// Now is the clock for Frame.ReceivedAt. Default time.Now.
	Now func() time.Time
}

// ErrConfig reports a configuration that cannot serve.
var ErrConfig = errors.New("mllp: configuration")

// withDefaults fills in defaults and checks limits, all faults at once.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(field, want string) {
		faults = append(faults, fmt.Errorf("%w: %s: %s", ErrConfig, field, want))
	}
	if c.Handler == nil {
		fault("Handler", "required")
	}
	setDefault(&c.MaxFrame, 4<<20)
	setDefault(&c.SpoolFrom, 1<<20)
	c.SpoolFrom = max(c.SpoolFrom, freeBytes)
	inMemory := c.MaxFrame
	if c.Spool != nil {
		inMemory = min(inMemory, c.SpoolFrom)
	}
	setDefault(&c.MaxInFlight, max(64<<20, int64(inMemory)))
	setDefault(&c.MaxConns, 256)
	setDefault(&c.MaxJunk, 64<<10)
	setDefault(&c.IdleTimeout, 10*time.Minute)
	setDefault(&c.ReadTimeout, 30*time.Second)
	setDefault(&c.FrameTimeout, 2*time.Minute)
	setDefault(&c.HandlerTimeout, 30*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.MaxFrame < 1<<10 || c.MaxFrame > 1<<30 {
		fault("MaxFrame", "from 1 KiB to 1 GiB")
	}
	if c.MaxInFlight < int64(inMemory) {
		fault("MaxInFlight", "at least MaxFrame, or SpoolFrom where frames are spooled")
	}
	if c.MaxConns < 0 || c.MaxJunk < 0 {
		fault("MaxConns, MaxJunk", "not negative")
	}
	for _, d := range []time.Duration{c.IdleTimeout, c.ReadTimeout, c.FrameTimeout, c.HandlerTimeout, c.WriteTimeout, c.EndWait} {
		if d < 0 {
			fault("timeouts", "not negative")
			break
		}
	}
	return c, errors.Join(faults...)
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
