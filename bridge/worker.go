package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
)

// worker runs one stage: it pulls messages of one consumer, gives them to the handler in
// the order that the stage asks for, hands on what the handler returns, and acknowledges.
//
// Invariants:
//
//   - A message is acknowledged only after everything that the handler returned is durable.
//   - With lanes, messages of one lane (one patient) are handled one after another, in the
//     order of the stream, also across tries, outages and restarts: a lane keeps its message
//     until it is done or set aside, nothing is handed back to the server to come later, and
//     when a delivery was missed, or at start, delivery begins again at the oldest message
//     that is not done.
//   - With lanes, a message that joins or parts identities is alone: it waits for everything
//     before it and holds up everything after it (see barrier.go).
//   - A message that fails for its own sake is set aside after a bounded number of tries and
//     holds up its lane no longer than that.
//   - A neighbour's absence is nobody's failure: the stage waits (gate) and goes on by itself.
//   - Memory is bounded by a budget of bytes, whatever the number of messages.
//   - A message in hand is reported to the server as in progress as long as it takes.
type worker struct {
	name             string
	stream, consumer string
	handler          stage.Handler
	lanes            int // 0: each message for itself, order does not matter

	bus     *bus.Bus
	aside   *Aside
	metrics Metrics
	log     *slog.Logger
	tune    tuning

	gate   *gate
	held   held
	flight flight         // in lanes
	wg     sync.WaitGroup // lanes and single items
}

// tuning holds times and bounds that tests shorten.
type tuning struct {
	tries              int           // of an item, before it is parked
	retryMin, retryMax time.Duration // pauses between tries of an item
	gateMin, gateMax   time.Duration // pauses between probes of a neighbour
	budget             int64         // bytes in hand
	pullExpiry         time.Duration // of one request for messages; silence for as long ends a session
	ackWait            time.Duration // of the consumer
}

func (t tuning) withDefaults() tuning {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	if t.tries <= 0 {
		t.tries = 5
	}
	if t.budget <= 0 {
		t.budget = 32 << 20
	}
	def(&t.retryMin, 100*time.Millisecond)
	def(&t.retryMax, 5*time.Second)
	def(&t.gateMin, 250*time.Millisecond)
	def(&t.gateMax, 15*time.Second)
	def(&t.pullExpiry, 10*time.Second)
	return t
}

// item is one message in hand.
type item struct {
	msg  jetstream.Msg
	seq  uint64
	at   time.Time // of the stream
	size int64
}

func (w *worker) init() {
	w.gate = newGate(w.tune.gateMin, w.tune.gateMax)
	w.held.init(w.tune.budget)
}

// run works until stop ends, then finishes the items that handlers have begun; kill ends
// those too. Items not begun stay on the stream.
func (w *worker) run(stop, kill context.Context) {
	queues := make([]chan *item, w.lanes)
	for i := range queues {
		queues[i] = make(chan *item, laneQueue)
		w.wg.Go(func() {
			for it := range queues[i] {
				w.work(stop, kill, it)
				w.flight.leave()
			}
		})
	}
	beat, stopBeat := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() { w.heartbeat(beat) })
	w.pull(stop, func(it *item, meta topology.Meta) {
		switch {
		case w.lanes == 0:
			w.wg.Go(func() { w.work(stop, kill, it) })
		case isBarrier(meta):
			_ = w.flight.drained(stop) // when the stage stops, work leaves the item on the stream
			w.work(stop, kill, it)
		default:
			w.flight.enter()
			queues[meta.Lane%uint64(w.lanes)] <- it
		}
	})
	for _, q := range queues {
		close(q)
	}
	w.wg.Wait()
	stopBeat()
	beating.Wait()
}

// laneQueue is how many messages may wait in a lane before the puller waits.
const laneQueue = 4096

// pull takes messages and dispatches them until ctx ends.
func (w *worker) pull(ctx context.Context, dispatch func(*item, topology.Meta)) {
	pause := w.tune.retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := w.session(ctx, dispatch)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errGap) {
			// Once in a while this is the network; all the time it is a second process at work.
			w.log.Warn("delivery begins again at the oldest message", "stage", w.name, "error", err)
			sleep(ctx, w.tune.retryMin)
			continue
		}
		if time.Since(began) > w.tune.gateMax {
			pause = w.tune.retryMin
		}
		w.log.Warn("stage waits for the bus", "stage", w.name, "error", err)
		w.metrics.Waiting(w.name, neighbourBus, true)
		sleep(ctx, pause)
		pause = min(2*pause, w.tune.gateMax)
	}
}

// errGap reports a delivery that did not arrive. The server would send it again later, behind
// newer messages of the same patient, so the session ends and begins again in order.
var errGap = errors.New("a delivery was lost")

// session pulls until something fails. It begins with the oldest message that was not
// acknowledged; what is in hand or done is recognised.
func (w *worker) session(ctx context.Context, dispatch func(*item, topology.Meta)) error {
	js := w.bus.JetStream()
	c, err := js.Consumer(ctx, w.stream, w.consumer)
	if err != nil {
		return fmt.Errorf("consumer %s of %s: %w", w.consumer, w.stream, err)
	}
	reset, err := js.ResetConsumer(ctx, w.stream, w.consumer)
	if err != nil {
		return fmt.Errorf("reset consumer %s of %s: %w", w.consumer, w.stream, err)
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullAhead, w.bus.Limits().MaxMessage+overhead),
		jetstream.PullExpiry(w.tune.pullExpiry), jetstream.PullHeartbeat(w.tune.pullExpiry/2))
	if err != nil {
		return fmt.Errorf("pull from %s: %w", w.stream, err)
	}
	defer it.Stop()
	w.log.Info("stage takes messages", "stage", w.name, "from", reset.ResetSeq, "waiting", reset.NumPending)
	w.metrics.Waiting(w.name, neighbourBus, false)
	for next := reset.Delivered.Consumer + 1; ; next++ {
		if err := w.held.wait(ctx, int64(w.bus.Limits().MaxMessage)); err != nil {
			return err
		}
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("pull from %s: %w", w.stream, err)
		}
		info, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("message of %s without metadata: %w", w.stream, err)
		}
		if info.Sequence.Consumer != next {
			return fmt.Errorf("%w: %d came where %d was due", errGap, info.Sequence.Consumer, next)
		}
		w.accept(m, info, dispatch)
	}
}

// pullAhead is how many messages are asked for before they are needed.
const pullAhead = 256

// accept takes a delivered message in hand, unless it is there already or done.
func (w *worker) accept(m jetstream.Msg, info *jetstream.MsgMetadata, dispatch func(*item, topology.Meta)) {
	it := &item{msg: m, seq: info.Sequence.Stream, at: info.Timestamp, size: int64(len(m.Data())) + 1024}
	switch w.held.take(it) {
	case takenDone: // its acknowledgement was lost
		w.ack(it)
	case takenNew:
		meta, err := w.bus.Decode(m.Subject(), m.Headers(), nil)
		if err != nil {
			w.log.Error("message with malformed headers", "stage", w.name, "seq", it.seq, "error", err)
		}
		dispatch(it, meta.Meta)
	}
}

// work brings one item to its end: handed on, set aside, or left on the stream because the
// pipeline stops.
func (w *worker) work(stop, kill context.Context, it *item) {
	if stop.Err() != nil {
		w.held.drop(it)
		return
	}
	start := time.Now()
	err := w.try(stop, kill, it)
	switch {
	case err == nil:
		w.metrics.StageDone(w.name, time.Since(start))
	case stop.Err() != nil || kill.Err() != nil:
		w.held.drop(it)
		return
	default: // cannot happen: try returns only then
		w.log.Error("item was given up", "stage", w.name, "error", err)
		w.held.drop(it)
		return
	}
	w.held.done(it)
	w.ack(it)
}

// try repeats until the item is done or set aside. Its error is a context's.
func (w *worker) try(stop, kill context.Context, it *item) error {
	for tries := 1; ; {
		err := w.behindGate(stop, func() error { return w.attempt(kill, it) })
		switch {
		case err == nil:
			return nil
		case stop.Err() != nil:
			return stop.Err()
		case kill.Err() != nil:
			return kill.Err()
		}
		if err = w.judge(err, tries); err == nil {
			tries++
			if sleep(stop, backoff(w.tune, tries)); stop.Err() != nil {
				return stop.Err()
			}
			continue
		}
		return w.setAside(stop, kill, it, err)
	}
}

// judge returns nil if the item is to be tried again, else why it is set aside.
func (w *worker) judge(err error, tries int) error {
	var (
		park   *stage.ParkError
		reject *stage.RejectError
	)
	if errors.As(err, &park) || errors.As(err, &reject) {
		return err
	}
	if tries < w.tune.tries {
		w.log.Warn("item is tried again", "stage", w.name, "try", tries, "code", stage.CodeOf(err), "error", err)
		return nil
	}
	return stage.Park(stage.CodeOf(err), fmt.Errorf("given up after %d tries: %w", tries, err))
}

// attempt runs the handler once and makes its results durable.
func (w *worker) attempt(ctx context.Context, it *item) error {
	m, err := w.bus.Decode(it.msg.Subject(), it.msg.Headers(), it.msg.Data())
	if err == nil && len(m.Body) == 0 {
		err = errors.New("message without a body") // every stage takes one; headers alone prove nothing
	}
	if err != nil {
		return stage.Retry(codeUnreadable, err) // perhaps under a key that is not loaded: never thrown away
	}
	out, err := w.handle(ctx, m)
	if err != nil {
		return err
	}
	for _, next := range out {
		if err := w.bus.Publish(ctx, next); err != nil {
			return busError(ctx, err)
		}
		if next.Meta.Stage == stage.Incident {
			w.log.Warn("incident", "stage", w.name, "code", next.Meta.Code, "record", next.Meta.Record.String(), "kind", next.Meta.Kind)
			w.metrics.Told(w.name, next.Meta.Code)
		}
	}
	return nil
}

// handle calls the handler and turns a panic into an error, without its value: that may
// quote patient data.
func (w *worker) handle(ctx context.Context, m bus.Message) (out []bus.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("handler panicked", "stage", w.name, "record", m.Meta.Record.String(), "stack", string(debug.Stack()))
			err = stage.Retry(codePanic, errors.New("handler panicked, see the log for its stack"))
		}
	}()
	return w.handler.Handle(ctx, m)
}

// behindGate runs f until no neighbour is missing, and returns what f then returns. The
// error is a context's if stop ends while waiting.
func (w *worker) behindGate(stop context.Context, f func() error) error {
	for {
		t, err := w.gate.pass(stop)
		if err != nil {
			return err
		}
		err = f()
		var away *stage.UnavailableError
		missing := errors.As(err, &away)
		if missing {
			w.shut(t, away)
		} else if !errors.Is(err, context.Canceled) {
			w.open()
		}
		w.gate.leave(t)
		if !missing || stop.Err() != nil {
			return err
		}
	}
}

// setAside parks or rejects the item, and waits for the bus if it has to.
func (w *worker) setAside(stop, kill context.Context, it *item, cause error) error {
	return w.behindGate(stop, func() error {
		if err := w.aside.put(kill, w.name, it.msg, cause); err != nil {
			return busError(kill, err)
		}
		return nil
	})
}

func (w *worker) shut(t ticket, away *stage.UnavailableError) {
	if w.gate.shut(t, away.Neighbour, away.Err) {
		w.log.Warn("stage waits", "stage", w.name, "for", away.Neighbour, "error", away.Err)
		w.metrics.Waiting(w.name, away.Neighbour, true)
	}
}

func (w *worker) open() {
	neighbour, since, _ := w.gate.state()
	if w.gate.open() {
		w.log.Info("stage goes on", "stage", w.name, "after", time.Since(since).Round(time.Millisecond), "neighbour", neighbour)
		w.metrics.Waiting(w.name, neighbour, false)
	}
}

func (w *worker) ack(it *item) {
	if err := it.msg.Ack(); err != nil {
		// It comes again and is recognised as done.
		w.log.Debug("acknowledgement was not sent", "stage", w.name, "seq", it.seq, "error", err)
	}
}

// heartbeat tells the server that items in hand are being worked on.
func (w *worker) heartbeat(ctx context.Context) {
	t := time.NewTicker(w.tune.ackWait / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, it := range w.held.all() {
			if err := it.msg.InProgress(); err != nil {
				break // not connected; the next round tries again
			}
		}
	}
}

// busError sorts errors of publishing.
func busError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bus.ErrTooLarge):
		return stage.Park(codeTooLarge, err)
	}
	return stage.Unavailable(neighbourBus, err)
}

// Reason codes and neighbours of the runtime.
const (
	codeUnreadable = "UNREADABLE"
	codePanic      = "PANIC"
	codeTooLarge   = "TOO_LARGE"
	neighbourBus   = "bus"
)

func backoff(t tuning, try int) time.Duration {
	d := t.retryMin << min(try, 16)
	if d > t.retryMax || d <= 0 {
		d = t.retryMax
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secret
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
