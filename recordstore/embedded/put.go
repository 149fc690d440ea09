package embedded

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// Put implements recordstore.Store.
func (s *Store) Put(ctx context.Context, d recordstore.Draft, data []byte) (recordstore.Item, bool, error) {
	if err := s.enterWrite(ctx); err != nil {
		return recordstore.Item{}, false, err
	}
	defer s.leave()
	if err := (recordstore.Sealed{Draft: d, Data: data}).Check(s.opts.MaxRecord); err != nil {
		return recordstore.Item{}, false, err
	}
	var res recordstore.Result
	err := s.writer.do(ctx, len(data), func(tx *transaction) (err error) {
		res, err = tx.put(d, data, s.opts.Clock().UnixMilli())
		return err
	})
	if err != nil {
		return recordstore.Item{}, false, fmt.Errorf("put record %s: %w", d.ID, err)
	}
	return res.Item, res.Created, nil
}

// PutAll implements recordstore.Store.
func (s *Store) PutAll(ctx context.Context, group []recordstore.Sealed) ([]recordstore.Result, error) {
	if err := s.enterWrite(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := recordstore.CheckGroup(group, s.opts.MaxRecord); err != nil {
		return nil, err
	}
	if len(group) == 0 {
		return nil, nil
	}
	bytes := 0
	for _, sealed := range group {
		bytes += len(sealed.Data)
	}
	results := make([]recordstore.Result, len(group))
	err := s.writer.do(ctx, bytes, func(tx *transaction) (err error) {
		now := s.opts.Clock().UnixMilli()
		for i, sealed := range group {
			if results[i], err = tx.put(sealed.Draft, sealed.Data, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("put %d records: %w", len(group), err)
	}
	return results, nil
}

// PutStream implements recordstore.Store. It holds one chunk of 1 MiB in memory.
func (s *Store) PutStream(ctx context.Context, d recordstore.Draft, r io.Reader) (recordstore.Item, bool, error) {
	if err := d.Validate(); err != nil {
		return recordstore.Item{}, false, err
	}
	if s.opts.ReadOnly {
		return recordstore.Item{}, false, recordstore.ErrReadOnly
	}
	switch item, err := s.Stat(ctx, d.ID); {
	case err == nil:
		return item, false, nil
	case !errors.Is(err, recordstore.ErrNotFound):
		return recordstore.Item{}, false, err
	}
	s.dropLeftovers(ctx)
	st := &stream{store: s, draft: d, sum: sm3.New()}
	res, err := st.run(ctx, r)
	if err != nil {
		st.drop(context.WithoutCancel(ctx))
		return recordstore.Item{}, false, fmt.Errorf("put record %s: %w", d.ID, err)
	}
	return res.Item, res.Created, nil
}

// stream is a PutStream under way. The store's gate is held for each chunk, not while r
// is read, so that a slow source never delays Close.
type stream struct {
	store *Store
	draft recordstore.Draft
	sum   hash.Hash
	size  int64
	blob  int64 // 0 until the first chunk is durable
}

func (st *stream) run(ctx context.Context, r io.Reader) (recordstore.Result, error) {
	buf := make([]byte, chunkSize)
	for n := 0; ; n++ {
		got, err := io.ReadFull(r, buf)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return recordstore.Result{}, fmt.Errorf("read sealed bytes: %w", err)
		}
		st.size += int64(got)
		if st.size > st.store.opts.MaxRecord {
			return recordstore.Result{}, fmt.Errorf("%w: more than %d bytes", recordstore.ErrTooLarge, st.store.opts.MaxRecord)
		}
		st.sum.Write(buf[:got])
		if last {
			return st.finish(ctx, n, buf[:got])
		}
		if err := st.chunk(ctx, n, buf); err != nil {
			return recordstore.Result{}, err
		}
	}
}

// change runs one transaction of the stream.
func (st *stream) change(ctx context.Context, bytes int, run func(*transaction) error) error {
	if err := st.store.enterWrite(ctx); err != nil {
		return err
	}
	defer st.store.leave()
	return st.store.writer.do(ctx, bytes, run)
}

// chunk makes one full chunk durable, still outside any record.
func (st *stream) chunk(ctx context.Context, n int, data []byte) error {
	blob := st.blob
	err := st.change(ctx, len(data), func(tx *transaction) error {
		if blob = st.blob; blob == 0 {
			blob = tx.newBlob()
			if err := tx.stage(blob); err != nil {
				return err
			}
		}
		return tx.putChunk(blob, n, data)
	})
	if err == nil {
		st.blob = blob
	}
	return err
}

// finish stores the last bytes and makes the record visible, in one transaction.
func (st *stream) finish(ctx context.Context, n int, rest []byte) (res recordstore.Result, err error) {
	if st.size == 0 {
		return res, fmt.Errorf("%w: the record is empty", recordstore.ErrInvalid)
	}
	digest := evidence.Digest(st.sum.Sum(nil))
	if !st.draft.CipherHash.IsZero() && !digest.Equal(st.draft.CipherHash) {
		return res, recordstore.ErrMismatch
	}
	st.draft.CipherHash = digest
	err = st.change(ctx, len(rest), func(tx *transaction) (err error) {
		now := st.store.opts.Clock().UnixMilli()
		if st.blob == 0 {
			res, err = tx.put(st.draft, rest, now)
			return err
		}
		if res, err = tx.insert(st.draft, st.blob, st.size, now); err != nil {
			return err
		}
		if !res.Created {
			return tx.dropStaged(st.blob)
		}
		if len(rest) > 0 {
			if err := tx.putChunk(st.blob, n, rest); err != nil {
				return err
			}
		}
		return tx.unstage(st.blob)
	})
	return res, err
}

// drop removes the chunks of a stream that failed. Where that fails too, for want of room
// in the log, the next stream tries again, and at last the next opening of the store.
func (st *stream) drop(ctx context.Context) {
	if st.blob != 0 {
		st.store.leftovers.add(st.blob)
		st.store.dropLeftovers(ctx)
	}
}

// leftovers are the blobs of failed streams that are still to be removed.
type leftovers struct {
	mu    sync.Mutex
	blobs []int64
}

func (l *leftovers) add(blobs ...int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs = append(l.blobs, blobs...)
}

func (l *leftovers) take() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	blobs := l.blobs
	l.blobs = nil
	return blobs
}

// dropLeftovers removes what it can.
func (s *Store) dropLeftovers(ctx context.Context) {
	for _, blob := range s.leftovers.take() {
		if s.enterWrite(ctx) != nil {
			s.leftovers.add(blob)
			continue
		}
		if s.writer.do(ctx, 0, func(tx *transaction) error { return tx.dropStaged(blob) }) != nil {
			s.leftovers.add(blob)
		}
		s.leave()
	}
}

// MarkAnchored implements recordstore.Store.
func (s *Store) MarkAnchored(ctx context.Context, ids []record.ID, ref recordstore.AnchorRef) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := recordstore.CheckMark(ids, ref); err != nil {
		return err
	}
	var missing []record.ID
	err := s.writer.do(ctx, 0, func(tx *transaction) error {
		missing = nil
		for _, id := range ids {
			known, err := tx.mark(id, ref)
			if err != nil {
				return err
			}
			if !known {
				missing = append(missing, id)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark %d records: %w", len(ids), err)
	}
	if len(missing) > 0 {
		return &recordstore.MissingError{IDs: missing}
	}
	return nil
}
