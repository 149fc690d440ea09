package fsatomic_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

func TestWriteFileReplacesContentAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("old and longer"), 0o644))
	for _, perm := range []fs.FileMode{0o600, 0o644, 0o666, 0o400} {
		require.NoError(t, fsatomic.WriteFile(path, []byte("new"), perm))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "new", string(got))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, perm, info.Mode().Perm())
	}
	requireOnly(t, filepath.Dir(path), "key")
}

func TestWriteFileFailureLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	// A folder that is not empty cannot be renamed over: the last step fails.
	target := filepath.Join(dir, "target")
	require.NoError(t, os.MkdirAll(filepath.Join(target, "child"), 0o700))
	require.Error(t, fsatomic.WriteFile(target, []byte("x"), 0o600))
	requireOnly(t, dir, "target")

	err := fsatomic.WriteFile(filepath.Join(dir, "missing", "key"), []byte("x"), 0o600)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWriteFileConcurrentWritersNeverMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				assert.NoError(t, fsatomic.WriteFile(path, bytes.Repeat([]byte{byte('a' + i)}, 4096), 0o600))
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, bytes.Repeat(got[:1], 4096), got)
	requireOnly(t, filepath.Dir(path), "checkpoint")
}

func TestMkdirPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, fsatomic.MkdirPrivate(dir))
	require.NoError(t, fsatomic.MkdirPrivate(dir), "a second call accepts the folder")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	require.NoError(t, os.Chmod(dir, 0o755))
	require.ErrorIs(t, fsatomic.MkdirPrivate(dir), fsatomic.ErrNotPrivate)

	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	require.Error(t, fsatomic.MkdirPrivate(link))
}

func TestCheckPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.ErrorIs(t, fsatomic.CheckPrivate(path), fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	for perm, private := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true, 0: true,
		0o640: false, 0o604: false, 0o610: false, 0o601: false, 0o620: false, 0o602: false,
	} {
		require.NoError(t, os.Chmod(path, perm))
		if private {
			assert.NoError(t, fsatomic.CheckPrivate(path), "%04o", perm)
		} else {
			assert.ErrorIs(t, fsatomic.CheckPrivate(path), fsatomic.ErrNotPrivate, "%04o", perm)
		}
	}
	require.NoError(t, os.Chmod(path, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	require.ErrorIs(t, fsatomic.CheckPrivate(link), fsatomic.ErrNotPrivate)
}

// requireOnly fails if dir holds anything but the one name: a temporary file left behind.
func requireOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, name, entries[0].Name())
}
