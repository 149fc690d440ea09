package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrDrift reports a stream or consumer on the server that differs from the topology in a
// way that cannot be changed while it exists.
var ErrDrift = errors.New("topology: the bus differs from the topology")

// Ensure makes streams and consumers as Streams lists them. What exists is kept; limits
// that may be changed in place are changed. It is idempotent. A difference that cannot be
// changed in place is reported with an error wrapping ErrDrift that names the fields; the
// cure is to drain the stream and to remove it, or to correct the configuration.
func Ensure(ctx context.Context, js jetstream.JetStream, l Limits) error {
	for _, s := range Streams(l) {
		if err := ensureStream(ctx, js, s.Config); err != nil {
			return err
		}
		for _, c := range s.Consumers {
			if err := ensureConsumer(ctx, js, s.Config.Name, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, want)
		if err != nil {
			return fmt.Errorf("topology: make stream %s: %w", want.Name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("topology: look up stream %s: %w", want.Name, err)
	}
	got := s.CachedInfo().Config
	if fields := fixedStreamFields(got, want); len(fields) > 0 {
		return fmt.Errorf("%w: stream %s: %s", ErrDrift, want.Name, strings.Join(fields, ", "))
	}
	if sameStreamLimits(got, want) {
		return nil
	}
	got.MaxBytes, got.MaxMsgSize, got.MaxAge = want.MaxBytes, want.MaxMsgSize, want.MaxAge
	got.Replicas, got.MaxMsgsPerSubject = want.Replicas, want.MaxMsgsPerSubject
	got.AllowAtomicPublish = want.AllowAtomicPublish
	if _, err := js.UpdateStream(ctx, got); err != nil {
		return fmt.Errorf("topology: change limits of stream %s: %w", want.Name, err)
	}
	return nil
}

func fixedStreamFields(got, want jetstream.StreamConfig) (fields []string) {
	differ := func(name string, ok bool) {
		if !ok {
			fields = append(fields, name)
		}
	}
	differ("subjects", slices.Equal(got.Subjects, want.Subjects))
	differ("storage", got.Storage == want.Storage)
	differ("retention", got.Retention == want.Retention)
	differ("discard policy", got.Discard == want.Discard && got.DiscardNewPerSubject == want.DiscardNewPerSubject)
	differ("message count limit", got.MaxMsgs <= 0)
	differ("no acknowledgements", !got.NoAck)
	differ("sealed", !got.Sealed)
	differ("memory-only writes", got.PersistMode == want.PersistMode)
	return fields
}

func sameStreamLimits(got, want jetstream.StreamConfig) bool {
	return got.MaxBytes == want.MaxBytes && got.MaxMsgSize == want.MaxMsgSize && got.MaxAge == want.MaxAge &&
		got.Replicas == want.Replicas && got.AllowAtomicPublish == want.AllowAtomicPublish &&
		max(got.MaxMsgsPerSubject, 0) == max(want.MaxMsgsPerSubject, 0)
}

func ensureConsumer(ctx context.Context, js jetstream.JetStream, stream string, want jetstream.ConsumerConfig) error {
	c, err := js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = js.CreateConsumer(ctx, stream, want)
		if err != nil {
			return fmt.Errorf("topology: make consumer %s of %s: %w", want.Durable, stream, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("topology: look up consumer %s of %s: %w", want.Durable, stream, err)
	}
	got := c.CachedInfo().Config
	if got.AckPolicy != want.AckPolicy || got.DeliverPolicy != want.DeliverPolicy ||
		got.FilterSubject != want.FilterSubject || len(got.FilterSubjects) > 0 {
		return fmt.Errorf("%w: consumer %s of %s: policies or filter", ErrDrift, want.Durable, stream)
	}
	if got.AckWait == want.AckWait && got.MaxAckPending == want.MaxAckPending && got.MaxDeliver == want.MaxDeliver &&
		got.HeadersOnly == want.HeadersOnly {
		return nil
	}
	got.AckWait, got.MaxAckPending, got.MaxDeliver = want.AckWait, want.MaxAckPending, want.MaxDeliver
	got.HeadersOnly = want.HeadersOnly
	if _, err := js.UpdateConsumer(ctx, stream, got); err != nil {
		return fmt.Errorf("topology: change consumer %s of %s: %w", want.Durable, stream, err)
	}
	return nil
}
