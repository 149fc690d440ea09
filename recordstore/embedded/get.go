package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// readError maps an error of a read; a context that ended comes first, because the driver
// then reports an interruption.
func readError(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return mapError(err)
}

// find returns the row of a record.
func (s *Store) find(ctx context.Context, id record.ID) (row, error) {
	if err := s.enter(ctx); err != nil {
		return row{}, err
	}
	defer s.leave()
	r, err := scanItem(s.byID.QueryRowContext(ctx, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, fmt.Errorf("%w: %s", recordstore.ErrNotFound, id)
	}
	if err != nil {
		return row{}, fmt.Errorf("read record %s: %w", id, readError(ctx, err))
	}
	return r, nil
}

// Stat implements recordstore.Store.
func (s *Store) Stat(ctx context.Context, id record.ID) (recordstore.Item, error) {
	r, err := s.find(ctx, id)
	return r.Item, err
}

// Open implements recordstore.Store. The reader holds at most one chunk of 1 MiB in memory
// and no transaction, so a slow consumer delays nobody.
func (s *Store) Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error) {
	r, err := s.find(ctx, id)
	if err != nil {
		return recordstore.Item{}, nil, err
	}
	body := &bodyReader{ctx: ctx, store: s, row: r}
	if s.opts.SkipReadCheck {
		return r.Item, body, nil
	}
	return r.Item, struct {
		io.Reader
		io.Closer
	}{recordstore.NewCheckedReader(body, r.Item), body}, nil
}

// bodyReader reads the chunks of a record. They never change, so each is a query of its
// own.
type bodyReader struct {
	ctx   context.Context
	store *Store
	row   row
	next  int64  // chunk
	rest  []byte // of the current chunk
	err   error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.rest) == 0 && b.err == nil {
		if b.next*chunkSize >= b.row.Size {
			b.err = io.EOF
			break
		}
		b.rest, b.err = b.chunk()
		b.next++
	}
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *bodyReader) chunk() ([]byte, error) {
	if err := b.store.enter(b.ctx); err != nil {
		return nil, err
	}
	defer b.store.leave()
	var data []byte
	err := b.store.chunkAt.QueryRowContext(b.ctx, b.row.blob<<chunkBits|b.next).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: record %s lacks chunk %d", recordstore.ErrCorrupt, b.row.ID, b.next)
	}
	if err != nil {
		return nil, fmt.Errorf("read record %s: %w", b.row.ID, readError(b.ctx, err))
	}
	return data, nil
}

// Close implements io.Closer. Reading on is an error.
func (b *bodyReader) Close() error {
	b.rest, b.err = nil, fmt.Errorf("%w: reader of record %s", recordstore.ErrClosed, b.row.ID)
	return nil
}

// List implements recordstore.Store.
func (s *Store) List(ctx context.Context, after uint64, limit int) ([]recordstore.Item, error) {
	return s.page(ctx, after, limit, " WHERE seq > ? ORDER BY seq LIMIT ?", int64(after), limit)
}

// ListTag implements recordstore.Store.
func (s *Store) ListTag(ctx context.Context, tag evidence.Tag, after uint64, limit int) ([]recordstore.Item, error) {
	return s.page(ctx, after, limit, " WHERE tag = ? AND seq > ? ORDER BY seq LIMIT ?", tag[:], int64(after), limit)
}

// Unanchored implements recordstore.Store.
func (s *Store) Unanchored(ctx context.Context, before time.Time, after uint64, limit int) ([]recordstore.Item, error) {
	return s.page(ctx, after, limit,
		" INDEXED BY item_unanchored WHERE anchor_tx IS NULL AND seq > ? AND stored_at < ? ORDER BY seq LIMIT ?",
		int64(after), before.UnixMilli(), limit)
}

func (s *Store) page(ctx context.Context, after uint64, limit int, where string, args ...any) ([]recordstore.Item, error) {
	if err := recordstore.CheckPage(after, limit); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	rows, err := s.readers.QueryContext(ctx, selectItems+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", readError(ctx, err))
	}
	defer rows.Close()
	var items []recordstore.Item
	for rows.Next() {
		r, err := scanItem(rows)
		if err != nil {
			return nil, fmt.Errorf("list records: %w", readError(ctx, err))
		}
		items = append(items, r.Item)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list records: %w", readError(ctx, err))
	}
	return items, nil
}

// Stats implements recordstore.Store.
func (s *Store) Stats(ctx context.Context) (st recordstore.Stats, err error) {
	if err := s.enter(ctx); err != nil {
		return st, err
	}
	defer s.leave()
	// One statement, so that all totals are of one moment.
	err = s.readers.QueryRowContext(ctx, `SELECT items, bytes, anchored,
		coalesce((SELECT max(seq) FROM item), 0),
		coalesce((SELECT stored_at FROM item INDEXED BY item_unanchored WHERE anchor_tx IS NULL ORDER BY seq LIMIT 1), 0)
		FROM tally`).Scan(&st.Items, &st.Bytes, &st.Anchored, &st.LastSequence, &st.OldestUnanchored)
	if err != nil {
		return recordstore.Stats{}, fmt.Errorf("read totals: %w", readError(ctx, err))
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			st.DiskBytes += info.Size()
		}
	}
	return st, nil
}
