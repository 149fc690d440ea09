package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Listen makes the Unix socket at path, with mode 0600, in a folder that only its owner
// may use. A socket that a dead process left is replaced; one that answers is not.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := fsatomic.MkdirPrivate(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("gateway/local: %w", err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("gateway/local: listen: %w", err)
	}
	// Until here the folder alone keeps others out, which is enough.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("gateway/local: protect the socket: %w", err)
	}
	return l, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("gateway/local: look at the socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("gateway/local: %s is in the way and is no socket: remove it", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	if c, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("gateway/local: another process serves on %s: stop it first", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("gateway/local: remove the old socket: %w", err)
	}
	return nil
}
