package supervisor

import (
	"errors"
	"os"
	"syscall"
)

// selfPath names the running program even after its file was replaced.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// childAttr puts a child into its own process group and ties its life to the supervisor's main thread.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// daemonAttr takes the supervisor out of its parent's session, so that Ctrl-C in a terminal reaches the
// parent only, which then stops the network in order.
func daemonAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func signalGroup(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in the folder the caller chose for its network
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
