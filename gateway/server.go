package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Deliverer answers an authenticated request; retrieve.Owner is one.
type Deliverer interface {
	Deliver(ctx context.Context, requester retrieve.Party, req wire.Request, out *wire.Writer, flush func() error) (retrieve.Outcome, error)
}

// Members finds verified, active members; retrieve.Trust is one.
type Members interface {
	Active(ctx context.Context, msp string) (retrieve.Party, error)
}

// Guard limits callers and takes each nonce once. Errors refuse the request: a gateway
// that cannot tell a replay must not deliver.
type Guard interface {
	// Allow reports whether the caller may make one more request now.
	Allow(ctx context.Context, caller string) (ok bool, retryAfter time.Duration, err error)
	// UseNonce reports whether the nonce was not seen in the scope within ttl.
	UseNonce(ctx context.Context, scope string, nonce []byte, ttl time.Duration) (fresh bool, err error)
}

// ServerConfig is what a Server works with. MSP, Certificate, Authority, Owner, Members
// and Guard are required.
type ServerConfig struct {
	MSP string
	// Certificate is this hospital's gateway certificate, whose key is registered on the
	// ledger; Authority holds the authority of the members' gateway certificates.
	Certificate tls.Certificate
	Authority   *x509.CertPool
	Owner       Deliverer
	Members     Members
	Guard       Guard
	// Research, if set, serves what begins with ResearchPath; see package gateway/research.
	Research http.Handler
	Provider smcrypto.Provider // default smcrypto.Default
	Logger   *slog.Logger      // default: discard
	// Skew is how far the time of a request may be from this machine's. Default 2 minutes.
	Skew time.Duration
	// HeaderTimeout bounds the handshake and the reading of a request. Default 10 s.
	HeaderTimeout time.Duration
	// WriteTimeout bounds the writing of each piece of a delivery, 64 KiB at most, so that
	// a caller which stops reading is let go. Default 30 s.
	WriteTimeout time.Duration
	// DeliveryTimeout bounds a whole delivery. Default 15 minutes.
	DeliveryTimeout time.Duration
	// MaxDeliveries bounds deliveries under way, MaxPerMember those of one member, and
	// MaxConnections the open connections. Defaults 64, 8 and 256.
	MaxDeliveries, MaxPerMember, MaxConnections int
	// Now defaults to time.Now.
	Now func() time.Time
}

func (c *ServerConfig) complete() error {
	if c.MSP == "" || len(c.Certificate.Certificate) == 0 || c.Authority == nil || c.Owner == nil || c.Members == nil || c.Guard == nil {
		return errors.New("gateway: a server needs MSP, certificate, authority, owner, members and guard")
	}
	if c.Provider == nil {
		c.Provider = smcrypto.Default()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Skew, 2 * time.Minute}, {&c.HeaderTimeout, 10 * time.Second}, {&c.WriteTimeout, 30 * time.Second}, {&c.DeliveryTimeout, 15 * time.Minute}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, n := range []struct {
		v   *int
		def int
	}{{&c.MaxDeliveries, 64}, {&c.MaxPerMember, 8}, {&c.MaxConnections, 256}} {
		if *n.v <= 0 {
			*n.v = n.def
		}
	}
	return nil
}

// Server answers other hospitals. It is safe for concurrent use.
type Server struct {
	ServerConfig
	slots slots
}

// NewServer checks the configuration and returns a Server.
func NewServer(c ServerConfig) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	return &Server{ServerConfig: c, slots: slots{total: c.MaxDeliveries, each: c.MaxPerMember, busy: map[string]int{}}}, nil
}

// drainTime is how long Serve waits for deliveries under way when it is told to stop.
const drainTime = 10 * time.Second

// Serve accepts connections from listener, which speaks plain TCP, until ctx ends; then it
// lets deliveries under way finish for 10 s, and returns nil. It closes listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	srv := &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: s.HeaderTimeout, ReadTimeout: s.HeaderTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(quiet{s.Logger.Handler()}, slog.LevelDebug),
	}
	limited := newLimitListener(listener, s.MaxConnections)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(tls.NewListener(limited, serverTLS(s.Certificate, s.Authority)))
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("gateway: serve: %w", err)
}

// ListenAndServe listens on a TCP address and serves there.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("gateway: listen: %w", err)
	}
	return s.Serve(ctx, l)
}

// quiet keeps net/http's own words, which tell of broken handshakes, at debug level.
type quiet struct{ slog.Handler }

// slots counts deliveries under way.
type slots struct {
	mu          sync.Mutex
	total, each int
	all         int
	busy        map[string]int
}

func (s *slots) take(member string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.total || s.busy[member] >= s.each {
		return false
	}
	s.all++
	s.busy[member]++
	return true
}

func (s *slots) release(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.busy[member]--; s.busy[member] == 0 {
		delete(s.busy, member)
	}
}

// limitListener bounds open connections: one over the limit waits in the backlog.
type limitListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func newLimitListener(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitConn{Conn: c, release: func() { <-l.slots }}, nil
}

// Close implements net.Listener.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitConn struct {
	net.Conn
	once    sync.Once
	release func()
}

// Close implements net.Conn.
func (c *limitConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
