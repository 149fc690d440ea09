package subscription

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// Notice is one event: of a version of a resource, or, with version 0, of an access request
// whose id on the ledger is ID.
type Notice struct {
	Event    Event
	Type, ID string
	Version  int
	At       time.Time
}

// Result is what became of a notification.
type Result string

// Results.
const (
	Delivered Result = "delivered"
	Failed    Result = "failed"   // tried to the end
	Dropped   Result = "dropped"  // the queue was full
	Refused   Result = "refused"  // the endpoint said that it will never take it: 4xx but 408 and 429
	Stopped   Result = "stopped"  // the process ended
	retry     Result = "tried it" // to be tried again
)

// DeskConfig sets a Desk up. Zero fields have defaults.
type DeskConfig struct {
	Client   *http.Client   // nil: TLS 1.2 or later, no redirects, 10 s
	Roots    *x509.CertPool // certify the endpoints where Client is nil; nil: those of the machine
	Queue    int            // notices waiting for one subscription; default 1000
	Tries    int            // of one notice; default 8
	Backoff  time.Duration  // before the second try, doubled each time up to a minute; default 1 s
	Most     int            // subscriptions; default 100
	Observe  func(Event, Result)
	BaseURL  string // of the server, for the body
	MaxReply int64  // bytes of an answer that are read; default 4096
}

func (c DeskConfig) withDefaults() DeskConfig {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}
	}
	number := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	number(&c.Queue, 1000)
	number(&c.Tries, 8)
	number(&c.Most, 100)
	if c.Backoff <= 0 {
		c.Backoff = time.Second
	}
	if c.MaxReply <= 0 {
		c.MaxReply = 4096
	}
	if c.Observe == nil {
		c.Observe = func(Event, Result) {}
	}
	return c
}

// Desk sends notices to subscriptions. It is safe for concurrent use.
type Desk struct {
	cfg DeskConfig
	ctx context.Context //nolint:containedctx // ends with the desk
	end context.CancelFunc
	all sync.WaitGroup

	mu   sync.Mutex
	open map[string]*line
}

// line is the queue of one subscription.
type line struct {
	Subscription
	queue chan Notice
	stop  context.CancelFunc
}

// NewDesk returns a desk without subscriptions. Close it.
func NewDesk(cfg DeskConfig) *Desk {
	d := &Desk{cfg: cfg.withDefaults(), open: map[string]*line{}}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// Close ends the desk; what waits is dropped.
func (d *Desk) Close() {
	d.end()
	d.all.Wait()
	d.cfg.Client.CloseIdleConnections()
}

// Set replaces the subscriptions. Those that stay the same keep their queues; the error names
// how many there may be.
func (d *Desk) Set(list []Subscription) error {
	if len(list) > d.cfg.Most {
		return fmt.Errorf("fhir subscription: %d subscriptions, at most %d are served", len(list), d.cfg.Most)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := map[string]bool{}
	for _, s := range list {
		keep[s.ID] = true
		if have, ok := d.open[s.ID]; ok {
			if have.Subscription == s {
				continue
			}
			have.stop()
		}
		ctx, stop := context.WithCancel(d.ctx)
		l := &line{Subscription: s, queue: make(chan Notice, d.cfg.Queue), stop: stop}
		d.open[s.ID] = l
		d.all.Go(func() { d.serve(ctx, l) })
	}
	for id, l := range d.open {
		if !keep[id] {
			l.stop()
			delete(d.open, id)
		}
	}
	return nil
}

// Wants reports whether anybody waits for an event.
func (d *Desk) Wants(e Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.open {
		if l.Event == e {
			return true
		}
	}
	return false
}

// Notify hands a notice to all subscriptions of its event. It does not block.
func (d *Desk) Notify(n Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.open {
		if l.Event != n.Event {
			continue
		}
		select {
		case l.queue <- n:
		default:
			d.cfg.Observe(n.Event, Dropped)
		}
	}
}

func (d *Desk) serve(ctx context.Context, l *line) {
	defer l.stop()
	for {
		select {
		case n := <-l.queue:
			d.cfg.Observe(n.Event, d.deliver(ctx, l, n))
		case <-ctx.Done():
			return
		}
	}
}

// deliver tries until the endpoint takes the notice, refuses it for good, or tries are up.
func (d *Desk) deliver(ctx context.Context, l *line, n Notice) Result {
	wait := d.cfg.Backoff
	for try := 1; ; try++ {
		if r := d.post(ctx, l, n); r != retry {
			return r
		}
		if try >= d.cfg.Tries {
			return Failed
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Stopped
		}
		wait = min(2*wait, time.Minute)
	}
}

func (d *Desk) post(ctx context.Context, l *line, n Notice) Result {
	var body io.Reader = http.NoBody
	if l.WithBody {
		body = strings.NewReader(d.body(n))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Endpoint, body)
	if err != nil {
		return Refused
	}
	if l.WithBody {
		req.Header.Set("Content-Type", fhir.MediaType)
	}
	if l.Authorization != "" {
		req.Header.Set("Authorization", l.Authorization)
	}
	res, err := d.cfg.Client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return Stopped
		}
		return retry
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, d.cfg.MaxReply)) // so that the connection serves again
	switch {
	case res.StatusCode < 300:
		return Delivered
	case res.StatusCode == http.StatusRequestTimeout, res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500:
		return retry
	}
	return Refused
}

// body names the version in a history Bundle, without its content.
func (d *Desk) body(n Notice) string {
	if n.Version == 0 {
		return `{"resourceType":"Bundle","type":"history","timestamp":"` + fhir.Instant(n.At) + `","entry":[{"fullUrl":"urn:emrbridge:access:` + n.ID +
			`","request":{"method":"POST","url":"AuditEvent"},"response":{"status":"201"}}]}`
	}
	name := n.Type + "/" + n.ID
	return `{"resourceType":"Bundle","type":"history","timestamp":"` + fhir.Instant(n.At) + `","entry":[{"fullUrl":"` + d.cfg.BaseURL + "/" + name +
		`","request":{"method":"PUT","url":"` + name + `"},"response":{"status":"200","location":"` + d.cfg.BaseURL + "/" + fhir.ControlID(n.Type, n.ID, n.Version) + `"}}]}`
}
