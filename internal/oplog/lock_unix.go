//go:build unix

package oplog

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits for the file; the kernel drops the lock when the file is closed.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }
