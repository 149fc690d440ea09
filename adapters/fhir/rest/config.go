package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// Action is what a request does to resources, in the letters of SMART scopes: c, r, u, d, s.
type Action byte

// Actions.
const (
	Create Action = 'c'
	Read   Action = 'r'
	Update Action = 'u'
	Delete Action = 'd'
	Search Action = 's'
)

// Caller is who sends a request.
type Caller interface {
	// Name tells callers apart, for limits and as sender of records. It holds no secret.
	Name() string
	// May reports whether the caller may do this to resources of a type.
	May(resource string, a Action) bool
}

// Refusal is an error that answers a request with a status of its own. Diagnostics must
// quote no content.
type Refusal struct {
	Status      int
	Code        fhir.Code
	Diagnostics string
	Expression  string
	RetryAfter  time.Duration
	// Challenge is the WWW-Authenticate header of a 401.
	Challenge string
}

func (r *Refusal) Error() string { return "fhir: " + r.Diagnostics }

// Refused is content that was not taken.
type Refused struct {
	Raw          []byte
	Sender, Kind string
	Issue        fhir.Issue
	ReceivedAt   time.Time
}

// LogValue implements slog.LogValuer: content never reaches a log.
func (r Refused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("sender", r.Sender), slog.String("code", string(r.Issue.Code)), slog.Int("bytes", len(r.Raw)))
}

// Config is what a Handler needs.
type Config struct {
	HospitalNumber uint16
	HospitalMSP    string
	// Validator judges what is sent.
	Validator *fhir.Validator
	// Submit makes content durable; nil means that it is on disk. A *Refusal answers as it
	// says; anything else is 503, and the sender may try again.
	Submit func(ctx context.Context, s index.Submission) error
	// Quarantine keeps content that was sent to be kept and refused, with the first issue; nil
	// does not. What fails there is logged: the sender still has the content, and knows why.
	Quarantine func(ctx context.Context, r Refused) error
	// Index is the view of what was received.
	Index index.Store
	// Authorize tells who sends a request. An error is answered 401, a *Refusal as it says.
	Authorize func(r *http.Request) (Caller, error)
	// Allow limits the rate of a caller; nil does not.
	Allow func(ctx context.Context, caller string) (ok bool, retry time.Duration, err error)
	// Base is the URL by which clients reach the server, without a slash at its end. A path in
	// it may, or may not, stand before those of requests.
	Base string
	// Resources are the types that are taken and read; none means all of R4.
	Resources []string
	// MaxBody is the largest request body in bytes, default 8 MiB; Timeout bounds a request,
	// default 30 s; Concurrent bounds how many are worked on at once, default 64.
	MaxBody    int64
	Timeout    time.Duration
	Concurrent int
	// Large bounds how many bodies of more than 1 MiB, or of unknown length, are in memory at
	// once; others wait. Default 4.
	Large int
	// Spool opens a place for a body of SpoolFrom bytes and more, of a single resource that is
	// created or updated; nil: all stay in memory. SpoolFrom is 1 MiB by default.
	Spool     func() (Spool, error)
	SpoolFrom int64
	// MaxEntries bounds the entries of a batch or transaction; default 2000.
	MaxEntries int
	// PageSize and MaxPage bound _count; defaults 50 and 500.
	PageSize, MaxPage int
	Zone              *time.Location // of dates without a zone; nil: UTC
	// Observe counts what was answered; nil does not. It must not block.
	Observe func(interaction string, status int, took time.Duration)
	// Further judges what the validator let pass, and says what this server does not serve; nil
	// has no more rules.
	Further func(n *fhir.Node) fhir.Issues
	// OnWritten is told of each version that was committed, after the fact; nil does not. It must not block.
	OnWritten func(e index.Entry)
	// NewID makes ids of resources; nil: random UUIDs.
	NewID   func() string
	Now     func() time.Time
	Logger  *slog.Logger
	Version string // of the software, for /metadata
}

func (c *Config) check() error {
	switch {
	case c.HospitalNumber == 0 || c.HospitalMSP == "":
		return errors.New("fhir: no hospital")
	case c.Submit == nil || c.Index == nil:
		return errors.New("fhir: no submit function or no index")
	case c.Authorize == nil:
		return errors.New("fhir: nobody decides who may call")
	}
	for _, name := range c.Resources {
		if _, ok := schema.FindResource(name); !ok {
			return errors.New("fhir: " + name + " is no resource type of R4")
		}
	}
	return nil
}

func (c *Config) defaults() {
	if c.Validator == nil {
		c.Validator = fhir.NewValidator(fhir.ValidatorConfig{})
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 8 << 20
	}
	if c.SpoolFrom <= 0 {
		c.SpoolFrom = largeBody
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	number := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	number(&c.Concurrent, 64)
	number(&c.Large, 4)
	number(&c.MaxEntries, 2000)
	number(&c.PageSize, 50)
	number(&c.MaxPage, 500)
	if c.Further == nil {
		c.Further = func(*fhir.Node) fhir.Issues { return nil }
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.NewID == nil {
		c.NewID = newUUID
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Resources) == 0 {
		c.Resources = schema.Resources()
	}
	c.Base = strings.TrimRight(c.Base, "/")
}
