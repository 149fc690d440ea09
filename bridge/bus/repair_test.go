package bus

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/topology"
)

// TestBlockWithoutKeyCostsNoStream: a crash or a full disk between the creation of a block
// file and that of its key leaves an empty block without a key. The server would not load
// the stream, and so lose everything acknowledged that is in it.
func TestBlockWithoutKeyCostsNoStream(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := openFailing(t, dir)
	m := Message{Subject: topology.Received, Body: []byte("x")}
	for range 3 {
		require.NoError(t, b.Publish(t.Context(), m))
	}
	stopForGood(b)
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", topology.StreamReceived, "msgs", "1.blk"))
	require.NoError(t, err)
	require.Len(t, blocks, 1)
	msgs := filepath.Dir(blocks[0])
	for _, name := range []string{"2.blk", "2.key.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(msgs, name), nil, 0o600))
	}
	require.NoError(t, b.server.Restart())
	require.Eventually(t, func() bool { return b.nc.IsConnected() }, 20*time.Second, 20*time.Millisecond)
	s, err := b.js.Stream(t.Context(), topology.StreamReceived)
	require.NoError(t, err)
	require.EqualValues(t, 3, s.CachedInfo().State.Msgs)
	require.NoError(t, b.Publish(t.Context(), m))
}

// TestStreamThatDoesNotLoadIsKept: the server deletes what it cannot load. The start fails
// and everything is still there for the next one, again and again.
func TestStreamThatDoesNotLoadIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := openFailing(t, dir)
	m := Message{Subject: topology.Received, Body: []byte("x")}
	for range 3 {
		require.NoError(t, b.Publish(t.Context(), m))
	}
	stopForGood(b)
	stream := filepath.Join(dir, "jetstream", "$G", "streams", topology.StreamReceived)
	bad := filepath.Join(stream, "msgs", "2.blk") // a block with content and no key is no trace of a crash
	require.NoError(t, os.WriteFile(bad, []byte("not what a block looks like, and nobody has its key"), 0o600))
	for range 3 {
		require.ErrorIs(t, b.server.Restart(), errNotLoaded)
		require.FileExists(t, filepath.Join(stream, "msgs", "1.blk"))
		_ = os.Remove(filepath.Join(stream, "msgs", "2.key")) // the server made one
	}
	require.NoError(t, os.Remove(bad))
	require.NoError(t, b.server.Restart())
	require.Eventually(t, func() bool { return b.nc.IsConnected() }, 20*time.Second, 20*time.Millisecond)
	s, err := b.js.Stream(t.Context(), topology.StreamReceived)
	require.NoError(t, err)
	require.EqualValues(t, 3, s.CachedInfo().State.Msgs)
}

// TestEndedWhileStarting: the process was killed after the links were made, and the server
// had begun to delete.
func TestEndedWhileStarting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := openFailing(t, dir)
	m := Message{Subject: topology.Received, Body: []byte("x")}
	require.NoError(t, b.Publish(t.Context(), m))
	stopForGood(b)
	_, err := beginStart(dir)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "jetstream", "$G", "streams", topology.StreamReceived, "msgs")))
	require.NoError(t, b.server.Restart())
	require.Eventually(t, func() bool { return b.nc.IsConnected() }, 20*time.Second, 20*time.Millisecond)
	s, err := b.js.Stream(t.Context(), topology.StreamReceived)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.CachedInfo().State.Msgs)
	require.NoDirExists(t, filepath.Join(dir, "keep"))
}

// stopForGood stops the server, and what would start it again.
func stopForGood(b *Bus) {
	b.stop()
	b.wg.Wait()
	b.server.Stop()
}

// What the server stages lies in shared memory while it runs, and nowhere afterwards.
func TestBatchesAreStagedInMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := openFailing(t, dir)
	batches := filepath.Join(streamsOf(dir), topology.StreamReceived, batchesFolder)
	memory := filepath.Join(stagingPath(dir), topology.StreamReceived)
	target, err := os.Readlink(batches)
	require.NoError(t, err, "this test needs /dev/shm with %d MiB free", stagingRoom>>20)
	require.Equal(t, memory, target)
	info, err := os.Stat(stagingPath(dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	msgs := make([]Message, 20)
	for i := range msgs {
		msgs[i] = Message{Subject: topology.Received, Body: []byte("x")}
	}
	require.NoError(t, b.PublishBatch(t.Context(), msgs))
	require.NoError(t, b.server.Restart())
	require.Eventually(t, func() bool { return b.PublishBatch(t.Context(), msgs) == nil }, 20*time.Second, 20*time.Millisecond)
	target, err = os.Readlink(batches)
	require.NoError(t, err)
	require.Equal(t, memory, target, "after a restart too")
	b.server.Stop()
	require.NoDirExists(t, stagingPath(dir))
}

// A folder under the name that somebody else made is not trusted.
func TestForeignStagingFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(stagingPath(dir), 0o777))
	t.Cleanup(func() { unstage(dir) })
	require.NoError(t, os.Chmod(stagingPath(dir), 0o777)) //nolint:gosec // what the test is about
	require.ErrorContains(t, stage(dir), "not a private folder")
}
