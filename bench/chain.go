package bench

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/devsite"
)

// consortium is a running network with one chain client for each hospital.
type consortium struct {
	net     *devnet.Network
	clients []*chainclient.Client
	pids    []int // of the network's processes and this one
}

// measured is what a load brought, after its first fifth, in which it fills up.
type measured struct {
	rate float64   // transactions in a second
	took []float64 // milliseconds for each transaction
	cpu  float64   // milliseconds of processor time for each transaction, all processes
	// Processors that the network and its callers had, and that other work had.
	busy, others float64
}

func newConsortium(ctx context.Context, o Options, endorsement string) (*consortium, error) {
	n, err := o.network(ctx, "chain", endorsement)
	if err != nil {
		return nil, err
	}
	c := &consortium{net: n}
	for _, h := range n.Hospitals() {
		cl, err := devsite.Client(ctx, n, h, func(cfg *chainclient.Config) {
			if endorsement == devnet.EndorseAny {
				cfg.EndorsersNeeded = 1
			}
		})
		if err == nil {
			c.clients = append(c.clients, cl)
			err = devsite.Register(ctx, n, h, cl)
		}
		if err != nil {
			return nil, errors.Join(err, c.close(ctx))
		}
	}
	return c, nil
}

func (c *consortium) close(ctx context.Context) error {
	var errs []error
	for _, cl := range c.clients {
		errs = append(errs, cl.Close())
	}
	return errors.Join(append(errs, c.net.Down(context.WithoutCancel(ctx), true))...)
}

// entries makes n entries of a hospital with ids that were never used before.
func entries(hospital uint16, n int) []evidence.Entry {
	out := make([]evidence.Entry, n)
	for i := range out {
		e := &out[i]
		_, _ = crand.Read(e.ID[:])
		_, _ = crand.Read(e.Tag[:])
		_, _ = crand.Read(e.CipherHash[:])
		binary.BigEndian.PutUint16(e.ID[:2], hospital)
		e.Pointer = []byte{byte(i >> 16), byte(i >> 8), byte(i)}
	}
	evidence.Sort(out)
	return out
}

// load keeps inFlight transactions of size entries under way for a span.
func (c *consortium) load(ctx context.Context, size, inFlight int, span time.Duration) (measured, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var m measured
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now().Add(span / 5)
	end := begin.Add(span - span/5)
	for i := range inFlight {
		cl, hospital := c.clients[i%len(c.clients)], uint16(i%len(c.clients)+1)
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				if _, _, err := cl.SubmitBatch(ctx, entries(hospital, size)); err != nil {
					cancel(fmt.Errorf("bench: batch of %d: %w", size, err))
					return
				}
				if now := time.Now(); now.After(begin) && now.Before(end) {
					mu.Lock()
					m.took = append(m.took, ms(now.Sub(began)))
					mu.Unlock()
				}
			}
		})
	}
	used, err := c.usedBetween(ctx, begin, end)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return m, cause
	}
	if err == nil && len(m.took) == 0 {
		err = fmt.Errorf("bench: no batch of %d was anchored within %v", size, span)
	}
	if err != nil {
		return m, err
	}
	m.rate = float64(len(m.took)) / end.Sub(begin).Seconds()
	m.cpu = 1000 * used.ours / float64(len(m.took))
	m.busy, m.others = used.ours/end.Sub(begin).Seconds(), (used.total-used.ours)/end.Sub(begin).Seconds()
	return m, nil
}

// usedBetween returns the processor time used in a span to come.
func (c *consortium) usedBetween(ctx context.Context, begin, end time.Time) (usage, error) {
	if err := wait(ctx, begin); err != nil {
		return usage{}, err
	}
	before, err := c.cpu(ctx)
	if err != nil {
		return usage{}, err
	}
	if err := wait(ctx, end); err != nil {
		return usage{}, err
	}
	after, err := c.cpu(ctx)
	return after.since(before), err
}

func wait(ctx context.Context, until time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(until)):
		return nil
	}
}

// throughputInterval is the block interval of the networks that measure throughput.
// Whoever anchors in bulk waits for blocks to fill, whoever waits for one commit does not:
// every block costs each peer and orderer a sync, so that fewer blocks leave more of the
// processors for records. devnet's default serves the second.
const throughputInterval = 500 * time.Millisecond

// Chain measures anchoring on networks of 4 orderers and 4 peers: a commit on an idle
// network, single-record transactions, batches, and the bytes that a record takes on the
// chain. Each load runs with blocks cut early, as devnet does by default, and with blocks
// cut late.
func Chain(ctx context.Context, r *Results, o Options) error {
	for _, endorsement := range []string{devnet.EndorseAny, devnet.EndorseMajority} {
		if err := chainWith(ctx, r, o, endorsement, (*consortium).idle, (*consortium).singles, (*consortium).batches); err != nil {
			return err
		}
		if o.BlockInterval != 0 {
			continue
		}
		late := o
		late.BlockInterval = throughputInterval
		if err := chainWith(ctx, r, late, endorsement, (*consortium).batches, (*consortium).singles); err != nil {
			return err
		}
	}
	return nil
}

func chainWith(ctx context.Context, r *Results, o Options, endorsement string, parts ...func(*consortium, context.Context, *Results, Options, string) error) (err error) {
	c, err := newConsortium(ctx, o, endorsement)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	for _, part := range parts {
		if err := part(c, ctx, r, o, endorsement); err != nil {
			return err
		}
	}
	return nil
}

func group(endorsement string) string { return "anchoring, endorsed by " + endorsement }

// under names a load: who endorses, and how long blocks wait.
func (o Options) under(endorsement string) string {
	interval := o.BlockInterval
	if interval == 0 {
		interval = devnet.DefaultBlockInterval
	}
	return fmt.Sprintf("%s, blocks of %v", endorsement, interval)
}

// idle measures one transaction at a time, with pauses so that it is not in step with the
// blocks.
func (c *consortium) idle(ctx context.Context, r *Results, o Options, endorsement string) error {
	fmt.Fprintf(o.Progress, "%s: one transaction at a time\n", group(endorsement))
	var total, endorse, order, block []float64
	for range o.Commits {
		time.Sleep(rand.N(100 * time.Millisecond)) //nolint:gosec // a pause needs no secret
		began := time.Now()
		commit, _, err := c.clients[0].SubmitBatch(ctx, entries(1, 1))
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		total = append(total, ms(time.Since(began)))
		endorse, order = append(endorse, ms(commit.Steps.Endorse)), append(order, ms(commit.Steps.Order))
		block = append(block, ms(commit.Steps.Block))
	}
	name := "commit on an idle network, endorsed by " + endorsement
	r.add(name, endorsement+": p50", median(total), "ms", "")
	r.add(name, endorsement+": p99", quantile(total, 0.99), "ms", "")
	r.add(name, endorsement+": endorsement, p50", median(endorse), "ms", "")
	r.add(name, endorsement+": hand-over, p50", median(order), "ms", "until a quorum of orderers took it")
	r.add(name, endorsement+": block, p50", median(block), "ms", "consensus, delivery, validation")
	return nil
}

func (c *consortium) singles(ctx context.Context, r *Results, o Options, endorsement string) error {
	under := o.under(endorsement)
	fmt.Fprintf(o.Progress, "%s: single-record transactions\n", under)
	const callers = 600
	m, err := c.load(ctx, 1, callers, o.Span)
	if err != nil {
		return err
	}
	g := group(endorsement)
	r.add(g, under+": single records", m.rate, "tx/s", "published scheme: 17; target 250")
	r.add(g, under+": single record, p50", median(m.took), "ms", fmt.Sprintf("%d callers", callers))
	m.addCPU(r, endorsement, under+": single record", 1)
	return nil
}

// addCPU adds what a load needed of the machine. Other work on the machine takes from the
// rate, but hardly from this.
func (m measured) addCPU(r *Results, endorsement, name string, size int) {
	r.add(group(endorsement), name+", processor time", m.cpu/float64(size), "CPU ms/record",
		fmt.Sprintf("it had %.2f of %d cores, other work %.2f", m.busy, runtime.NumCPU(), max(0, m.others)))
}

func (c *consortium) batches(ctx context.Context, r *Results, o Options, endorsement string) error {
	const callers = 24
	for _, size := range []int{500, 1000} {
		under := o.under(endorsement)
		fmt.Fprintf(o.Progress, "%s: batches of %d\n", under, size)
		before, err := c.height(ctx)
		if err != nil {
			return err
		}
		m, err := c.load(ctx, size, callers, o.Span)
		if err != nil {
			return err
		}
		perRecord, err := c.bytesPerRecord(ctx, before)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s: batches of %d", under, size)
		r.add(group(endorsement), name, m.rate*float64(size), "records/s", "target 10,000")
		r.add(group(endorsement), name+", p50", median(m.took), "ms", fmt.Sprintf("%d callers", callers))
		m.addCPU(r, endorsement, name, size)
		r.add(group(endorsement), fmt.Sprintf("%s: in batches of %d", under, size), perRecord, "bytes/record", "published scheme: about 480; target 130")
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// height is that of the peer that is ahead of the others: no transaction that any client
// knows to be committed is in a later block.
func (c *consortium) height(ctx context.Context) (uint64, error) {
	var most uint64
	for _, cl := range c.clients {
		h, err := cl.Height(ctx)
		if err != nil {
			return 0, err
		}
		most = max(most, h)
	}
	return most, nil
}

// bytesPerRecord reads the blocks from a height on and divides their size by the records
// that they anchor.
func (c *consortium) bytesPerRecord(ctx context.Context, from uint64) (float64, error) {
	to, err := c.clients[0].Height(ctx)
	if err != nil {
		return 0, err
	}
	size, records := 0, 0
	for n := from; n < to; n++ {
		b, err := c.clients[0].BlockByNumber(ctx, n)
		if err != nil {
			return 0, err
		}
		size += b.Size
		for _, tx := range b.Txs {
			if tx.Valid && tx.Event != nil {
				records += int(tx.Event.Count)
			}
		}
	}
	if records == 0 {
		return 0, errors.New("bench: no record was anchored")
	}
	return float64(size) / float64(records), nil
}
