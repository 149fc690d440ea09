package devnet

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Endorsement policies for the contract.
const (
	EndorseMajority = "majority" // more than half of the hospitals
	EndorseAny      = "any"      // any one hospital
)

// Limits and defaults of Options.
const (
	DefaultDir       = ".devnet"
	DefaultHospitals = 4
	MaxHospitals     = 10
	DefaultOrderers  = 4
	MaxOrderers      = 7
	// DefaultBlockInterval adds half of itself to each commit on an idle network. Shorter
	// ones make more blocks than a loaded network can bear: 20 ms took a fifth off the
	// throughput of batches, 30 ms nothing that could be told from noise.
	DefaultBlockInterval = 30 * time.Millisecond
	DefaultBlockMessages = 1000
)

// Options for Up. A zero field means the default, or, for a network that exists already, what it was made
// with; any other value must then agree with the network, except for the last group, which may differ
// from run to run.
type Options struct {
	Hospitals     int           // 4 to 10; default 4
	Orderers      int           // 4 to 7; default 4 (4 to 6 bear one faulty, 7 two)
	Endorsement   string        // EndorseMajority (default) or EndorseAny
	BlockInterval time.Duration // longest wait before a block is cut, 10 ms to 10 s; default 30 ms
	BlockMessages int           // most transactions in a block, 1 to 10,000; default 1000

	Dir      string    // default .devnet
	Detached bool      // the network lives on after the calling process ends
	Progress io.Writer // receives one line per step with the elapsed time; nil for silence
	LogSpec  string    // Fabric's logging specification; default warn
	// FabricBin and ContractBin name ready programs; empty means to build them (see internal/toolchain).
	FabricBin   string
	ContractBin string
}

// ErrOptions is wrapped by errors about the Options given.
var ErrOptions = errors.New("devnet options")

// settings are the options that a network is made with and keeps.
type settings struct {
	Hospitals     int           `json:"hospitals"`
	Orderers      int           `json:"orderers"`
	Endorsement   string        `json:"endorsement"`
	BlockInterval time.Duration `json:"block_interval_ns"`
	BlockMessages int           `json:"block_messages"`
}

// newSettings applies the defaults and checks the limits, naming every fault.
func newSettings(o Options) (settings, error) {
	s := settings{
		Hospitals: orDefault(o.Hospitals, DefaultHospitals), Orderers: orDefault(o.Orderers, DefaultOrderers),
		Endorsement:   orDefault(o.Endorsement, EndorseMajority),
		BlockInterval: orDefault(o.BlockInterval, DefaultBlockInterval),
		BlockMessages: orDefault(o.BlockMessages, DefaultBlockMessages),
	}
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
		}
	}
	check(s.Hospitals >= 4 && s.Hospitals <= MaxHospitals, "hospitals is %d, allowed are 4 to %d", s.Hospitals, MaxHospitals)
	check(s.Orderers >= 4 && s.Orderers <= MaxOrderers,
		"orderers is %d, allowed are 4 to %d: fewer than 4 cannot bear a faulty one", s.Orderers, MaxOrderers)
	check(s.Endorsement == EndorseMajority || s.Endorsement == EndorseAny,
		"endorsement is %q, allowed are %s and %s", s.Endorsement, EndorseMajority, EndorseAny)
	check(s.BlockInterval >= 10*time.Millisecond && s.BlockInterval <= 10*time.Second,
		"block interval is %v, allowed are 10ms to 10s", s.BlockInterval)
	check(s.BlockMessages >= 1 && s.BlockMessages <= 10_000, "block messages is %d, allowed are 1 to 10000", s.BlockMessages)
	return s, errors.Join(faults...)
}

// agree returns an error if o asks for something else than the network in dir was made with.
func (s settings) agree(o Options, dir string) error {
	var faults []error
	differ := func(name string, has, wants any) {
		faults = append(faults, fmt.Errorf("%w: the network in %s has %s %v, not %v: drop the option, give another folder, or remove the network with down --purge",
			ErrOptions, dir, name, has, wants))
	}
	if o.Hospitals != 0 && o.Hospitals != s.Hospitals {
		differ("hospitals", s.Hospitals, o.Hospitals)
	}
	if o.Orderers != 0 && o.Orderers != s.Orderers {
		differ("orderers", s.Orderers, o.Orderers)
	}
	if o.Endorsement != "" && o.Endorsement != s.Endorsement {
		differ("endorsement", s.Endorsement, o.Endorsement)
	}
	if o.BlockInterval != 0 && o.BlockInterval != s.BlockInterval {
		differ("block interval", s.BlockInterval, o.BlockInterval)
	}
	if o.BlockMessages != 0 && o.BlockMessages != s.BlockMessages {
		differ("block messages", s.BlockMessages, o.BlockMessages)
	}
	return errors.Join(faults...)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
