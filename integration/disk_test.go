package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/emrbridge/emrbridge/config"
)

// TestDiskFull fills the disk of a hospital under load. What cannot be made durable is
// answered AE and never AA, the listener stays up, and when there is space again everything
// acknowledged gets onto the ledger, with and without a restart in between.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "256m")
	s := w.install(t, 3, func(c *config.Config) {
		c.DataDir = disk
		c.Keystore.Dir, c.Store.Dir, c.Gateway.Socket = filepath.Join(disk, "keys"), filepath.Join(disk, "store"), filepath.Join(disk, "emrbridge.sock")
	})
	w.sites[3] = s
	t.Cleanup(func() { s.afterTest(t); s.halt(); delete(w.sites, 3) })
	s.start(t)
	l := s.send(t, day("DISK", 300), 5*time.Millisecond)
	for _, c := range []struct {
		name   string
		killed bool
	}{{"goes on by itself", false}, {"killed while full", true}} {
		t.Run(c.name, func(t *testing.T) {
			acked := l.acked.Load()
			eventually(t, "the load is on", func() bool { return l.acked.Load() > acked+30 })
			ballast := filepath.Join(disk, "ballast")
			fill(t, ballast)
			again := l.again.Load()
			eventually(t, "senders are told to send again", func() bool { return l.again.Load() > again+10 })
			eventually(t, "readiness says so", func() bool {
				status, _ := s.readiness(t)
				return status == http.StatusServiceUnavailable
			})
			refused := adt("FULL", "某某")
			s.note(t, refused, false)
			r := s.one(t, refused)
			if !r.Code.Accepted() { // a bit of space may be left for a short message
				assert.Equal(t, "207", r.ErrorCode, "%s", r.Raw)
			} else {
				s.note(t, refused, true)
			}
			if c.killed {
				s.kill()
			}
			require.NoError(t, os.Remove(ballast))
			if c.killed {
				s.start(t)
			}
			acked = l.acked.Load()
			eventually(t, "messages are acknowledged again", func() bool { return l.acked.Load() > acked+30 })
		})
	}
	l.finish(t)
	t.Logf("%d acknowledged, %d sent again", l.acked.Load(), l.again.Load())
	s.reconcile(t)
}

// smallDisk mounts a memory disk of a size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(w.dir, "disk")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size),
		"this test fills a small disk, which only root may mount: run it as root, or as a user with CAP_SYS_ADMIN (unshare --user --map-root-user --mount)")
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 1<<10; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			size /= 4
		}
	}
}
