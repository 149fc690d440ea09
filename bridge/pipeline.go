package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/anchor"
	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/outcome"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/guard"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// anchorer and registrar are the ledger: chainclient.Anchorer and chainclient.Client.
type anchorer interface {
	Anchor(ctx context.Context, e evidence.Entry) (chainclient.Receipt, error)
}

type registrar interface {
	Submit(ctx context.Context, body evidence.Body) (chainclient.Commit, error)
}

// controlIDs is the ledger of control ids: guard.Guard.
type controlIDs interface {
	Control(ctx context.Context, c guard.Control) (guard.Outcome, error)
	Remember(ctx context.Context, controls ...guard.Control) ([]guard.Outcome, error)
}

// Deps is everything that the pipeline needs from outside. The caller opens it before
// Assemble and closes it after Stop, the bus last.
type Deps struct {
	HospitalNumber uint16
	HospitalMSP    string

	Bus        *bus.Bus
	Custody    keystore.Custody
	Store      recordstore.Store
	Patients   *patientindex.Index // nil: each number of a patient stands for itself
	Anchorer   anchorer
	Registrar  registrar
	ControlIDs controlIDs // nil: duplicates are recognised by their record id alone
	Quarantine *intake.Quarantine
	Trail      *trail.Index
	Claims     *claims.Store // nil: no message is larger than the bus carries
	// Parsers by media type; see package normalize.
	Parsers map[string]normalize.Parser
	// RouteKey keys the hash of routing hints, 16 bytes or more. It should stay the same
	// across restarts: messages on the bus carry its hashes.
	RouteKey []byte

	// Stages to run in this process; nil runs all. Names are those of the stage packages.
	Stages []string
	// Lanes of each ordered stage, that is how many patients are worked on at once; default 256.
	Lanes int
	// Tries of an item before it is parked; default 5.
	Tries int
	// Neighbours are further checks that readiness shows by name, for example "cache".
	Neighbours map[string]func() error

	Provider smcrypto.Provider // nil: the default one
	Metrics  Metrics           // nil: none
	Logger   *slog.Logger      // nil: none
	Now      func() time.Time  // nil: time.Now; for the times that events show

	tune tuning
}

func (d Deps) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("bridge: no %s", what))
		}
	}
	need(d.HospitalNumber != 0 && d.HospitalMSP != "", "hospital")
	need(d.Bus != nil, "bus")
	need(d.Quarantine != nil, "quarantine")
	need(d.Trail != nil, "trail")
	need(len(d.RouteKey) >= 16, "route key of 16 bytes or more")
	need(!d.runs(normalize.Name) || len(d.Parsers) > 0, "parsers")
	need(!d.runs(seal.Name) || d.Custody != nil && d.Store != nil, "custody or record store")
	need(!d.runs(anchor.Name) || d.Anchorer != nil && d.Store != nil, "anchorer or record store")
	return errors.Join(errs...)
}

func (d Deps) runs(name string) bool { return len(d.Stages) == 0 || slices.Contains(d.Stages, name) }

func (d Deps) withDefaults() Deps {
	if d.Lanes <= 0 {
		d.Lanes = 256
	}
	if d.Metrics == nil {
		d.Metrics = noMetrics{}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Tries > 0 {
		d.tune.tries = d.Tries
	}
	d.tune = d.tune.withDefaults()
	d.tune.ackWait = d.Bus.Limits().AckWait
	return d
}

// Pipeline is the assembled way from acknowledgement to anchor.
type Pipeline struct {
	// Intake takes messages; it works from Assemble on, also before Start and after Stop, as
	// long as the bus is open.
	Intake *intake.Intake
	// Aside is what stages have set aside.
	Aside *Aside
	// Outcomes tells how far records have come.
	Outcomes *outcome.Hub

	deps   Deps
	stages []*worker
	trail  *trail.Writer

	mu         sync.Mutex
	started    bool
	stop, kill context.CancelFunc
	wg         sync.WaitGroup
	reconciled error
}

// Assemble builds the pipeline. It reads nothing and starts nothing.
func Assemble(d Deps) (*Pipeline, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	d = d.withDefaults()
	p := &Pipeline{deps: d, Aside: NewAside(d.Bus, d.Quarantine), Outcomes: outcome.New(d.Trail, 0)}
	p.Aside.metrics, p.Aside.now = d.Metrics, d.Now

	// adapter ─▶ emr.received
	var err error
	if p.Intake, err = intake.New(p.intakeDeps()); err != nil {
		return nil, err
	}
	// emr.received ─▶ emr.normalized
	p.add(normalize.Name, topology.StreamReceived, topology.ConsumerNormalize, d.Lanes,
		normalize.New(normalize.Deps{Parsers: d.Parsers, Now: d.Now}))
	// emr.normalized ─▶ emr.stored
	p.add(seal.Name, topology.StreamNormalized, topology.ConsumerSeal, d.Lanes, seal.New(p.sealDeps()))
	// emr.stored ─▶ emr.anchored
	p.add(anchor.Name, topology.StreamStored, topology.ConsumerAnchor, 0,
		anchor.New(anchor.Deps{Anchorer: d.Anchorer, Registrar: d.Registrar, Store: d.Store, Now: d.Now}))
	// all of them ─▶ trail
	p.trail = trail.NewWriter(trail.Deps{JetStream: d.Bus.JetStream(), Index: d.Trail, OnIncident: d.Metrics.Incident,
		OnEvents: p.Outcomes.Told, Logger: d.Logger})
	return p, nil
}

func (p *Pipeline) add(name, stream, consumer string, lanes int, h stage.Handler) {
	d := p.deps
	if !d.runs(name) {
		return
	}
	w := &worker{name: name, stream: stream, consumer: consumer, handler: h, lanes: lanes, bus: d.Bus, aside: p.Aside,
		metrics: d.Metrics, log: d.Logger, tune: d.tune}
	w.init()
	p.stages = append(p.stages, w)
}

func (p *Pipeline) intakeDeps() intake.Deps {
	d := p.deps
	in := intake.Deps{HospitalNumber: d.HospitalNumber, HospitalMSP: d.HospitalMSP, Bus: d.Bus, RouteKey: d.RouteKey,
		// The canonical record wraps the bytes, and has to fit too.
		MaxMessage: d.Bus.Limits().MaxMessage - envelope, Observer: d.Metrics, Now: d.Now, Provider: d.Provider}
	if d.ControlIDs != nil {
		in.Ledger = controlLedger{d.ControlIDs}
	}
	return in
}

// envelope is how much larger than the raw bytes a canonical record may be, in bytes.
const envelope = 128 << 10

func (p *Pipeline) sealDeps() seal.Deps {
	d := p.deps
	deps := seal.Deps{HospitalNumber: d.HospitalNumber, HospitalMSP: d.HospitalMSP, Custody: d.Custody, Store: d.Store,
		Provider: d.Provider, Now: d.Now}
	if d.Claims != nil {
		deps.Claims = d.Claims
	}
	if d.Patients != nil {
		deps.Patients = d.Patients
	}
	return deps
}

// Start starts the stages and returns. They run until Stop, whatever becomes of ctx, which
// only bounds starting.
func (p *Pipeline) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return errors.New("bridge: the pipeline was started before")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.started = true
	stop, cancelStop := context.WithCancel(context.Background())
	kill, cancelKill := context.WithCancel(context.Background())
	p.stop, p.kill = cancelStop, cancelKill
	for _, w := range p.stages {
		p.wg.Go(func() { w.run(stop, kill) })
	}
	p.wg.Go(func() { p.trail.Run(stop) })
	p.wg.Go(func() { p.janitor(stop) })
	if p.deps.runs(seal.Name) {
		p.wg.Go(func() { p.reconcile(stop) })
		p.wg.Go(func() { p.collect(stop) })
	}
	return nil
}

// Stop lets the stages finish what they have begun, and returns when nothing runs any more.
// When ctx ends first, handlers are cut short; what they had in hand is done at the next
// start. The error is then that of ctx.
func (p *Pipeline) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started || p.stop == nil {
		return nil
	}
	p.stop()
	cut := context.AfterFunc(ctx, p.kill)
	p.wg.Wait()
	p.stop = nil
	if !cut() {
		return context.Cause(ctx)
	}
	p.kill()
	return nil
}

// janitor cuts off what all consumers have done.
func (p *Pipeline) janitor(ctx context.Context) {
	const every = time.Second
	for ctx.Err() == nil {
		sleep(ctx, every)
		if _, err := p.deps.Bus.Trim(ctx); err != nil && ctx.Err() == nil {
			p.deps.Logger.Debug("bus is not trimmed", "error", err)
		}
	}
}

// Note puts an event on a record's trail that none of the stages tells, for example that an
// acknowledgement could not be delivered. It must say which record and what happened.
func (p *Pipeline) Note(ctx context.Context, event topology.Meta) error {
	if event.Record.IsZero() || event.Stage == "" {
		return errors.New("bridge: a note needs a record and a stage")
	}
	event.At = p.deps.Now().Truncate(time.Millisecond)
	return p.deps.Bus.Publish(ctx, bus.Message{Subject: topology.Trail, Meta: event})
}

// Missing is a neighbour that the pipeline waits for.
type Missing struct {
	Stage     string    `json:"stage,omitempty"`
	Neighbour string    `json:"neighbour"`
	Since     time.Time `json:"since,omitzero"`
	Reason    string    `json:"reason"`
}

// Ready lists what is missing; nothing means that messages flow.
func (p *Pipeline) Ready() []Missing {
	var out []Missing
	add := func(stageName, neighbour string, since time.Time, err error) {
		if err != nil {
			out = append(out, Missing{Stage: stageName, Neighbour: neighbour, Since: since, Reason: err.Error()})
		}
	}
	add("", neighbourBus, time.Time{}, p.deps.Bus.Ready())
	for _, w := range p.stages {
		neighbour, since, err := w.gate.state()
		add(w.name, neighbour, since, err)
	}
	add("", "trail", time.Time{}, p.trail.Ready())
	for _, name := range slices.Sorted(maps.Keys(p.deps.Neighbours)) {
		add("", name, time.Time{}, p.deps.Neighbours[name]())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	add("reconcile", "record store", time.Time{}, p.reconciled)
	return out
}

// controlLedger speaks guard's language.
type controlLedger struct{ guard controlIDs }

var verdicts = map[guard.Outcome]intake.Verdict{guard.New: intake.Unknown, guard.Duplicate: intake.Same, guard.Conflict: intake.Differs}

func (l controlLedger) Check(ctx context.Context, sender, controlID string, digest [32]byte) (intake.Verdict, error) {
	o, err := l.guard.Control(ctx, guard.Control{Sender: sender, ControlID: controlID, Digest: digest})
	return verdicts[o], err
}

func (l controlLedger) Remember(ctx context.Context, sender, controlID string, digest [32]byte) (intake.Verdict, error) {
	o, err := l.guard.Remember(ctx, guard.Control{Sender: sender, ControlID: controlID, Digest: digest})
	if err != nil || len(o) != 1 {
		return intake.Unknown, err
	}
	return verdicts[o[0]], nil
}
