package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// rescue guards the streams of an embedded server while it starts.
//
// A server that cannot load a stream deletes it, with everything acknowledged that is in
// it (nats-server 2.15: an error of setupStore ends in stop with the delete flag). Full
// disks bring that about, and so does a crash between the creation of a block and that of
// its key. Therefore
//
//   - blocks that a crash left empty and without a key, and streams that it left without their
//     description and without a message, are removed before the start: they hold nothing, and the
//     server takes them for damage;
//   - hard links keep all files of the streams until the server has loaded every one. A stream
//     that it did not load is put back, and the start fails.
//
// The links lie in the folder keep beside the server's. A folder that is there at the next
// start means that this process was ended in between: it is put back first.
type rescue struct{ streams, keep string }

// errNotLoaded says that the server does not load a stream that is on disk.
var errNotLoaded = errors.New("bus: the embedded server cannot load what it has on disk; nothing was deleted")

// beginStart repairs the folder of a server that does not run and links its streams.
func beginStart(dir string) (*rescue, error) {
	r := &rescue{streams: streamsOf(dir), keep: filepath.Join(dir, "keep")}
	if err := r.putBack(); err != nil {
		return nil, fmt.Errorf("bus: put streams back: %w", err)
	}
	if err := errors.Join(r.removeHalfMade(), r.removeEmptyBlocks()); err != nil {
		return nil, fmt.Errorf("bus: repair of streams: %w", err)
	}
	tmp := r.keep + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	if err := linkTree(r.streams, tmp); err != nil {
		return nil, errors.Join(fmt.Errorf("bus: keep streams while the server starts: %w", err), os.RemoveAll(tmp))
	}
	return r, os.Rename(tmp, r.keep)
}

// finish ends the guard of a server that runs. If it lacks a stream, stop is called, the
// stream is put back, and the error says so.
func (r *rescue) finish(srv *server.Server, stop func()) error {
	want, err := os.ReadDir(r.keep)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	have, err := loaded(srv)
	if err != nil {
		stop()
		return err
	}
	for _, e := range want {
		if !slices.Contains(have, e.Name()) {
			stop()
			return errors.Join(fmt.Errorf("%w: stream %s; the log of the server says why", errNotLoaded, e.Name()), r.putBack())
		}
	}
	return os.RemoveAll(r.keep)
}

// putBack makes the streams what they were when the links were made, if there are links.
func (r *rescue) putBack() error {
	entries, err := os.ReadDir(r.keep)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.streams, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		to := filepath.Join(r.streams, e.Name())
		if err := errors.Join(os.RemoveAll(to), os.Rename(filepath.Join(r.keep, e.Name()), to)); err != nil {
			return err
		}
	}
	return os.RemoveAll(r.keep)
}

// removeHalfMade removes streams that a crash left without their description. It is written
// before the first message can be, so such a stream has none; one that has is left alone.
func (r *rescue) removeHalfMade() error {
	streams, err := filepath.Glob(filepath.Join(r.streams, "*"))
	if err != nil {
		return err
	}
	for _, dir := range streams {
		described := true
		for _, name := range []string{"meta.inf", "meta.sum", "meta.key"} {
			described = described && size(filepath.Join(dir, name)) > 0
		}
		blocks, err := filepath.Glob(filepath.Join(dir, "msgs", "*.blk"))
		if err != nil {
			return err
		}
		if described || slices.ContainsFunc(blocks, func(b string) bool { return size(b) != 0 }) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// size returns the size of a file, 0 if there is none, and -1 if that cannot be told.
func size(path string) int64 {
	info, err := os.Stat(path)
	switch {
	case err == nil:
		return info.Size()
	case errors.Is(err, fs.ErrNotExist):
		return 0
	}
	return -1
}

// removeEmptyBlocks removes blocks of no bytes that have no key.
func (r *rescue) removeEmptyBlocks() error {
	blocks, err := filepath.Glob(filepath.Join(r.streams, "*", "msgs", "*.blk"))
	if err != nil {
		return err
	}
	for _, block := range blocks {
		info, err := os.Stat(block)
		if err != nil {
			return err
		}
		_, err = os.Stat(strings.TrimSuffix(block, ".blk") + ".key")
		if info.Size() > 0 || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Remove(block); err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes the folders of from below to, with hard links to its files. A folder that
// does not exist has no files.
func linkTree(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == from {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.Name() == batchesFolder { // staged, acknowledged to nobody
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		return os.Link(path, filepath.Join(to, name)) //nolint:gosec // both folders are private to this process
	})
}

// loaded lists the streams that a server has.
func loaded(srv *server.Server) ([]string, error) {
	info, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return nil, fmt.Errorf("bus: streams of the embedded server: %w", err)
	}
	var names []string
	for _, account := range info.AccountDetails {
		for _, s := range account.Streams {
			names = append(names, s.Name)
		}
	}
	return names, nil
}
