package devnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/emrbridge/emrbridge/devnet/internal/supervisor"
	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
)

// stopGrace is how long a node may take to end in order before it is killed.
const stopGrace = 10 * time.Second

// ErrNotRunning means that the network is down, so that the call has nothing to work on.
var ErrNotRunning = errors.New("the network is not running: start it with devnet up")

// Network is a consortium in a folder, running or not. Its methods are safe for concurrent use, except Down,
// which must be the last call or the only one at its time.
type Network struct {
	dir      string // absolute
	state    *state
	super    *supervisor.Client   // nil when the network is down
	lifeline *supervisor.Lifeline // nil unless this process started it without Options.Detached
	specs    map[string]supervisor.Spec
}

// Hospital is one member: where its nodes answer and where its keys lie. All paths are absolute, all
// certificates and keys PEM, the keys PKCS#8.
type Hospital struct {
	Number int
	MSPID  string
	Name   string
	Domain string // hN.emr.test
	Dir    string

	PeerEndpoint        string // host:port of the Fabric gateway service
	PeerTLSHostOverride string // name in the peer's TLS certificate, which also holds 127.0.0.1
	PeerTLSCA           string
	PeerProcess         string // for Stop and Start
	ContractProcess     string
	ContractEndpoint    string

	ClientCert, ClientKey string // Fabric identity for transactions (role client)
	AdminMSP, PeerMSP     string // Fabric MSP folders

	SignCert, SignKey string // SM2 signing pair
	EncCert, EncKey   string // SM2 encryption pair

	GatewayCert, GatewayKey, GatewayCA string // HTTPS between institutions, server and client
}

// Orderer is one ordering node.
type Orderer struct {
	ID       int
	MSPID    string
	Process  string // for Stop and Start
	Endpoint string
	TLSCA    string
}

// Load attaches to the network in dir, running or not; the error wraps ErrNoNetwork if there is none.
func Load(ctx context.Context, dir string) (*Network, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s, err := loadState(abs)
	if err != nil {
		return nil, err
	}
	n := &Network{dir: abs, state: s}
	switch n.super, err = supervisor.Connect(ctx, abs); {
	case errors.Is(err, supervisor.ErrNotRunning):
		n.super = nil
	case err != nil:
		return nil, err
	}
	return n, nil
}

// Dir is the network's folder.
func (n *Network) Dir() string { return n.dir }

// Channel is the channel's name.
func (n *Network) Channel() string { return n.state.Channel }

// Contract is the contract's name on the channel.
func (n *Network) Contract() string { return n.state.Contract }

// Endorsement is the contract's endorsement policy: EndorseMajority or EndorseAny.
func (n *Network) Endorsement() string { return n.state.Settings.Endorsement }

// ConsortiumCA is the certificate of the consortium's SM2 authority.
func (n *Network) ConsortiumCA() string { return filepath.Join(n.dir, "consortium", "sm2-ca.crt") }

// GatewayCA is the certificate of the authority for HTTPS between institutions.
func (n *Network) GatewayCA() string { return filepath.Join(n.dir, "consortium", "tls-ca.crt") }

// IdentityKeyFile holds the consortium's identity key: 32 bytes as hexadecimal text and a line feed.
func (n *Network) IdentityKeyFile() string { return filepath.Join(n.dir, "consortium", "identity.key") }

// Hospitals lists the members by number.
func (n *Network) Hospitals() []Hospital {
	out := make([]Hospital, len(n.state.Hospitals))
	for i, h := range n.state.Hospitals {
		dir := h.dir(n.dir)
		in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
		out[i] = Hospital{
			Number: h.Number, MSPID: h.MSPID, Name: h.Name, Domain: h.domain(), Dir: dir,
			PeerEndpoint: address(h.PeerPort), PeerTLSHostOverride: "peer." + h.domain(), PeerTLSCA: in("peer", "tls", "ca.crt"),
			PeerProcess: h.peerName(), ContractProcess: h.contractProcess(), ContractEndpoint: address(h.ContractPort),
			ClientCert: in("client", "msp", "signcerts", "cert.pem"), ClientKey: in("client", "msp", "keystore", "key.pem"),
			AdminMSP: in("admin", "msp"), PeerMSP: in("peer", "msp"),
			SignCert: in("sm2", "sign.crt"), SignKey: in("sm2", "sign.key"), EncCert: in("sm2", "enc.crt"), EncKey: in("sm2", "enc.key"),
			GatewayCert: in("gateway-tls", "tls.crt"), GatewayKey: in("gateway-tls", "tls.key"), GatewayCA: in("gateway-tls", "ca.crt"),
		}
	}
	return out
}

// Orderers lists the ordering nodes by id.
func (n *Network) Orderers() []Orderer {
	out := make([]Orderer, len(n.state.Orderers))
	for i, o := range n.state.Orderers {
		out[i] = Orderer{
			ID: o.ID, MSPID: o.MSPID, Process: o.name(), Endpoint: address(o.Port), TLSCA: filepath.Join(o.dir(n.dir), "tls", "ca.crt"),
		}
	}
	return out
}

// Running says whether a supervisor holds the network. Single nodes may be down: see Status.
func (n *Network) Running() bool { return n.super != nil }

// Stop ends one process (orderer1, peer2, contract3 …) with a signal and returns when it is gone;
// a process that ignores the signal for ten seconds is killed. It stays down until Start.
func (n *Network) Stop(ctx context.Context, name string, sig syscall.Signal) error {
	if n.super == nil {
		return ErrNotRunning
	}
	return n.super.Stop(ctx, name, sig, stopGrace)
}

// Kill ends one process at once, as kill -9 does.
func (n *Network) Kill(ctx context.Context, name string) error {
	return n.Stop(ctx, name, syscall.SIGKILL)
}

// Signal delivers a signal and does not wait: SIGSTOP and SIGCONT make a node hang for a while.
func (n *Network) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	if n.super == nil {
		return ErrNotRunning
	}
	return n.super.Signal(ctx, name, sig)
}

// Start runs one process again and returns when it is healthy. A running process is left alone.
func (n *Network) Start(ctx context.Context, name string) error {
	if n.super == nil {
		return ErrNotRunning
	}
	if err := n.startProcess(ctx, name); err != nil {
		return err
	}
	return n.awaitHealthy(ctx, name)
}

func (n *Network) startProcess(ctx context.Context, name string) error {
	spec, ok := n.specs[name]
	if !ok {
		var err error
		if spec, err = n.readSpec(name); err != nil {
			return err
		}
	}
	_, err := n.super.Start(ctx, spec)
	if errors.Is(err, supervisor.ErrRunning) {
		return nil
	}
	return err
}

// Down stops every process in order. With purge it then removes the folder with all keys and ledgers.
// It may be called for a network that is down already.
func (n *Network) Down(ctx context.Context, purge bool) error {
	if n.super != nil {
		if err := n.super.Shutdown(ctx, stopGrace); err != nil {
			return fmt.Errorf("stop the network: %w", err)
		}
		n.super = nil
	}
	if n.lifeline != nil {
		n.lifeline.Release()
		n.lifeline = nil
	}
	if !purge {
		return nil
	}
	return purgeDir(n.dir)
}

// shutdownUnknown stops whatever supervisor has the folder, for a network whose state cannot be read.
func shutdownUnknown(ctx context.Context, dir string) error {
	c, err := supervisor.Connect(ctx, dir)
	if errors.Is(err, supervisor.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.Shutdown(ctx, stopGrace)
}

// purgeDir removes only what a network put there, so that a mistaken --dir costs nothing else.
func purgeDir(dir string) error {
	own := []string{
		"builder", "channel", "consortium", "hospitals", "orderers", "logs",
		"supervisor.lock", "supervisor.log", "supervisor.log.1", "supervisor.sock", upLock, specsFile, stateFile,
	}
	for _, name := range own {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	// What others put into the folder stays, and so then does the folder.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

func (o Options) tools(say func(string)) toolchain.Options {
	return toolchain.Options{FabricBin: o.FabricBin, Contract: o.ContractBin, Progress: say}
}
