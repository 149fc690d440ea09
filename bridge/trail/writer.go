package trail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/topology"
)

// Size and wait of one transaction.
const (
	writeBatch = 512
	writeWait  = 300 * time.Millisecond
	retryMin   = 200 * time.Millisecond
	retryMax   = 10 * time.Second
)

// index is where events go.
type index interface {
	Add(ctx context.Context, events []Event) ([]Event, error)
}

// Deps is what the writer needs.
type Deps struct {
	JetStream jetstream.JetStream
	Index     index
	// Streams whose headers are events; default all of the topology.
	Streams []string
	// OnIncident is told of each control id that stands for two records; it may be nil.
	OnIncident func(Event)
	// OnEvents is told of events once they are in the index; it must not block. It may be nil.
	OnEvents func([]Event)
	Logger   *slog.Logger // nil: none
}

// Writer feeds the index from the bus. One may run at a time.
type Writer struct {
	d  Deps
	mu sync.Mutex // one transaction at a time

	state sync.Mutex
	err   error
}

// NewWriter returns a writer.
func NewWriter(d Deps) *Writer {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if len(d.Streams) == 0 {
		for _, s := range topology.Streams(topology.Limits{}) {
			d.Streams = append(d.Streams, s.Config.Name)
		}
	}
	return &Writer{d: d}
}

// Run writes until ctx ends. Failures of bus or index are retried; nothing is acknowledged
// that is not in the index.
func (w *Writer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range w.d.Streams {
		wg.Go(func() { w.follow(ctx, s) })
	}
	wg.Wait()
}

// Ready returns why events are not written, nil if they are.
func (w *Writer) Ready() error {
	w.state.Lock()
	defer w.state.Unlock()
	return w.err
}

func (w *Writer) follow(ctx context.Context, stream string) {
	pause := retryMin
	for ctx.Err() == nil {
		err := w.step(ctx, stream)
		if ctx.Err() != nil {
			return
		}
		w.note(stream, err)
		if err == nil {
			pause = retryMin
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

func (w *Writer) note(stream string, err error) {
	w.state.Lock()
	defer w.state.Unlock()
	if err != nil && w.err == nil {
		w.d.Logger.Warn("trail: events wait", "stream", stream, "error", err)
	}
	if err == nil && w.err != nil {
		w.d.Logger.Info("trail: events are written again")
	}
	w.err = err
}

// step takes what one stream has for us, stores it and acknowledges.
func (w *Writer) step(ctx context.Context, stream string) error {
	c, err := w.d.JetStream.Consumer(ctx, stream, topology.ConsumerTrail)
	if err != nil {
		return fmt.Errorf("trail: consumer of %s: %w", stream, err)
	}
	for ctx.Err() == nil {
		if err := w.fetch(ctx, c); err != nil {
			return fmt.Errorf("trail: %s: %w", stream, err)
		}
		w.note(stream, nil)
	}
	return nil
}

func (w *Writer) fetch(ctx context.Context, c jetstream.Consumer) error {
	wait, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	batch, err := c.Fetch(writeBatch, jetstream.FetchContext(wait))
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if err := w.write(ctx, batch); err != nil {
		return err
	}
	err = batch.Error()
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("fetch: %w", err)
	}
	return nil
}

func (w *Writer) write(ctx context.Context, batch jetstream.MessageBatch) error {
	var msgs []jetstream.Msg
	var events []Event
	for m := range batch.Messages() {
		msgs = append(msgs, m)
		meta, err := topology.MetaOf(m.Headers())
		if err != nil {
			w.d.Logger.Error("trail: message with malformed headers", "subject", m.Subject(), "error", err)
			continue // its own stage deals with it
		}
		if meta.Stage != "" {
			events = append(events, EventOf(meta))
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	if err := w.store(ctx, events); err != nil {
		return err
	}
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("trail: acknowledge: %w", err)
		}
	}
	return nil
}

func (w *Writer) store(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	w.mu.Lock()
	incidents, err := w.d.Index.Add(ctx, events)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if w.d.OnEvents != nil {
		w.d.OnEvents(events)
	}
	for _, e := range incidents {
		w.d.Logger.Error("a control id stands for more than one record", "sender", e.Sender, "control_id", e.ControlID, "record", e.Record)
		if w.d.OnIncident != nil {
			w.d.OnIncident(e)
		}
	}
	return nil
}
