package guard

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Errors of the guard, to be tested with errors.Is.
var (
	// ErrConfig reports a configuration that Open refuses.
	ErrConfig = errors.New("guard: configuration")
	// ErrInvalid reports an argument outside its limits.
	ErrInvalid = errors.New("guard: invalid argument")
	// ErrDegraded is in the error of Healthy while Redis is not in use.
	ErrDegraded = errors.New("guard: Redis is unavailable")
	// ErrUnavailable reports a nonce that cannot be judged without Redis (StrictNonces).
	ErrUnavailable = errors.New("guard: nonce cannot be checked without Redis")
	// ErrSaturated reports a nonce that local memory has no room for. Refuse the request.
	ErrSaturated = errors.New("guard: no room for another nonce")
	// ErrClosed reports a guard that was closed.
	ErrClosed = errors.New("guard: closed")
)

// Limits and defaults.
const (
	// KeySize is the length of Config.Key in bytes.
	KeySize = 32

	maxOpTimeout     = 200 * time.Millisecond
	defaultOpTimeout = 100 * time.Millisecond
	defaultLedgerTTL = 7 * 24 * time.Hour
	maxTTL           = 30 * 24 * time.Hour
	defaultMemory    = 100_000
	embeddedLedger   = 500_000
)

// Config says which Redis, and how much memory to work on without it.
type Config struct {
	// Embedded runs the stand-in inside the process, reached by no port. Its content ends
	// with the process. The fields from Addrs to AllowPlaintext are then unused.
	Embedded bool
	// Addrs are host:port of one server, of the nodes of a cluster, or of the sentinels if
	// MasterName is set; or the path of a Unix socket.
	Addrs      []string
	MasterName string
	// Username and Password of the ACL user. Neither is ever logged.
	Username, Password string
	// DB is the database number, 0 in a cluster.
	DB int
	// TLS is required for every address that is not on this machine. TLS 1.2 at least.
	TLS *tls.Config
	// AllowPlaintext lifts that requirement, for a network that protects itself.
	AllowPlaintext bool

	// Key is secret, KeySize bytes, the same in all processes that share a Redis. It is
	// required unless Embedded, which draws one if it is absent.
	Key []byte
	// Instances is how many processes share the Redis. Default: 1.
	Instances int
	// LedgerTTL is how long a control id is remembered, up to 30 days. Default: 7 days.
	LedgerTTL time.Duration
	// OpTimeout bounds the wait for Redis in one call, up to 200 ms. Default: 100 ms.
	OpTimeout time.Duration
	// MaxMemory bounds each local structure, in entries of about 200 bytes. Default: 100 000.
	MaxMemory int
	// MaxLedger bounds the control ids that this process keeps in Redis, oldest out first.
	// Default: 500 000 if Embedded, else 0: bounded by LedgerTTL only.
	MaxLedger int
	// StrictNonces refuses nonces while Redis is gone. Default: false.
	StrictNonces bool
	// OnState is told of every change of health, from a goroutine of the guard; it must not
	// block. Default: nobody is told.
	OnState func(healthy bool, cause error)
}

// LogValue implements slog.LogValuer without the secrets.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("embedded", c.Embedded), slog.String("addrs", strings.Join(c.Addrs, ",")),
		slog.Bool("tls", c.TLS != nil), slog.Int("instances", c.Instances))
}

func (c Config) withDefaults() Config {
	if c.Instances == 0 {
		c.Instances = 1
	}
	if c.LedgerTTL == 0 {
		c.LedgerTTL = defaultLedgerTTL
	}
	if c.OpTimeout == 0 {
		c.OpTimeout = defaultOpTimeout
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = defaultMemory
	}
	if c.MaxLedger == 0 && c.Embedded {
		c.MaxLedger = embeddedLedger
	}
	return c
}

// Validate reports everything that is wrong with the configuration at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	refuse(len(c.Key) != KeySize && (!c.Embedded || len(c.Key) != 0), "key has %d bytes, %d are wanted", len(c.Key), KeySize)
	refuse(c.Instances < 1 || c.Instances > 1000, "instances is 1 to 1000")
	refuse(c.LedgerTTL < time.Minute || c.LedgerTTL > maxTTL, "ledger TTL is one minute to %v", maxTTL)
	refuse(c.OpTimeout < time.Millisecond || c.OpTimeout > maxOpTimeout, "operation timeout is 1 ms to %v", maxOpTimeout)
	refuse(c.MaxMemory < 1, "max memory is 1 entry or more")
	refuse(c.MaxLedger < 0, "max ledger is negative")
	if c.Embedded {
		return errors.Join(errs...)
	}
	refuse(len(c.Addrs) == 0, "no address of Redis; give one, or choose the embedded stand-in")
	refuse(c.DB < 0, "database number is negative")
	refuse(c.TLS != nil && c.TLS.InsecureSkipVerify, "TLS without checking the server's certificate")
	if c.TLS == nil && !c.AllowPlaintext {
		for _, addr := range c.Addrs {
			refuse(!local(addr), "%s is on another machine: configure TLS, or allow plaintext", addr)
		}
	}
	return errors.Join(errs...)
}

// local reports an address that does not leave the machine.
func local(addr string) bool {
	if strings.HasPrefix(addr, "/") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
