//go:build !linux

package supervisor

import (
	"errors"
	"os"
	"syscall"
)

// The parent-death signal that ties children to the supervisor exists on Linux only. Running without it
// would leave orphans, so the development network is refused elsewhere.
var errLinuxOnly = errors.New("the development network runs on Linux only: use a Linux machine, WSL 2 or a virtual machine")

func selfPath() (string, error)             { return "", errLinuxOnly }
func childAttr() *syscall.SysProcAttr       { return nil }
func daemonAttr() *syscall.SysProcAttr      { return nil }
func signalGroup(int, syscall.Signal) error { return errLinuxOnly }
func lock(string) (*os.File, error)         { return nil, errLinuxOnly }
