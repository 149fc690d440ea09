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

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/config"
)

// TestDiskFull fills the disk of a hospital under load. What cannot be made durable is
// answered AE and never AA, the listener stays up, and when there is space again everything
// acknowledged gets onto the ledger, with and without a restart in between.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "420m")
	s := w.install(t, 3, func(c *config.Config) {
		c.DataDir = disk
		c.Keystore.Dir, c.Store.Dir, c.Gateway.Socket = filepath.Join(disk, "keys"), filepath.Join(disk, "store"), filepath.Join(disk, "emrbridge.sock")
	})
	w.sites[3] = s
	t.Cleanup(func() { s.afterTest(t); s.halt(); delete(w.sites, 3) })
	s.start(t)
	for _, c := range []struct {
		name     string
		facility string
		killed   bool
		silent   bool // nobody sends any more when there is space again
	}{{"goes on by itself", "DISK1", false, false}, {"killed while full", "DISK2", true, false}, {"and nobody sends any more", "DISK3", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			l := s.flow(t, c.facility, 15*time.Millisecond)
			begun := time.Now()
			step := func(what string) { t.Logf("%4.1f s: %s", time.Since(begun).Seconds(), what) }
			acked := l.acked.Load()
			eventually(t, "the load is on", func() bool { return l.acked.Load() > acked+30 })
			ballast := filepath.Join(disk, "ballast")
			fill(t, ballast)
			step("the disk is full")
			again := l.again.Load()
			eventually(t, "senders are told to send again", func() bool { return l.again.Load() > again+10 })
			step("senders are told to send again")
			refused := adt("FULL", "某某")
			s.note(t, refused, false)
			r := s.one(t, refused)
			step("one more, answered " + string(r.Code) + " after " + r.Elapsed.String())
			assert.Equal(t, hl7.AppError, r.Code)
			assert.Equal(t, "207", r.ErrorCode, "%s", r.Raw)
			assert.Contains(t, string(r.Raw), "\rERR|")
			assert.Less(t, r.Elapsed, 5*time.Second, "a sender is not kept waiting for what will not be")
			status, report := s.readiness(t)
			assert.Equal(t, http.StatusServiceUnavailable, status)
			assert.Contains(t, report.Missing, "bus")
			if c.killed {
				s.kill()
			}
			if c.silent {
				l.finish(t)
			}
			require.NoError(t, os.Remove(ballast))
			if c.killed {
				s.start(t)
			}
			step("there is space again")
			if !c.silent {
				acked = l.acked.Load()
				eventually(t, "messages are acknowledged again", func() bool { return l.acked.Load() > acked+30 })
				step("messages are acknowledged again")
				l.finish(t)
			}
			s.reconcile(t)
			step("everything acknowledged is on the ledger")
		})
	}
	t.Run("a large document", func(t *testing.T) { s.largeOnAFullDisk(t, disk) })
	s.verify(t)
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
