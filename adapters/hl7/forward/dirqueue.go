package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// A DirQueue is a folder, with mode 0700:
//
//	wait/<number>.<id>    a sealed message that waits; numbers grow
//	held/<number>.<id>    a sealed message that is held, with why in <number>.<id>.json
//	sent                  a line for each message sent: time in Unix milliseconds, code, id
//
// Every step is one rename or one append that is synced, in an order in which a crash
// repeats a step and loses none: a message is noted as sent before its file goes, and why
// it is held is written before it moves.
const (
	waitDir, heldDir = "wait", "held"
	sentFile         = "sent"
	whySuffix        = ".json"
)

// Errors of a queue.
var (
	// ErrSent: the message went out before.
	ErrSent = errors.New("forward: the message was sent before")
	// ErrQueued: the message waits or is held already.
	ErrQueued = errors.New("forward: the message is in the queue already")
	// ErrFull: the limit of messages or bytes is reached.
	ErrFull = errors.New("forward: the queue is full")
	// ErrNotHeld: nothing is held under this id.
	ErrNotHeld = errors.New("forward: no held message of this id")
	// ErrUnreadable: the file of a message was altered, or sealed under a key that is gone.
	ErrUnreadable = errors.New("forward: a message does not open")
	// ErrID: the id has not its form.
	ErrID = errors.New("forward: an id is 1 to 128 letters, digits, dots, hyphens and underlines")
)

// Cipher seals messages on the disk; aad binds them to their names.
type Cipher interface {
	Seal(aad, plain []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)
}

// DirConfig configures a DirQueue. Zero fields take the defaults given.
type DirConfig struct {
	Dir    string
	Cipher Cipher // required: messages hold patient data
	// MaxItems and MaxBytes bound what waits and is held. Defaults 100,000 and 1 GiB.
	MaxItems int
	MaxBytes int64
	// KeepSent is how long it is remembered that a message was sent. Default 90 days.
	KeepSent time.Duration
	// StopOnHold keeps everything behind a held message waiting until it is released or
	// dropped, for destinations that need all messages in order. The default goes on.
	StopOnHold bool
	Now        func() time.Time // default time.Now
}

// DirQueue is a durable queue in a folder. It is safe for concurrent use by one process.
type DirQueue struct {
	cfg DirConfig

	mu      sync.Mutex
	waiting []entry // by number
	held    []entry
	bytes   int64
	next    uint64
	sent    map[string]bool
	log     *os.File
	changed chan struct{} // closed and made anew at each change
}

// entry is one message in the folder.
type entry struct {
	number uint64
	id     string
	size   int64
}

func (e entry) name() string { return fmt.Sprintf("%016x.%s", e.number, e.id) }

// OpenDir opens the queue in a folder, which is made if it is missing. Steps that a crash
// left half done are completed.
func OpenDir(c DirConfig) (*DirQueue, error) {
	if c.Cipher == nil {
		return nil, fmt.Errorf("%w: a queue needs a cipher", ErrConfig)
	}
	if c.MaxItems <= 0 {
		c.MaxItems = 100_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 1 << 30
	}
	if c.KeepSent <= 0 {
		c.KeepSent = 90 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	q := &DirQueue{cfg: c, sent: map[string]bool{}, changed: make(chan struct{})}
	for _, dir := range []string{"", waitDir, heldDir} {
		if err := fsatomic.MkdirPrivate(filepath.Join(c.Dir, dir)); err != nil {
			return nil, fmt.Errorf("forward: %w", err)
		}
	}
	if err := q.openSent(); err != nil {
		return nil, fmt.Errorf("forward: what was sent: %w", err)
	}
	if err := q.scan(); err != nil {
		return nil, errors.Join(fmt.Errorf("forward: queue: %w", err), q.log.Close())
	}
	return q, nil
}

// openSent reads the list of what was sent, drops what is too old, and opens it for more.
func (q *DirQueue) openSent() error {
	path := filepath.Join(q.cfg.Dir, sentFile)
	text, err := os.ReadFile(path) //nolint:gosec // within the queue's folder
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	oldest, kept := q.cfg.Now().Add(-q.cfg.KeepSent).UnixMilli(), strings.Builder{}
	for line := range strings.Lines(string(text)) {
		parts := strings.Fields(line)
		if len(parts) != 3 || !strings.HasSuffix(line, "\n") || !validID.MatchString(parts[2]) {
			continue // cut off by a crash: the message is still in its file
		}
		if at, err := strconv.ParseInt(parts[0], 10, 64); err == nil && at >= oldest {
			q.sent[parts[2]] = true
			kept.WriteString(line)
		}
	}
	if kept.Len() != len(text) {
		if err := fsatomic.WriteFile(path, []byte(kept.String()), 0o600); err != nil {
			return err
		}
	}
	q.log, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // within the queue's folder
	return err
}

// scan reads the folders.
func (q *DirQueue) scan() error {
	for dir, list := range map[string]*[]entry{waitDir: &q.waiting, heldDir: &q.held} {
		files, err := os.ReadDir(filepath.Join(q.cfg.Dir, dir))
		if err != nil {
			return err
		}
		for _, f := range files {
			number, id, ok := strings.Cut(f.Name(), ".")
			n, err := strconv.ParseUint(number, 16, 64)
			if !ok || err != nil || len(number) != 16 || strings.HasSuffix(id, whySuffix) || !validID.MatchString(id) {
				continue // a temporary file, or why something is held
			}
			info, err := f.Info()
			if err != nil {
				return err
			}
			e := entry{number: n, id: id, size: info.Size()}
			q.next = max(q.next, n+1)
			if q.sent[id] { // a crash came between noting it and removing it
				if err := os.Remove(filepath.Join(q.cfg.Dir, dir, f.Name())); err != nil {
					return err
				}
				continue
			}
			*list = append(*list, e)
			q.bytes += e.size
		}
		slices.SortFunc(*list, byNumber)
	}
	return nil
}

func byNumber(a, b entry) int {
	if a.number < b.number {
		return -1
	}
	return 1
}

// Put adds a message durably. With again it also takes one that was sent before. Errors
// wrap ErrSent, ErrQueued, ErrFull or ErrID.
func (q *DirQueue) Put(ctx context.Context, m Message, again bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !validID.MatchString(m.ID) || strings.HasSuffix(m.ID, whySuffix) {
		return ErrID
	}
	sealed, err := q.cfg.Cipher.Seal(aad(m.ID), m.Raw)
	if err != nil {
		return fmt.Errorf("forward: seal: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	same := func(e entry) bool { return e.id == m.ID }
	switch {
	case slices.ContainsFunc(q.waiting, same), slices.ContainsFunc(q.held, same):
		return ErrQueued
	case q.sent[m.ID] && !again:
		return ErrSent
	case len(q.waiting)+len(q.held) >= q.cfg.MaxItems, q.bytes+int64(len(sealed)) > q.cfg.MaxBytes:
		return fmt.Errorf("%w: %d messages, %d bytes; release or drop what is held, or raise the limit", ErrFull, len(q.waiting)+len(q.held), q.bytes)
	}
	e := entry{number: q.next, id: m.ID, size: int64(len(sealed))}
	if err := q.forget(m.ID); err != nil {
		return err
	}
	if err := fsatomic.WriteFile(q.path(waitDir, e), sealed, 0o600); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	q.next++
	q.waiting, q.bytes = append(q.waiting, e), q.bytes+e.size
	q.tell()
	return nil
}

// forget strikes a message from the list of what was sent, before it is queued again: it
// would be removed as done otherwise. It must hold q.mu.
func (q *DirQueue) forget(id string) error {
	if !q.sent[id] {
		return nil
	}
	path := filepath.Join(q.cfg.Dir, sentFile)
	text, err := os.ReadFile(path) //nolint:gosec // within the queue's folder
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if parts := strings.Fields(line); len(parts) == 3 && parts[2] != id {
			kept.WriteString(line)
		}
	}
	if err := fsatomic.WriteFile(path, []byte(kept.String()), 0o600); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // within the queue's folder
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	err = q.log.Close()
	q.log = log
	delete(q.sent, id)
	return err
}

func aad(id string) []byte { return []byte("emrbridge/forward/v1\n" + id) }

func (q *DirQueue) path(dir string, e entry) string { return filepath.Join(q.cfg.Dir, dir, e.name()) }

// tell wakes who waits. It must hold q.mu.
func (q *DirQueue) tell() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Next implements Source.
func (q *DirQueue) Next(ctx context.Context) (Message, error) {
	for {
		q.mu.Lock()
		changed := q.changed
		ready := len(q.waiting) > 0 && (!q.cfg.StopOnHold || len(q.held) == 0 || q.waiting[0].number < q.held[0].number)
		var e entry
		if ready {
			e = q.waiting[0]
		}
		q.mu.Unlock()
		if ready {
			return q.read(e)
		}
		select {
		case <-ctx.Done():
			return Message{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

func (q *DirQueue) read(e entry) (Message, error) {
	sealed, err := os.ReadFile(q.path(waitDir, e))
	if err != nil {
		return Message{}, fmt.Errorf("forward: %w", err)
	}
	raw, err := q.cfg.Cipher.Open(aad(e.id), sealed)
	if err != nil {
		return Message{ID: e.id}, fmt.Errorf("%w: %s: %w", ErrUnreadable, e.name(), err)
	}
	return Message{ID: e.id, Raw: raw}, nil
}

// Done implements Source.
func (q *DirQueue) Done(_ context.Context, id string, r Receipt) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.IndexFunc(q.waiting, func(e entry) bool { return e.id == id })
	if at < 0 {
		return fmt.Errorf("forward: %s does not wait", id)
	}
	code := string(r.Code)
	if code == "" {
		code = "-"
	}
	if _, err := fmt.Fprintf(q.log, "%d %s %s\n", q.cfg.Now().UnixMilli(), code, id); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if err := q.log.Sync(); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	q.sent[id] = true
	return q.discard(&q.waiting, at, waitDir)
}

// discard removes a file and its entry. It must hold q.mu.
func (q *DirQueue) discard(list *[]entry, at int, dir string) error {
	e := (*list)[at]
	if err := os.Remove(q.path(dir, e)); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if err := fsatomic.SyncDir(filepath.Join(q.cfg.Dir, dir)); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	*list = slices.Delete(*list, at, at+1)
	q.bytes -= e.size
	q.tell()
	return nil
}

// Hold implements Source.
func (q *DirQueue) Hold(_ context.Context, id string, why Hold) error {
	text, err := json.Marshal(why)
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.IndexFunc(q.waiting, func(e entry) bool { return e.id == id })
	if at < 0 {
		return fmt.Errorf("forward: %s does not wait", id)
	}
	e := q.waiting[at]
	if err := fsatomic.WriteFile(q.path(heldDir, e)+whySuffix, text, 0o600); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	if err := q.move(e, waitDir, heldDir); err != nil {
		return err
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	q.held = append(q.held, e)
	slices.SortFunc(q.held, byNumber)
	q.tell()
	return nil
}

// move renames a message durably. It must hold q.mu.
func (q *DirQueue) move(e entry, from, to string) error {
	if err := os.Rename(q.path(from, e), q.path(to, e)); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	for _, dir := range []string{to, from} {
		if err := fsatomic.SyncDir(filepath.Join(q.cfg.Dir, dir)); err != nil {
			return fmt.Errorf("forward: %w", err)
		}
	}
	return nil
}
