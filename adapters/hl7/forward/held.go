package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// HeldMessage is a held message as it is listed.
type HeldMessage struct {
	ID   string `json:"id"`
	Size int64  `json:"bytes"` // on disk
	Hold
}

// Held lists what is held, the oldest first.
func (q *DirQueue) Held(ctx context.Context) ([]HeldMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]HeldMessage, len(q.held))
	for i, e := range q.held {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = HeldMessage{ID: e.id, Size: e.size}
		text, err := os.ReadFile(q.path(heldDir, e) + whySuffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("forward: %w", err)
		}
		if err == nil {
			_ = json.Unmarshal(text, &out[i].Hold) // a damaged reason leaves the message listed
		}
	}
	return out, nil
}

// Release puts a held message back into its old place in the queue.
func (q *DirQueue) Release(_ context.Context, id string) error {
	return q.unhold(id, func(at int) error {
		e := q.held[at]
		if err := q.move(e, heldDir, waitDir); err != nil {
			return err
		}
		q.held = slices.Delete(q.held, at, at+1)
		q.waiting = append(q.waiting, e)
		slices.SortFunc(q.waiting, byNumber)
		q.tell()
		return nil
	})
}

// Drop removes a held message for good.
func (q *DirQueue) Drop(_ context.Context, id string) error {
	return q.unhold(id, func(at int) error { return q.discard(&q.held, at, heldDir) })
}

// unhold runs f on a held message, and removes the reason after it.
func (q *DirQueue) unhold(id string, f func(at int) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.IndexFunc(q.held, func(e entry) bool { return e.id == id })
	if at < 0 {
		return fmt.Errorf("%w: %q", ErrNotHeld, id)
	}
	why := q.path(heldDir, q.held[at]) + whySuffix
	if err := f(at); err != nil {
		return err
	}
	if err := os.Remove(why); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forward: %w", err)
	}
	return nil
}

// Len returns how many messages wait and how many are held.
func (q *DirQueue) Len() (waiting, held int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), len(q.held)
}

// Sent reports whether a message is remembered as sent.
func (q *DirQueue) Sent(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sent[id]
}

// Close closes the queue; messages stay.
func (q *DirQueue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.log.Close(); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	return nil
}
