package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/hip"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/view"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/record"
)

// hipStage is how quarantine and metrics name the platform's service.
const hipStage = "cda/hip"

// hipPartners returns the rules of each partner. "*" stands for those without an entry.
func hipPartners(c config.CDA) (func(sender string) hip.Partner, error) {
	bySender := map[string]hip.Partner{}
	for _, p := range c.Partners {
		if err := knownRules(p.Allow); err != nil {
			return nil, fmt.Errorf("cda partner %s: %w", p.Sender, err)
		}
		out := hip.Partner{Encoding: p.Encoding, ForceEncoding: p.ForceEncoding, AnyNamespace: p.AnyNamespace,
			Types: map[string]string{}, Rules: cda.Partner{Allow: p.Allow, Roots: cda.Roots{Alias: map[string]string{}}}}
		for _, t := range p.Types {
			if _, ok := cda.TypeByCode(t.Means); !ok {
				return nil, fmt.Errorf("cda partner %s: %q is no document of WS/T 500 (C0001 to C0053)", p.Sender, t.Means)
			}
			out.Types[t.Code] = t.Means
		}
		for _, r := range p.Roots {
			if r.Means != "" {
				out.Rules.Roots.Alias[r.Root] = r.Means
			}
		}
		bySender[p.Sender] = out
	}
	return func(sender string) hip.Partner {
		if p, ok := bySender[sender]; ok && sender != "*" {
			return p
		}
		return bySender["*"]
	}, nil
}

// cdaMapping is how documents and platform messages of all partners become records.
func (s *site) cdaMapping() (cda.MapperConfig, error) {
	partners, err := hipPartners(s.config.CDA)
	if err != nil {
		return cda.MapperConfig{}, err
	}
	m := cda.MapperConfig{Zone: s.config.Location(), Authorities: map[string]string{},
		Roots: func(sender string) cda.Roots { return partners(sender).Rules.Roots }}
	for _, p := range s.config.CDA.Partners {
		for _, r := range p.Roots {
			if r.Authority != "" {
				m.Authorities[r.Root] = r.Authority
			}
		}
	}
	return m, nil
}

// cdaParsers read documents and platform messages back from the bus.
func (s *site) cdaParsers(into map[string]normalize.Parser) error {
	m, err := s.cdaMapping()
	if err != nil {
		return err
	}
	parser := func(parse func(cda.Source) (*record.Record, error)) normalize.Parser {
		return func(_ context.Context, in normalize.Input) (*record.Record, error) {
			return parse(cda.Source{Raw: in.Raw, Charset: in.Charset, Sender: in.Sender, ControlID: in.ControlID, ReceivedAt: in.ReceivedAt,
				HospitalNumber: s.config.Hospital.Number, HospitalMSP: s.config.Hospital.MSP})
		}
	}
	into[cda.MediaType] = parser(cda.NewMapper(m).Map)
	into[hip.MediaType] = parser(hip.NewMapper(m).Map)
	return nil
}

// servePlatform opens the platform's SOAP service, where it is configured.
func (s *site) servePlatform(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	c := s.config.CDA
	if c.Addr == "" {
		return nil
	}
	service, err := s.hipService(ctx, group, p.Intake)
	if err != nil {
		return err
	}
	s.platform.Store(service)
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_hip_calls_total",
		Help: "Calls of the platform's SOAP service by outcome: taken, answered, notfound, rejected, failed."}, []string{"outcome"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "emrbridge_hip_call_seconds",
		Help: "Time of one call of the platform's SOAP service.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}})
	if err := errors.Join(s.metrics.Register(calls), s.metrics.Register(took)); err != nil {
		return err
	}
	cfg := hip.ServerConfig{Service: service, Path: c.Path, MaxBody: int64(c.MaxBody), MaxConcurrent: c.MaxConcurrent, Timeout: c.Timeout.D(),
		ResultElement: c.ResultElement,
		Observe: func(call hip.Call) {
			calls.WithLabelValues(string(call.Outcome)).Inc()
			took.Observe(call.Took.Seconds())
			s.log.Debug("platform call", "outcome", string(call.Outcome), "peer", call.Peer, "bytes", call.Bytes)
		}}
	if c.TLS.Enabled() {
		if cfg.TLS, err = serverTLS(c.TLS); err != nil {
			return fmt.Errorf("cda.tls: %w", err)
		}
	}
	server, err := hip.NewServer(cfg)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cda: %w (is the address taken? change cda.addr)", err)
	}
	group.Go(func() error { return server.Serve(ctx, listener) })
	return nil
}

// replayPlatform takes a refused platform message in once more, by the partner's rules of
// today.
func (s *site) replayPlatform(ctx context.Context, raw []byte, label intake.Label) local.ReplayResponse {
	out := local.ReplayResponse{Code: string(hl7.AppError), ControlID: label.ControlID, Kind: label.Kind}
	service := s.platform.Load()
	if service == nil {
		out.Error = "the platform's service is not switched on (cda.addr)"
		return out
	}
	what, detail := service.Again(ctx, string(raw), "replay:"+label.Peer)
	if what == hip.Taken {
		out.Code = string(hl7.AppAccept)
	} else {
		out.Error = detail
	}
	return out
}

// openHIPArchive opens what the service answers queries from, where it is wanted.
func (s *site) openHIPArchive(ctx context.Context, group *errgroup.Group, submit func(context.Context, hip.Submission) error) (*hipArchive, error) {
	own, err := view.Open(ctx, view.Config{Dir: s.config.Dir("cda"), Custody: s.keys, Store: s.store, Provider: s.provider})
	if err != nil {
		return nil, err
	}
	s.later(own.Close)
	a := &hipArchive{own: own, number: s.config.Hospital.Number, msp: s.config.Hospital.MSP, zone: s.config.Location(), submit: submit, now: time.Now}
	const sweep = 5 * time.Second
	group.Go(func() error { own.Keep(ctx, sweep, a.again, s.log.With("part", "cda")); return nil })
	return a, nil
}

// hipService joins the platform's service to intake, quarantine and archive.
func (s *site) hipService(ctx context.Context, group *errgroup.Group, in *intake.Intake) (*hip.Service, error) {
	c := s.config.CDA
	partners, err := hipPartners(c)
	if err != nil {
		return nil, err
	}
	m, err := s.cdaMapping()
	if err != nil {
		return nil, err
	}
	submit := func(ctx context.Context, m hip.Submission) error {
		return s.submitPlatform(ctx, in, partners(m.Sender), m)
	}
	cfg := hip.Config{
		Partner: partners, Mapper: hip.NewMapper(m), AcceptOthers: c.AcceptOthers, KeepRegistration: c.KeepRegistration, Self: c.Self,
		Limits: safexml.Limits{Bytes: int(c.MaxBody)}, Now: func() time.Time { return time.Now().In(s.config.Location()) },
		Submit: submit,
		Quarantine: func(ctx context.Context, r hip.Refused) error {
			_, err := s.quarantine.Put(ctx, intake.Refused{Raw: r.Raw, Code: r.Code, Reason: r.Reason, Stage: hipStage,
				Sender: r.Sender, ControlID: r.ControlID, Kind: r.Kind, Peer: r.Peer, ReceivedAt: r.ReceivedAt})
			return err
		},
		QuarantineFailed: func(r hip.Refused, err error) {
			s.log.Error("refused input could not be kept; the sender still has it", "endpoint", hipStage, "why", r, "err", err)
		},
	}
	if c.Archive {
		archive, err := s.openHIPArchive(ctx, group, submit)
		if err != nil {
			return nil, err
		}
		cfg.Submit, cfg.Archive, cfg.Registry = archive.take, archive, archive
	}
	return hip.New(cfg)
}

// submitPlatform makes a document or message durable. A long document goes into a claim.
func (s *site) submitPlatform(ctx context.Context, in *intake.Intake, p hip.Partner, m hip.Submission) error {
	sub := intake.Submission{Raw: m.Raw, Sender: m.Sender, ControlID: m.ControlID, Kind: m.Kind, MediaType: m.MediaType,
		Charset: m.Charset, Peer: m.Peer, RoutingHint: m.RoutingHint, ReceivedAt: m.ReceivedAt}
	long := len(m.Raw) > in.MaxMessage()
	if m.MediaType == cda.MediaType && (m.Charset == "" || long && m.Document == nil) {
		var err error
		encoding := safexml.Encoding{Default: p.Encoding, Force: p.ForceEncoding}
		if m.Document, err = cda.Parse(m.Raw, cda.ReadOptions{AnyNamespace: true, Encoding: encoding}); err != nil {
			return err
		}
		sub.Charset = m.Document.Charset()
	}
	if long && m.Document != nil {
		claim, err := s.claims.Take(ctx, bytes.NewReader(m.Raw))
		if err != nil {
			return err
		}
		defer claim.Discard()
		sub.Raw, sub.Claim, sub.Skeleton = nil, claim, cda.Skeleton(m.Document, in.MaxMessage())
	}
	_, err := in.Submit(ctx, sub)
	if errors.Is(err, intake.ErrTooLarge) {
		return fmt.Errorf("%w: %w", hip.ErrTooLarge, err)
	}
	return err
}
