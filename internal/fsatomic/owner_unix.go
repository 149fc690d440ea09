//go:build unix

package fsatomic

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a path of another user: its owner could read it or widen its permissions at any time.
func checkOwner(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if uid := os.Geteuid(); int64(st.Uid) != int64(uid) {
		return fmt.Errorf("%s belongs to user %d, this process runs as user %d: run chown on it: %w",
			path, st.Uid, uid, ErrNotPrivate)
	}
	return nil
}
