package embedded_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/recordstore/storetest"
)

// alter changes a closed store behind its back.
func alter(t *testing.T, dir, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "records.db"))
	require.NoError(t, err)
	res, err := db.Exec(query, args...)
	require.NoError(t, err)
	n, err := res.RowsAffected()
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, db.Close())
}

// filled makes a closed store with one record of three chunks.
func filled(t *testing.T) (dir string, r recordstore.Sealed) {
	dir = filepath.Join(t.TempDir(), "store")
	r = storetest.Record(3<<20 - 5)
	s := open(t, dir, embedded.Options{})
	_, _, err := s.Put(t.Context(), r.Draft, r.Data)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return dir, r
}

func TestFullStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, embedded.Options{MaxPages: 400}) // 3.2 MB
	kept := storetest.Record(500_000)
	_, _, err := s.Put(t.Context(), kept.Draft, kept.Data)
	require.NoError(t, err)

	big := storetest.Record(4 << 20)
	_, _, err = s.Put(t.Context(), big.Draft, big.Data)
	require.ErrorIs(t, err, recordstore.ErrFull)
	_, _, err = s.PutStream(t.Context(), big.Draft, bytes.NewReader(big.Data))
	require.ErrorIs(t, err, recordstore.ErrFull)
	_, err = s.PutAll(t.Context(), []recordstore.Sealed{storetest.Record(10), big})
	require.ErrorIs(t, err, recordstore.ErrFull)
	_, err = s.Stat(t.Context(), big.ID)
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	_, _, err = recordstore.ReadAll(t.Context(), s, kept.ID, 1<<20)
	require.NoError(t, err, "reads go on")

	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, st.Items)
	small := storetest.Record(1000)
	_, _, err = s.Put(t.Context(), small.Draft, small.Data)
	require.NoError(t, err, "what still fits is taken")
	require.NoError(t, s.Check(t.Context(), embedded.CheckFull))
	require.NoError(t, s.Close())

	s = open(t, dir, embedded.Options{Check: embedded.CheckFull})
	_, created, err := s.Put(t.Context(), big.Draft, big.Data)
	require.NoError(t, err, "heals once there is room")
	assert.True(t, created)
}

// A record without room must not fail those that share its transaction.
func TestFullStoreIsolatesTheLargeRecord(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), embedded.Options{MaxPages: 600})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			r := storetest.Record(1000)
			if i%10 == 0 {
				r = storetest.Record(6 << 20)
			}
			_, _, err := s.Put(t.Context(), r.Draft, r.Data)
			if i%10 == 0 {
				assert.ErrorIs(t, err, recordstore.ErrFull)
				return
			}
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 36, st.Items)
	require.NoError(t, s.Check(t.Context(), embedded.CheckFull))
}

func TestDamageIsFound(t *testing.T) {
	for name, query := range map[string]string{
		"one byte altered": "UPDATE body SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE at & 4095 = 1",
		"chunk lost":       "DELETE FROM body WHERE at & 4095 = 2",
		"chunk cut":        "UPDATE body SET data = substr(data, 1, 100) WHERE at & 4095 = 2",
		"chunk grown":      "UPDATE body SET data = CAST(data || x'00' AS BLOB) WHERE at & 4095 = 2",
		"digest replaced":  "UPDATE item SET hash = zeroblob(32)",
		"size cut":         "UPDATE item SET size = 100",
		"size enormous":    "UPDATE item SET size = 9223372036854775807",
	} {
		t.Run(name, func(t *testing.T) {
			dir, r := filled(t)
			alter(t, dir, query)
			s := open(t, dir, embedded.Options{})
			_, data, err := recordstore.ReadAll(t.Context(), s, r.ID, 8<<20)
			require.ErrorIs(t, err, recordstore.ErrCorrupt)
			assert.Nil(t, data)
			require.ErrorIs(t, s.Check(t.Context(), embedded.CheckFull), recordstore.ErrCorrupt)
			require.NoError(t, s.Check(t.Context(), embedded.CheckQuick), "the structure is sound")
		})
	}
}

func TestSkipReadCheckShowsDamage(t *testing.T) {
	dir, r := filled(t)
	alter(t, dir, "UPDATE body SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE at & 4095 = 1")
	s := open(t, dir, embedded.Options{SkipReadCheck: true})
	_, body, err := s.Open(t.Context(), r.ID)
	require.NoError(t, err)
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Len(t, got, len(r.Data))
	assert.NotEqual(t, r.Data, got)
}

func TestTornFileIsRefused(t *testing.T) {
	dir, _ := filled(t)
	path := filepath.Join(dir, "records.db")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, raw[:len(raw)/2], 0o600))
	_, err = embedded.Open(t.Context(), dir, embedded.Options{Check: embedded.CheckQuick})
	require.ErrorIs(t, err, recordstore.ErrCorrupt)
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("not a database. "), 1000), 0o600))
	_, err = embedded.Open(t.Context(), dir, embedded.Options{})
	require.ErrorIs(t, err, recordstore.ErrCorrupt)
}

func TestForeignAndNewerFilesAreRefused(t *testing.T) {
	for name, pragma := range map[string]string{
		"newer":   "PRAGMA user_version = 99",
		"foreign": "PRAGMA application_id = 1",
	} {
		dir, _ := filled(t)
		db, err := sql.Open("sqlite", filepath.Join(dir, "records.db"))
		require.NoError(t, err)
		_, err = db.Exec(pragma)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		for _, readOnly := range []bool{false, true} {
			_, err = embedded.Open(t.Context(), dir, embedded.Options{ReadOnly: readOnly})
			require.ErrorIs(t, err, recordstore.ErrSchema, name)
		}
	}
}

func TestUnfinishedStreamsAreRemoved(t *testing.T) {
	dir, r := filled(t)
	alter(t, dir, "INSERT INTO staging VALUES (77)")
	alter(t, dir, "INSERT INTO body VALUES (77 << 12, zeroblob(1000)), (77 << 12 | 1, zeroblob(1000))")
	s := open(t, dir, embedded.Options{Check: embedded.CheckFull})
	_, _, err := recordstore.ReadAll(t.Context(), s, r.ID, 8<<20)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, "records.db"))
	require.NoError(t, err)
	defer db.Close()
	var rows int
	require.NoError(t, db.QueryRow("SELECT (SELECT count(*) FROM staging) + (SELECT count(*) FROM body WHERE at >> 12 = 77)").Scan(&rows))
	assert.Zero(t, rows)
}

func TestBackup(t *testing.T) {
	dir, r := filled(t)
	s := open(t, dir, embedded.Options{})
	target := filepath.Join(t.TempDir(), "restored")
	require.NoError(t, fsatomic.MkdirPrivate(target))
	path := filepath.Join(target, "records.db")

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				r := storetest.Record(1000)
				if _, _, err := s.Put(ctx, r.Draft, r.Data); err != nil {
					assert.ErrorIs(t, err, context.Canceled)
				}
			}
		})
	}
	require.NoError(t, s.Backup(t.Context(), path))
	cancel()
	wg.Wait()
	require.NoError(t, fsatomic.CheckPrivate(path))
	require.ErrorContains(t, s.Backup(t.Context(), path), "exists")
	gone, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, s.Backup(gone, path+"2"), context.Canceled)
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")

	restored := open(t, target, embedded.Options{Check: embedded.CheckFull})
	_, data, err := recordstore.ReadAll(t.Context(), restored, r.ID, 8<<20)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(r.Data, data))
	_, created, err := restored.Put(t.Context(), storetest.Record(5).Draft, nil)
	require.ErrorIs(t, err, recordstore.ErrInvalid)
	assert.False(t, created)
}

func TestReadOnlyBesideWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	_, err := embedded.Open(t.Context(), dir, embedded.Options{ReadOnly: true})
	require.ErrorIs(t, err, os.ErrNotExist)
	w := open(t, dir, embedded.Options{})
	ro := open(t, dir, embedded.Options{ReadOnly: true})
	r := storetest.Record(100)
	_, _, err = w.Put(t.Context(), r.Draft, r.Data)
	require.NoError(t, err)
	_, _, err = recordstore.ReadAll(t.Context(), ro, r.ID, 1000)
	require.NoError(t, err)
	_, _, err = ro.Put(t.Context(), r.Draft, r.Data)
	require.ErrorIs(t, err, recordstore.ErrReadOnly)
	_, err = ro.PutAll(t.Context(), []recordstore.Sealed{r})
	require.ErrorIs(t, err, recordstore.ErrReadOnly)
	_, _, err = ro.PutStream(t.Context(), r.Draft, bytes.NewReader(r.Data))
	require.ErrorIs(t, err, recordstore.ErrReadOnly)
	require.ErrorIs(t, ro.MarkAnchored(t.Context(), []record.ID{r.ID}, recordstore.AnchorRef{TxID: "x"}), recordstore.ErrReadOnly)
	require.NoError(t, w.Close())
	require.NoError(t, ro.Check(t.Context(), embedded.CheckFull))
}

func TestOneWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, embedded.Options{})
	_, err := embedded.Open(t.Context(), dir, embedded.Options{})
	require.ErrorIs(t, err, recordstore.ErrInUse)
	require.NoError(t, s.Close())
	open(t, dir, embedded.Options{})
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, embedded.Options{})
	r := storetest.Record(10)
	_, _, err := s.Put(t.Context(), r.Draft, r.Data)
	require.NoError(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 4, "database, log, shared memory, lock")
	for _, f := range files {
		require.NoError(t, fsatomic.CheckPrivate(filepath.Join(dir, f.Name())))
	}
	require.NoError(t, s.Close())

	require.NoError(t, os.Chmod(filepath.Join(dir, "records.db"), 0o644))
	_, err = embedded.Open(t.Context(), dir, embedded.Options{})
	require.ErrorIs(t, err, fsatomic.ErrNotPrivate)
	require.NoError(t, os.Chmod(filepath.Join(dir, "records.db"), 0o600))
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err = embedded.Open(t.Context(), dir, embedded.Options{})
	require.ErrorIs(t, err, fsatomic.ErrNotPrivate)
}

func TestHostileFolderNames(t *testing.T) {
	for _, name := range []string{"a?mode=memory&x=1", "b#c", "100%41", "with space", "病历", "semi;colon", "a+b"} {
		dir := filepath.Join(t.TempDir(), name)
		s := open(t, dir, embedded.Options{})
		r := storetest.Record(10)
		_, _, err := s.Put(t.Context(), r.Draft, r.Data)
		require.NoError(t, err)
		_, err = os.Stat(filepath.Join(dir, "records.db-wal"))
		require.NoError(t, err, "the database is in the folder named")
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []embedded.Options{{MaxRecord: -1}, {MaxRecord: 1 << 40}, {Readers: 65}, {Readers: -1}, {MaxPages: -1}, {Check: 9}} {
		_, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "store"), o)
		require.ErrorIs(t, err, recordstore.ErrInvalid)
	}
}

// A source that delivers slowly must not hold up closing, or other puts.
func TestSlowStreamHoldsNobodyUp(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	src, feed := io.Pipe()
	r := storetest.Record(2 << 20)
	result := make(chan error, 1)
	go func() {
		_, _, err := s.PutStream(context.Background(), r.Draft, src)
		result <- err
	}()
	_, err := feed.Write(r.Data[:1<<20+10])
	require.NoError(t, err)
	other := storetest.Record(10)
	_, _, err = s.Put(t.Context(), other.Draft, other.Data)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Close() }()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for the source of a stream")
	}
	go func() { _, _ = feed.Write(r.Data[1<<20+10:]); _ = feed.Close() }()
	require.ErrorIs(t, <-result, recordstore.ErrClosed)
}
