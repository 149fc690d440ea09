package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

const (
	envDir      = "EMRBRIDGE_DEVNET_SUPERVISOR" // the network's folder; set only for the supervisor
	envLifeline = "EMRBRIDGE_DEVNET_LIFELINE"   // "1": descriptor 3 is the lifeline pipe

	lockFile = "supervisor.lock"
	logFile  = "supervisor.log"
	// orphanGrace is how long children may take to end in order after the starter died.
	orphanGrace = 2 * time.Second
	stopGrace   = 10 * time.Second
	maxRequest  = 1 << 20
)

// init turns the program into a supervisor when Start executed it. It runs on the main thread and stays.
func init() {
	dir := os.Getenv(envDir)
	if dir == "" {
		return
	}
	runtime.LockOSThread()
	if err := serve(dir, os.Getenv(envLifeline) == "1"); err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs until it is told to stop. It must be called on the main thread: see the package comment.
func serve(dir string, lifeline bool) error {
	held, err := lock(filepath.Join(dir, lockFile))
	if err != nil {
		return fmt.Errorf("another supervisor has the network in %s: %w", dir, err)
	}
	defer held.Close() //nolint:errcheck // the lock ends with the process
	path, err := socketPath(dir)
	if err != nil {
		return err
	}
	// A killed supervisor leaves its socket; the lock says that none runs.
	_ = os.Remove(path) //nolint:gosec // in the folder the caller chose for its network
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	t := newTable()
	end := make(chan time.Duration, 4) // grace times, one per cause of ending
	srv := &http.Server{Handler: routes(t, end), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	if lifeline {
		go awaitEOF(os.NewFile(3, "lifeline"), end)
	}
	go awaitSignal(end)

	grace := forkUntil(t, end)
	done := make(chan struct{})
	go func() { t.stopAll(grace); close(done) }()
	drainForks(t, done)
	_ = os.Remove(path) //nolint:gosec // as above
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = srv.Shutdown(ctx) // lets the answer to a shutdown request out
	return nil
}

// forkUntil runs forks on the calling (main) thread until a cause of ending arrives.
func forkUntil(t *table, end <-chan time.Duration) time.Duration {
	for {
		select {
		case f := <-t.fork:
			f()
		case grace := <-end:
			return grace
		}
	}
}

// drainForks answers start requests that raced with the end; their children die with this process.
func drainForks(t *table, done <-chan struct{}) {
	for {
		select {
		case f := <-t.fork:
			f()
		case <-done:
			return
		}
	}
}

func awaitEOF(lifeline *os.File, end chan<- time.Duration) {
	_, _ = io.Copy(io.Discard, lifeline)
	end <- orphanGrace
}

func awaitSignal(end chan<- time.Duration) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	<-c
	end <- stopGrace
}

// request is the body of every POST.
type request struct {
	Spec    *Spec  `json:"spec,omitempty"`
	Name    string `json:"name,omitempty"`
	Signal  int    `json:"signal,omitempty"`
	GraceMS int64  `json:"grace_ms,omitempty"`
}

type reply struct {
	PID       int       `json:"pid,omitempty"` // of the supervisor
	Processes []Process `json:"processes,omitempty"`
	Error     string    `json:"error,omitempty"`
	Code      string    `json:"code,omitempty"` // "running", "unknown": which sentinel Error stands for
}

func routes(t *table, end chan<- time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, reply{PID: os.Getpid(), Processes: t.list()}, nil)
	})
	mux.HandleFunc("POST /start", post(func(r request) (reply, error) {
		if r.Spec == nil {
			return reply{}, errors.New("start: no process given")
		}
		p, err := t.start(*r.Spec)
		return reply{Processes: []Process{p}}, err
	}))
	mux.HandleFunc("POST /signal", post(func(r request) (reply, error) {
		return reply{}, t.signal(r.Name, syscall.Signal(r.Signal))
	}))
	mux.HandleFunc("POST /stop", post(func(r request) (reply, error) {
		return reply{}, t.stop(r.Name, syscall.Signal(r.Signal), time.Duration(r.GraceMS)*time.Millisecond)
	}))
	mux.HandleFunc("POST /shutdown", post(func(r request) (reply, error) {
		select {
		case end <- time.Duration(r.GraceMS) * time.Millisecond:
		default: // it is ending already
		}
		return reply{PID: os.Getpid()}, nil
	}))
	return mux
}

func post(do func(request) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&req); err != nil {
			answer(w, reply{}, fmt.Errorf("request: %w", err))
			return
		}
		rep, err := do(req)
		answer(w, rep, err)
	}
}

func answer(w http.ResponseWriter, rep reply, err error) {
	if err != nil {
		rep.Error = err.Error()
		switch {
		case errors.Is(err, ErrRunning):
			rep.Code = "running"
		case errors.Is(err, ErrUnknown):
			rep.Code = "unknown"
		}
		w.WriteHeader(http.StatusConflict)
	}
	_ = json.NewEncoder(w).Encode(rep)
}

// socketPath is in dir, or, where that is too long for a Unix socket address (about 100 bytes), in a
// private folder under the system's temporary folder, named after dir.
func socketPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if p := filepath.Join(abs, "supervisor.sock"); len(p) < 100 {
		return p, nil
	}
	private := filepath.Join(os.TempDir(), "emrbridge-devnet-"+strconv.Itoa(os.Geteuid()))
	if err := fsatomic.MkdirPrivate(private); err != nil {
		return "", fmt.Errorf("control socket: %w", err)
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(private, hex.EncodeToString(sum[:12])+".sock"), nil
}
