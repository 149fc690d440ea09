package patientindex

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Rebuild makes the index in dir anew. fill gets an empty one and puts in what the sealed
// records say, in the order of the store. The old index is replaced once the new one is
// whole and on disk; until then, and on any error, it stays as it was. The order of changes
// goes on after the old one's, if that can be read, so that the ledger takes later links.
// ErrInUse: the bridge is running.
func Rebuild(ctx context.Context, dir string, o Options, fill func(context.Context, *Index) error) (err error) {
	if o.ReadOnly {
		return ErrReadOnly
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return fmt.Errorf("patientindex: %w", err)
	}
	held, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	aside := filepath.Join(dir, "rebuild")
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("patientindex: %w", err)
	}
	x, err := Open(ctx, aside, o)
	if err != nil {
		return err
	}
	err = x.goOnAfter(ctx, lastOrder(ctx, filepath.Join(dir, FileName)))
	if err == nil {
		err = fill(ctx, x)
	}
	if err := errors.Join(err, x.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(aside))
	}
	return replace(dir, aside)
}

// replace puts the new file in the place of the old. The log of the old one must not be
// taken for that of the new, so it goes first; a closed new index has none.
func replace(dir, aside string) error {
	path := filepath.Join(dir, FileName)
	for _, old := range []string{path + "-wal", path + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("patientindex: %w", err)
		}
	}
	err := os.Rename(filepath.Join(aside, FileName), path)
	if err := errors.Join(err, fsatomic.SyncDir(dir), os.RemoveAll(aside)); err != nil {
		return fmt.Errorf("patientindex: replace: %w", err)
	}
	return nil
}

// lastOrder reads the order of the last change of an index, 0 if it cannot be read.
func lastOrder(ctx context.Context, path string) uint64 {
	if fsatomic.CheckPrivate(path) != nil {
		return 0
	}
	db, err := sql.Open("sqlite", dsn(path, "ro"))
	if err != nil {
		return 0
	}
	defer db.Close()
	var raw []byte
	err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'order'").Scan(&raw)
	if err != nil || len(raw) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

// goOnAfter lets the order of changes begin after a number.
func (x *Index) goOnAfter(ctx context.Context, order uint64) error {
	if order == 0 {
		return nil
	}
	return x.writer.do(ctx, func(t *transaction) error {
		_, err := t.exec("INSERT INTO meta VALUES ('order', ?)", binary.BigEndian.AppendUint64(nil, order))
		return err
	})
}
