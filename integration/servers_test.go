package integration_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a real server process of one test, always on the same loopback port.
type server struct {
	t       testing.TB
	addr    string
	dir     string // of its files
	command func(s *server, port string) *exec.Cmd
	cmd     *exec.Cmd
}

// natsServer runs the nats-server program with JetStream, as an external bus.
func natsServer(t testing.TB) *server {
	return serve(t, func(s *server, port string) *exec.Cmd {
		file := filepath.Join(s.dir, "nats.conf")
		require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(
			"listen: 127.0.0.1:%s\nmax_payload: 8454144\njetstream { store_dir: %q, sync_interval: always, max_file_store: 16GB }\n",
			port, filepath.Join(s.dir, "js"))), 0o600))
		return exec.Command(w.program("nats-server"), "-c", file)
	})
}

// redisServer runs redis-server; it keeps nothing on disk unless told to.
func redisServer(t testing.TB) *server {
	_, err := exec.LookPath("redis-server")
	require.NoError(t, err, "this test needs redis-server: apt-get install redis-server")
	return serve(t, func(s *server, port string) *exec.Cmd {
		return exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "",
			"--rdbcompression", "no", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	})
}

func serve(t testing.TB, command func(*server, string) *exec.Cmd) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{t: t, addr: l.Addr().String(), dir: t.TempDir(), command: command}
	require.NoError(t, l.Close())
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

// start starts the server and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(s.t, err)
	s.cmd = s.command(s, port)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(s.t, s.cmd.Start())
	eventually(s.t, s.cmd.Path+" listens", func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// end ends the server with a signal and waits until it is gone.
func (s *server) end(sig syscall.Signal) {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(sig)
		_ = s.cmd.Wait() // how it ended is known
		s.cmd = nil
	}
}
