package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/emrbridge/emrbridge/recordstore"
)

// Limits of a shared transaction.
const (
	maxShared      = 512
	maxSharedBytes = 16 << 20
	queueLength    = 1024
)

// request is one change. Its run may be called more than once, each time in a fresh
// transaction after the last was rolled back; what it leaves counts only after done has
// delivered nil.
type request struct {
	run   func(*transaction) error
	bytes int
	state atomic.Int32 // one of the states below
	done  chan error
}

const (
	queued    int32 = iota
	taken           // by the writer: the outcome will come
	withdrawn       // by its caller: will never run
)

// writer owns the one writing connection. Its goroutine takes requests in their order and
// commits them in shared transactions.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	stmts    *statements
	requests chan *request
	ended    chan struct{}
	lastBlob int64 // of the goroutine
}

// startWriter opens the connection, migrates, removes what crashes left, and starts.
func startWriter(ctx context.Context, path string, opts Options) (_ *writer, err error) {
	pragmas := []string{
		"page_size(8192)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)",
		"journal_size_limit(67108864)", "foreign_keys(1)",
	}
	if opts.MaxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", opts.MaxPages))
	}
	w := &writer{requests: make(chan *request, queueLength), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	if w.db, err = sql.Open("sqlite", dsn(path, "rw", pragmas)); err != nil {
		return nil, fmt.Errorf("recordstore: open: %w", err)
	}
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("recordstore: open: %w", mapError(err))
	}
	if err = w.requireWAL(ctx); err != nil {
		return nil, err
	}
	if err = migrate(ctx, w.conn, opts.Clock()); err != nil {
		return nil, err
	}
	if w.stmts, err = prepare(ctx, w.conn); err != nil {
		return nil, fmt.Errorf("recordstore: open: %w", mapError(err))
	}
	if err = w.recover(); err != nil {
		return nil, err
	}
	go w.loop()
	return w, nil
}

// requireWAL refuses to run with weaker durability than documented.
func (w *writer) requireWAL(ctx context.Context) error {
	var mode string
	var sync int
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("recordstore: open: %w", mapError(err))
	}
	if err := w.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return fmt.Errorf("recordstore: open: %w", mapError(err))
	}
	if mode != "wal" || sync != 2 {
		return fmt.Errorf("recordstore: journal mode %q, synchronous %d: the folder must be on a local disk that allows write-ahead logging", mode, sync)
	}
	return nil
}

// recover removes the chunks of streams that never ended and finds the last blob number.
func (w *writer) recover() error {
	left, err := w.staged()
	if err != nil {
		return fmt.Errorf("recordstore: read unfinished streams: %w", mapError(err))
	}
	err = w.transact(func(tx *transaction) error {
		for _, blob := range left {
			if err := tx.dropStaged(blob); err != nil {
				return err
			}
		}
		return tx.conn.QueryRowContext(tx.ctx, "SELECT last_blob FROM tally").Scan(&w.lastBlob)
	})
	if errors.Is(err, recordstore.ErrFull) { // no room even to delete: they wait for the next opening
		err = w.conn.QueryRowContext(context.Background(), "SELECT last_blob FROM tally").Scan(&w.lastBlob)
	}
	if err != nil {
		return fmt.Errorf("recordstore: remove unfinished streams: %w", err)
	}
	return nil
}

func (w *writer) staged() (blobs []int64, err error) {
	rows, err := w.conn.QueryContext(context.Background(), "SELECT blob FROM staging")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b int64
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		blobs = append(blobs, b)
	}
	return blobs, rows.Err()
}

// do runs a change and waits until it is durable. It returns ctx's error only if the
// change never ran.
func (w *writer) do(ctx context.Context, bytes int, run func(*transaction) error) error {
	r := &request{run: run, bytes: bytes, done: make(chan error, 1)}
	select {
	case w.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(queued, withdrawn) {
			return ctx.Err()
		}
		return <-r.done
	}
}

// loop commits until requests is closed.
func (w *writer) loop() {
	defer close(w.ended)
	var group []*request
	for first := range w.requests {
		group = w.gather(group[:0], first)
		w.commitGroup(group)
		clear(group)
	}
}

// gather takes the first request and those already waiting behind it.
func (w *writer) gather(group []*request, first *request) []*request {
	bytes := 0
	for r := first; ; {
		if r.state.CompareAndSwap(queued, taken) {
			group = append(group, r)
			bytes += r.bytes
		}
		if len(group) >= maxShared || bytes >= maxSharedBytes {
			return group
		}
		select {
		case next, ok := <-w.requests:
			if !ok {
				return group
			}
			r = next
		default:
			return group
		}
	}
}

// commitGroup commits a group in one transaction or, if that fails, each request alone.
func (w *writer) commitGroup(group []*request) {
	err := w.transact(func(tx *transaction) error {
		for _, r := range group {
			if err := r.run(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, r := range group {
		if err != nil && len(group) > 1 {
			r.done <- w.transact(r.run)
			continue
		}
		r.done <- err
	}
}

// transact runs one transaction and returns when it is durable or rolled back. It has no
// deadline: to give up in the middle would leave the outcome unknown.
func (w *writer) transact(run func(*transaction) error) error {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return mapError(err)
	}
	tx := &transaction{ctx: ctx, conn: w.conn, stmts: w.stmts, lastBlob: &w.lastBlob}
	err := run(tx)
	if err == nil {
		err = tx.writeTally()
	}
	if err != nil {
		err = mapError(err)
	} else if _, err = w.conn.ExecContext(ctx, "COMMIT"); err == nil {
		return nil
	} else {
		err = commitError(err)
	}
	// SQLite may have rolled back by itself, then this reports that there is nothing to do.
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// stop ends the goroutine after what it has taken, and closes the connection.
func (w *writer) stop() error {
	close(w.requests)
	<-w.ended
	return w.close()
}

func (w *writer) close() error {
	var errs []error
	if w.stmts != nil {
		errs = append(errs, w.stmts.close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	return errors.Join(errs...)
}
