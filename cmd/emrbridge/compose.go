package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/emrbridge/emrbridge/adapters/cda/hip"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/project"
	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/guard"
	"github.com/emrbridge/emrbridge/internal/obs"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// site holds everything that a running bridge is made of, from the ground up. close undoes
// open in reverse.
type site struct {
	config   *config.Config
	log      *slog.Logger
	provider smcrypto.Provider
	roots    []*smcrypto.Certificate
	metrics  *prometheus.Registry
	ready    *obs.Readiness

	keys       *keystore.File
	secrets    bridge.Keys
	guard      *guard.Guard
	bus        *bus.Bus
	store      *embedded.Store
	chain      *chainclient.Client
	quarantine *intake.Quarantine
	claims     *claims.Store
	rules      *mapping.Set // from HL7 v2 messages to records
	patients   *patientindex.Index

	fhir    atomic.Pointer[fhirDesk]    // the FHIR service, once it is open
	notices atomic.Pointer[fhirNotices] // of FHIR subscriptions, once they are served

	platform atomic.Pointer[hip.Service] // nil until it serves, or for good

	open atomic.Bool // what others reach is open
	undo []func() error
}

// openSite builds what every role needs. On an error nothing stays open.
func openSite(ctx context.Context, c *config.Config, log *slog.Logger) (_ *site, err error) {
	s := &site{config: c, log: log, metrics: obs.NewRegistry(), ready: &obs.Readiness{}}
	s.ready.Add("endpoints", func(context.Context) error {
		if !s.open.Load() {
			return errors.New("still starting")
		}
		return nil
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, step := range []func(context.Context) error{
		s.openCrypto, s.openKeys, s.openGuard, s.openStore, s.openChain, s.openBus, s.openQuarantine, s.openClaims, s.openRules,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// close ends what was opened, the last first.
func (s *site) close() error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}

func (s *site) later(f func() error) { s.undo = append(s.undo, f) }

// openCrypto chooses the provider and proves both with known answers: fail closed.
func (s *site) openCrypto(context.Context) error {
	p, err := smcrypto.ProviderByName(s.config.Crypto.Provider)
	if err != nil {
		return err
	}
	if err := smcrypto.SelfTest(p); err != nil {
		return err
	}
	text, err := os.ReadFile(s.config.Chain.Authority)
	if err != nil {
		return err
	}
	s.roots, err = smcrypto.ParseCertificates(text)
	s.provider = p
	return err
}

func (s *site) openKeys(ctx context.Context) error {
	ks, err := openKeystore(ctx, s.config)
	if err != nil {
		return err
	}
	s.keys = ks
	s.later(ks.Close)
	h, err := ks.Hospital(ctx)
	if err != nil {
		return err
	}
	if h.Number != s.config.Hospital.Number || h.MSPID != s.config.Hospital.MSP {
		return fmt.Errorf("the keystore belongs to %s (%d), the configuration to %s (%d): change hospital, or keystore.dir",
			h.MSPID, h.Number, s.config.Hospital.MSP, s.config.Hospital.Number)
	}
	s.secrets, err = bridge.LoadKeys(ctx, ks, s.provider)
	return err
}

func (s *site) openGuard(ctx context.Context) error {
	r := s.config.Redis
	cfg := guard.Config{Embedded: r.Addr == "", Username: r.Username, DB: r.DB, Key: s.secrets.Guard}
	if r.Addr != "" {
		cfg.Addrs = []string{r.Addr}
	}
	if r.PasswordFile != "" {
		b, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return err
		}
		cfg.Password = strings.TrimRight(string(b), "\r\n")
	}
	if r.TLS {
		pool, err := certPool(r.CAFile)
		if err != nil {
			return err
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	away := false // told from one goroutine of the guard
	cfg.OnState = func(healthy bool, cause error) {
		switch {
		case healthy && away:
			away = false
			s.log.Info("redis is back")
		case !healthy:
			away = true
			s.log.Warn("redis is away; replay protection and limits go on in this process", "cause", cause)
		}
	}
	g, err := guard.Open(ctx, cfg)
	if err != nil {
		return err
	}
	s.guard = g
	s.later(g.Close)
	s.ready.Add("redis", func(context.Context) error { return g.Healthy() })
	return nil
}

// certPool reads authorities from a PEM file; none means the system's.
func certPool(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

func (s *site) openStore(ctx context.Context) error {
	store, err := embedded.Open(ctx, s.config.Store.Dir, embedded.Options{})
	if err != nil {
		return err
	}
	s.store = store
	s.later(store.Close)
	s.ready.Add("store", func(ctx context.Context) error { _, err := store.Stats(ctx); return err })
	return nil
}

func (s *site) openChain(ctx context.Context) error {
	cfg := chainConfig(s.config, s.log.With("part", "chain"))
	cfg.Lazy = true // the HIS must not notice that the ledger is away
	chain, err := chainclient.Open(ctx, cfg, s.keys)
	if err != nil {
		return err
	}
	s.chain = chain
	s.later(chain.Close)
	s.ready.Add("chain", chain.Ready)
	return nil
}

func (s *site) openBus(ctx context.Context) error {
	c := s.config.Bus
	cfg := bus.Config{
		URLs: c.URLs, CredsFile: c.Creds, Logger: s.log.With("part", "bus"),
		Cipher: s.secrets.Bus,
		Limits: topology.Limits{Replicas: c.Replicas},
	}
	if len(c.URLs) == 0 {
		cfg.Dir, cfg.Key, cfg.MaxStore = s.config.Dir("bus"), s.secrets.File, int64(c.MaxBytes)
	} else if c.CAFile != "" {
		pool, err := certPool(c.CAFile)
		if err != nil {
			return err
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	b, err := bus.Open(ctx, cfg)
	if err != nil {
		return err
	}
	s.bus = b
	s.later(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return b.Close(ctx)
	})
	s.ready.Add("bus", func(context.Context) error { return b.Ready() })
	return nil
}

func (s *site) openQuarantine(context.Context) (err error) {
	s.quarantine, err = intake.OpenQuarantine(s.config.Dir("quarantine"), s.secrets.Quarantine, intake.QuarantineLimits{})
	return err
}

// retrieval is the part of a site that talks to other hospitals.
type retrieval struct {
	requester *retrieve.Requester
	desk      *retrieve.Desk
	client    *gateway.Client
	server    *gateway.Server
	research  *researchDesk
	projects  *project.Desk
}

// openRetrieval builds owner, requester and desk over the open parts.
func (s *site) openRetrieval(ctx context.Context) (*retrieval, error) {
	c := s.config
	cert, err := tls.LoadX509KeyPair(c.Gateway.Cert, c.Gateway.Key)
	if err != nil {
		return nil, fmt.Errorf("gateway certificate: %w", err)
	}
	pool, err := certPool(c.Gateway.CA)
	if err != nil {
		return nil, err
	}
	ledger := chainLedger{s.chain}
	trust, err := retrieve.NewTrust(ledger, s.roots, s.provider, nil)
	if err != nil {
		return nil, err
	}
	r := &retrieval{}
	if r.client, err = gateway.NewClient(gateway.ClientConfig{Certificate: cert, Authority: pool}); err != nil {
		return nil, err
	}
	s.later(func() error { r.client.Close(); return nil })
	r.requester, err = retrieve.NewRequester(retrieve.RequesterConfig{
		MSP: c.Hospital.MSP, Number: c.Hospital.Number, Ledger: ledger, Trust: trust, Custody: s.keys,
		Peer: r.client, Provider: s.provider, SpoolDir: c.Dir("spool"),
	})
	if err != nil {
		return nil, err
	}
	if r.desk, err = retrieve.NewDesk(c.Hospital.MSP, ledger, s.keys); err != nil {
		return nil, err
	}
	owner, err := retrieve.NewOwner(retrieve.OwnerConfig{
		MSP: c.Hospital.MSP, Number: c.Hospital.Number, Ledger: grantLedger{ledger, &s.notices}, Trust: trust, Custody: s.keys,
		Store: s.store, Provider: s.provider, GrantTime: c.Gateway.GrantTime.D(),
	})
	if err != nil {
		return nil, err
	}
	parts, err := s.openResearch(ctx, trust, r)
	if err != nil {
		return nil, err
	}
	r.server, err = gateway.NewServer(gateway.ServerConfig{
		MSP: c.Hospital.MSP, Certificate: cert, Authority: pool, Owner: owner, Members: trust, Research: parts,
		Guard: gatewayGuard{s.guard, c.Gateway.RateLimit}, Provider: s.provider, Logger: s.log.With("part", "gateway"),
	})
	return r, err
}
