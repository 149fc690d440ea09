package bus

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/internal/diskspace"
)

// TestFullDiskRefusesAndHeals fills the disk under the server. What was acknowledged is
// there afterwards, and the bus takes messages again when there is room. Where the user may
// not mount a file system, TestServerThatStoppedIsStartedAgain stands for the healing.
func TestFullDiskRefusesAndHeals(t *testing.T) {
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=128m"); err != nil {
		t.Logf("no tmpfs (%v): nothing to fill", err)
		return
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	filler := filepath.Join(mount, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 120<<20), 0o600))
	b := openFailing(t, filepath.Join(mount, "bus"))
	// New messages keep out of the reserve; what stages hand on may use it to the last byte.
	begun := time.Now()
	err := b.Publish(t.Context(), Message{Subject: topology.Received, Body: []byte("x")})
	require.ErrorIs(t, err, ErrFull)
	require.Less(t, time.Since(begun), 500*time.Millisecond, "at once, not when a commit times out")
	require.ErrorIs(t, b.Ready(), ErrFull)
	m := Message{Subject: topology.Normalized, Body: make([]byte, 100<<10)}

	var acked atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				err := b.Publish(t.Context(), m)
				if err != nil {
					if !errors.Is(err, ErrFull) && !errors.Is(err, ErrUnavailable) {
						t.Errorf("unexpected: %v", err)
					}
					return
				}
				acked.Add(1)
			}
		})
	}
	wg.Wait()
	require.Less(t, acked.Load(), int64(1600), "the disk never filled")
	require.Error(t, b.Ready())
	time.Sleep(time.Second)
	require.Error(t, b.Ready(), "no room, no healing")

	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool { return b.Publish(t.Context(), m) == nil }, 40*time.Second, 50*time.Millisecond)
	acked.Add(1)
	// The server may be on its way through one more restart.
	require.Eventually(t, func() bool {
		return b.Publish(t.Context(), Message{Subject: topology.Received, Body: []byte("x")}) == nil && b.Ready() == nil
	}, 20*time.Second, 50*time.Millisecond)
	s, err := b.js.Stream(t.Context(), topology.StreamNormalized)
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(s.CachedInfo().State.Msgs), acked.Load(), "what was acknowledged is there")
}

// TestNoPurgeOnAFullDisk: the server cannot be trusted to purge without room to write, see
// Trim, so what is done with stays until there is some.
func TestNoPurgeOnAFullDisk(t *testing.T) {
	mount := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", mount, "tmpfs", 0, "size=128m"), "mounting a small disk needs root")
	t.Cleanup(func() { require.NoError(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	b := openFailing(t, filepath.Join(mount, "bus"))
	const n = 20
	for range n {
		require.NoError(t, b.Publish(t.Context(), Message{Subject: topology.Normalized, Body: []byte("x")}))
	}
	for _, name := range []string{topology.ConsumerSeal, topology.ConsumerTrail} {
		c, err := b.js.Consumer(t.Context(), topology.StreamNormalized, name)
		require.NoError(t, err)
		batch, err := c.Fetch(n)
		require.NoError(t, err)
		for m := range batch.Messages() {
			require.NoError(t, m.DoubleAck(t.Context()))
		}
	}
	filler := filepath.Join(mount, "filler")
	free, err := diskspace.Free(mount)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filler, make([]byte, free-roomToTrim/2), 0o600))
	removed, err := b.Trim(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
	require.NoError(t, os.Remove(filler))
	removed, err = b.Trim(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(n), removed)
}
