package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of an atomic batch publish.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// publisher commits what callers of one stream publish in groups. While a commit is on its
// way, the next group gathers by itself. Callers that have just been answered usually come
// back at once: a group waits a little for them, since they would otherwise make up a second
// group that takes turns with the first, and every caller would wait for two syncs instead
// of one. A lone caller never waits.
//
// A caller that publishes only after its earlier message has returned sees its messages
// stored in order.
type publisher struct {
	bus    *Bus
	stream string
	in     chan *waiting
	cost   cost
	ctx    context.Context // ends when Close has waited long enough
	cancel context.CancelFunc
	done   chan struct{} // closed: no more publishes
	once   sync.Once
	mu     sync.RWMutex // held for reading while a caller enqueues
	wg     sync.WaitGroup
}

// waiting is one message and who waits for it.
type waiting struct {
	msg    *nats.Msg
	result chan error
}

func newPublisher(b *Bus, stream string) *publisher {
	ctx, cancel := context.WithCancel(context.Background())
	p := &publisher{bus: b, stream: stream, in: make(chan *waiting, b.cfg.BatchMax), ctx: ctx, cancel: cancel,
		done: make(chan struct{})}
	// One commit at a time: two would share what waits between them, and the server stores
	// them one after the other anyway.
	p.wg.Go(p.run)
	return p
}

// publish hands the message to the next group and waits for its commit.
func (p *publisher) publish(ctx context.Context, msg *nats.Msg) error {
	w := &waiting{msg: msg, result: make(chan error, 1)}
	if err := p.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *publisher) enqueue(ctx context.Context, w *waiting) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	select {
	case <-p.done:
		return ErrClosed
	default:
	}
	select {
	case p.in <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *publisher) run() {
	callers := 1 // that publish at the same time, as far as the last round showed
	for first := range p.in {
		group := p.gather(first, callers)
		msgs := make([]*nats.Msg, len(group))
		for i, w := range group {
			msgs[i] = w.msg
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.bus.cfg.CommitTimeout)
		errs := p.commit(ctx, msgs)
		cancel()
		callers = len(group) + len(p.in)
		for i, w := range group {
			w.result <- errs[i]
		}
	}
}

// commit stores a group, as one batch or one by one, whatever is expected to be faster.
func (p *publisher) commit(ctx context.Context, msgs []*nats.Msg) []error {
	batch := p.cost.batchPays(len(msgs))
	start := time.Now()
	var errs []error
	if batch {
		errs = slices.Repeat([]error{p.bus.commit(ctx, p.stream, msgs)}, len(msgs))
	} else {
		errs = p.bus.commitEach(ctx, p.stream, msgs)
	}
	if errors.Join(errs...) == nil {
		p.cost.observe(batch, len(msgs), time.Since(start))
	}
	return errs
}

// gather takes what is waiting, up to the limits of a group. With fewer messages than
// callers it waits for more, as long as they keep coming and at most for as long as the
// commit that it saves would take.
func (p *publisher) gather(first *waiting, callers int) []*waiting {
	group, size := []*waiting{first}, len(first.msg.Data)
	patience := p.cost.patience()
	end := time.Now().Add(patience)
	for len(group) < p.bus.cfg.BatchMax && size < p.bus.cfg.BatchBytes {
		var pause time.Duration
		if len(group) < callers && time.Now().Before(end) {
			pause = patience / 4
		}
		w := p.next(pause)
		if w == nil {
			return group
		}
		group, size = append(group, w), size+len(w.msg.Data)
	}
	return group
}

// next returns what waits in the queue or comes within a pause, or nil.
func (p *publisher) next(pause time.Duration) *waiting {
	select {
	case w := <-p.in: // nil when the queue is closed
		return w
	default:
	}
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case w := <-p.in:
		return w
	case <-timer.C:
		return nil
	}
}

// close refuses new messages and commits those that wait, until ctx ends.
func (p *publisher) close(ctx context.Context) error {
	p.once.Do(func() {
		close(p.done)
		p.mu.Lock() // nobody is between the check of done and the channel
		close(p.in)
		p.mu.Unlock()
	})
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	p.wg.Wait()
	p.cancel()
	return ctx.Err()
}

// commit stores msgs in one stream, all or none, and tells health how it went.
func (b *Bus) commit(ctx context.Context, stream string, msgs []*nats.Msg) error {
	err := classify(stream, b.store(ctx, msgs))
	b.health.observe(stream, err)
	return err
}

func (b *Bus) store(ctx context.Context, msgs []*nats.Msg) error {
	if len(msgs) == 1 {
		_, err := b.js.PublishMsg(ctx, msgs[0], jetstream.WithRetryAttempts(0))
		return err
	}
	id := nuid.Next()
	last := len(msgs) - 1
	for i, m := range msgs {
		m.Header[headerBatchID] = []string{id}
		m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i == last {
			m.Header[headerBatchCommit] = []string{"1"}
			break
		}
		if err := b.nc.PublishMsg(m); err != nil {
			return err
		}
	}
	reply, err := b.nc.RequestMsgWithContext(ctx, msgs[last])
	if err != nil {
		return err
	}
	return checkAck(reply.Data, id, len(msgs))
}

// checkAck reads the acknowledgement of a commit.
func checkAck(data []byte, id string, n int) error {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Batch string              `json:"batch"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return fmt.Errorf("acknowledgement is not JSON: %w", err)
	}
	if ack.Error != nil {
		return ack.Error
	}
	if ack.Seq == 0 || ack.Batch != id || ack.Count != n {
		return fmt.Errorf("acknowledgement of batch %s for %d messages where %s for %d is due", ack.Batch, ack.Count, id, n)
	}
	return nil
}

// commitEach stores messages in their order, each for itself.
func (b *Bus) commitEach(ctx context.Context, stream string, msgs []*nats.Msg) []error {
	errs := make([]error, len(msgs))
	acks := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		acks[i], errs[i] = b.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	}
	for i, ack := range acks {
		if errs[i] == nil {
			errs[i] = await(ctx, ack)
		}
		errs[i] = classify(stream, errs[i])
		b.health.observe(stream, errs[i])
	}
	return errs
}

func await(ctx context.Context, ack jetstream.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
