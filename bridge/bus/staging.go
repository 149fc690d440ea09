package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/internal/diskspace"
)

// The server stages an atomic batch in files of its own before it commits it: a folder,
// keys and metadata made and removed for each batch, which on a journaling disk costs
// several times what the one sync of the commit costs. Nothing staged is acknowledged, so
// it may as well lie in memory: the folder of batches of each stream becomes a link to one
// in shared memory. What is staged there is encrypted as everything else is.
//
// A server that was killed in the middle of a commit finishes it from what is staged, if that
// is still there. If not, the messages of a batch that nobody was told of are on disk in
// part; their senders send them again, and the record ids make that harmless.
const (
	sharedMemory  = "/dev/shm"
	batchesFolder = "batches"
	// stagingRoom is how many bytes must be free in shared memory: some batches of every stream.
	stagingRoom = 96 << 20
)

// stage links the folders of batches of all streams below store to shared memory, where
// that is at hand and has room; otherwise batches are staged on the disk.
func stage(store string) error {
	memory, err := stagingFolder(store)
	if err != nil || memory == "" {
		return err
	}
	streams, err := filepath.Glob(filepath.Join(streamsOf(store), "*"))
	if err != nil {
		return err
	}
	for _, dir := range streams {
		batches, there := filepath.Join(dir, batchesFolder), filepath.Join(memory, filepath.Base(dir))
		if target, err := os.Readlink(batches); err == nil && target == there {
			continue
		}
		// Empty after a start, and not yet made for a new stream.
		if err := errors.Join(os.RemoveAll(batches), os.MkdirAll(there, 0o700), os.Symlink(there, batches)); err != nil {
			return fmt.Errorf("bus: stage batches in memory: %w", err)
		}
	}
	return nil
}

// stagingFolder returns the private folder for a store in shared memory, "" where there is
// no room. Its name is the same at every start, so that a killed process leaves nothing
// that the next does not use. A folder of somebody else's under the name is not used.
func stagingFolder(store string) (string, error) {
	if free, err := diskspace.Free(sharedMemory); err != nil || free < stagingRoom {
		return "", nil //nolint:nilerr // no shared memory on this system
	}
	path := stagingPath(store)
	if path == "" {
		return "", nil
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", nil //nolint:nilerr // it may not be written here
	}
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || !ownedByUs(info) {
		return "", fmt.Errorf("bus: %s is not a private folder of this user: remove it", path)
	}
	return path, nil
}

func stagingPath(store string) string {
	abs, err := filepath.Abs(store)
	if err != nil {
		return ""
	}
	sum := sm3.Sum([]byte("emrbridge/staging/v1\n" + abs))
	return filepath.Join(sharedMemory, fmt.Sprintf("emrbridge-%s-%x", strconv.Itoa(os.Getuid()), sum[:8]))
}

// unstage removes what stage made. The server has stopped, and what stays behind, of a
// process that was killed, the next start uses again.
func unstage(store string) {
	links, _ := filepath.Glob(filepath.Join(streamsOf(store), "*", batchesFolder)) // the pattern is sound
	for _, l := range links {
		if info, err := os.Lstat(l); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			_ = os.Remove(l)
		}
	}
	if path := stagingPath(store); path != "" {
		_ = os.RemoveAll(path)
	}
}

// streamsOf is where a server keeps its streams.
func streamsOf(store string) string { return filepath.Join(store, "jetstream", "$G", "streams") }
