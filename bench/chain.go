package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
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
}

func newConsortium(ctx context.Context, o devnet.Options) (*consortium, error) {
	n, err := devnet.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &consortium{net: n}
	for _, h := range n.Hospitals() {
		cl, err := devsite.Client(ctx, n, h, func(cfg *chainclient.Config) {
			if o.Endorsement == devnet.EndorseAny {
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
		_, _ = rand.Read(e.ID[:])
		_, _ = rand.Read(e.Tag[:])
		_, _ = rand.Read(e.CipherHash[:])
		binary.BigEndian.PutUint16(e.ID[:2], hospital)
		e.Pointer = []byte{byte(i >> 16), byte(i >> 8), byte(i)}
	}
	evidence.Sort(out)
	return out
}

// load keeps inFlight transactions of size entries under way for a span and returns the
// transactions committed in a second and how long each took, seconds.
func (c *consortium) load(ctx context.Context, size, inFlight int, span time.Duration) (float64, []float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var mu sync.Mutex
	var took []float64
	var wg sync.WaitGroup
	end := time.Now().Add(span)
	start := time.Now()
	for i := range inFlight {
		cl, hospital := c.clients[i%len(c.clients)], uint16(i%len(c.clients)+1)
		wg.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				if _, _, err := cl.SubmitBatch(ctx, entries(hospital, size)); err != nil {
					cancel(fmt.Errorf("bench: batch of %d: %w", size, err))
					return
				}
				done.Add(1)
				mu.Lock()
				took = append(took, time.Since(began).Seconds())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, nil, err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), took, nil
}

// Chain measures anchoring on a network of 4 orderers and 4 peers: single-record
// transactions, batches, and the bytes that a record takes on the chain.
func Chain(ctx context.Context, r *Results, dir string, progress *os.File, span time.Duration) error {
	for _, endorsement := range []string{devnet.EndorseAny, devnet.EndorseMajority} {
		if err := chainWith(ctx, r, endorsement, dir, progress, span); err != nil {
			return err
		}
	}
	return nil
}

func chainWith(ctx context.Context, r *Results, endorsement, dir string, progress *os.File, span time.Duration) (err error) {
	c, err := newConsortium(ctx, devnet.Options{Dir: dir, Endorsement: endorsement, Progress: progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	group := "anchoring, endorsed by " + endorsement
	fmt.Fprintf(progress, "%s: single-record transactions\n", group)
	tps, took, err := c.load(ctx, 1, 400, span)
	if err != nil {
		return err
	}
	r.add(group, endorsement+": single records", tps, "tx/s", "published scheme: 17; target 250")
	r.add(group, endorsement+": single record p50", 1000*median(took), "ms", "saturated")
	for _, size := range []int{500, 1000} {
		fmt.Fprintf(progress, "%s: batches of %d\n", group, size)
		before, err := c.clients[0].Height(ctx)
		if err != nil {
			return err
		}
		tps, took, err := c.load(ctx, size, 16, span)
		if err != nil {
			return err
		}
		r.add(group, fmt.Sprintf("%s: batches of %d", endorsement, size), tps*float64(size), "records/s", "target 10,000")
		r.add(group, fmt.Sprintf("%s: batch of %d p50", endorsement, size), 1000*median(took), "ms", "saturated")
		perRecord, err := c.bytesPerRecord(ctx, before)
		if err != nil {
			return err
		}
		r.add(group, fmt.Sprintf("%s: chain bytes, batches of %d", endorsement, size), perRecord, "bytes/record", "published scheme: about 480; target 130")
	}
	return nil
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
