package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// CheckLevel says how thoroughly a store is examined.
type CheckLevel int

// Check levels. The cost of both checks grows with the store.
const (
	// CheckNone examines nothing.
	CheckNone CheckLevel = iota
	// CheckQuick examines the structure of the database.
	CheckQuick
	// CheckFull examines structure and indexes, counts again, and reads every record
	// against its digest.
	CheckFull
)

// Check examines the store. Damage gives an error that is recordstore.ErrCorrupt.
func (s *Store) Check(ctx context.Context, level CheckLevel) error { return s.check(ctx, level) }

func (s *Store) check(ctx context.Context, level CheckLevel) error {
	switch level {
	case CheckNone:
		return nil
	case CheckQuick:
		return s.checkStructure(ctx, "PRAGMA quick_check(10)")
	case CheckFull:
		if err := s.checkStructure(ctx, "PRAGMA integrity_check(10)"); err != nil {
			return err
		}
		if err := s.checkTally(ctx); err != nil {
			return err
		}
		return s.checkRecords(ctx)
	default:
		return fmt.Errorf("%w: check level %d", recordstore.ErrInvalid, level)
	}
}

func (s *Store) checkStructure(ctx context.Context, pragma string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var first string
	if err := s.readers.QueryRowContext(ctx, pragma).Scan(&first); err != nil {
		return fmt.Errorf("check the store: %w", readError(ctx, err))
	}
	if first != "ok" {
		return fmt.Errorf("%w: %s; restore a backup", recordstore.ErrCorrupt, first)
	}
	return nil
}

func (s *Store) checkTally(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var agree bool
	err := s.readers.QueryRowContext(ctx, `SELECT t.items = c.items AND t.bytes = c.bytes AND t.anchored = c.anchored
		AND t.last_blob >= c.last_blob FROM tally t,
		(SELECT count(*) AS items, coalesce(sum(size), 0) AS bytes, count(anchor_tx) AS anchored,
		 coalesce(max(blob), 0) AS last_blob FROM item) c`).Scan(&agree)
	if err != nil {
		return fmt.Errorf("check the totals: %w", readError(ctx, err))
	}
	if !agree {
		return fmt.Errorf("%w: totals differ from the records", recordstore.ErrCorrupt)
	}
	return nil
}

// checkRecords reads every record. It goes on after damage, and names up to ten.
func (s *Store) checkRecords(ctx context.Context) error {
	const most = 10
	var damaged []error
	for item, err := range recordstore.All(ctx, s) {
		if err != nil {
			return err
		}
		err = s.checkRecord(ctx, item.ID)
		if err != nil && !errors.Is(err, recordstore.ErrCorrupt) {
			return err
		}
		if err != nil {
			damaged = append(damaged, err)
		}
		if len(damaged) == most {
			break
		}
	}
	return errors.Join(damaged...)
}

func (s *Store) checkRecord(ctx context.Context, id record.ID) error {
	r, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, recordstore.NewCheckedReader(&bodyReader{ctx: ctx, store: s, row: r}, r.Item))
	return err
}

// Backup writes a consistent copy of the store to path, while the store is in use. The file
// must not exist; its folder must. It is private to the user and durable when Backup
// returns; on error nothing is left at path.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up the store: %s exists; name a new file", path)
	}
	// CreateTemp makes the file private before the first byte is in it.
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if _, err := s.readers.ExecContext(ctx, "VACUUM INTO ?", tmp.Name()); err != nil {
		return fmt.Errorf("back up the store: %w", readError(ctx, err))
	}
	if err := syncFile(tmp.Name()); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil { // unlike rename, never replaces
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := os.Remove(tmp.Name()); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return fsatomic.SyncDir(filepath.Dir(path))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
