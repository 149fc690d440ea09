package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/auth"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/adapters/fhir/subscription"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/view"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/guard"
	"github.com/emrbridge/emrbridge/record"
)

// fhirParser reads resources back from the bus for the normalize stage.
func (s *site) fhirParser() normalize.Parser {
	c := s.config
	numbering := fhir.DefaultNumbering()
	for _, id := range c.FHIR.Identifiers {
		numbering[id.System] = fhir.Numbering{Type: record.IdentifierType(id.Type), Authority: id.Authority}
	}
	mapper := fhir.NewMapper(fhir.MappingConfig{Numbering: numbering, Zone: c.Location(), Limits: fhirLimits(c.FHIR)})
	return func(ctx context.Context, in normalize.Input) (*record.Record, error) {
		r, err := mapper.Map(fhir.Source{Raw: in.Raw, HospitalNumber: c.Hospital.Number, HospitalMSP: c.Hospital.MSP,
			Sender: in.Sender, ControlID: in.ControlID, ReceivedAt: in.ReceivedAt})
		if err == nil {
			s.fhirSeen(ctx, in, r)
		}
		return r, err
	}
}

// fhirDesk is the open FHIR service.
type fhirDesk struct {
	view    *view.View
	handler *rest.Handler
}

// fhirSeen lets the view follow the pipeline: what is on the bus is durable, whatever became
// of the request that brought it. The view heals itself later if this fails. A body in a claim
// has another id here, and is left to that.
func (s *site) fhirSeen(ctx context.Context, in normalize.Input, r *record.Record) {
	d := s.fhir.Load()
	if d == nil {
		return
	}
	known, err := d.view.Confirm(ctx, r.ID)
	if err == nil && !known {
		err = d.handler.Restore(ctx, index.Submission{Record: r.ID, Raw: in.Raw, Sender: in.Sender, ControlID: in.ControlID, Kind: r.Kind, ReceivedAt: in.ReceivedAt})
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the view of FHIR resources lags", "record", r.ID, "err", err)
	}
}

// fhirStage is how the quarantine names the FHIR service.
const fhirStage = "fhir"

// replayFHIR takes refused content in again.
func (s *site) replayFHIR(ctx context.Context, raw []byte, label intake.Label) local.ReplayResponse {
	out := local.ReplayResponse{Code: string(hl7.AppError), ControlID: label.ControlID, Kind: label.Kind}
	d := s.fhir.Load()
	if d == nil {
		out.Error = "the FHIR service is not switched on (fhir.addr)"
		return out
	}
	if err := d.handler.Again(ctx, label.Sender, raw); err != nil {
		out.Error = err.Error()
		return out
	}
	out.Code = string(hl7.AppAccept)
	return out
}

// fhirLimits bounds resources; the largest that was ever taken must still be read.
func fhirLimits(c config.FHIR) fhir.Limits { return fhir.Limits{MaxBytes: max(int(c.MaxBody), 64<<20)} }

// serveFHIR opens the FHIR REST service, where it is configured.
func (s *site) serveFHIR(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	c := s.config.FHIR
	if c.Addr == "" {
		return nil
	}
	own, err := view.Open(ctx, view.Config{Dir: s.config.Dir("fhir"), Custody: s.keys, Store: s.store, Provider: s.provider, Bodies: s.body})
	if err != nil {
		return err
	}
	s.later(own.Close)
	submit := s.fhirSubmit(p.Intake)
	notices, err := s.newFHIRNotices(ctx, group, p.Outcomes)
	if err != nil {
		return err
	}
	handler, err := s.fhirHandler(own, p.Intake.MaxMessage(), submit, notices)
	if err != nil {
		return err
	}
	s.fhir.Store(&fhirDesk{own, handler})
	if notices != nil {
		notices.handler = handler
		s.notices.Store(notices)
		group.Go(func() error { notices.keep(ctx); return nil })
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		WriteTimeout: c.Timeout.D() + 30*time.Second, MaxHeaderBytes: 64 << 10,
	}
	if c.TLS.Enabled() {
		if server.TLSConfig, err = serverTLS(c.TLS); err != nil {
			return fmt.Errorf("fhir.tls: %w", err)
		}
		if c.OIDC.Issuer != "" && c.TLS.ClientCA != "" { // either of them will do
			server.TLSConfig.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("fhir: %w (is the address taken? change fhir.addr)", err)
	}
	if server.TLSConfig != nil {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	const sweep = 5 * time.Second
	group.Go(func() error { own.Keep(ctx, sweep, view.Submit(submit), s.log.With("part", "fhir")); return nil })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("fhir: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return server.Shutdown(drain)
	})
	return nil
}

// fhirHandler joins the REST surface to intake, view and guard.
func (s *site) fhirHandler(own index.Store, maxMessage int, submit func(context.Context, index.Submission) error, notices *fhirNotices) (*rest.Handler, error) {
	c := s.config.FHIR
	authorize, err := fhirAuthorizer(c)
	if err != nil {
		return nil, err
	}
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_fhir_requests_total",
		Help: "FHIR requests by interaction and status."}, []string{"interaction", "status"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "emrbridge_fhir_request_seconds",
		Help: "Time of one FHIR request.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}})
	if err := errors.Join(s.metrics.Register(answers), s.metrics.Register(took)); err != nil {
		return nil, err
	}
	limit := guard.Limit{Events: c.RateLimit, Per: time.Second, Burst: 2 * c.RateLimit}
	rules, written := subscription.Rules{Hosts: c.SubscriptionHosts}, func(index.Entry) {}
	if notices != nil {
		written = notices.written
	}
	return rest.New(rest.Config{
		Spool: s.fhirSpool, SpoolFrom: int64(maxMessage) + 1, // what the bus carries is seen there again
		Further:   func(n *fhir.Node) fhir.Issues { _, issues := rules.Read(n); return issues },
		OnWritten: written,
		Quarantine: func(ctx context.Context, r rest.Refused) error {
			_, err := s.quarantine.Put(ctx, intake.Refused{Raw: r.Raw, Code: string(r.Issue.Code), Reason: r.Issue.String(), Stage: fhirStage,
				Sender: r.Sender, Kind: r.Kind, ReceivedAt: r.ReceivedAt})
			return err
		},
		HospitalNumber: s.config.Hospital.Number, HospitalMSP: s.config.Hospital.MSP,
		Validator: fhir.NewValidator(fhir.ValidatorConfig{Engine: fhirEngine(), Limits: fhirLimits(c)}),
		Submit:    submit, Index: own, Authorize: authorize,
		Allow: func(ctx context.Context, caller string) (bool, time.Duration, error) {
			return s.guard.Allow(ctx, "fhir/"+caller, limit)
		},
		Base: c.BaseURL, Resources: c.Resources, MaxBody: int64(c.MaxBody), Timeout: c.Timeout.D(), Concurrent: c.MaxConcurrent,
		Zone: s.config.Location(), Logger: s.log.With("part", "fhir"),
		Observe: func(interaction string, status int, d time.Duration) {
			answers.WithLabelValues(interaction, strconv.Itoa(status)).Inc()
			took.Observe(d.Seconds())
		},
	})
}

func fhirAuthorizer(c config.FHIR) (func(*http.Request) (rest.Caller, error), error) {
	cfg := auth.Config{Certificates: c.TLS.ClientCA != "", Clients: map[string]auth.Scopes{}, Anonymous: c.Anonymous()}
	for _, client := range c.Clients {
		cfg.Clients[client.Name] = auth.ParseScopes(client.Scopes)
	}
	if c.OIDC.Issuer != "" {
		var err error
		if cfg.Issuer, err = auth.NewIssuer(auth.IssuerConfig{URL: c.OIDC.Issuer, Audience: c.OIDC.Audience}); err != nil {
			return nil, err
		}
	}
	return auth.Authorizer(cfg)
}

// fhirSubmit makes a resource durable. A large one goes into a claim.
func (s *site) fhirSubmit(in *intake.Intake) func(context.Context, index.Submission) error {
	return func(ctx context.Context, m index.Submission) error {
		sub := intake.Submission{Raw: m.Raw, Sender: m.Sender, ControlID: m.ControlID, Kind: m.Kind, MediaType: fhir.MediaType,
			Charset: "UTF-8", RoutingHint: m.RoutingHint, ReceivedAt: m.ReceivedAt}
		if m.Claim != "" {
			claim, err := s.claimOf(ctx, m)
			if err != nil {
				return err
			}
			defer claim.Discard()
			sub.Claim, sub.Skeleton = claim, m.Skeleton
		} else if len(m.Raw) > in.MaxMessage() {
			root, err := fhir.Parse(m.Raw, fhirLimits(s.config.FHIR))
			if err != nil {
				return err
			}
			claim, err := s.claims.Take(ctx, bytes.NewReader(m.Raw))
			if err != nil {
				return err
			}
			defer claim.Discard()
			sub.Raw, sub.Claim, sub.Skeleton = nil, claim, fhir.Skeleton(&fhir.Resource{Root: root, Raw: m.Raw})
		}
		r, err := in.Submit(ctx, sub)
		switch {
		case errors.Is(err, intake.ErrTooLarge):
			return &rest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: fhir.CodeTooLong, Diagnostics: "the resource is too large even without its attachments"}
		case err == nil && r.Record != m.Record:
			return fmt.Errorf("fhir: the resource was taken as %s, its view says %s", r.Record, m.Record)
		}
		return err
	}
}
