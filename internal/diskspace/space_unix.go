//go:build unix

// Package diskspace tells how much room a disk has left.
package diskspace

import "golang.org/x/sys/unix"

// Free returns the bytes that an unprivileged process may still write under dir.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // its type differs between systems
}
