package ferry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Port is one side of a channel.
type Port struct {
	cfg    Config
	limits Limits
	disk   Disk
	now    func() time.Time
	signer Signer
	trust  Trust

	mu    sync.Mutex // of everything below
	spool *spool     // nil: nothing leaves here
	lanes map[Lane]*incoming

	tokens float64 // bytes that may be written now, of the rate limit
	filled time.Time

	said     Control // the last that this side said
	saidAt   time.Time
	number   uint64    // of the last control file of the other side
	heard    time.Time // when there was a sign of the other side
	lastMade time.Time // and when it was made, by its clock
	dead     bool
	skewed   bool
	noFolder map[string]bool
	strange  map[string]unsettled
}

// incoming is one lane of what arrives.
type incoming struct {
	mark    Mark                 // delivered
	known   bool                 // the inlet was asked for the mark since the last doubt
	sent    uint64               // the last bundle that the other side says it has sent
	missing map[uint64]time.Time // since when
	forked  bool
}

// unsettled is a file that does not add up yet.
type unsettled struct {
	size  int64
	since time.Time
}

// Open opens a port. The folders must exist; spool and quarantine are locked to one process
// by the caller.
func Open(ctx context.Context, cfg Config) (*Port, error) {
	if cfg.Extension == "" {
		cfg.Extension = "dat"
	}
	if cfg.Content == "" {
		cfg.Content = Sealed
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg, limits: cfg.Limits.withDefaults(), disk: cfg.Disk, now: cfg.Now, lanes: map[Lane]*incoming{},
		noFolder: map[string]bool{}, strange: map[string]unsettled{}}
	if p.disk == nil {
		p.disk = OS{}
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.signer = Signer{Provider: cfg.Provider, Key: cfg.Signing}
	p.trust = Trust{Provider: cfg.Provider, Keys: cfg.Peer}
	p.heard, p.filled = p.now(), p.now()
	if cfg.Outbox != "" {
		var err error
		if p.spool, err = openSpool(p.disk, cfg.Spool, cfg.Out, cfg.Extension); err != nil {
			return nil, err
		}
	}
	for _, l := range Lanes {
		p.lanes[l] = &incoming{missing: map[uint64]time.Time{}}
	}
	if cfg.Inbox != "" {
		for _, l := range Lanes {
			if err := p.learn(ctx, l); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// learn asks the inlet how far a lane was delivered.
func (p *Port) learn(ctx context.Context, l Lane) error {
	mark, err := p.cfg.Inlet.Delivered(ctx, l)
	if err != nil {
		return fmt.Errorf("ferry: ask how far lane %s was delivered: %w", l, err)
	}
	p.lanes[l].mark, p.lanes[l].known = mark, true
	return nil
}

// Step does what is due now: takes what arrived, and writes what is to leave. Its error is
// that of a folder or of the inlet; the next Step goes on where this one stopped.
func (p *Port) Step(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var errs []error
	if p.cfg.Inbox != "" {
		errs = append(errs, p.reach(p.cfg.Inbox, p.receive(ctx, now)))
		p.pulse(now)
	}
	if p.cfg.Outbox != "" {
		errs = append(errs, p.reach(p.cfg.Outbox, p.export(now)), p.forget(now))
	}
	return errors.Join(errs...)
}

// reach tells when a folder goes away and when it is back.
func (p *Port) reach(dir string, err error) error {
	gone := err != nil && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission))
	if gone != p.noFolder[dir] {
		kind := FolderBack
		if gone {
			kind = FolderGone
		}
		p.tell(Event{Kind: kind, Err: err})
		p.noFolder[dir] = gone
	}
	return err
}

// pulse raises the alarm when nothing is heard of the other side.
func (p *Port) pulse(now time.Time) {
	if dead := now.Sub(p.heard) > p.limits.DeadAfter; dead != p.dead {
		kind := Alive
		if dead {
			kind = Silent
		}
		p.tell(Event{Kind: kind})
		p.dead = dead
	}
}

func (p *Port) tell(e Event) {
	if p.cfg.Observe != nil {
		p.cfg.Observe(e)
	}
}

// LaneStatus is how a lane stands.
type LaneStatus struct {
	Sent      uint64  `json:"sent"`
	Confirmed uint64  `json:"confirmed"`
	Waiting   int     `json:"waiting"` // sent, not confirmed
	Delivered uint64  `json:"delivered"`
	Announced uint64  `json:"announced"` // by the other side, as sent
	Missing   []Range `json:"missing,omitempty"`
	Forked    bool    `json:"forked,omitempty"`
}

// Status is how a port stands.
type Status struct {
	Out        string              `json:"out,omitempty"`
	In         string              `json:"in,omitempty"`
	Alive      bool                `json:"alive"`
	Heard      time.Time           `json:"heard"`
	SpoolBytes int64               `json:"spool_bytes"`
	Lanes      map[Lane]LaneStatus `json:"lanes"`
}

// Status returns how the port stands.
func (p *Port) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Out: p.cfg.Out, In: p.cfg.In, Alive: !p.dead, Heard: p.heard, Lanes: map[Lane]LaneStatus{}}
	for _, l := range Lanes {
		in := p.lanes[l]
		ls := LaneStatus{Delivered: in.mark.Seq, Announced: in.sent, Missing: ranges(in.missing), Forked: in.forked}
		if p.spool != nil {
			out := p.spool.lanes[l]
			ls.Sent, ls.Confirmed, ls.Waiting = out.last.Seq, out.confirmed.Seq, len(out.bundles)
			s.SpoolBytes = p.spool.bytes
		}
		s.Lanes[l] = ls
	}
	return s
}
