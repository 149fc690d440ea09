package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/devnet/internal/supervisor"
	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

const (
	upLock       = "up.lock"
	startTimeout = time.Minute
	// leaderMetric is the leader of the view an orderer is in. Fabric's own leader_id changes only with the
	// next block, which would name a dead leader on an idle network.
	leaderMetric = "consensus_smartbft_view_leader_id"
)

// Up makes the network described by o, starts the one that lies in o.Dir, or attaches to it if it runs
// already, starting again what of it was stopped. It returns when every hospital can get a transaction
// endorsed by all hospitals. On error nothing is left running that Up started.
//
// The caller ends the network with Down. If the calling process ends without that, in whatever way, all
// processes of the network end too, unless o.Detached.
func Up(ctx context.Context, o Options) (*Network, error) {
	o.Dir = orDefault(o.Dir, DefaultDir)
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("network folder: %w", err)
	}
	unlock, err := lockUp(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	u := &bringUp{o: o, dir: dir, steps: newSteps(o.Progress)}
	return u.run(ctx)
}

// bringUp is one run of Up.
type bringUp struct {
	o      Options
	dir    string
	steps  *steps
	fabric toolchain.Fabric
	fresh  bool // the network is being made, not started again
}

func (u *bringUp) run(ctx context.Context) (*Network, error) {
	n, err := u.find(ctx)
	if err != nil {
		return nil, err
	}
	if n.super != nil {
		return u.attach(ctx, n)
	}
	contract, err := u.tools(ctx)
	if err != nil {
		return nil, err
	}
	if err := u.prepare(ctx, n, contract); err != nil {
		return nil, err
	}
	if err := u.start(ctx, n); err != nil {
		return nil, errors.Join(err, u.abandon(context.WithoutCancel(ctx), n))
	}
	u.steps.say("ready: %d hospitals, %d orderers, channel %s, contract %s, endorsed by %s",
		len(n.state.Hospitals), len(n.state.Orderers), n.state.Channel, n.state.Contract, n.state.Settings.Endorsement)
	return n, nil
}

// find loads the network in the folder or lays out a new one.
func (u *bringUp) find(ctx context.Context) (*Network, error) {
	n, err := Load(ctx, u.dir)
	switch {
	case err == nil && n.state.Ready:
		return n, n.state.Settings.agree(u.o, u.dir)
	case err == nil:
		u.steps.say("an earlier start did not finish: making the network anew")
		if err := errors.Join(n.Down(ctx, true), fsatomic.MkdirPrivate(u.dir)); err != nil {
			return nil, err
		}
	case !errors.Is(err, ErrNoNetwork):
		return nil, err
	}
	s, err := newSettings(u.o)
	if err != nil {
		return nil, err
	}
	st, err := newState(s)
	if err != nil {
		return nil, err
	}
	u.fresh = true
	return &Network{dir: u.dir, state: st}, nil
}

// attach joins a network that runs.
func (u *bringUp) attach(ctx context.Context, n *Network) (*Network, error) {
	procs, _, err := n.super.Processes(ctx)
	if err != nil {
		return nil, err
	}
	running := map[string]bool{}
	for _, p := range procs {
		running[p.Name] = p.Running
	}
	started := 0
	for _, name := range n.state.processNames() {
		if running[name] {
			continue
		}
		if err := n.Start(ctx, name); err != nil {
			return nil, err
		}
		u.steps.say("%s was stopped: started again", name)
		started++
	}
	if started == 0 {
		u.steps.say("already running in %s: nothing to do", u.dir)
	}
	return n, nil
}

// tools finds or builds Fabric and the contract.
func (u *bringUp) tools(ctx context.Context) (contract string, err error) {
	tools := u.o.tools(func(line string) { u.steps.say("%s", line) })
	if u.fabric, err = toolchain.EnsureFabric(ctx, tools); err != nil {
		return "", err
	}
	if contract, err = toolchain.EnsureContract(ctx, tools); err != nil {
		return "", err
	}
	u.steps.say("programs found: Fabric %s", u.fabric.Version)
	return contract, nil
}

// prepare writes all files. network.json comes first, not marked ready: whatever happens later, the next
// Up knows that the folder is ours and unfinished.
func (u *bringUp) prepare(ctx context.Context, n *Network, contract string) error {
	if u.fresh {
		n.state.Fabric = u.fabric.Version
		if err := n.state.save(u.dir); err != nil {
			return err
		}
		if err := makeIdentities(u.dir, n.state); err != nil {
			return err
		}
		if err := makeChannel(ctx, u.dir, n.state, u.fabric); err != nil {
			return err
		}
		u.steps.say("keys, certificates and genesis block made")
	}
	if err := fsatomic.MkdirPrivate(filepath.Join(u.dir, "logs")); err != nil {
		return err
	}
	if err := writeNodeConfigs(u.dir, n.state, u.fabric); err != nil {
		return err
	}
	n.specs = processSpecs(u.dir, n.state, u.fabric, contract, orDefault(u.o.LogSpec, "warn"))
	if err := n.saveSpecs(); err != nil {
		return err
	}
	return n.state.checkPorts()
}

// start runs the processes and brings them to the point where transactions commit.
func (u *bringUp) start(ctx context.Context, n *Network) error {
	var err error
	if n.super, n.lifeline, err = supervisor.Start(ctx, u.dir, !u.o.Detached); err != nil {
		return err
	}
	for _, name := range n.state.processNames() {
		if err := n.startProcess(ctx, name); err != nil {
			return err
		}
	}
	u.steps.say("%d processes started", len(n.specs))
	g, gctx := errgroup.WithContext(ctx)
	for _, name := range n.state.processNames() {
		g.Go(func() error { return n.awaitHealthy(gctx, name) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	u.steps.say("all processes healthy")
	if u.fresh {
		if err := u.deploy(ctx, n); err != nil {
			return err
		}
	}
	if err := awaitEndorsement(ctx, n); err != nil {
		return err
	}
	if u.fresh {
		n.state.Ready = true
		return n.state.save(u.dir)
	}
	return nil
}

// deploy makes the channel and puts the contract on it.
func (u *bringUp) deploy(ctx context.Context, n *Network) error {
	join := func(ctx context.Context, o ordererState) error { return joinOrderer(ctx, u.dir, o) }
	if err := eachOrderer(ctx, n.state, join); err != nil {
		return err
	}
	u.steps.say("orderers joined channel %s", n.state.Channel)
	cli := fabricCLI{root: u.dir, state: n.state, fabric: u.fabric}
	if err := eachHospital(ctx, n.state, cli.joinAndInstall); err != nil {
		return err
	}
	u.steps.say("peers joined, contract installed")
	var err error
	if cli.leader, err = n.awaitLeader(ctx); err != nil {
		return err
	}
	if err := eachHospital(ctx, n.state, cli.approve); err != nil {
		return err
	}
	u.steps.say("contract approved by every hospital")
	if err := cli.commit(ctx); err != nil {
		return err
	}
	u.steps.say("contract committed")
	return nil
}

// abandon stops what a failed start has left running, though the caller may have cancelled; the logs stay.
func (u *bringUp) abandon(ctx context.Context, n *Network) error {
	ctx, cancel := context.WithTimeout(ctx, 2*stopGrace)
	defer cancel()
	return n.Down(ctx, false)
}

// lockUp keeps two calls of Up out of the same folder.
func lockUp(dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, upLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("network folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("the network in %s is being started by another process: wait for it, then try again: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// steps writes progress lines with the elapsed time.
type steps struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func newSteps(w io.Writer) *steps {
	if w == nil {
		w = io.Discard
	}
	return &steps{w: w, start: time.Now()}
}

func (s *steps) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.w, "%6.1f s  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}
