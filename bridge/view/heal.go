package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// Submit hands content to the bus. nil means that it is durable there.
type Submit func(ctx context.Context, s index.Submission) error

// page bounds what one round of sweeping looks at.
const page = 500

// Heal submits again what was reserved before olderThan and not committed, and commits it:
// whoever sent it may have been told that it is durable. It returns how many there were.
func (v *View) Heal(ctx context.Context, olderThan time.Time, submit Submit) (int, error) {
	ids, err := v.pendingIDs(ctx, "SELECT record FROM pending WHERE durable = 0 AND at < ? ORDER BY at LIMIT ?", olderThan.UnixMilli(), page)
	if err != nil {
		return 0, err
	}
	for i, id := range ids {
		s, err := v.pending(ctx, id)
		if err != nil {
			return i, err
		}
		if err := v.resubmit(ctx, s, submit); err != nil {
			return i, err
		}
		if err := v.Commit(ctx, id); err != nil {
			return i, err
		}
	}
	return len(ids), nil
}

// resubmit submits content again. A large body is gone once the store has it; one that is
// gone and not there was never on the bus, so that nobody was told that it was taken.
func (v *View) resubmit(ctx context.Context, s index.Submission, submit Submit) error {
	err := submit(ctx, s)
	if err == nil || s.Claim == "" || !errors.Is(err, index.ErrNotFound) {
		return wrapHeal(err)
	}
	_, err = v.cfg.Store.Stat(ctx, s.Record)
	if errors.Is(err, recordstore.ErrNotFound) {
		err = v.Abandon(ctx, s.Record)
	}
	return wrapHeal(err)
}

func wrapHeal(err error) error {
	if err != nil {
		return fmt.Errorf("view: heal: %w", err)
	}
	return nil
}

// Sweep drops the copies of content that the store of sealed records has by now. It returns
// how many.
func (v *View) Sweep(ctx context.Context) (int, error) {
	dropped, after := 0, int64(-1)
	for {
		ids, err := v.pendingIDs(ctx, "SELECT record FROM pending WHERE durable = 1 AND at > ? ORDER BY at LIMIT ?", after, page)
		if err != nil || len(ids) == 0 {
			return dropped, err
		}
		for _, id := range ids {
			_, err := v.cfg.Store.Stat(ctx, id)
			if errors.Is(err, recordstore.ErrNotFound) {
				continue // on its way, or set aside
			}
			if err != nil {
				return dropped, fmt.Errorf("view: sweep: %w", err)
			}
			if err := v.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "DELETE FROM pending WHERE record = ?", id[:])
				return err
			}); err != nil {
				return dropped, err
			}
			dropped++
		}
		if len(ids) < page {
			return dropped, nil
		}
		if err := v.db.QueryRowContext(ctx, "SELECT at FROM pending WHERE record = ?", ids[len(ids)-1][:]).Scan(&after); err != nil {
			return dropped, nil //nolint:nilerr // it was just dropped: the next round begins anew
		}
	}
}

func (v *View) pendingIDs(ctx context.Context, query string, args ...any) ([]record.ID, error) {
	rows, err := v.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	defer rows.Close()
	var out []record.ID
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("view: %w", err)
		}
		id, err := record.IDFromBytes(b)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// Keep sweeps and heals until ctx ends. What is younger than a minute is left to the request
// that is about to commit it.
func (v *View) Keep(ctx context.Context, every time.Duration, submit Submit, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if _, err := v.Heal(ctx, v.cfg.Now().Add(-time.Minute), submit); err != nil && ctx.Err() == nil {
			log.Warn("received resources wait for the bus", "err", err)
		}
		if _, err := v.Sweep(ctx); err != nil && ctx.Err() == nil {
			log.Warn("copies of received resources are not dropped", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
