package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/internal/diskspace"
)

// Config says which server the bus uses. Exactly one of Dir and URLs is set.
type Config struct {
	// Dir is the folder of the embedded server, and Key what encrypts its files.
	Dir string
	Key []byte
	// MaxStore bounds the embedded server's disk use, in bytes; default 16 GiB.
	MaxStore int64
	// URLs are the servers of an external cluster: nats://host:4222 or tls://host:4222.
	URLs []string
	// TLS, CredsFile (JWT and seed) and NKeyFile (seed) authenticate to an external cluster.
	TLS                 *tls.Config
	CredsFile, NKeyFile string
	// Cipher seals bodies. Required.
	Cipher Cipher
	// Limits of the topology.
	Limits topology.Limits
	// BatchMax is the largest group commit, 1 to 1000, default 256; BatchBytes its size, default 4 MiB.
	BatchMax, BatchBytes int
	// CommitTimeout bounds the wait for one commit; default 10 s.
	CommitTimeout time.Duration
	// Heal is how long a failing embedded server is left alone before it is restarted; default 5 s.
	Heal time.Duration
	// Logger takes changes of state; default none.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if (c.Dir == "") == (len(c.URLs) == 0) {
		return c, errors.New("bus: set either a folder for the embedded server or the URLs of a cluster")
	}
	if c.Cipher == nil {
		return c, errors.New("bus: no cipher for bodies: they may not lie on a disk in the clear")
	}
	c.Limits = c.Limits.WithDefaults()
	if c.BatchMax <= 0 || c.BatchMax > 1000 {
		c.BatchMax = 256
	}
	if c.BatchBytes <= 0 {
		c.BatchBytes = 4 << 20
	}
	if c.CommitTimeout <= 0 {
		c.CommitTimeout = 10 * time.Second
	}
	if c.Heal <= 0 {
		c.Heal = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Message is one message as stages see it: opened and with its headers read.
type Message struct {
	Subject string
	Meta    topology.Meta
	Body    []byte
}

// LogValue implements slog.LogValuer: a body may hold patient data.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("subject", m.Subject), slog.String("record", m.Meta.Record.String()),
		slog.Int("bytes", len(m.Body)))
}

// Bus is a connection to the streams of the topology. It is safe for concurrent use.
type Bus struct {
	cfg    Config
	server *Server // nil for an external cluster
	nc     *nats.Conn
	js     jetstream.JetStream
	health health

	mu         sync.Mutex
	closed     bool
	publishers map[string]*publisher

	stop context.CancelFunc
	wg   sync.WaitGroup
	dead chan error
}

// Dead delivers an error, ErrStuck, if the bus can do nothing more in this process. The
// process should then end, so that what watches over it starts another.
func (b *Bus) Dead() <-chan error { return b.dead }

// Open connects, starts the embedded server if that is configured, and brings the streams
// into the form of the topology. The caller closes the bus.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, publishers: map[string]*publisher{}, dead: make(chan error, 1)}
	if cfg.Dir != "" {
		b.server, err = StartServer(ServerConfig{Dir: cfg.Dir, Key: cfg.Key, MaxMessage: cfg.Limits.MaxMessage,
			MaxStore: cfg.MaxStore, Logger: cfg.Logger})
		if err != nil {
			return nil, err
		}
	}
	if err := b.connect(ctx); err != nil {
		b.shutdown()
		return nil, err
	}
	watch, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	if b.server != nil {
		b.wg.Go(func() { b.watch(watch) })
	}
	return b, nil
}

func (b *Bus) connect(ctx context.Context) error {
	opts, url, err := b.options()
	if err != nil {
		return err
	}
	if b.nc, err = nats.Connect(url, opts...); err != nil {
		return fmt.Errorf("%w: connect: %w", ErrUnavailable, err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(b.cfg.CommitTimeout)); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	if err := topology.Ensure(ctx, b.js, b.cfg.Limits); err != nil || b.server == nil {
		return err
	}
	return b.server.Stage()
}

func (b *Bus) options() ([]nats.Option, string, error) {
	log := b.cfg.Logger
	opts := []nats.Option{
		nats.Name("emrbridge"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		// Nothing is held back while disconnected: a publisher learns at once and decides itself.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("bus disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("bus connected again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("bus", "error", err) }),
	}
	if b.server != nil {
		return append(opts, nats.InProcessServer(b.server)), "", nil
	}
	if b.cfg.TLS != nil {
		opts = append(opts, nats.Secure(b.cfg.TLS))
	}
	if b.cfg.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(b.cfg.CredsFile))
	}
	if b.cfg.NKeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(b.cfg.NKeyFile)
		if err != nil {
			return nil, "", fmt.Errorf("bus: nkey seed: %w", err)
		}
		opts = append(opts, nkey)
	}
	return opts, joinURLs(b.cfg.URLs), nil
}

func joinURLs(urls []string) string {
	out := urls[0]
	for _, u := range urls[1:] {
		out += "," + u
	}
	return out
}

// JetStream gives access to streams and consumers.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Limits returns the limits in force.
func (b *Bus) Limits() topology.Limits { return b.cfg.Limits }

// Publish returns nil when the message is durable. The error wraps ErrFull, ErrTooLarge,
// ErrUnavailable or ErrClosed, or is the context's; in the last case and with
// ErrUnavailable the message may have been stored.
func (b *Bus) Publish(ctx context.Context, m Message) error {
	if m.Subject == topology.Received {
		if err := b.room(); err != nil {
			return err
		}
	}
	msg, err := b.encode(m)
	if err != nil {
		return err
	}
	p, err := b.publisher(topology.StreamOf(m.Subject))
	if err != nil {
		return err
	}
	return p.publish(ctx, msg)
}

// PublishSealed is Publish for a body that is sealed already, for the subject and headers it
// was first published with (see topology.Meta.Binding): setting aside and putting back move messages as they are.
func (b *Bus) PublishSealed(ctx context.Context, subject string, h nats.Header, sealed []byte) error {
	p, err := b.publisher(topology.StreamOf(subject))
	if err != nil {
		return err
	}
	return p.publish(ctx, &nats.Msg{Subject: subject, Header: h, Data: sealed})
}

// PublishBatch stores all messages or none, which must all belong to one stream and be at
// most 1000. Errors are those of Publish.
func (b *Bus) PublishBatch(ctx context.Context, messages []Message) error {
	msgs := make([]*nats.Msg, len(messages))
	for i, m := range messages {
		if topology.StreamOf(m.Subject) != topology.StreamOf(messages[0].Subject) {
			return fmt.Errorf("bus: a batch spans streams: %s and %s", messages[0].Subject, m.Subject)
		}
		var err error
		if msgs[i], err = b.encode(m); err != nil {
			return err
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	return b.commit(ctx, topology.StreamOf(messages[0].Subject), msgs)
}

func (b *Bus) encode(m Message) (*nats.Msg, error) {
	if len(m.Body) > b.cfg.Limits.MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(m.Body), b.cfg.Limits.MaxMessage)
	}
	msg := &nats.Msg{Subject: m.Subject, Header: m.Meta.Header()}
	if len(m.Body) == 0 {
		return msg, nil
	}
	sealed, err := b.cfg.Cipher.Seal(aad(m.Subject, m.Meta), m.Body)
	if err != nil {
		return nil, fmt.Errorf("bus: seal body: %w", err)
	}
	msg.Data = sealed
	return msg, nil
}

// Decode reads the headers of a delivered message and opens its body. The error wraps
// topology.ErrHeader or ErrSealed; the headers that could be read are returned with it.
func (b *Bus) Decode(subject string, h nats.Header, data []byte) (Message, error) {
	meta, err := topology.MetaOf(h)
	m := Message{Subject: subject, Meta: meta}
	if err != nil || len(data) == 0 {
		return m, err
	}
	m.Body, err = b.cfg.Cipher.Open(aad(subject, meta), data)
	return m, err
}

// aad binds a body to where it belongs and to its headers, so that whoever runs the server
// cannot swap bodies or rewrite what is said of them.
func aad(subject string, m topology.Meta) []byte {
	return append([]byte("emrbridge/bus/v1\n"+subject+"\n"), m.Binding()...)
}

func (b *Bus) publisher(stream string) (*publisher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	p, ok := b.publishers[stream]
	if !ok {
		p = newPublisher(b, stream)
		b.publishers[stream] = p
	}
	return p, nil
}

// Ready returns nil if the bus can take messages, else an error that says what is wrong.
func (b *Bus) Ready() error {
	switch {
	case b.nc.IsClosed():
		return ErrClosed
	case b.server != nil && !b.server.Healthy():
		return fmt.Errorf("%w: the embedded server does not run", ErrUnavailable)
	case !b.nc.IsConnected():
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	}
	if err := b.room(); err != nil {
		return err
	}
	return b.health.err()
}

// reserve is how many bytes of its disk an embedded server keeps for what was acknowledged
// earlier: it needs room in the hops, in the record store and in the trail before it is on
// the ledger. New messages are refused while less is free, at once; a write that fails for
// want of space is noticed only when its commit times out.
const reserve = 64 << 20

// room returns ErrFull while new messages would use the reserve.
func (b *Bus) room() error {
	if b.server == nil {
		return nil
	}
	free, err := diskspace.Free(b.cfg.Dir)
	if err != nil || free >= reserve { // not known on every system
		return nil
	}
	return fmt.Errorf("%w: %d MiB are free on the disk of %s, %d MiB are kept for what is on its way; make room there",
		ErrFull, free>>20, b.cfg.Dir, reserve>>20)
}

// Close finishes what publishers hold, within ctx, disconnects and stops the embedded
// server.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	already := b.closed
	b.closed = true
	ps := b.publishers
	b.mu.Unlock()
	if already {
		return nil
	}
	var err error
	for _, p := range ps {
		err = errors.Join(err, p.close(ctx))
	}
	b.stop()
	b.wg.Wait()
	b.shutdown()
	return err
}

func (b *Bus) shutdown() {
	if b.nc != nil {
		b.nc.Close()
	}
	if b.server != nil {
		b.server.Stop()
	}
}
