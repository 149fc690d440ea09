package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/anchor"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
)

// reconcile looks once after each start for records that the store holds without an anchor
// and that nothing on the bus stands for. In an undisturbed life there are none; there are
// when the bus was replaced or restored from a backup.
func (p *Pipeline) reconcile(ctx context.Context) {
	began := time.Now()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		done, err := p.reconcileOnce(ctx, began)
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.reconciled = err
		p.mu.Unlock()
		if err == nil {
			p.deps.Metrics.Recovered(done.Recovered, len(done.Suspect))
			if done.Recovered > 0 {
				p.deps.Logger.Warn("records were put back on the bus", "count", done.Recovered)
			}
			for _, id := range done.Suspect {
				p.deps.Logger.Error("a record in the store does not open and is not anchored", "record", id.String())
			}
			return
		}
		p.deps.Logger.Warn("reconciliation is tried again", "error", err)
		sleep(ctx, pause)
	}
}

func (p *Pipeline) reconcileOnce(ctx context.Context, before time.Time) (seal.Reconciled, error) {
	onBus, err := p.waitingRecords(ctx)
	if err != nil {
		return seal.Reconciled{}, err
	}
	c := seal.Reconciler{Custody: p.deps.Custody, Store: p.deps.Store, Bus: p.deps.Bus, Provider: p.deps.Provider,
		OnBus: func(id record.ID) bool { return onBus[id] }}
	if p.deps.Patients != nil {
		c.Patients = p.deps.Patients
	}
	return c.Run(ctx, before)
}

// waitingRecords lists the records that a message on its way to the anchor stands for, that
// are about to be sealed again after a crash, or that the anchor stage has set aside.
func (p *Pipeline) waitingRecords(ctx context.Context) (map[record.ID]bool, error) {
	out := map[record.ID]bool{}
	for stream, filter := range map[string]string{
		topology.StreamNormalized: topology.Normalized, topology.StreamStored: topology.Stored,
		topology.StreamAside: topology.ParkedSubject(anchor.Name, "*"),
	} {
		if err := p.eachHeader(ctx, stream, filter, func(m topology.Meta) { out[m.Record] = true }); err != nil {
			return nil, fmt.Errorf("bridge: read %s: %w", stream, err)
		}
	}
	return out, nil
}

// collectEvery is how often claims that nothing refers to are looked for.
const collectEvery = time.Minute

// collect removes large bodies that no message refers to any more: those of a crash, and
// those whose message an operator dropped.
func (p *Pipeline) collect(ctx context.Context) {
	if p.deps.Claims == nil {
		return
	}
	for ctx.Err() == nil {
		n, err := p.deps.Claims.Collect(ctx, p.claimsOnBus)
		switch {
		case err != nil && ctx.Err() == nil:
			p.deps.Logger.Warn("large bodies that nobody refers to are looked for again later", "error", err)
		case n > 0:
			p.deps.Logger.Info("large bodies that nobody refers to were removed", "count", n)
		}
		sleep(ctx, collectEvery)
	}
}

// claimsOnBus lists the claims that messages refer to. A message moves along the streams in
// the order in which they are read here, and is on the next before it leaves the last; what
// an operator releases goes from the last place to an earlier one, so that place comes first
// as well.
func (p *Pipeline) claimsOnBus(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	parked := topology.Parked + ".>"
	for _, at := range [][2]string{{topology.StreamAside, parked}, {topology.StreamReceived, topology.Received},
		{topology.StreamNormalized, topology.Normalized}, {topology.StreamAside, parked}} {
		err := p.eachHeader(ctx, at[0], at[1], func(m topology.Meta) {
			if m.Claim != "" {
				out[m.Claim] = true
			}
		})
		if err != nil {
			return nil, fmt.Errorf("bridge: read %s: %w", at[0], err)
		}
	}
	return out, nil
}

// eachHeader shows the headers of all messages that a stream holds now.
func (p *Pipeline) eachHeader(ctx context.Context, stream, filter string, see func(topology.Meta)) error {
	c, err := p.deps.Bus.JetStream().OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter}, HeadersOnly: true})
	if err != nil {
		return err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	if info.NumPending == 0 {
		return nil
	}
	it, err := c.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if meta, err := topology.MetaOf(m.Headers()); err == nil {
			see(meta)
		}
		at, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("message without metadata: %w", err)
		}
		if at.NumPending == 0 {
			return nil
		}
	}
}
