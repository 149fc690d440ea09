package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/recordstore"
)

const (
	dbName   = "records.db"
	lockName = "records.lock"
	// maxRecordLimit is what maxChunks can hold.
	maxRecordLimit = int64(maxChunks) * chunkSize
)

// Options of a store. The zero value is the default.
type Options struct {
	// ReadOnly opens an existing store beside its writing process; changes return
	// recordstore.ErrReadOnly. Default: false.
	ReadOnly bool
	// Check is done before Open returns. Default: CheckNone.
	Check CheckLevel
	// SkipReadCheck gives out stored bytes without comparing their digest, for tools that
	// examine damage. Default: false.
	SkipReadCheck bool
	// MaxRecord is the largest sealed record, in bytes, up to 4 GiB.
	// Default: recordstore.DefaultMaxRecord.
	MaxRecord int64
	// Readers is the number of connections for reading, up to 64. Default: 4.
	Readers int
	// MaxPages bounds the database, in pages of 8 KiB; beyond it puts return
	// recordstore.ErrFull. Default 0: bounded by the disk.
	MaxPages int64
	// Clock dates StoredAt. Default: time.Now.
	Clock func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxRecord == 0 {
		o.MaxRecord = recordstore.DefaultMaxRecord
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxRecord < 1 || o.MaxRecord > maxRecordLimit {
		return o, fmt.Errorf("%w: MaxRecord is 1 to %d bytes", recordstore.ErrInvalid, maxRecordLimit)
	}
	if o.Readers < 1 || o.Readers > 64 {
		return o, fmt.Errorf("%w: Readers is 1 to 64", recordstore.ErrInvalid)
	}
	if o.MaxPages < 0 {
		return o, fmt.Errorf("%w: MaxPages is negative", recordstore.ErrInvalid)
	}
	return o, nil
}

// Store is a recordstore.Store in one SQLite file. It is safe for concurrent use.
type Store struct {
	opts    Options
	path    string
	readers *sql.DB
	byID    *sql.Stmt // of readers
	chunkAt *sql.Stmt // of readers
	writer  *writer   // nil when read-only
	lock    *os.File  // nil when read-only

	leftovers leftovers

	gate   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
}

var _ recordstore.Store = (*Store)(nil)

// Open opens the store in dir, making folder and store if they are missing. ctx bounds the
// opening only. An existing folder or file that others may read is refused.
func Open(ctx context.Context, dir string, opts Options) (_ *Store, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("recordstore: folder: %w", err)
	}
	s := &Store{opts: opts, path: filepath.Join(dir, dbName)}
	defer func() {
		if err != nil {
			_ = s.release()
		}
	}()
	if opts.ReadOnly {
		if err = checkFile(s.path); err != nil {
			return nil, err
		}
	} else if err = s.openWriter(ctx, dir); err != nil {
		return nil, err
	}
	if err = s.openReaders(ctx); err != nil {
		return nil, err
	}
	if err = s.check(ctx, opts.Check); err != nil {
		return nil, err
	}
	return s, nil
}

// openWriter makes what is missing, takes the lock and brings the schema up to date.
func (s *Store) openWriter(ctx context.Context, dir string) (err error) {
	if err = fsatomic.MkdirPrivate(dir); err != nil {
		return fmt.Errorf("recordstore: %w", err)
	}
	if s.lock, err = lockFile(filepath.Join(dir, lockName)); err != nil {
		return err
	}
	if err = createFile(s.path); err != nil {
		return err
	}
	s.writer, err = startWriter(ctx, s.path, s.opts)
	return err
}

func (s *Store) openReaders(ctx context.Context) error {
	var err error
	if s.readers, err = sql.Open("sqlite", dsn(s.path, "ro", nil)); err != nil {
		return fmt.Errorf("recordstore: open for reading: %w", err)
	}
	s.readers.SetMaxOpenConns(s.opts.Readers)
	s.readers.SetMaxIdleConns(s.opts.Readers)
	conn, err := s.readers.Conn(ctx)
	if err != nil {
		return fmt.Errorf("recordstore: open for reading: %w", mapError(err))
	}
	version, err := readVersion(ctx, conn)
	err = errors.Join(err, conn.Close())
	if err == nil && version != schemaVersion() {
		err = fmt.Errorf("%w: schema %d, this program reads %d; open it once for writing to bring it up to date",
			recordstore.ErrSchema, version, schemaVersion())
	}
	if err != nil {
		return err
	}
	if s.byID, err = s.readers.PrepareContext(ctx, selectItems+" WHERE id = ?"); err == nil {
		s.chunkAt, err = s.readers.PrepareContext(ctx, "SELECT data FROM body WHERE at = ?")
	}
	if err != nil {
		return fmt.Errorf("recordstore: open for reading: %w", mapError(err))
	}
	return nil
}

// createFile makes an empty private database file; SQLite gives its companions the same
// permissions. An existing file is checked.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return checkFile(path)
	}
	if err != nil {
		return fmt.Errorf("recordstore: create: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("recordstore: create: %w", err)
	}
	if err := fsatomic.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("recordstore: %w", err)
	}
	return nil
}

// checkFile refuses what is not a regular file of the owner alone.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("recordstore: no store there: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", recordstore.ErrSchema, path)
	}
	if err := fsatomic.CheckPrivate(path); err != nil {
		return fmt.Errorf("recordstore: %w", err)
	}
	return nil
}

// dsn names the database to the driver. The path is escaped, so that no character in it
// can become a parameter.
func dsn(path, mode string, pragmas []string) string {
	slashed := filepath.ToSlash(path)
	if runtime.GOOS == "windows" {
		slashed = "/" + slashed
	}
	q := url.Values{
		"mode": {mode}, "_defensive": {"1"}, "_dqs": {"0"}, "_error_rc": {"1"}, "_busy_timeout": {"5000"},
		"_pragma": append([]string{"trusted_schema(0)", "cell_size_check(1)", "temp_store(2)"}, pragmas...),
	}
	return "file://" + (&url.URL{Path: slashed}).EscapedPath() + "?" + q.Encode()
}

// enter starts a call; leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return recordstore.ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.gate.RUnlock() }

// enterWrite is enter for changes.
func (s *Store) enterWrite(ctx context.Context) error {
	if s.opts.ReadOnly {
		return recordstore.ErrReadOnly
	}
	return s.enter(ctx)
}

// Close implements recordstore.Store.
func (s *Store) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.release()
}

// release closes what was opened. The writer goes last: closing its connection empties the
// log into the database.
func (s *Store) release() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.byID, s.chunkAt} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.stop())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("recordstore: close: %w", err)
	}
	return nil
}
