package devsite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/obs"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

// Process is a hospital's installation and, while it runs, its emrbridge process. It is
// not safe for concurrent use.
type Process struct {
	Self   string // the emrbridge binary
	Path   string // configuration file
	Config *config.Config

	cmd    *exec.Cmd
	alive  io.Closer // closing it ends the process: so it ends with this one, however that ends
	exited chan error
}

// Open reads the configuration of a site for the binary self.
func Open(self, path string) (*Process, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	return &Process{Self: self, Path: path, Config: c}, nil
}

// Dir is the folder of the site.
func (s *Process) Dir() string { return filepath.Dir(s.Path) }

// LogFile is where the process writes its log.
func (s *Process) LogFile() string { return filepath.Join(s.Dir(), "serve.log") }

// Start runs `emrbridge serve` and waits until all its neighbours are there.
func (s *Process) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.Self, "serve", "--config", s.Path, "--until-stdin-closes") //nolint:noctx // it outlives the step that starts it
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if s.alive, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("devsite: start %s: %w", s.Config.Hospital.MSP, err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait() }()
	return s.WaitReady(ctx)
}

// WaitReady waits until the process has all its neighbours.
func (s *Process) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	last := errors.New("no answer")
	for {
		select {
		case err := <-s.exited:
			return fmt.Errorf("devsite: %s ended at once (%w); see %s", s.Config.Hospital.MSP, err, s.LogFile())
		case <-ctx.Done():
			return fmt.Errorf("devsite: %s is not ready: %w", s.Config.Hospital.MSP, last)
		case <-time.After(50 * time.Millisecond):
		}
		if last = s.Ready(ctx); last == nil {
			return nil
		}
	}
}

// Ready asks the process once; the error names what is missing.
func (s *Process) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Config.Observe.Addr+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var report obs.Report
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		return err
	}
	if !report.Ready {
		return fmt.Errorf("missing: %s", strings.Join(report.Missing, ", "))
	}
	return nil
}

// Stop lets the process drain and waits for it.
func (s *Process) Stop() error {
	if s.cmd == nil {
		return nil
	}
	_ = s.alive.Close()
	select {
	case err := <-s.exited:
		s.cmd = nil
		return err
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		_ = s.reap() // killed: how it ended is known
		s.cmd = nil
		return fmt.Errorf("devsite: %s did not stop in 30 s and was killed", s.Config.Hospital.MSP)
	}
}

// Run executes a command of the binary for this site and returns what it printed and its
// exit code.
func (s *Process) Run(ctx context.Context, args ...string) ([]byte, int, error) {
	cmd := exec.CommandContext(ctx, s.Self, append(args, "--config", s.Path)...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() == 2 {
			return out.Bytes(), 2, fmt.Errorf("devsite: emrbridge %s: %s", args[0], strings.TrimSpace(problem.String()))
		}
		return out.Bytes(), exit.ExitCode(), nil
	}
	return out.Bytes(), 0, err
}

// Stats reads the store beside the running process.
func (s *Process) Stats(ctx context.Context) (recordstore.Stats, error) {
	store, err := s.OpenStore(ctx)
	if err != nil {
		return recordstore.Stats{}, err
	}
	defer store.Close()
	return store.Stats(ctx)
}

// OpenStore opens the store for reading beside the running process.
func (s *Process) OpenStore(ctx context.Context) (*embedded.Store, error) {
	return embedded.Open(ctx, s.Config.Store.Dir, embedded.Options{ReadOnly: true})
}

// reap waits for the end of the process.
func (s *Process) reap() error { return <-s.exited }

// Kill ends the process at once, as kill -9 does, and waits for its end.
func (s *Process) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.reap() // killed: how it ended is known
	_ = s.alive.Close()
	s.cmd = nil
}

// PID is the process id, 0 when it does not run.
func (s *Process) PID() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}
