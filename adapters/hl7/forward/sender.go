package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// Errors of this package; others are of the context or of the disk.
var (
	// ErrAway: the destination could not be reached within Policy.AwayTries.
	ErrAway = errors.New("forward: the destination does not answer")
	// ErrDoubt: the message was given up after it had gone out without an answer; the
	// destination may have it.
	ErrDoubt = errors.New("forward: the destination may have the message")
	// ErrConfig: a setting cannot work.
	ErrConfig = errors.New("forward: configuration")
)

// Message is one message to be sent on.
type Message struct {
	// ID names the message for good, as a record id does: 1 to 128 letters, digits, dots,
	// hyphens and underlines. It shows in file names, so it must tell nothing of a patient.
	ID  string
	Raw []byte // in its own charset, without framing
}

// LogValue implements slog.LogValuer.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", m.ID), slog.Int("bytes", len(m.Raw)))
}

var validID = regexp.MustCompile(`^[0-9A-Za-z_-][0-9A-Za-z._-]{0,127}$`)

// Receipt says that the destination took a message.
type Receipt struct {
	Code      hl7.AckCode // AA or CA; empty if the message asks for no answer
	ControlID string      // MSA-2
	Tries     int
	Elapsed   time.Duration // of the last try
}

// HeldError reports a message that the destination has refused for good, or refused as
// often as the policy allows. Text is the destination's own and may quote the message: it
// is not part of Error, and not to be logged.
type HeldError struct {
	Code      hl7.AckCode
	ErrorCode string // of HL7 table 0357, or the destination's own
	Location  string // ERR-2 as it stands
	Text      string
	Tries     int
}

// Error implements error.
func (e *HeldError) Error() string {
	return fmt.Sprintf("forward: the destination answers %s (error code %q) after %d tries: mend the message or the destination, then release or drop it",
		e.Code, short(e.ErrorCode), e.Tries)
}

// LogValue implements slog.LogValuer.
func (e *HeldError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", string(e.Code)), slog.String("error_code", short(e.ErrorCode)), slog.Int("tries", e.Tries))
}

// short bounds a code that comes from outside.
func short(code string) string { return code[:min(len(code), 20)] }

// Policy says how long to go on with a message. Zero fields take the defaults given.
type Policy struct {
	// ErrorTries is how often a message is sent in all that is answered AE or CE. Default 3.
	ErrorTries int
	// AwayTries is how often a message is sent in all that gets no answer. Default 0: for ever.
	AwayTries int
	// RetryMin and RetryMax bound the pauses between tries, which double. Defaults 500 ms, 1 min.
	RetryMin, RetryMax time.Duration
}

// EventKind says what happened to a message at a destination.
type EventKind uint8

// Events.
const (
	Sent    EventKind = iota // taken
	Refused                  // AE or CE: it will be tried again
	Held                     // given up
	Away                     // no connection or no answer; it will be tried again
	Late                     // an answer that nobody waited for was passed over
)

var eventNames = [...]string{"sent", "refused", "held", "away", "late"}

// String returns the name of the event as used in metrics.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something that happened at a destination. It holds no message content.
type Event struct {
	Kind EventKind
	ID   string
	Code hl7.AckCode
	Err  error // of Away
}

// SenderConfig describes a destination.
type SenderConfig struct {
	Addr   string // HOST:PORT
	Client mllp.ClientConfig
	Policy Policy
	// Observe is told of events; it must be quick. May be nil.
	Observe func(Event)
}

// Sender sends messages to one destination, one after another over one connection that it
// opens when needed. It is safe for concurrent use; deliveries queue up.
type Sender struct {
	cfg  SenderConfig
	mu   sync.Mutex
	conn *mllp.Client
}

// NewSender checks the configuration and returns a Sender. It does not connect yet.
func NewSender(c SenderConfig) (*Sender, error) {
	if c.Addr == "" {
		return nil, fmt.Errorf("%w: no address; give HOST:PORT", ErrConfig)
	}
	p := &c.Policy
	if p.ErrorTries < 0 || p.AwayTries < 0 || p.RetryMin < 0 || p.RetryMax < 0 {
		return nil, fmt.Errorf("%w: the policy must not be negative", ErrConfig)
	}
	if p.ErrorTries == 0 {
		p.ErrorTries = 3
	}
	if p.RetryMin == 0 {
		p.RetryMin = 500 * time.Millisecond
	}
	if p.RetryMax == 0 {
		p.RetryMax = time.Minute
	}
	p.RetryMax = max(p.RetryMax, p.RetryMin)
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	c.Client.Late = func(a hl7.Answer) { c.Observe(Event{Kind: Late, Code: a.Code}) }
	return &Sender{cfg: c}, nil
}

// Deliver sends one message until the destination takes it. Errors: *HeldError, ErrAway,
// or the context's; the latter two wrap ErrDoubt as well where the message has gone out.
func (s *Sender) Deliver(ctx context.Context, m Message) (Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	doubt := false
	r, err := s.deliver(ctx, m, &doubt)
	var held *HeldError
	if err != nil && doubt && !errors.As(err, &held) {
		err = fmt.Errorf("%w: %w", ErrDoubt, err)
	}
	return r, err
}

func (s *Sender) deliver(ctx context.Context, m Message, doubt *bool) (Receipt, error) {
	refused, away := 0, 0
	for try := 1; ; try++ {
		reply, err := s.once(ctx, m)
		*doubt = *doubt || wentOut(err)
		switch {
		case ctx.Err() != nil:
			return Receipt{}, context.Cause(ctx)
		case err != nil:
			if away++; s.cfg.Policy.AwayTries > 0 && away >= s.cfg.Policy.AwayTries {
				return Receipt{}, fmt.Errorf("%w: %d tries: %w", ErrAway, away, err)
			}
			s.cfg.Observe(Event{Kind: Away, ID: m.ID, Err: err})
		case reply.Code == "" && reply.Raw == nil || reply.Code.Accepted():
			s.cfg.Observe(Event{Kind: Sent, ID: m.ID, Code: reply.Code})
			return Receipt{Code: reply.Code, ControlID: reply.ControlID, Tries: try, Elapsed: reply.Elapsed}, nil
		default:
			if refused++; !s.again(reply.Code, refused) {
				s.cfg.Observe(Event{Kind: Held, ID: m.ID, Code: reply.Code})
				return Receipt{}, &HeldError{Code: reply.Code, ErrorCode: reply.ErrorCode, Location: reply.Location, Text: reply.Text, Tries: try}
			}
			s.cfg.Observe(Event{Kind: Refused, ID: m.ID, Code: reply.Code})
		}
		if err := pause(ctx, s.cfg.Policy, try); err != nil {
			return Receipt{}, err
		}
	}
}

// wentOut reports an error after which the destination may have the message.
func wentOut(err error) bool {
	return errors.Is(err, mllp.ErrNoAnswer) || errors.Is(err, mllp.ErrWrongAnswer) || errors.Is(err, mllp.ErrBadAnswer)
}

// again reports whether a refusal may pass. A code that is none of HL7 table 0008 is
// treated as a rejection: nobody knows what it promises.
func (s *Sender) again(code hl7.AckCode, refused int) bool {
	return (code == hl7.AppError || code == hl7.CommitError) && refused < s.cfg.Policy.ErrorTries
}

// once sends a message over the connection, which is opened if there is none. One that
// was open before may have died unnoticed: then, and only if nothing was sent, a new one
// is tried at once.
func (s *Sender) once(ctx context.Context, m Message) (mllp.Reply, error) {
	for {
		fresh := s.conn == nil
		if fresh {
			c, err := mllp.Dial(ctx, s.cfg.Addr, s.cfg.Client)
			if err != nil {
				return mllp.Reply{}, err
			}
			s.conn = c
		}
		reply, err := s.conn.Send(ctx, m.Raw)
		if err == nil {
			return reply, nil
		}
		_ = s.conn.Close()
		s.conn = nil
		if fresh || !errors.Is(err, mllp.ErrNotSent) || ctx.Err() != nil {
			return mllp.Reply{}, err
		}
	}
}

// Close closes the connection. A later Deliver opens another.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	if err != nil {
		return fmt.Errorf("forward: close: %w", err)
	}
	return nil
}

func pause(ctx context.Context, p Policy, try int) error {
	d := p.RetryMin << min(try-1, 16)
	if d > p.RetryMax || d <= 0 {
		d = p.RetryMax
	}
	t := time.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // jitter needs no secret
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
