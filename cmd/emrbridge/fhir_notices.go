package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/adapters/fhir/subscription"
	"github.com/emrbridge/emrbridge/bridge/outcome"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/evidence"
)

// fhirNotices tells subscriptions when what was received is anchored.
type fhirNotices struct {
	desk     *subscription.Desk
	rules    subscription.Rules
	handler  *rest.Handler
	outcomes *outcome.Hub
	log      *slog.Logger
	told     func(subscription.Event, subscription.Result)

	run     context.Context //nolint:containedctx // ends when the process stops
	group   *errgroup.Group
	watches chan struct{} // slots of versions being watched
	changed chan struct{} // a subscription was written
}

// granted tells that this hospital granted an access request.
func (n *fhirNotices) granted(request evidence.Nonce) {
	n.desk.Notify(subscription.Notice{Event: subscription.Granted, ID: request.String(), At: time.Now()})
}

// grantLedger is the ledger of the owner's side of retrieval, which tells what was granted.
type grantLedger struct {
	chainLedger
	notices *atomic.Pointer[fhirNotices] // empty until the FHIR service is open
}

// Submit implements retrieve.Ledger.
func (l grantLedger) Submit(ctx context.Context, body evidence.Body) (evidence.Nonce, error) {
	id, err := l.chainLedger.Submit(ctx, body)
	if decision, ok := body.(evidence.DecideAccess); ok && err == nil && decision.Granted {
		if n := l.notices.Load(); n != nil {
			n.granted(decision.Request)
		}
	}
	return id, err
}

// mostWatched bounds the versions that wait for the ledger; further ones tell nobody.
const mostWatched = 10_000

// newFHIRNotices returns the notices of a site, or nil where no host may be called.
func (s *site) newFHIRNotices(ctx context.Context, group *errgroup.Group, outcomes *outcome.Hub) (*fhirNotices, error) {
	c := s.config.FHIR
	if len(c.SubscriptionHosts) == 0 {
		return nil, nil
	}
	roots, err := certPool(c.SubscriptionCA)
	if err != nil {
		return nil, err
	}
	results := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_fhir_notifications_total",
		Help: "Notifications of FHIR subscriptions by event and result: delivered, refused, failed, dropped, stopped."}, []string{"event", "result"})
	if err := s.metrics.Register(results); err != nil {
		return nil, err
	}
	told := func(e subscription.Event, r subscription.Result) { results.WithLabelValues(string(e), string(r)).Inc() }
	n := &fhirNotices{
		desk:  subscription.NewDesk(subscription.DeskConfig{BaseURL: c.BaseURL, Roots: roots, Observe: told}),
		rules: subscription.Rules{Hosts: c.SubscriptionHosts}, outcomes: outcomes, log: s.log.With("part", "fhir"), told: told,
		run: ctx, group: group, watches: make(chan struct{}, mostWatched), changed: make(chan struct{}, 1),
	}
	s.later(func() error { n.desk.Close(); return nil })
	return n, nil
}

// written is told of each version that was committed.
func (n *fhirNotices) written(e index.Entry) {
	if e.Type == "Subscription" {
		select {
		case n.changed <- struct{}{}:
		default: // it will be looked at anyway
		}
		return
	}
	if !n.desk.Wants(subscription.Anchored) {
		return
	}
	select {
	case n.watches <- struct{}{}:
	default:
		n.told(subscription.Anchored, subscription.Dropped)
		return
	}
	n.group.Go(func() error {
		defer func() { <-n.watches }()
		n.watch(e)
		return nil
	})
}

func (n *fhirNotices) watch(e index.Entry) {
	reached, err := n.outcomes.Watch(n.run, e.Record.String(), stage.Anchored)
	if err != nil {
		n.told(subscription.Anchored, subscription.Dropped)
		return
	}
	select {
	case o := <-reached:
		if o.Reached {
			n.desk.Notify(subscription.Notice{Event: subscription.Anchored, Type: e.Type, ID: e.ID, Version: e.Version, At: time.Now()})
		}
	case <-n.run.Done():
	}
}

// keep serves the subscriptions that there are, and looks again when one is written.
func (n *fhirNotices) keep(ctx context.Context) {
	const most = 100
	for {
		nodes, err := n.handler.Current(ctx, "Subscription", most)
		var list []subscription.Subscription
		for _, node := range nodes {
			if s, issues := n.rules.Read(node); len(issues) == 0 && subscription.Active(node) {
				list = append(list, s)
			}
		}
		if err == nil {
			err = n.desk.Set(list)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Error("subscriptions are not served", "err", err)
		}
		select {
		case <-n.changed:
		case <-ctx.Done():
			return
		}
	}
}
