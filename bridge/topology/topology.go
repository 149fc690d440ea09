package topology

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subjects. Parked items are filed under emr.parked.<stage>.<record id>, rejected ones
// under emr.rejected.<record id or quarantine id>.
const (
	Received   = "emr.received"   // raw bytes, as an adapter took them; durable before AA
	Normalized = "emr.normalized" // canonical bytes of the record (EMR of the scheme)
	Stored     = "emr.stored"     // T_M and T_R of a record whose ciphertext is in the store
	Anchored   = "emr.anchored"   // receipt: T_M is on the ledger
	Trail      = "emr.trail"      // events that no other subject carries
	Parked     = "emr.parked"     // prefix: set aside with its reason, to be released by an operator
	Rejected   = "emr.rejected"   // prefix: refused for good, bytes in the quarantine
)

// Streams.
const (
	StreamReceived   = "EMR_RECEIVED"
	StreamNormalized = "EMR_NORMALIZED"
	StreamStored     = "EMR_STORED"
	StreamReceipts   = "EMR_RECEIPTS"
	StreamTrail      = "EMR_TRAIL"
	StreamAside      = "EMR_ASIDE"
)

// Durable consumers.
const (
	ConsumerNormalize = "normalize"
	ConsumerSeal      = "seal"
	ConsumerAnchor    = "anchor"
	ConsumerTrail     = "trail" // on every stream
)

// Limits bound what the bus holds. The zero value of a field takes its default.
type Limits struct {
	// MaxMessage is the largest body of a message, in bytes; default 8 MiB, at most 32 MiB.
	MaxMessage int
	// ReceivedBytes, NormalizedBytes and StoredBytes bound the hops, in bytes on disk. A full
	// stream refuses new messages and never drops old ones. Defaults: 2 GiB, 1 GiB, 1 GiB;
	// StoredBytes holds the backlog of a ledger outage, some 2,500 records in each MiB.
	ReceivedBytes, NormalizedBytes, StoredBytes int64
	// TrailBytes bounds events waiting for the trail index; default 256 MiB.
	TrailBytes int64
	// AsideBytes bounds what is parked, in bytes; default 1 GiB.
	AsideBytes int64
	// ReceiptBytes and ReceiptAge bound the receipts kept for outside subscribers, the oldest
	// go first; defaults 256 MiB and 7 days.
	ReceiptBytes int64
	ReceiptAge   time.Duration
	// Replicas of each stream, 1 to 5; default 1. A cluster takes 3.
	Replicas int
	// AckWait is how long a silent worker keeps a message before it is delivered again;
	// default 15 s. Workers at work say so every third of it.
	AckWait time.Duration
	// InFlight bounds the messages that one worker holds; default 1024. The anchor worker
	// holds AnchorInFlight, default 4096, so that several full batches are on their way.
	InFlight, AnchorInFlight int
}

// Bounds of Limits.
const (
	DefaultMaxMessage = 8 << 20
	LargestMaxMessage = 32 << 20
	// Overhead is what headers and sealing of a body may add to a message, in bytes.
	Overhead = 16 << 10
)

// WithDefaults fills in what is not set.
func (l Limits) WithDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	num := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	num(&l.MaxMessage, DefaultMaxMessage)
	l.MaxMessage = min(l.MaxMessage, LargestMaxMessage)
	def(&l.ReceivedBytes, 2<<30)
	def(&l.NormalizedBytes, 1<<30)
	def(&l.StoredBytes, 1<<30)
	def(&l.TrailBytes, 256<<20)
	def(&l.AsideBytes, 1<<30)
	def(&l.ReceiptBytes, 256<<20)
	def((*int64)(&l.ReceiptAge), int64(7*24*time.Hour))
	def((*int64)(&l.AckWait), int64(15*time.Second))
	num(&l.Replicas, 1)
	num(&l.InFlight, 1024)
	num(&l.AnchorInFlight, 4096)
	return l
}

// Stream is one stream with its consumers.
type Stream struct {
	Config    jetstream.StreamConfig
	Consumers []jetstream.ConsumerConfig
	// Flow says that the acknowledged prefix may be cut off: all consumers are listed here.
	Flow bool
}

// Streams returns the whole topology.
func Streams(l Limits) []Stream {
	l = l.WithDefaults()
	return []Stream{
		flow(l, StreamReceived, Received, l.ReceivedBytes, worker(l, ConsumerNormalize, l.InFlight), trail(l)),
		flow(l, StreamNormalized, Normalized, l.NormalizedBytes, worker(l, ConsumerSeal, l.InFlight), trail(l)),
		flow(l, StreamStored, Stored, l.StoredBytes, worker(l, ConsumerAnchor, l.AnchorInFlight), trail(l)),
		flow(l, StreamTrail, Trail, l.TrailBytes, trail(l)),
		receipts(l),
		aside(l),
	}
}

func base(l Limits, name string, maxBytes int64, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxBytes: maxBytes,
		MaxMsgSize: int32(l.MaxMessage + Overhead), Replicas: l.Replicas,
		AllowAtomicPublish: true,
	}
}

// flow is a hop: nothing is dropped, the janitor removes what all consumers have done.
func flow(l Limits, name, subject string, maxBytes int64, consumers ...jetstream.ConsumerConfig) Stream {
	return Stream{Config: base(l, name, maxBytes, subject), Consumers: consumers, Flow: true}
}

// receipts say how records ended, also to outside subscribers: the oldest go first.
func receipts(l Limits) Stream {
	cfg := base(l, StreamReceipts, l.ReceiptBytes, Anchored, Rejected+".*")
	cfg.Discard, cfg.MaxAge = jetstream.DiscardOld, l.ReceiptAge
	return Stream{Config: cfg, Consumers: []jetstream.ConsumerConfig{trail(l)}}
}

// aside holds one message per parked item, the last one, until an operator removes it.
func aside(l Limits) Stream {
	cfg := base(l, StreamAside, l.AsideBytes, Parked+".*.*")
	cfg.MaxMsgsPerSubject = 1
	return Stream{Config: cfg, Consumers: []jetstream.ConsumerConfig{trail(l)}}
}

func worker(l Limits, name string, inFlight int) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: l.AckWait,
		MaxAckPending: inFlight, MaxDeliver: -1, Replicas: l.Replicas,
	}
}

func trail(l Limits) jetstream.ConsumerConfig {
	c := worker(l, ConsumerTrail, 4096)
	c.HeadersOnly = true
	return c
}

var streamOf = map[string]string{
	Received: StreamReceived, Normalized: StreamNormalized, Stored: StreamStored,
	Anchored: StreamReceipts, Trail: StreamTrail,
}

// StreamOf returns the stream that a subject belongs to.
func StreamOf(subject string) string {
	if s, ok := streamOf[subject]; ok {
		return s
	}
	if strings.HasPrefix(subject, Rejected+".") {
		return StreamReceipts
	}
	return StreamAside
}

// ParkedSubject files an item that a stage set aside.
func ParkedSubject(stage, record string) string { return Parked + "." + stage + "." + record }

// RejectedSubject files an item that was refused for good.
func RejectedSubject(id string) string { return Rejected + "." + id }
