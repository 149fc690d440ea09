package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxShared is how many changes share a transaction, and so a flush to disk.
const maxShared = 64

// change is one write. run may be called twice, the second time after a rollback.
type change struct {
	run  func(context.Context, *sql.Tx) error
	done chan error
}

// do runs a change in the one writing goroutine and returns when it is durable.
func (v *View) do(ctx context.Context, run func(context.Context, *sql.Tx) error) error {
	c := &change{run: run, done: make(chan error, 1)}
	select {
	case v.changes <- c:
	case <-v.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// It has been taken: to give up now would leave the outcome unknown.
	return <-c.done
}

var errClosed = errors.New("view: closed")

func (v *View) write() {
	defer close(v.ended)
	for {
		select {
		case first := <-v.changes:
			v.commit(v.gather(first))
		case <-v.closing:
			return
		}
	}
}

func (v *View) gather(first *change) []*change {
	group := []*change{first}
	for len(group) < maxShared {
		select {
		case c := <-v.changes:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// commit commits a group together or, where that fails, each change alone, so that one bad
// change fails nobody else's.
func (v *View) commit(group []*change) {
	err := v.transaction(group)
	if err == nil || len(group) == 1 {
		for _, c := range group {
			c.done <- err
		}
		return
	}
	for _, c := range group {
		c.done <- v.transaction([]*change{c})
	}
}

func (v *View) transaction(group []*change) (err error) {
	// Writes outlive the requests that ask for them.
	ctx := context.Background()
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	for _, c := range group {
		if err := c.run(ctx, tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("view: %w", err)
	}
	return nil
}
