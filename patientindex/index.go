package patientindex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Options of an index. HospitalMSP and Keys are required.
type Options struct {
	HospitalMSP string
	Keys        Keys
	// ReadOnly opens an existing index beside its writing process.
	ReadOnly bool
	// Now dates the order of changes. Default: time.Now.
	Now func() time.Time
}

// Index is the patient index of one hospital.
type Index struct {
	opts    Options
	namer   namer
	readers *sql.DB
	reads   readStatements
	writer  *writer  // nil when read-only
	lock    *os.File // nil when read-only

	gate   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
}

// Open opens the index in dir, making folder and file if they are missing. ctx bounds the
// opening only. Errors: ErrInUse, ErrCorrupt, ErrSchema, fsatomic.ErrNotPrivate.
func Open(ctx context.Context, dir string, o Options) (_ *Index, err error) {
	if o.HospitalMSP == "" || o.Keys == nil {
		return nil, errors.New("patientindex: hospital and keys are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	x := &Index{opts: o, namer: namer{keys: o.Keys, msp: o.HospitalMSP}}
	defer func() {
		if err != nil {
			_ = x.release()
		}
	}()
	path := filepath.Join(dir, FileName)
	owner, err := x.owner(ctx)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		if err := fsatomic.CheckPrivate(path); err != nil {
			return nil, fmt.Errorf("patientindex: %w", err)
		}
	} else if err := x.openWriter(ctx, dir, path, owner); err != nil {
		return nil, err
	}
	return x, x.openReaders(ctx, path, owner)
}

// owner is a digest that tells keystores and hospitals apart.
func (x *Index) owner(ctx context.Context) ([]byte, error) {
	token, err := x.opts.Keys.PatientToken(ctx, x.namer.local("", "patient index", "owner"))
	if err != nil {
		return nil, fmt.Errorf("patientindex: keystore: %w", err)
	}
	return token[:], nil
}

func (x *Index) openWriter(ctx context.Context, dir, path string, owner []byte) (err error) {
	if err = fsatomic.MkdirPrivate(dir); err != nil {
		return fmt.Errorf("patientindex: %w", err)
	}
	if x.lock, err = lock(filepath.Join(dir, lockName)); err != nil {
		return err
	}
	if err = create(path); err != nil {
		return err
	}
	x.writer, err = startWriter(ctx, path, owner, x.opts.Now)
	return err
}

func (x *Index) openReaders(ctx context.Context, path string, owner []byte) (err error) {
	if x.readers, err = sql.Open("sqlite", dsn(path, "ro")); err != nil {
		return fmt.Errorf("patientindex: open: %w", err)
	}
	x.readers.SetMaxOpenConns(4)
	x.readers.SetMaxIdleConns(4)
	conn, err := x.readers.Conn(ctx)
	if err != nil {
		return fmt.Errorf("patientindex: open: %w", mapError(err))
	}
	defer func() { _ = conn.Close() }()
	v, err := version(ctx, conn)
	if err != nil {
		return err
	}
	if v == 0 {
		return fmt.Errorf("%w: the index is empty; start the bridge once, or run: emrbridge patients rebuild", ErrSchema)
	}
	if err := checkOwner(ctx, conn, owner); err != nil {
		return err
	}
	x.reads, err = prepareReads(ctx, x.readers)
	return err
}

// enter starts a call; leave ends it.
func (x *Index) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.gate.RLock()
	if x.closed {
		x.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

func (x *Index) leave() { x.gate.RUnlock() }

// Close waits for calls under way and closes the index.
func (x *Index) Close() error {
	x.gate.Lock()
	defer x.gate.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	return x.release()
}

// release closes what was opened, the writer last so that its log is emptied into the file.
func (x *Index) release() error {
	errs := []error{x.reads.close()}
	if x.readers != nil {
		errs = append(errs, x.readers.Close())
	}
	if x.writer != nil {
		errs = append(errs, x.writer.stop())
	}
	if x.lock != nil {
		errs = append(errs, x.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("patientindex: close: %w", err)
	}
	return nil
}
