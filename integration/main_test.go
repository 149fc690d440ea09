package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/record"
)

// world is what all tests share.
type world struct {
	dir     string // of everything; short, since Unix sockets lie in it
	net     *devnet.Network
	witness *chainclient.Client // reads from hospital 4's peer alone
	sites   map[int]*site

	read uint64            // blocks read so far
	seen map[record.ID]int // how often the ledger anchors each record
}

var w *world

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if w, err = setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	code := m.Run()
	if err := w.tearDown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	return code
}

// setUp builds the programs and starts the consortium.
func setUp(ctx context.Context) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "emr-it-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, sites: map[int]*site{}, seen: map[record.ID]int{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.tearDown(ctx))
		}
	}()
	for name, pkg := range map[string]string{
		"emrbridge":    "github.com/emrbridge/emrbridge/cmd/emrbridge",
		"emrchaincode": "github.com/emrbridge/emrbridge/cmd/emrchaincode",
		"nats-server":  "github.com/nats-io/nats-server/v2",
	} {
		if out, err := exec.Command("go", "build", "-o", w.program(name), pkg).CombinedOutput(); err != nil {
			return w, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	w.net, err = devnet.Up(ctx, w.network())
	if err != nil {
		return w, err
	}
	return w, w.openWitness(ctx)
}

func (w *world) network() devnet.Options {
	return devnet.Options{Dir: filepath.Join(w.dir, "net"), ContractBin: w.program("emrchaincode")}
}

func (w *world) openWitness(ctx context.Context) (err error) {
	w.witness, err = devsite.Client(ctx, w.net, w.net.Hospitals()[3], func(c *chainclient.Config) { c.Peers = c.Peers[:1] })
	return err
}

func (w *world) program(name string) string { return filepath.Join(w.dir, "bin", name) }

func (w *world) tearDown(ctx context.Context) error {
	var errs []error
	for _, s := range w.sites {
		s.halt()
	}
	if w.witness != nil {
		errs = append(errs, w.witness.Close())
	}
	if w.net != nil {
		errs = append(errs, w.net.Down(ctx, true))
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}
