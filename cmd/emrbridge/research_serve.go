package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/gateway/research"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/depot"
	"github.com/emrbridge/emrbridge/research/project"
)

// researchDesk makes the releases of the running process, one at a time.
type researchDesk struct {
	releaser *release.Releaser
	every    time.Duration

	ctx   context.Context //nolint:containedctx // of the process: a release outlives the call that asked for it
	group *errgroup.Group

	mu      sync.Mutex
	project string            // under way
	failed  map[string]string // why the last attempt for a project ended
}

// openResearch builds the way of releases over the open parts, and what other hospitals and
// institutes call of it.
func (s *site) openResearch(ctx context.Context, trust *retrieve.Trust, r *retrieval) (http.Handler, error) {
	reader, err := project.NewReader(s.chain, s.roots, s.provider, nil)
	if err != nil {
		return nil, err
	}
	c := s.config
	parts, err := depot.Open(c.Dir("depot"), int64(c.Research.DepotBytes))
	if err != nil {
		return nil, err
	}
	releaser, err := release.New(ctx, release.Config{
		MSP: c.Hospital.MSP, Number: c.Hospital.Number, Dir: c.Dir("releases"), Vault: s.keys, Store: s.store, Provider: s.provider,
		Ledger: releaseLedger{s.chain, reader, trust, c.Hospital.MSP}, Patients: indexTags{s.patients},
		Carrier: carrier{c.Hospital.MSP, parts, trust, r.client}, Deidentifier: s.deidentifier, HoldBack: c.Research.HoldBack,
	})
	if err != nil {
		return nil, err
	}
	r.research = &researchDesk{releaser: releaser, every: c.Research.Withdrawals.D(), failed: map[string]string{}}
	check := partChecks{c.Hospital.MSP, reader, trust, s.provider, s.roots}
	carried, err := research.NewHandler(research.Config{Depot: parts, Limit: gatewayGuard{s.guard, c.Gateway.RateLimit}, Hospital: check.hospital,
		Institute: check.institute, Accept: check.accept, Logger: s.log.With("part", "research")})
	if err != nil {
		return nil, err
	}
	return s.openProjects(r, reader, releaser, carried)
}

// run goes on with what a stop or a crash has cut off, and looks at consents now and then.
func (d *researchDesk) run(ctx context.Context, group *errgroup.Group, s *site) {
	d.ctx, d.group = ctx, group
	log := s.log.With("part", "research")
	group.Go(func() error {
		if err := d.releaser.Resume(ctx); err != nil && ctx.Err() == nil {
			log.Warn("a release could not be finished; it goes on when it is asked for, or at the next start", "err", err)
		}
		tick := time.NewTicker(d.every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := d.notifyAll(ctx); err != nil && ctx.Err() == nil {
					log.Warn("withdrawals could not be told", "err", err)
				}
			}
		}
	})
}

// notifyAll tells the institutes of all projects of withdrawals.
func (d *researchDesk) notifyAll(ctx context.Context) error {
	list, err := d.releaser.Projects()
	errs := []error{err}
	for _, p := range list {
		_, err := d.releaser.Notify(ctx, p)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Start implements local.Releases.
func (d *researchDesk) Start(_ context.Context, r local.ReleaseRequest) error {
	sequence, err := d.sequence(r)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.project == r.Project {
		return nil
	}
	if d.project != "" {
		return local.ErrBusy
	}
	d.project = r.Project
	delete(d.failed, r.Project)
	d.group.Go(func() error {
		err := d.make(d.ctx, r, sequence)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.project = ""
		if err != nil {
			d.failed[r.Project] = err.Error()
		}
		return nil // a release that fails does not end the process
	})
	return nil
}

// sequence is the number that a request means.
func (d *researchDesk) sequence(r local.ReleaseRequest) (uint32, error) {
	if !r.Next {
		return r.Sequence, nil
	}
	list, err := d.releaser.States(r.Project, dataset.Release)
	return uint32(len(list) + 1), err
}

// make tells of withdrawals first, so that the institute learns of them before new data come.
func (d *researchDesk) make(ctx context.Context, r local.ReleaseRequest, sequence uint32) error {
	if _, err := d.releaser.Notify(ctx, r.Project); err != nil {
		return err
	}
	if r.NoticesOnly {
		return nil
	}
	_, err := d.releaser.Release(ctx, r.Project, sequence)
	return err
}

// Status implements local.Releases.
func (d *researchDesk) Status(_ context.Context, id string) (local.ReleaseStatus, error) {
	releases, err := d.releaser.States(id, dataset.Release)
	if err != nil {
		return local.ReleaseStatus{}, err
	}
	notices, err := d.releaser.States(id, dataset.Notice)
	if err != nil {
		return local.ReleaseStatus{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := local.ReleaseStatus{Project: id, Releases: append([]*release.State{}, releases...), Notices: append([]*release.State{}, notices...),
		Running: d.project == id, Error: d.failed[id]}
	if p := d.releaser.Progress(); p.Project == id {
		out.Running, out.Progress = true, p
	}
	return out, nil
}
