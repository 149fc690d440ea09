package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/guard"
)

// testKey is the key of every guard under test.
var testKey = bytes.Repeat([]byte{0x5a}, guard.KeySize)

// server is a real redis-server of one test, on a free loopback port.
type server struct {
	t    testing.TB
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
}

// reserve finds the program and a port, and starts nothing.
func reserve(t testing.TB, args ...string) *server {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	require.NoError(t, err, "this test needs redis-server: apt-get install redis-server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	return &server{t: t, addr: addr, dir: t.TempDir(), args: args}
}

// startRedis starts a server that keeps nothing on disk, and waits until it answers.
func startRedis(t testing.TB, args ...string) *server {
	s := reserve(t, args...)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--maxmemory-policy", "noeviction", "--logfile", filepath.Join(s.dir, "log"), "--daemonize", "no"}
	s.cmd = exec.Command("redis-server", append(args, s.args...)...)
	require.NoError(s.t, s.cmd.Start())
	started := s.cmd
	s.t.Cleanup(func() { end(started) })
	require.Eventually(s.t, func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond, "redis-server does not listen: %s", s.log())
}

func (s *server) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// kill ends the server as kill -9 does; its content is lost.
func (s *server) kill() { end(s.cmd) }

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// freeze makes the server hold still with its connections open; the result wakes it.
func (s *server) freeze() (wake func()) {
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGSTOP))
	return func() { require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGCONT)) }
}

// client looks into the server past any guard.
func (s *server) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) config() guard.Config {
	return guard.Config{Addrs: []string{s.addr}, Key: testKey}
}

// contents returns all names and values, for a search.
func contents(t testing.TB, c *redis.Client) string {
	var all strings.Builder
	names, err := c.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	for _, n := range names {
		v, err := c.Get(t.Context(), n).Result()
		require.NoError(t, err)
		fmt.Fprintf(&all, "%s=%s\n", n, v)
	}
	return all.String()
}

// open opens a guard that closes with the test.
func open(t testing.TB, cfg guard.Config) *guard.Guard {
	t.Helper()
	g, err := guard.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 15*time.Second, 20*time.Millisecond, what)
}

func healthy(t testing.TB, g *guard.Guard) {
	t.Helper()
	eventually(t, "the guard does not heal", func() bool { return g.Healthy() == nil })
}

// blackHole accepts connections and never answers.
func blackHole(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = c.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done; cancel() })
	return l.Addr().String()
}
