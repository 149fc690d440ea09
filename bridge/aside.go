package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
)

// ErrNotAside reports that nothing is set aside under an id.
var ErrNotAside = errors.New("bridge: nothing is set aside under this id")

// quarantine takes the bytes of what is refused for good.
type quarantine interface {
	Put(ctx context.Context, r intake.Refused) (string, error)
}

// Aside holds what stages set aside. A parked message waits as it is, still sealed, with
// its reason in the headers, until an operator releases it to where it came from or drops
// it. A rejected message leaves its bytes in the quarantine and its headers here. There is
// one entry per stage and record, the latest.
type Aside struct {
	bus        *bus.Bus
	quarantine quarantine
	metrics    Metrics
	now        func() time.Time
}

// NewAside returns access to what is set aside on a bus. Without a quarantine it serves
// operators: listing, releasing, dropping.
func NewAside(b *bus.Bus, q quarantine) *Aside {
	return &Aside{bus: b, quarantine: q, metrics: noMetrics{}, now: time.Now}
}

// AsideItem is one thing set aside.
type AsideItem struct {
	ID        string    `json:"id"` // <stage>.<record id>, as Release and Drop take it
	Stage     string    `json:"stage"`
	Record    string    `json:"record,omitempty"`
	Sender    string    `json:"sender,omitempty"`
	ControlID string    `json:"control_id,omitempty"`
	Kind      string    `json:"kind,omitempty"`
	Code      string    `json:"code"`
	At        time.Time `json:"at"`
	Origin    string    `json:"origin"` // subject it goes back to
}

// put sets a message aside for good or until released.
func (a *Aside) put(ctx context.Context, stageName string, m jetstream.Msg, cause error) error {
	var reject *stage.RejectError
	// A body in a claim file is too long for the quarantine: its message is parked instead.
	large := m.Headers().Get(topology.HeaderClaim) != ""
	if errors.As(cause, &reject) && a.quarantine != nil && !large {
		err := a.reject(ctx, stageName, m, reject)
		if err == nil || ctx.Err() != nil || isBusError(err) {
			return err
		}
		// A quarantine that is full or broken must not lose the bytes, nor block the lane.
		cause = stage.Park(reject.Code, err)
	}
	return a.park(ctx, stageName, m, stage.CodeOf(cause))
}

func isBusError(err error) bool {
	return errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrFull) || errors.Is(err, bus.ErrClosed)
}

func (a *Aside) park(ctx context.Context, stageName string, m jetstream.Msg, code string) error {
	h := cleanHeaders(m.Headers())
	h[topology.HeaderOrigin] = []string{m.Subject()}
	a.stamp(h, stage.Parked, code)
	subject := topology.ParkedSubject(stageName, asideID(m))
	if err := a.bus.PublishSealed(ctx, subject, h, m.Data()); err != nil {
		return err
	}
	a.metrics.SetAside(stageName, stage.Parked, code)
	return nil
}

func (a *Aside) reject(ctx context.Context, stageName string, m jetstream.Msg, cause *stage.RejectError) error {
	msg, err := a.bus.Decode(m.Subject(), m.Headers(), m.Data())
	if err != nil {
		return err
	}
	reason := ""
	if cause.Err != nil {
		reason = cause.Err.Error()
	}
	id, err := a.quarantine.Put(ctx, intake.Refused{Raw: msg.Body, Code: cause.Code, Reason: reason, Stage: stageName,
		Sender: msg.Meta.Sender, ControlID: msg.Meta.ControlID, Kind: msg.Meta.Kind, Peer: msg.Meta.Peer,
		Record: msg.Meta.Record.String(), ReceivedAt: msg.Meta.ReceivedAt})
	if err != nil {
		return err
	}
	meta := msg.Meta
	meta.Stage, meta.Code, meta.At, meta.Quarantine = stage.Rejected, cause.Code, a.now().Truncate(time.Millisecond), id
	if err := a.bus.Publish(ctx, bus.Message{Subject: topology.RejectedSubject(meta.Record.String()), Meta: meta}); err != nil {
		return err
	}
	a.metrics.SetAside(stageName, stage.Rejected, cause.Code)
	return nil
}

func (a *Aside) stamp(h nats.Header, stageName, code string) {
	for k, v := range (topology.Meta{Stage: stageName, Code: code, At: a.now()}).Header() {
		if k != topology.HeaderLane {
			h[k] = v
		}
	}
}

// cleanHeaders copies headers without those that the server or a publisher added.
func cleanHeaders(h nats.Header) nats.Header {
	out := maps.Clone(h)
	if out == nil {
		out = nats.Header{}
	}
	for k := range out {
		if strings.HasPrefix(k, "Nats-") {
			delete(out, k)
		}
	}
	return out
}

// asideID is the record id, or for a message without a readable one where it stood.
func asideID(m jetstream.Msg) string {
	if meta, err := topology.MetaOf(m.Headers()); err == nil && !meta.Record.IsZero() {
		return meta.Record.String()
	}
	if info, err := m.Metadata(); err == nil {
		return "seq-" + strconv.FormatUint(info.Sequence.Stream, 10)
	}
	return "unknown"
}

// List returns what is parked, the oldest first.
func (a *Aside) List(ctx context.Context) ([]AsideItem, error) {
	s, err := a.bus.JetStream().Stream(ctx, topology.StreamAside)
	if err != nil {
		return nil, fmt.Errorf("bridge: what is set aside: %w", err)
	}
	info := s.CachedInfo().State
	var out []AsideItem
	for seq := info.FirstSeq; seq <= info.LastSeq && info.Msgs > 0; {
		m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(topology.Parked+".>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("bridge: what is set aside: %w", err)
		}
		out = append(out, asideItem(m))
		seq = m.Sequence + 1
	}
	return out, nil
}

func asideItem(m *jetstream.RawStreamMsg) AsideItem {
	id := strings.TrimPrefix(m.Subject, topology.Parked+".")
	it := AsideItem{ID: id, At: m.Time.UTC()}
	it.Stage, _, _ = strings.Cut(id, ".")
	if meta, err := topology.MetaOf(m.Header); err == nil {
		it.Sender, it.ControlID, it.Kind, it.Code, it.Origin = meta.Sender, meta.ControlID, meta.Kind, meta.Code, meta.Origin
		it.At = meta.At.UTC()
		if !meta.Record.IsZero() {
			it.Record = meta.Record.String()
		}
	}
	return it
}

// Release puts a parked message back to where it came from, to be tried anew.
func (a *Aside) Release(ctx context.Context, id string) error {
	s, m, err := a.find(ctx, id)
	if err != nil {
		return err
	}
	h := cleanHeaders(m.Header)
	meta, err := topology.MetaOf(h)
	if err != nil || !releasable(meta.Origin) {
		return fmt.Errorf("bridge: %s does not say where it came from", id)
	}
	event := meta
	delete(h, topology.HeaderOrigin)
	delete(h, topology.HeaderCode)
	delete(h, topology.HeaderStage) // the trail has this hop already
	if err := a.bus.PublishSealed(ctx, meta.Origin, h, m.Data); err != nil {
		return err
	}
	event.Stage, event.At = stage.Released, a.now().Truncate(time.Millisecond)
	if err := a.bus.Publish(ctx, bus.Message{Subject: topology.Trail, Meta: event}); err != nil {
		return err
	}
	return a.remove(ctx, s, m.Sequence)
}

// releasable lists where a stage takes its input from; nothing else may be written to.
func releasable(subject string) bool {
	return subject == topology.Received || subject == topology.Normalized || subject == topology.Stored
}

// Drop removes a parked message for good.
func (a *Aside) Drop(ctx context.Context, id string) error {
	s, m, err := a.find(ctx, id)
	if err != nil {
		return err
	}
	return a.remove(ctx, s, m.Sequence)
}

func (a *Aside) find(ctx context.Context, id string) (jetstream.Stream, *jetstream.RawStreamMsg, error) {
	if strings.ContainsAny(id, "*> \t\r\n") || strings.Count(id, ".") != 1 {
		return nil, nil, ErrNotAside
	}
	s, err := a.bus.JetStream().Stream(ctx, topology.StreamAside)
	if err != nil {
		return nil, nil, fmt.Errorf("bridge: what is set aside: %w", err)
	}
	m, err := s.GetLastMsgForSubject(ctx, topology.Parked+"."+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, ErrNotAside
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bridge: what is set aside: %w", err)
	}
	return s, m, nil
}

func (a *Aside) remove(ctx context.Context, s jetstream.Stream, seq uint64) error {
	if err := s.SecureDeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("bridge: remove from what is set aside: %w", err)
	}
	return nil
}
