package patientindex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// maxShared is how many changes share a transaction, and so a flush to disk.
const maxShared = 256

// request is one change. run may be called more than once, each time in a fresh transaction
// after the last was rolled back.
type request struct {
	run  func(*transaction) error
	done chan error
}

// writer owns the one writing connection. Requests that wait together share a transaction.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	now      func() time.Time
	stmts    map[string]*sql.Stmt // prepared once each, by their text
	requests chan *request
	ended    chan struct{}
}

func startWriter(ctx context.Context, path string, owner []byte, now func() time.Time) (_ *writer, err error) {
	w := &writer{now: now, stmts: map[string]*sql.Stmt{}, requests: make(chan *request, maxShared), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	w.db, err = sql.Open("sqlite", dsn(path, "rw", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)",
		"checkpoint_fullfsync(1)", "foreign_keys(1)", "secure_delete(1)"))
	if err != nil {
		return nil, fmt.Errorf("patientindex: open: %w", err)
	}
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("patientindex: open: %w", mapError(err))
	}
	if err = prepareSchema(ctx, w.conn, owner); err != nil {
		return nil, err
	}
	go w.loop()
	return w, nil
}

// do runs a change and returns once it is durable. It has no deadline after it was taken:
// to give up in the middle would leave the outcome unknown.
func (w *writer) do(ctx context.Context, run func(*transaction) error) error {
	r := &request{run: run, done: make(chan error, 1)}
	select {
	case w.requests <- r:
		return <-r.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) loop() {
	defer close(w.ended)
	var group []*request
	for first := range w.requests {
		group = append(group[:0], first)
		for len(group) < maxShared && len(w.requests) > 0 {
			group = append(group, <-w.requests)
		}
		w.commit(group)
		clear(group)
	}
}

// commit commits a group in one transaction or, if that fails, each request alone.
func (w *writer) commit(group []*request) {
	err := w.transact(func(t *transaction) error {
		for _, r := range group {
			if err := r.run(t); err != nil {
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

func (w *writer) transact(run func(*transaction) error) error {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return mapError(err)
	}
	err := run(&transaction{ctx: ctx, w: w})
	if err == nil {
		if _, err = w.conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// SQLite may have rolled back by itself, then this has nothing to do.
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
	return mapError(err)
}

// prepared returns the statement with this text.
func (w *writer) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, text)
	if err == nil {
		w.stmts[text] = s
	}
	return s, err
}

// stop ends the goroutine after what it has taken, and closes the connection.
func (w *writer) stop() error {
	close(w.requests)
	<-w.ended
	return w.close()
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	return errors.Join(errs...)
}
