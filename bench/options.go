package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/devnet"
)

// Options say what to measure with. The zero value of an optional field means its default.
type Options struct {
	Self     string    // the emrbridge binary, which runs the hospitals
	Dir      string    // working folder; networks in it are removed before and after
	Progress io.Writer // what is going on, line by line

	Span       time.Duration // of each load; default 20 s
	Retrievals int           // default 60
	Commits    int           // single transactions on an idle network; default 60
	// BlockInterval is the longest wait before a block is cut; default that of devnet.
	BlockInterval time.Duration
}

// WithDefaults returns the options with every optional field set.
func (o Options) WithDefaults() Options {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Span <= 0 {
		o.Span = 20 * time.Second
	}
	if o.Retrievals <= 0 {
		o.Retrievals = 60
	}
	if o.Commits <= 0 {
		o.Commits = 60
	}
	return o
}

// network starts a fresh network of 4 orderers and 4 peers below Dir.
func (o Options) network(ctx context.Context, name, endorsement string) (*devnet.Network, error) {
	dir := filepath.Join(o.Dir, name)
	if old, err := devnet.Load(ctx, dir); err == nil {
		if err := old.Down(ctx, true); err != nil {
			return nil, fmt.Errorf("bench: remove the network of an earlier run: %w", err)
		}
	}
	return devnet.Up(ctx, devnet.Options{Dir: dir, Endorsement: endorsement, BlockInterval: o.BlockInterval, Progress: o.Progress})
}

// Run measures all of it, or one part alone, such as crypto or hl7.
func (r *Results) Run(ctx context.Context, o Options, only string) error {
	o = o.WithDefaults()
	parts := []struct {
		name    string
		measure func(context.Context, *Results, Options) error
	}{{"crypto", Crypto}, {"hl7", HL7}, {"cda", CDA}, {"fhir", FHIR}, {"deid", Deid}, {"mllp", MLLP}, {"large", Large}, {"retrieval", Retrieval}, {"chain", Chain}}
	ran, names := false, []string{}
	for _, p := range parts {
		names = append(names, p.name)
		if only != "" && only != p.name {
			continue
		}
		ran = true
		if err := p.measure(ctx, r, o); err != nil {
			return err
		}
	}
	if !ran {
		return fmt.Errorf("bench: there is no part %q: %s exist", only, strings.Join(names, ", "))
	}
	return nil
}
