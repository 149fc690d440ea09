package supervisor_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/devnet/internal/supervisor"
)

const envHelper = "SUPERVISOR_TEST_HELPER" // "tied:DIR" or "detached:DIR": act as the starting process

func TestMain(m *testing.M) {
	if v := os.Getenv(envHelper); v != "" {
		helper(v)
	}
	goleak.VerifyTestMain(m)
}

// helper starts a supervisor with two children, prints all process ids as JSON and waits to be killed.
func helper(v string) {
	mode, dir, _ := strings.Cut(v, ":")
	ctx := context.Background()
	c, _, err := supervisor.Start(ctx, dir, mode == "tied")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := c.Start(ctx, sleeper(dir, name)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	procs, pid, err := c.Processes(ctx)
	if err != nil {
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode([]int{pid, procs[0].PID, procs[1].PID})
	time.Sleep(time.Minute)
	os.Exit(0)
}

func sleeper(dir, name string) supervisor.Spec {
	return supervisor.Spec{Name: name, Path: "/bin/sleep", Args: []string{"600"}, Dir: dir, Log: filepath.Join(dir, name+".log")}
}

// startHelper returns the helper's command and the ids of [supervisor, child a, child b].
func startHelper(t *testing.T, mode string) (*exec.Cmd, []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envHelper+"="+mode+":"+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var pids []int
	require.NoError(t, json.Unmarshal(line, &pids))
	require.Len(t, pids, 3)
	for _, pid := range pids {
		require.True(t, alive(pid))
	}
	return cmd, pids
}

func TestNoOrphansAfterTheStarterIsKilled(t *testing.T) {
	cmd, pids := startHelper(t, "tied")
	require.NoError(t, cmd.Process.Kill())
	for _, pid := range pids {
		assert.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 20*time.Millisecond, "pid %d", pid)
	}
}

func TestNoOrphansAfterTheSupervisorIsKilled(t *testing.T) {
	for _, mode := range []string{"tied", "detached"} {
		t.Run(mode, func(t *testing.T) {
			_, pids := startHelper(t, mode)
			require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
			for _, pid := range pids[1:] {
				assert.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 20*time.Millisecond, "pid %d", pid)
			}
		})
	}
}

func TestDetachedOutlivesItsStarter(t *testing.T) {
	cmd, pids := startHelper(t, "detached")
	require.NoError(t, cmd.Process.Kill())
	require.Eventually(t, func() bool { return !alive(cmd.Process.Pid) }, 5*time.Second, 5*time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	for _, pid := range pids {
		assert.True(t, alive(pid))
	}
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGTERM), "in order, on request")
	for _, pid := range pids {
		assert.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 20*time.Millisecond, "pid %d", pid)
	}
}

func TestStartStopSignal(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	_, err := supervisor.Connect(ctx, dir)
	require.ErrorIs(t, err, supervisor.ErrNotRunning)

	c, line, err := supervisor.Start(ctx, dir, true)
	require.NoError(t, err)
	t.Cleanup(line.Release)
	_, _, err = supervisor.Start(ctx, dir, true)
	require.ErrorContains(t, err, "another supervisor")

	p, err := c.Start(ctx, sleeper(dir, "a"))
	require.NoError(t, err)
	_, err = c.Start(ctx, sleeper(dir, "a"))
	require.ErrorIs(t, err, supervisor.ErrRunning)
	require.ErrorIs(t, c.Signal(ctx, "nobody", syscall.SIGTERM), supervisor.ErrUnknown)
	_, err = c.Start(ctx, supervisor.Spec{Name: "x", Path: "/does/not/exist", Dir: dir, Log: filepath.Join(dir, "x.log")})
	require.ErrorContains(t, err, "no such file")

	require.NoError(t, c.Stop(ctx, "a", syscall.SIGTERM, time.Second))
	assert.False(t, alive(p.PID))
	procs, _, err := c.Processes(ctx)
	require.NoError(t, err)
	require.Len(t, procs, 1)
	assert.False(t, procs[0].Running)
	assert.Equal(t, "signal: terminated", procs[0].Exit)

	again, err := c.Start(ctx, sleeper(dir, "a"))
	require.NoError(t, err)
	require.NotEqual(t, p.PID, again.PID)
	require.NoError(t, c.Shutdown(ctx, time.Second))
	assert.False(t, alive(again.PID))
	_, err = supervisor.Connect(ctx, dir)
	require.ErrorIs(t, err, supervisor.ErrNotRunning)
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	c, line, err := supervisor.Start(ctx, dir, true)
	require.NoError(t, err)
	t.Cleanup(line.Release)
	p, err := c.Start(ctx, supervisor.Spec{
		Name: "deaf", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; echo ready; while :; do sleep 1; done"},
		Env: []string{"PATH=/bin:/usr/bin"}, Dir: dir, Log: filepath.Join(dir, "deaf.log"),
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "deaf.log"))
		return string(b) == "ready\n"
	}, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Stop(ctx, "deaf", syscall.SIGTERM, 100*time.Millisecond))
	assert.False(t, alive(p.PID))
}

func TestStopEndsAHaltedProcessInOrder(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	c, line, err := supervisor.Start(ctx, dir, true)
	require.NoError(t, err)
	t.Cleanup(line.Release)
	_, err = c.Start(ctx, sleeper(dir, "a"))
	require.NoError(t, err)
	require.NoError(t, c.Signal(ctx, "a", syscall.SIGSTOP))
	require.NoError(t, c.Stop(ctx, "a", syscall.SIGTERM, 20*time.Second))
	procs, _, err := c.Processes(ctx)
	require.NoError(t, err)
	assert.Equal(t, "signal: terminated", procs[0].Exit)
}

func TestLongFolderNamesWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	require.NoError(t, os.Mkdir(dir, 0o700))
	c, line, err := supervisor.Start(t.Context(), dir, true)
	require.NoError(t, err)
	t.Cleanup(line.Release)
	require.NoError(t, c.Shutdown(t.Context(), time.Second))
}

// alive says whether a process exists and has not ended (an uncollected one has).
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}
