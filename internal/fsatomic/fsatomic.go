// Package fsatomic writes files so that a crash leaves either the old content or the new, never a part,
// and checks that files with secrets are readable by their owner only.
//
// It is meant for small files: keys, certificates, checkpoints, configuration.
package fsatomic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotPrivate is wrapped by the error of CheckPrivate when others than the owner may use the path.
var ErrNotPrivate = errors.New("not private")

// WriteFile replaces path by data with exactly the permission bits of perm, whatever the umask.
// It writes a temporary file in the same folder, syncs it, renames it over path and syncs the folder;
// when WriteFile returns nil the content survives a power failure. On error path is as it was before,
// unless only the last sync of the folder failed: then path holds the new content, but may lose it in a crash.
// It is safe for concurrent use; of several writers the last rename wins.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	// CreateTemp opens with mode 0600 and O_EXCL: a secret is never readable by others on its way.
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: create temporary file: %w", path, err)
	}
	renamed := false
	defer func() {
		if !renamed {
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := fill(tmp, data, perm); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	renamed = true
	return SyncDir(dir)
}

// fill writes, syncs and closes the temporary file.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm.Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes earlier creations, renames and removals in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// MkdirPrivate makes dir, and missing parents, with mode 0700. An existing dir is accepted only if it is
// a folder (not a symbolic link to one) that CheckPrivate accepts; its permissions are never changed.
func MkdirPrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make private folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make private folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("make private folder: %s is not a folder", dir)
	}
	return CheckPrivate(dir)
}

// CheckPrivate returns an error wrapping ErrNotPrivate if group or others have any permission on path,
// or if path belongs to another user than the one running. A symbolic link is refused, since whoever may
// replace the link chooses the content. A missing path gives an error wrapping fs.ErrNotExist.
func CheckPrivate(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("check permissions: %w", err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a symbolic link: put the file itself there: %w", path, ErrNotPrivate)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, group or others may use it: run chmod go-rwx on it: %w",
			path, perm, ErrNotPrivate)
	}
	return checkOwner(path, info)
}
