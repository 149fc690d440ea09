package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/correction"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/internal/obs"
)

func newServeCommand() *cobra.Command {
	var path string
	var untilStdin bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bridge · 运行适配器",
		Long: `Takes messages from the HIS, seals, stores and anchors them, and answers other hospitals, until
it gets SIGTERM or SIGINT; then it stops accepting, finishes what is under way and ends. What it
has not finished is on disk and goes on at the next start.`,
		Example: "  emrbridge serve --config emrbridge.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			if untilStdin {
				go func() {
					_, _ = io.Copy(io.Discard, os.Stdin) // ends with the process that holds the other side
					cancel()
				}()
			}
			log, err := obs.NewLogger(cmd.ErrOrStderr(), c.Observe.LogLevel, c.Observe.LogFormat)
			if err != nil {
				return err
			}
			err = serve(ctx, c, log, cmd.OutOrStdout())
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // told to end while it was starting
			}
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&untilStdin, "until-stdin-closes", false, "end when standard input closes, so as not to outlive the caller")
	return cmd
}

// drainTime bounds the orderly end of each part. Tests shorten it.
var drainTime = 20 * time.Second

// serve runs every role of a site until ctx ends.
func serve(ctx context.Context, c *config.Config, log *slog.Logger, out io.Writer) (err error) {
	if err := fsatomic.MkdirPrivate(c.DataDir); err != nil {
		return err
	}
	s, err := openSite(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	pipeline, err := s.assemble(ctx)
	if err != nil {
		return err
	}
	group, run := errgroup.WithContext(ctx)
	addr, wait, err := obs.Serve(run, c.Observe.Addr, obs.Handler(s.metrics, s.ready))
	if err != nil {
		return err
	}
	group.Go(wait)
	group.Go(func() error {
		select {
		case err := <-s.bus.Dead():
			return err
		case <-run.Done():
			return nil
		}
	})
	if err := pipeline.Start(run); err != nil {
		return err
	}
	defer s.stopPipeline(pipeline)
	if err := s.openDoors(run, group, pipeline); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s serves · 已启动\n  MLLP     %s\n  gateway  %s\n  observe  http://%s/readyz\n",
		c.Hospital.MSP, c.Hospital.Name, addresses(c.HL7.Listeners), c.Gateway.Addr, addr)
	return group.Wait()
}

// openDoors opens what others reach. The site is not ready before all of it is open.
func (s *site) openDoors(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	for _, open := range []func(context.Context, *errgroup.Group, *bridge.Pipeline) error{
		s.serveHospitals, s.serveHIS, s.serveFolders, s.servePlatform, s.serveFHIR,
	} {
		if err := open(ctx, group, p); err != nil {
			return err
		}
	}
	s.open.Store(true)
	return nil
}

// assemble builds the pipeline over the open parts.
func (s *site) assemble(ctx context.Context) (*bridge.Pipeline, error) {
	index, err := trail.Open(ctx, s.config.Dir("trail"))
	if err != nil {
		return nil, err
	}
	s.later(index.Close)
	anchorer := s.chain.NewAnchorer()
	s.later(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return anchorer.Close(ctx)
	})
	metrics, err := bridge.NewCollectors(s.metrics)
	if err != nil {
		return nil, err
	}
	patients, err := s.openPatients(ctx)
	if err != nil {
		return nil, err
	}
	parsers := map[string]normalize.Parser{mediaHL7: s.hl7Parser(),
		correction.MediaType: correction.Parser(s.config.Hospital.Number, s.config.Hospital.MSP)}
	if err := s.cdaParsers(parsers); err != nil {
		return nil, err
	}
	parsers[fhir.MediaType] = s.fhirParser()
	p, err := bridge.Assemble(bridge.Deps{
		HospitalNumber: s.config.Hospital.Number, HospitalMSP: s.config.Hospital.MSP,
		Bus: s.bus, Custody: s.keys, Store: s.store, Anchorer: anchorer, Registrar: s.chain, ControlIDs: s.guard,
		Quarantine: s.quarantine, Claims: s.claims, Trail: index, RouteKey: s.secrets.Route, Provider: s.provider,
		Parsers: parsers, Patients: patients,
		Metrics: metrics, Logger: s.log.With("part", "pipeline"),
	})
	if err != nil {
		return nil, err
	}
	s.ready.Add("pipeline", func(context.Context) error {
		for _, m := range p.Ready() {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	return p, bridge.RegisterDepths(s.metrics, s.bus)
}

func (s *site) stopPipeline(p *bridge.Pipeline) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		s.log.Error("the pipeline did not stop in time; what is open goes on at the next start", "err", err)
	}
}

// serveHIS opens the MLLP endpoints. They are opened last, when everything behind them is
// there, and drained first.
func (s *site) serveHIS(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_mllp_events_total",
		Help: "What happened on the MLLP endpoints: received, answered, junk, too-long, cut-off, slow-reader, refused …"},
		[]string{"listener", "event"})
	if err := s.metrics.Register(events); err != nil {
		return err
	}
	for _, l := range s.config.HL7.Listeners {
		acks, err := s.openAckDesk(ctx, group, p, l)
		if err != nil {
			return err
		}
		srv, listener, err := s.listen(ctx, p.Intake, l, acks, events)
		if err != nil {
			return err
		}
		group.Go(func() error {
			if err := srv.Serve(listener); err != nil && !errors.Is(err, mllp.ErrServerClosed) {
				return fmt.Errorf("hl7 listener %s: %w", l.Name, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			drain, cancel := context.WithTimeout(context.Background(), drainTime)
			defer cancel()
			return srv.Shutdown(drain)
		})
	}
	return nil
}

// serveHospitals opens the gateway to other hospitals, where there is one, and the socket
// for this one's own commands.
func (s *site) serveHospitals(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline) error {
	if s.config.Gateway.Addr == "" {
		return s.serveOwn(ctx, group, p, nil)
	}
	r, err := s.openRetrieval(ctx)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Gateway.Addr)
	if err != nil {
		return fmt.Errorf("gateway: %w (is the address taken? change gateway.addr)", err)
	}
	group.Go(func() error { return r.server.Serve(ctx, listener) })
	r.research.run(ctx, group, s)
	return s.serveOwn(ctx, group, p, r)
}
