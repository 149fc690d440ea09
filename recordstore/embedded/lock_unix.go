//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/emrbridge/emrbridge/recordstore"
)

// lockFile takes the lock of the one writing process. The kernel drops it when the file is
// closed, so a killed process leaves no lock behind.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("recordstore: open lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked; stop that process or open the store for reading only", recordstore.ErrInUse, path)
		}
		return nil, fmt.Errorf("recordstore: lock %s: %w", path, err)
	}
	return f, nil
}
