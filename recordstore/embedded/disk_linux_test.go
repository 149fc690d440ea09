package embedded_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/recordstore/storetest"
)

// tinyDisk returns a folder with little room and what makes more. Where the user may not
// mount a file system, a store bounded in pages stands in for the disk.
func tinyDisk(t *testing.T) (dir string, opts embedded.Options, makeRoom func()) {
	mount := t.TempDir()
	dir = filepath.Join(mount, "store")
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=16m"); err != nil {
		t.Logf("no tmpfs (%v): the store is bounded in pages instead", err)
		return dir, embedded.Options{MaxPages: 700}, nil
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	filler := filepath.Join(mount, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 10<<20), 0o600))
	return dir, embedded.Options{}, func() { require.NoError(t, os.Remove(filler)) }
}

func TestFullDisk(t *testing.T) {
	dir, opts, makeRoom := tinyDisk(t)
	s := open(t, dir, opts)
	var kept []recordstore.Sealed
	var err error
	for err == nil {
		r := storetest.Record(50_000)
		if _, _, err = s.Put(t.Context(), r.Draft, r.Data); err == nil {
			kept = append(kept, r)
		}
		require.Less(t, len(kept), 1000, "the disk never fills")
	}
	require.ErrorIs(t, err, recordstore.ErrFull)
	big := storetest.Record(3 << 20)
	_, _, err = s.PutStream(t.Context(), big.Draft, bytes.NewReader(big.Data))
	require.ErrorIs(t, err, recordstore.ErrFull)
	for _, r := range kept {
		_, data, err := recordstore.ReadAll(t.Context(), s, r.ID, 1<<20)
		require.NoError(t, err)
		require.Equal(t, r.Data, data)
	}
	if makeRoom == nil { // bounded in pages: room is made by opening without the bound
		require.NoError(t, s.Close())
		s = open(t, dir, embedded.Options{})
	} else {
		makeRoom()
	}
	_, created, err := s.PutStream(t.Context(), big.Draft, bytes.NewReader(big.Data))
	require.NoError(t, err, "heals by itself")
	assert.True(t, created)
	require.NoError(t, s.Check(t.Context(), embedded.CheckFull))
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, len(kept)+1, st.Items)
}
