// Package obs is how an installation is watched: the logger, and one HTTP server with
// health, readiness, metrics and profiles on an address of its own.
package obs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewLogger returns a logger that writes to w. Level is debug, info, warn or error;
// format is text or json. Times carry their zone.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("obs: log level %q: %w", level, err)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("obs: log format %q is not text or json", format)
}

// NewRegistry returns a metrics registry that already has the figures of the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Check reports why a neighbour cannot be used now, or nil.
type Check func(ctx context.Context) error

// Readiness holds the checks of all neighbours. It is safe for concurrent use.
type Readiness struct {
	mu     sync.Mutex
	checks map[string]Check
}

// Add registers the check of a neighbour under a name that operators know it by.
func (r *Readiness) Add(neighbour string, c Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil {
		r.checks = map[string]Check{}
	}
	r.checks[neighbour] = c
}

// Report is the state of every neighbour.
type Report struct {
	Ready   bool              `json:"ready"`
	Missing []string          `json:"missing"`
	Detail  map[string]string `json:"detail"`
}

// Report asks all neighbours at the same time and waits at most until ctx ends.
func (r *Readiness) Report(ctx context.Context) Report {
	r.mu.Lock()
	names := make([]string, 0, len(r.checks))
	checks := make([]Check, 0, len(r.checks))
	for name, c := range r.checks {
		names, checks = append(names, name), append(checks, c)
	}
	r.mu.Unlock()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { errs[i] = c(ctx) })
	}
	wg.Wait()
	out := Report{Ready: true, Missing: []string{}, Detail: map[string]string{}}
	for i, err := range errs {
		if err != nil {
			out.Ready = false
			out.Missing = append(out.Missing, names[i])
			out.Detail[names[i]] = err.Error()
			continue
		}
		out.Detail[names[i]] = "ok"
	}
	sort.Strings(out.Missing)
	return out
}

// checkTime bounds one round of readiness checks.
const checkTime = 3 * time.Second

// Handler serves /healthz (the process lives), /readyz (its neighbours are there; 503
// names those that are not), /metrics and /debug/pprof.
func Handler(reg *prometheus.Registry, ready *Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTime)
		defer cancel()
		report := ready.Report(ctx)
		w.Header().Set("Content-Type", "application/json")
		if !report.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(report)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Serve answers on addr until ctx ends. It returns the address it listens on and a
// function that waits for the end.
func Serve(ctx context.Context, addr string, h http.Handler) (net.Addr, func() error, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("obs: listen on %s: %w (is another emrbridge running? change observe.addr)", addr, err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	done := make(chan error, 1)
	go func() {
		err := srv.Serve(l)
		if err == http.ErrServerClosed {
			err = nil
		}
		done <- err
	}()
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	wait := func() error { defer stop(); return <-done }
	return l.Addr(), wait, nil
}
