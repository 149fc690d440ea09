package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// ServerConfig describes a server in this process.
type ServerConfig struct {
	// Dir is its folder, made with mode 0700.
	Dir string
	// Key encrypts its files, at least 16 bytes. Required.
	Key []byte
	// Host and Port to listen on; port 0 listens nowhere and serves only this process.
	Host string
	Port int
	// MaxMessage is the largest body, in bytes; default as in topology.Limits.
	MaxMessage int
	// MaxStore bounds what all streams may reserve, in bytes; default 16 GiB.
	MaxStore int64
	// Logger takes the server's warnings and errors; default none.
	Logger *slog.Logger
}

// stopTimeout bounds how long a server may take to close its files.
const stopTimeout = 30 * time.Second

// startTimeout bounds how long a server may take to recover its files.
const startTimeout = 60 * time.Second

// Server is a NATS server in this process. A server whose storage has failed (disk full,
// say) does not recover by itself, so Restart exists. Its methods are safe for concurrent
// use.
type Server struct {
	cfg      ServerConfig
	mu       sync.Mutex
	srv      *server.Server // nil while stopped
	halt     func(*server.Server)
	patience time.Duration // for halt
	// stuck says that a server was given up that did not stop.
	stuck bool
}

// StartServer starts a server and returns when it takes connections. The caller stops it.
func StartServer(cfg ServerConfig) (*Server, error) {
	if len(cfg.Key) < 16 {
		return nil, errors.New("bus: the embedded server needs a key of 16 bytes or more for its files")
	}
	if err := fsatomic.MkdirPrivate(cfg.Dir); err != nil {
		return nil, fmt.Errorf("bus: folder of the embedded server: %w", err)
	}
	s := &Server{cfg: cfg, patience: stopTimeout, halt: func(srv *server.Server) {
		srv.Shutdown()
		srv.WaitForShutdown()
	}}
	return s, s.start()
}

func (s *Server) options() *server.Options {
	maxMessage := topology.Limits{MaxMessage: s.cfg.MaxMessage}.WithDefaults().MaxMessage
	maxStore := s.cfg.MaxStore
	if maxStore <= 0 {
		maxStore = 16 << 30
	}
	o := &server.Options{
		ServerName: "emrbridge", NoSigs: true, DontListen: s.cfg.Port == 0, Host: s.cfg.Host, Port: s.cfg.Port,
		JetStream: true, StoreDir: s.cfg.Dir, SyncAlways: true, JetStreamMaxStore: maxStore, JetStreamMaxMemory: 64 << 20,
		JetStreamKey: string(s.cfg.Key), JetStreamCipher: server.AES,
		MaxPayload: int32(maxMessage + topology.Overhead), MaxPending: 256 << 20,
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	return o
}

// start runs a fresh server. mu need not be held by StartServer; Restart holds it.
func (s *Server) start() error {
	guard, err := beginStart(s.cfg.Dir)
	if err != nil {
		return err
	}
	srv, err := server.NewServer(s.options())
	if err != nil {
		return fmt.Errorf("bus: embedded server: %w", err)
	}
	if s.cfg.Logger != nil {
		srv.SetLoggerV2(serverLog{s.cfg.Logger}, false, false, false)
	}
	go srv.Start()
	stop := func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	if !srv.ReadyForConnections(startTimeout) || !srv.JetStreamEnabled() {
		stop()
		return fmt.Errorf("bus: embedded server in %s did not start: folder in use, key changed, or disk full", s.cfg.Dir)
	}
	if err := guard.finish(srv, stop); err != nil {
		return err
	}
	s.srv = srv
	return s.Stage()
}

// Stage has the batches of all streams staged in memory where that is possible. It is to be
// called again after streams were made.
func (s *Server) Stage() error { return stage(s.cfg.Dir) }

// InProcessConn implements nats.InProcessConnProvider for whatever server runs now.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	srv := s.srv
	s.mu.Unlock()
	if srv == nil {
		return nil, ErrUnavailable
	}
	return srv.InProcessConn()
}

// URL returns where the server listens, "" if nowhere.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil || s.cfg.Port == 0 {
		return ""
	}
	return s.srv.ClientURL()
}

// Healthy reports whether the server runs and its storage works.
func (s *Server) Healthy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv != nil && s.srv.Running() && s.srv.JetStreamEnabled()
}

// Restart stops the server and starts it on the same files. ErrStuck says that it does not
// stop.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return err
	}
	return s.start()
}

// Stop stops the server and waits until its files are closed, or gives it up.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stop() // stuck: the end of the process frees the files
}

// stop ends the server. One that does not end still holds the files, so no other may be
// started on them in this process.
func (s *Server) stop() error {
	if s.stuck {
		return ErrStuck
	}
	if s.srv == nil {
		return nil
	}
	ended := make(chan struct{})
	go func(srv *server.Server) {
		s.halt(srv)
		close(ended)
	}(s.srv)
	s.srv = nil
	select {
	case <-ended:
		unstage(s.cfg.Dir)
		return nil
	case <-time.After(s.patience):
		s.stuck = true
		return ErrStuck
	}
}

// serverLog passes warnings and errors of the server on. They name streams and files.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(string, ...any)         {}
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
func (l serverLog) Warnf(format string, v ...any)  { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }
