package ferry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Entry is a file of a folder.
type Entry struct {
	Name     string
	Size     int64
	Modified time.Time
}

// Disk is what a Port needs of a file system, local or reached over SFTP. Each method is one
// step that may fail or be the last before a crash.
type Disk interface {
	// List returns the regular files of a folder by name, and not those whose names begin
	// with a dot.
	List(dir string) ([]Entry, error)
	// Read returns a file, or an error when it is longer than limit.
	Read(path string, limit int64) ([]byte, error)
	// Write makes a file durable under a name that nobody looks at; Rename shows it.
	Write(path string, data []byte) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes renames and removals in a folder durable.
	SyncDir(dir string) error
}

// put writes a file so that nobody ever sees a part of it.
func put(d Disk, dir, name string, data []byte) error {
	part := filepath.Join(dir, "."+name+".part")
	if err := d.Write(part, data); err != nil {
		return errors.Join(err, ignoreMissing(d.Remove(part)))
	}
	if err := d.Rename(part, filepath.Join(dir, name)); err != nil {
		return errors.Join(err, ignoreMissing(d.Remove(part)))
	}
	return d.SyncDir(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// OS is the operating system's file system.
type OS struct{}

// List implements Disk.
func (OS) List(dir string) ([]Entry, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, f := range files {
		if f.Name()[0] == '.' || !f.Type().IsRegular() {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the gatekeeper took it just now
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Name: f.Name(), Size: info.Size(), Modified: info.ModTime()})
	}
	return out, nil
}

// Read implements Disk.
func (OS) Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("ferry: a file of more than %d bytes", limit)
	}
	return data, errors.Join(err, f.Close())
}

// Write implements Disk.
func (OS) Write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640) //nolint:gosec // the gatekeeper's account reads by its group
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Rename implements Disk.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements Disk.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir implements Disk.
func (OS) SyncDir(dir string) error { return fsatomic.SyncDir(dir) }
