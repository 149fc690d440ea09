package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/topology"
)

// Depth says how much waits on a hop.
type Depth struct {
	Stream   string
	Consumer string
	Waiting  uint64 // not delivered yet
	InFlight int    // delivered, not acknowledged
	Bytes    uint64 // on disk, of the stream
	Limit    int64  // of the stream, in bytes
}

// Depths lists all hops and consumers.
func (b *Bus) Depths(ctx context.Context) ([]Depth, error) {
	var out []Depth
	for _, s := range topology.Streams(b.cfg.Limits) {
		stream, err := b.js.Stream(ctx, s.Config.Name)
		if err != nil {
			return nil, fmt.Errorf("%w: stream %s: %w", ErrUnavailable, s.Config.Name, err)
		}
		for _, want := range s.Consumers {
			c, err := b.js.Consumer(ctx, s.Config.Name, want.Durable)
			if err != nil {
				return nil, fmt.Errorf("%w: consumer %s of %s: %w", ErrUnavailable, want.Durable, s.Config.Name, err)
			}
			i := c.CachedInfo()
			out = append(out, Depth{Stream: s.Config.Name, Consumer: want.Durable, Waiting: i.NumPending,
				InFlight: i.NumAckPending, Bytes: stream.CachedInfo().State.Bytes, Limit: s.Config.MaxBytes})
		}
	}
	return out, nil
}

// purge removes all messages before seq.
func purge(ctx context.Context, s jetstream.Stream, seq uint64) error {
	return s.Purge(ctx, jetstream.WithPurgeSequence(seq))
}
