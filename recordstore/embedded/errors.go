package embedded

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/emrbridge/emrbridge/recordstore"
)

// mapError turns an error of the database into one of package recordstore. Messages of
// SQLite name tables and files, never values.
func mapError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrConnDone) {
		return recordstore.ErrClosed
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	if se.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // the index of the log could not grow
		return fmt.Errorf("%w (%w)", recordstore.ErrFull, err)
	}
	var kind error
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		kind = recordstore.ErrFull
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		kind = recordstore.ErrCorrupt
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		kind = recordstore.ErrInUse
	case sqlite3.SQLITE_READONLY:
		kind = recordstore.ErrReadOnly
	case sqlite3.SQLITE_TOOBIG:
		kind = recordstore.ErrTooLarge
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// commitError classifies the failure of a COMMIT: after an I/O error the log may or may
// not hold the transaction when it is next recovered.
func commitError(err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) && se.Code()&0xff == sqlite3.SQLITE_IOERR && se.Code() != sqlite3.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("%w: commit failed (%w); check the disk and put the record again", recordstore.ErrUncertain, err)
	}
	return mapError(err)
}
