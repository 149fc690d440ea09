package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotRunning means that no supervisor answers for the folder.
var ErrNotRunning = errors.New("no supervisor is running")

// Client talks to the supervisor of one folder. It is safe for concurrent use and holds no connection.
type Client struct {
	http *http.Client
}

// Connect finds the supervisor of dir; the error wraps ErrNotRunning if there is none.
func Connect(ctx context.Context, dir string) (*Client, error) {
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
	if _, _, err := c.Processes(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Lifeline ties a supervisor to the process that started it. Release it only when the supervisor may go.
type Lifeline struct {
	write *os.File
	gone  chan struct{}
	once  sync.Once
}

// Release lets the supervisor go and waits until its process has ended. It is safe to call more than once.
func (l *Lifeline) Release() {
	l.once.Do(func() { _ = l.write.Close() })
	<-l.gone
}

// Start runs a supervisor for dir, which must exist and be private. With tied it ends when the calling
// process does; otherwise it lives on (Lifeline is then nil). It returns once the supervisor answers.
func Start(ctx context.Context, dir string, tied bool) (*Client, *Lifeline, error) {
	self, err := selfPath()
	if err != nil {
		return nil, nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, nil, err
	}
	logPath := filepath.Join(dir, logFile)
	log, err := openLog(logPath)
	if err != nil {
		return nil, nil, fmt.Errorf("start supervisor: %w", err)
	}
	defer log.Close() //nolint:errcheck // the supervisor has its own descriptor
	cmd := &exec.Cmd{
		Path: self, Dir: dir, Args: []string{"emrbridge-devnet-supervisor", dir}, Stdout: log, Stderr: log,
		Env: append(os.Environ(), envDir+"="+dir), SysProcAttr: daemonAttr(),
	}
	var line *Lifeline
	if tied {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, fmt.Errorf("start supervisor: %w", err)
		}
		defer r.Close() //nolint:errcheck // the supervisor has its own descriptor
		cmd.ExtraFiles = []*os.File{r}
		cmd.Env = append(cmd.Env, envLifeline+"=1")
		line = &Lifeline{write: w}
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start supervisor: %w", err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	if line != nil {
		line.gone = gone
	}
	c, err := awaitAnswer(ctx, dir, cmd.Process.Pid, gone, logPath)
	if err != nil {
		_ = cmd.Process.Kill()
		if line != nil {
			line.Release()
		}
		return nil, nil, err
	}
	return c, line, nil
}

// awaitAnswer returns once the supervisor with that process id answers: another one may have the folder.
func awaitAnswer(ctx context.Context, dir string, pid int, gone <-chan struct{}, logPath string) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := Connect(ctx, dir); err == nil {
			if _, answering, err := c.Processes(ctx); err == nil && answering == pid {
				return c, nil
			}
		}
		select {
		case <-gone:
			return nil, fmt.Errorf("supervisor ended at once: %s", lastLine(logPath))
		case <-ctx.Done():
			return nil, fmt.Errorf("supervisor does not answer: %w (see %s)", context.Cause(ctx), logPath)
		case <-tick.C:
		}
	}
}

func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// Processes lists the children by name and gives the supervisor's own process id.
func (c *Client) Processes(ctx context.Context) ([]Process, int, error) {
	rep, err := c.call(ctx, http.MethodGet, "/processes", nil)
	if err != nil {
		return nil, 0, err
	}
	sort.Slice(rep.Processes, func(i, j int) bool { return rep.Processes[i].Name < rep.Processes[j].Name })
	return rep.Processes, rep.PID, nil
}

// Start runs a child; the error wraps ErrRunning if one of that name runs.
func (c *Client) Start(ctx context.Context, spec Spec) (Process, error) {
	rep, err := c.call(ctx, http.MethodPost, "/start", request{Spec: &spec})
	if err != nil {
		return Process{}, err
	}
	return rep.Processes[0], nil
}

// Signal delivers sig to a child and its own children, and does not wait.
func (c *Client) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	_, err := c.call(ctx, http.MethodPost, "/signal", request{Name: name, Signal: int(sig)})
	return err
}

// Stop sends sig and returns when the child is gone, with SIGKILL after grace.
func (c *Client) Stop(ctx context.Context, name string, sig syscall.Signal, grace time.Duration) error {
	_, err := c.call(ctx, http.MethodPost, "/stop", request{Name: name, Signal: int(sig), GraceMS: grace.Milliseconds()})
	return err
}

// Shutdown ends all children and the supervisor, and returns when it is gone.
func (c *Client) Shutdown(ctx context.Context, grace time.Duration) error {
	rep, err := c.call(ctx, http.MethodPost, "/shutdown", request{GraceMS: grace.Milliseconds()})
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(rep.PID, 0) == nil {
		if _, _, err := c.Processes(ctx); errors.Is(err, ErrNotRunning) && isZombie(rep.PID) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("supervisor (pid %d) has not ended: %w", rep.PID, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// isZombie says whether a process has ended but was not collected by its parent.
func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	i := bytes.LastIndexByte(b, ')')
	return i >= 0 && len(b) > i+2 && b[i+2] == 'Z'
}

func (c *Client) call(ctx context.Context, method, path string, body any) (reply, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(data))
	if err != nil {
		return reply{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return reply{}, fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		return reply{}, fmt.Errorf("supervisor: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	var rep reply
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&rep); err != nil {
		return reply{}, fmt.Errorf("supervisor: answer: %w", err)
	}
	switch {
	case rep.Error == "":
		return rep, nil
	case rep.Code == "running":
		return rep, remoteError{rep.Error, ErrRunning}
	case rep.Code == "unknown":
		return rep, remoteError{rep.Error, ErrUnknown}
	}
	return rep, errors.New(rep.Error)
}

// remoteError carries the supervisor's message and the sentinel it stood for there.
type remoteError struct {
	msg  string
	kind error
}

func (e remoteError) Error() string { return e.msg }
func (e remoteError) Unwrap() error { return e.kind }
