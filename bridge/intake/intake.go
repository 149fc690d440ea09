// Package intake takes what adapters received and makes it durable: the acknowledgement
// that a sender gets is honest because Submit returns only when the bytes are on disk.
//
// The steps of Submit, in this order:
//
//  1. Bounds. What can never pass is refused before anything is stored.
//  2. The record id is derived from hospital, sender, control id and bytes. The same message
//     has the same id forever, so that everything behind is idempotent.
//  3. The ledger of control ids is asked. Same bytes: they are durable already, the sender
//     is told yes, nothing is published. Other bytes: an incident; the message is taken (a
//     sender that reuses numbers must not lose records) and a loud event goes on the trail.
//  4. Durable publish, in group commit with all others that arrive at this moment. A body too
//     long for the bus is durable in a claim file before that; the bus carries a reference.
//  5. Only now the control id is remembered. A crash between 4 and 5 makes the sender
//     repeat and the message pass twice, which step 2 makes harmless; the other order would
//     acknowledge what was never stored.
//
// Losing the ledger (Redis) therefore loses no record and doubles none; it costs early
// recognition of duplicates and incidents, and the trail finds the incidents anyway.
package intake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Submission is one message as an adapter took it.
type Submission struct {
	// Raw is the message or document exactly as received. It is not changed or kept.
	Raw []byte
	// Claim holds the message or document where it is too long for memory; Raw is empty
	// then. Submit hands the claim over when it returns nil for a new message; otherwise the
	// caller's Discard removes it.
	Claim *claims.Claim
	// Skeleton is what the parser reads of a claim: the document in its own format, in
	// UTF-8, without the long values that make it large. It is bounded by MaxMessage.
	Skeleton []byte
	// Partial says that the skeleton lacks parts that may concern other patients.
	Partial bool
	// Sender and ControlID name the message as its sender did.
	Sender, ControlID string
	// Kind, MediaType and Charset say what Raw is; MediaType selects the parser.
	Kind, MediaType, Charset string
	// Peer is the network address that sent it.
	Peer string
	// RoutingHint is a number of the patient, the same for all messages of one patient as far
	// as the adapter can tell. Only a keyed hash of it leaves this package. Messages without
	// one keep the order of their sender.
	RoutingHint string
	// ReceivedAt is the time of receipt; zero means now.
	ReceivedAt time.Time
	// Replay carries the bytes on even if they were taken before: an operator sends what a
	// stage refused once more. The record is the same, so nothing is doubled.
	Replay bool
}

// LogValue implements slog.LogValuer: neither bytes nor hint reach a log.
func (s Submission) LogValue() slog.Value {
	return slog.GroupValue(slog.String("sender", s.Sender), slog.String("control_id", s.ControlID),
		slog.String("kind", s.Kind), slog.Int64("bytes", s.size()))
}

// size is the length of the message in bytes.
func (s Submission) size() int64 {
	if s.Claim != nil {
		return s.Claim.Size()
	}
	return int64(len(s.Raw))
}

// Outcome says what became of a submission that was taken.
type Outcome uint8

// Outcomes.
const (
	Accepted  Outcome = iota + 1 // durable on the bus
	Duplicate                    // the same bytes are durable since earlier
	Incident                     // durable, but the control id was used for other bytes before
)

// String returns the name of the outcome, as metrics show it.
func (o Outcome) String() string {
	return map[Outcome]string{Accepted: stage.Received, Duplicate: stage.Duplicate, Incident: stage.Incident}[o]
}

// Receipt is what Submit returns.
type Receipt struct {
	Outcome Outcome
	Record  record.ID
}

// Errors of Submit; errors of the bus come wrapped, see package bus.
var (
	// ErrEmpty: there are no bytes, or no media type.
	ErrEmpty = errors.New("intake: empty submission")
	// ErrTooLarge: more bytes than the bus carries, or than a record may have.
	ErrTooLarge = errors.New("intake: message too large")
)

// Verdict is the answer of the ledger of control ids.
type Verdict uint8

// Verdicts.
const (
	Unknown Verdict = iota // never seen, or the ledger cannot tell
	Same                   // seen with the same bytes
	Differs                // seen with other bytes
)

// ledger remembers which bytes a control id stood for. An error means that it cannot tell;
// the message is then treated as unknown.
type ledger interface {
	Check(ctx context.Context, sender, controlID string, digest [32]byte) (Verdict, error)
	Remember(ctx context.Context, sender, controlID string, digest [32]byte) (Verdict, error)
}

// publisher is the bus.
type publisher interface {
	Publish(ctx context.Context, m bus.Message) error
}

// Observer counts outcomes. Implementations are safe for concurrent use and do not block.
type Observer interface {
	Submitted(outcome Outcome, took time.Duration)
	Refused(err error)
	LedgerFailed(err error)
}

// Deps is what the intake needs.
type Deps struct {
	HospitalNumber uint16
	HospitalMSP    string
	Bus            publisher
	Ledger         ledger // nil: none
	// RouteKey keys the hash that takes the place of the routing hint, 16 bytes or more.
	RouteKey []byte
	// MaxMessage is the largest Raw, in bytes; default as in topology.Limits.
	MaxMessage int
	Observer   Observer          // nil: none
	Now        func() time.Time  // nil: time.Now
	Provider   smcrypto.Provider // nil: the default one
}

// Intake takes submissions. It is safe for concurrent use.
type Intake struct{ d Deps }

// New returns an intake.
func New(d Deps) (*Intake, error) {
	switch {
	case d.HospitalNumber == 0 || d.HospitalMSP == "":
		return nil, errors.New("intake: no hospital")
	case d.Bus == nil:
		return nil, errors.New("intake: no bus")
	case len(d.RouteKey) < 16:
		return nil, errors.New("intake: the route key needs 16 bytes or more")
	}
	if d.MaxMessage <= 0 {
		d.MaxMessage = topology.DefaultMaxMessage
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Provider == nil {
		d.Provider = smcrypto.Default()
	}
	if d.Observer == nil {
		d.Observer = silent{}
	}
	return &Intake{d: d}, nil
}

// MaxMessage is the largest Raw that Submit takes, in bytes. An adapter should refuse what is
// larger for good, since a sender that is asked to try again would do so for ever.
func (in *Intake) MaxMessage() int { return in.d.MaxMessage }

// Submit makes s durable. When the error is nil the bytes are on disk, now or since an
// earlier submission, and the sender may be told so. On an error nothing may be promised;
// submitting again is always harmless. Errors wrap ErrEmpty, ErrTooLarge, bus.ErrFull,
// bus.ErrUnavailable, bus.ErrClosed, or are the context's.
func (in *Intake) Submit(ctx context.Context, s Submission) (Receipt, error) {
	start := in.d.Now()
	r, err := in.submit(ctx, s, start)
	if err != nil {
		in.d.Observer.Refused(err)
		return Receipt{}, err
	}
	in.d.Observer.Submitted(r.Outcome, in.d.Now().Sub(start))
	return r, nil
}

func (in *Intake) submit(ctx context.Context, s Submission, now time.Time) (Receipt, error) {
	if err := in.bounds(s); err != nil {
		return Receipt{}, err
	}
	if s.ReceivedAt.IsZero() {
		s.ReceivedAt = now
	}
	digest := in.digest(s)
	id := record.NewIDFromDigest(record.Origin{HospitalNumber: in.d.HospitalNumber, HospitalMSP: in.d.HospitalMSP,
		Sender: s.Sender, ControlID: s.ControlID}, digest)
	r := Receipt{Outcome: Accepted, Record: id}
	switch in.check(ctx, s, digest) {
	case Same:
		if !s.Replay {
			r.Outcome = Duplicate
			return r, nil
		}
	case Differs:
		r.Outcome = Incident
	}
	m, err := in.message(s, id, now)
	if err != nil {
		return Receipt{}, err
	}
	if r.Outcome == Incident {
		m.Meta.Code = stage.CodeReusedID
	}
	if err := in.publish(ctx, m, s.Claim); err != nil {
		return Receipt{}, fmt.Errorf("intake: %w", err)
	}
	if in.remember(ctx, s, digest) == Differs && r.Outcome == Accepted {
		r.Outcome = Incident // somebody was faster with other bytes; the trail finds it by itself
	}
	return r, nil
}

// bounds refuses what can never pass.
func (in *Intake) bounds(s Submission) error {
	switch {
	case s.MediaType == "" || s.size() == 0 || s.Claim != nil && (len(s.Raw) > 0 || len(s.Skeleton) == 0):
		return ErrEmpty
	case len(s.Raw) > in.d.MaxMessage:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(s.Raw), in.d.MaxMessage)
	case s.size() > record.MaxPayload:
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, s.size(), record.MaxPayload)
	case len(s.Skeleton) > in.d.MaxMessage:
		return fmt.Errorf("%w: what is left of it without its long values has %d bytes, the limit is %d", ErrTooLarge, len(s.Skeleton), in.d.MaxMessage)
	}
	return nil
}

func (in *Intake) digest(s Submission) [32]byte {
	if s.Claim != nil {
		return s.Claim.Digest()
	}
	return in.d.Provider.SM3(s.Raw)
}

// message is what goes on the bus.
func (in *Intake) message(s Submission, id record.ID, now time.Time) (bus.Message, error) {
	m := bus.Message{Subject: topology.Received, Meta: in.meta(s, id, now), Body: s.Raw}
	if s.Claim == nil {
		return m, nil
	}
	ref := claims.Reference{Claim: s.Claim.ID(), Size: s.Claim.Size(), Digest: s.Claim.Digest(), Head: s.Skeleton, Partial: s.Partial}
	m.Meta.Claim = ref.Claim
	var err error
	m.Body, err = ref.Encode()
	return m, err
}

// publish makes the message durable. Whoever handles the message owns the claim from then
// on. Where the outcome is not known the claim is left to be collected: to remove it could
// take the body from a message that is on the bus after all.
func (in *Intake) publish(ctx context.Context, m bus.Message, c *claims.Claim) error {
	err := in.d.Bus.Publish(ctx, m)
	switch {
	case c == nil:
	case err == nil:
		c.HandOver()
	case !errors.Is(err, bus.ErrFull) && !errors.Is(err, bus.ErrTooLarge) && !errors.Is(err, bus.ErrClosed):
		c.Abandon()
	}
	return err
}

func (in *Intake) meta(s Submission, id record.ID, now time.Time) topology.Meta {
	return topology.Meta{
		Record: id, Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind, MediaType: s.MediaType, Charset: s.Charset,
		Peer: s.Peer, Lane: in.lane(s), ReceivedAt: s.ReceivedAt.Truncate(time.Millisecond), At: now.Truncate(time.Millisecond), Stage: stage.Received,
	}
}

// lane is a keyed hash of the routing hint, so that the bus shows no number of a patient.
func (in *Intake) lane(s Submission) uint64 {
	kind, hint := "patient\n", s.RoutingHint
	if hint == "" {
		kind, hint = "sender\n", s.Sender
	}
	sum := smcrypto.HMAC(in.d.Provider, in.d.RouteKey, []byte("emrbridge/lane/v1\n"+kind), []byte(hint))
	return binary.BigEndian.Uint64(sum[:])
}

func (in *Intake) check(ctx context.Context, s Submission, digest [32]byte) Verdict {
	if in.d.Ledger == nil || s.ControlID == "" {
		return Unknown
	}
	v, err := in.d.Ledger.Check(ctx, s.Sender, s.ControlID, digest)
	if err != nil {
		in.d.Observer.LedgerFailed(err)
		return Unknown
	}
	return v
}

func (in *Intake) remember(ctx context.Context, s Submission, digest [32]byte) Verdict {
	if in.d.Ledger == nil || s.ControlID == "" {
		return Unknown
	}
	v, err := in.d.Ledger.Remember(ctx, s.Sender, s.ControlID, digest)
	if err != nil {
		in.d.Observer.LedgerFailed(err)
		return Unknown
	}
	return v
}

type silent struct{}

func (silent) Submitted(Outcome, time.Duration) {}
func (silent) Refused(error)                    {}
func (silent) LedgerFailed(error)               {}
