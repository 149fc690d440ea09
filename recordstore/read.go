package recordstore

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// opener is the part of a store that ReadAll needs.
type opener interface {
	Open(ctx context.Context, id record.ID) (Item, io.ReadCloser, error)
}

// lister is the part of a store that All needs.
type lister interface {
	List(ctx context.Context, after uint64, limit int) ([]Item, error)
}

// ReadAll reads a whole record of at most maxBytes and returns it only if all of it has
// the digest of its item.
func ReadAll(ctx context.Context, s opener, id record.ID, maxBytes int64) (Item, []byte, error) {
	item, r, err := s.Open(ctx, id)
	if err != nil {
		return Item{}, nil, err
	}
	defer r.Close()
	if item.Size > maxBytes {
		return Item{}, nil, fmt.Errorf("%w: record %s has %d bytes, the reader takes %d", ErrTooLarge, id, item.Size, maxBytes)
	}
	data := make([]byte, item.Size)
	checked := NewCheckedReader(r, item)
	if _, err := io.ReadFull(checked, data); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: record %s is cut short", ErrCorrupt, id)
		}
		return Item{}, nil, err
	}
	var extra [1]byte
	if n, err := checked.Read(extra[:]); n != 0 || !errors.Is(err, io.EOF) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: record %s is too long", ErrCorrupt, id)
		}
		return Item{}, nil, err
	}
	return item, data, nil
}

// All walks the whole store in its order. It stops at the first error, which it yields.
// Records stored during the walk may be included.
func All(ctx context.Context, s lister) iter.Seq2[Item, error] {
	const page = 500
	return func(yield func(Item, error) bool) {
		var after uint64
		for {
			items, err := s.List(ctx, after, page)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
				after = it.Sequence()
			}
			if len(items) < page {
				return
			}
		}
	}
}

// NewCheckedReader returns a reader of r that ends with io.EOF only if r had exactly the
// size and the digest of the item, and with ErrCorrupt otherwise. It never returns more
// bytes than the item has.
func NewCheckedReader(r io.Reader, item Item) io.Reader {
	return &checkedReader{r: r, item: item, left: item.Size, sum: sm3.New()}
}

type checkedReader struct {
	r    io.Reader
	item Item
	left int64
	sum  hash.Hash
	end  error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.left == 0 {
		c.end = c.verdict()
		return 0, c.end
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.sum.Write(p[:n])
	c.left -= int64(n)
	switch {
	case err == nil, errors.Is(err, io.EOF) && c.left == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		c.end = fmt.Errorf("%w: record %s is cut short by %d bytes", ErrCorrupt, c.item.ID, c.left)
	default:
		c.end = err
	}
	return n, c.end
}

// verdict is reached when all bytes of the item were read.
func (c *checkedReader) verdict() error {
	var extra [1]byte
	for range 100 { // readers may return nothing for a while, but not for ever
		n, err := c.r.Read(extra[:])
		switch {
		case n > 0:
			return fmt.Errorf("%w: record %s is too long", ErrCorrupt, c.item.ID)
		case errors.Is(err, io.EOF):
			if !evidence.Digest(c.sum.Sum(nil)).Equal(c.item.CipherHash) {
				return fmt.Errorf("%w: record %s has another digest than when it was stored", ErrCorrupt, c.item.ID)
			}
			return io.EOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}
