package recordstore

import (
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/record"
)

// Errors of every store, to be tested with errors.Is. None carries record content.
var (
	// ErrNotFound reports that no record has the id.
	ErrNotFound = errors.New("recordstore: no such record")
	// ErrCorrupt reports stored bytes that are not what was put: altered, cut or lost.
	ErrCorrupt = errors.New("recordstore: stored record is damaged")
	// ErrMismatch reports data that does not have the digest its draft names.
	ErrMismatch = errors.New("recordstore: data does not match its digest")
	// ErrFull reports that the disk, or the size set for the store, is used up. The store
	// goes on serving reads, and takes records again as soon as there is room.
	ErrFull = errors.New("recordstore: no space left for the record store")
	// ErrTooLarge reports a record, or a group of records, over the limit.
	ErrTooLarge = errors.New("recordstore: too large")
	// ErrInvalid reports an argument that no store accepts.
	ErrInvalid = errors.New("recordstore: invalid argument")
	// ErrClosed reports a store that was closed.
	ErrClosed = errors.New("recordstore: closed")
	// ErrReadOnly reports a change to a store opened for reading.
	ErrReadOnly = errors.New("recordstore: opened for reading only")
	// ErrInUse reports a store that another process writes to.
	ErrInUse = errors.New("recordstore: in use by another process")
	// ErrSchema reports a store that this program cannot read: not a record store, or
	// written by a newer program.
	ErrSchema = errors.New("recordstore: unknown store format")
	// ErrUncertain reports a put whose outcome could not be learned. Putting the same
	// record again settles it.
	ErrUncertain = errors.New("recordstore: outcome unknown")
)

// MissingError names the records that MarkAnchored did not find. It is an ErrNotFound.
type MissingError struct {
	IDs []record.ID
}

// Error implements error.
func (e *MissingError) Error() string {
	if len(e.IDs) == 0 {
		return ErrNotFound.Error()
	}
	return fmt.Sprintf("%v: %d unknown, the first is %s", ErrNotFound, len(e.IDs), e.IDs[0])
}

// Unwrap makes errors.Is(err, ErrNotFound) hold.
func (e *MissingError) Unwrap() error { return ErrNotFound }
