// Package supervisor keeps a set of child processes that never outlive it.
//
// The supervisor is the running program itself, started once more: Start executes the same binary with an
// environment variable that this package's init function looks for, so every program that imports the
// package can be one, test binaries too. It serves a small HTTP interface on a Unix socket in the
// network's private folder, and nothing else.
//
// What ends the children:
//   - Shutdown, or SIGTERM/SIGINT to the supervisor: SIGTERM to all, SIGKILL after a grace time.
//   - The end of the process that started it, in whatever way, when it was started with a lifeline: only
//     that process holds the write end of a pipe, so the supervisor reads end-of-file (embedded mode).
//   - SIGKILL of the supervisor: the kernel's parent-death signal. That signal follows the thread that
//     forked the child, which makes it fragile in Go where threads come and go; here every fork happens on
//     the main thread, which init locks to the main goroutine and which lives exactly as long as the process.
package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Spec is a child process to run. Env is its whole environment: nothing is inherited.
type Spec struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir"`
	// Log receives standard output and error, appended; above MaxLogBytes it is first renamed to Log.1.
	Log string `json:"log"`
}

// Process is the state of one child.
type Process struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	Running bool      `json:"running"`
	Started time.Time `json:"started"`
	// Exit says how it ended ("exit status 1", "signal: killed"); empty while it runs.
	Exit string `json:"exit,omitempty"`
	Log  string `json:"log"`
}

// MaxLogBytes is the size above which a log file is set aside when its process starts.
const MaxLogBytes = 32 << 20

var (
	// ErrUnknown means that no process of that name was ever started.
	ErrUnknown = errors.New("no such process")
	// ErrRunning means that the process to start runs already.
	ErrRunning = errors.New("already running")
)

// table holds the children. Forks are handed to the main thread through fork.
type table struct {
	mu    sync.Mutex
	procs map[string]*child
	fork  chan func()
}

type child struct {
	spec Spec
	cmd  *exec.Cmd
	info Process
	done chan struct{} // closed when the process is gone and info says how
}

func newTable() *table {
	return &table{procs: map[string]*child{}, fork: make(chan func())}
}

// start runs spec and returns once the program is executing.
func (t *table) start(spec Spec) (Process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.procs[spec.Name]; ok && !c.gone() {
		return c.info, fmt.Errorf("start %s: %w (pid %d)", spec.Name, ErrRunning, c.info.PID)
	}
	log, err := openLog(spec.Log)
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer log.Close() //nolint:errcheck // the child has its own descriptor
	cmd := &exec.Cmd{
		Path: spec.Path, Args: append([]string{spec.Path}, spec.Args...), Env: spec.Env, Dir: spec.Dir,
		Stdout: log, Stderr: log, SysProcAttr: childAttr(),
	}
	forked := make(chan error, 1)
	t.fork <- func() { forked <- cmd.Start() }
	if err := <-forked; err != nil {
		return Process{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	c := &child{spec: spec, cmd: cmd, done: make(chan struct{}), info: Process{
		Name: spec.Name, PID: cmd.Process.Pid, Running: true, Started: time.Now().UTC(), Log: spec.Log,
	}}
	t.procs[spec.Name] = c
	go t.reap(c)
	return c.info, nil
}

func (t *table) reap(c *child) {
	_ = c.cmd.Wait()
	t.mu.Lock()
	c.info.Running = false
	c.info.Exit = c.cmd.ProcessState.String()
	t.mu.Unlock()
	close(c.done)
}

func (c *child) gone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (t *table) find(name string) (*child, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.procs[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknown)
	}
	return c, nil
}

// signal delivers sig to the child's process group; a child that is gone is not an error.
func (t *table) signal(name string, sig syscall.Signal) error {
	c, err := t.find(name)
	if err != nil {
		return err
	}
	if c.gone() {
		return nil
	}
	return signalGroup(c.info.PID, sig)
}

// stop sends sig and returns when the child is gone, sending SIGKILL after grace.
func (t *table) stop(name string, sig syscall.Signal, grace time.Duration) error {
	c, err := t.find(name)
	if err != nil {
		return err
	}
	if c.gone() {
		return nil
	}
	// A process halted by SIGSTOP would not see the signal before it goes on.
	if err := errors.Join(signalGroup(c.info.PID, sig), signalGroup(c.info.PID, syscall.SIGCONT)); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(grace):
	}
	if err := signalGroup(c.info.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	<-c.done
	return nil
}

// stopAll ends every child, all at the same time.
func (t *table) stopAll(grace time.Duration) {
	var wg sync.WaitGroup
	for _, p := range t.list() {
		wg.Go(func() { _ = t.stop(p.Name, syscall.SIGTERM, grace) })
	}
	wg.Wait()
}

func (t *table) list() []Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Process, 0, len(t.procs))
	for _, c := range t.procs {
		out = append(out, c.info)
	}
	return out
}

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > MaxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekEnd)
	return f, err
}
