package chainclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// Peer is a gateway peer.
type Peer struct {
	Address       string // host:port
	TLSCACertPath string // PEM; the authority of the peer's TLS certificate
	ServerName    string // expected in the TLS certificate; default: the host of Address
	MSPID         string // organisation of the peer
}

// Config says how to reach the ledger. The zero value of an optional field means its default.
type Config struct {
	Channel  string // default "emr"
	Contract string // default evidence.ContractName

	MSPID    string // own organisation; also the actor of every statement
	CertPath string // PEM, the Fabric certificate of this client
	KeyPath  string // PEM, its private key (ECDSA), readable by the owner only

	Peers           []Peer   // in order of preference; the own organisation's first
	Endorsers       []string // MSP ids of all organisations that endorse
	EndorsersNeeded int      // organisations asked for each transaction; default: the majority of Endorsers

	EndorseTimeout time.Duration // one endorsement; default 10 s
	SubmitTimeout  time.Duration // one hand-over to the orderers; default 10 s
	CommitTimeout  time.Duration // wait for the block before the envelope is handed over again; default 30 s
	QueryTimeout   time.Duration // one query; default 10 s
	DialTimeout    time.Duration // wait for the first peer in Open; default 10 s
	// Lazy lets Open return without a peer, for a process that must start while the ledger
	// is away. Ready tells when one is there.
	Lazy       bool
	Patience   time.Duration // all attempts of one transaction; default 2 min, at most 8 min (evidence.StatementWindow)
	ProbeAfter time.Duration // silence of the block stream after which a commit is asked for; default 3 s
	Keepalive  time.Duration // gRPC ping; default 60 s, which is the least that a peer tolerates by default

	BatchMax   int           // entries in a batch; default 500, at most evidence.MaxBatch
	BatchWait  time.Duration // how long the first entry of a batch waits for others; default 200 ms
	InFlight   int           // batches on their way at a time; default 4
	MaxPending int           // entries accepted and not yet answered, then Add blocks; default 8 × BatchMax × InFlight

	Logger *slog.Logger     // default: discards
	Clock  func() time.Time // default time.Now
}

// maxPatience keeps a statement well inside the window in which the contract accepts it.
const maxPatience = 8 * time.Minute

// Signer signs statements with the hospital's SM2 signing key: SM2 with SM3, DER, default
// user id. It is called concurrently.
type Signer interface {
	Sign(ctx context.Context, msg []byte) ([]byte, error)
}

// WithDefaults returns the configuration with every optional field set.
func (c Config) WithDefaults() Config {
	setDefault(&c.Channel, "emr")
	setDefault(&c.Contract, evidence.ContractName)
	setDefault(&c.EndorsersNeeded, len(c.Endorsers)/2+1)
	setDefault(&c.EndorseTimeout, 10*time.Second)
	setDefault(&c.SubmitTimeout, 10*time.Second)
	setDefault(&c.CommitTimeout, 30*time.Second)
	setDefault(&c.QueryTimeout, 10*time.Second)
	setDefault(&c.DialTimeout, 10*time.Second)
	setDefault(&c.Patience, 2*time.Minute)
	setDefault(&c.ProbeAfter, 3*time.Second)
	setDefault(&c.Keepalive, time.Minute)
	setDefault(&c.BatchMax, 500)
	setDefault(&c.BatchWait, 200*time.Millisecond)
	setDefault(&c.InFlight, 4)
	setDefault(&c.MaxPending, 8*c.BatchMax*c.InFlight)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every fault of the configuration at once, joined. Files are checked to
// exist. It applies defaults first.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("chainclient: "+format, args...))
		}
	}
	fault(c.MSPID == "", "MSPID is missing: name the organisation that this client acts for")
	fault(!fileExists(c.CertPath), "CertPath %q is not a file", c.CertPath)
	fault(!fileExists(c.KeyPath), "KeyPath %q is not a file", c.KeyPath)
	fault(len(c.Peers) == 0, "no Peers: give at least the own organisation's gateway peer")
	for i, p := range c.Peers {
		faults = append(faults, p.validate(i)...)
	}
	return errors.Join(append(faults, c.validateBounds()...)...)
}

// validateBounds checks what does not touch the file system.
func (c Config) validateBounds() (faults []error) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("chainclient: "+format, args...))
		}
	}
	fault(len(c.Endorsers) == 0, "no Endorsers: list the MSP ids of all organisations that endorse")
	fault(hasDuplicates(c.Endorsers), "Endorsers names an organisation twice")
	fault(c.EndorsersNeeded < 1 || c.EndorsersNeeded > max(1, len(c.Endorsers)),
		"EndorsersNeeded is %d, it must lie between 1 and the %d Endorsers", c.EndorsersNeeded, len(c.Endorsers))
	fault(c.BatchMax < 1 || c.BatchMax > evidence.MaxBatch, "BatchMax is %d, it must lie between 1 and %d", c.BatchMax, evidence.MaxBatch)
	fault(c.InFlight < 1 || c.InFlight > 256, "InFlight is %d, it must lie between 1 and 256", c.InFlight)
	fault(c.MaxPending < c.BatchMax, "MaxPending is %d, it must be at least BatchMax (%d)", c.MaxPending, c.BatchMax)
	fault(c.Patience > maxPatience, "Patience is %s, at most %s is possible: older statements are stale", c.Patience, maxPatience)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"EndorseTimeout", c.EndorseTimeout}, {"SubmitTimeout", c.SubmitTimeout}, {"CommitTimeout", c.CommitTimeout},
		{"QueryTimeout", c.QueryTimeout}, {"DialTimeout", c.DialTimeout}, {"Patience", c.Patience},
		{"ProbeAfter", c.ProbeAfter}, {"Keepalive", c.Keepalive}, {"BatchWait", c.BatchWait},
	} {
		fault(d.value < 0, "%s is negative", d.name)
	}
	return faults
}

func (p Peer) validate(i int) (faults []error) {
	if _, _, err := net.SplitHostPort(p.Address); err != nil {
		faults = append(faults, fmt.Errorf("chainclient: Peers[%d].Address %q is not host:port", i, p.Address))
	}
	if p.MSPID == "" {
		faults = append(faults, fmt.Errorf("chainclient: Peers[%d].MSPID is missing", i))
	}
	if !fileExists(p.TLSCACertPath) {
		faults = append(faults, fmt.Errorf("chainclient: Peers[%d].TLSCACertPath %q is not a file", i, p.TLSCACertPath))
	}
	return faults
}

func fileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func hasDuplicates(list []string) bool {
	sorted := slices.Sorted(slices.Values(list))
	return len(slices.Compact(sorted)) != len(list)
}
