package claims

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Writer takes a body as it arrives, in a memory of one chunk (64 KiB). End it with Finish
// or Abort. It is not safe for concurrent use.
type Writer struct {
	store *Store
	id    [idSize]byte
	head  header
	aead  cipher.AEAD
	file  *os.File
	sum   hash.Hash
	buf   []byte // pending plaintext; its capacity is one chunk with its tag
	chunk uint32
	size  int64 // plaintext
	taken int64 // of the budget
	look  int64 // size at which the free space is looked at again
	err   error
	done  bool
}

// Create begins a body. The error is ErrFull or the file system's.
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &Writer{store: s, sum: s.o.Provider.NewSM3(), buf: make([]byte, 0, chunkSize+tagSize)}
	if _, err := rand.Read(w.id[:]); err != nil {
		return nil, fmt.Errorf("claims: draw an id: %w", err)
	}
	w.head = newHeader(s.o.Keys.Current, w.id)
	var err error
	if w.aead, err = aeadOf(s.o.Provider, s.o.Keys.Master[s.o.Keys.Current], w.id); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if err := s.space(); err != nil {
		return nil, err
	}
	if err := w.create(); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

func (w *Writer) create() error {
	if err := w.store.o.Fault(StepCreate); err != nil {
		return err
	}
	f, err := os.OpenFile(w.temp(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError("make a file", err)
	}
	w.file = f
	return w.emit(w.head[:])
}

func (w *Writer) temp() string { return filepath.Join(w.store.dir, idText(w.id)+tempSuffix) }

// emit writes bytes to the file within the budget.
func (w *Writer) emit(b []byte) error {
	if err := w.store.reserve(int64(len(b))); err != nil {
		return err
	}
	w.taken += int64(len(b))
	if err := w.store.o.Fault(StepWrite); err != nil {
		return err
	}
	if _, err := w.file.Write(b); err != nil {
		return diskError("write", err)
	}
	return nil
}

// diskError tells a disk without room from other failures.
func diskError(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %s: %w", ErrFull, what, err)
	}
	return fmt.Errorf("claims: %s: %w", what, err)
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size }

// Write takes the next bytes. The error wraps ErrTooLarge or ErrFull, or is the file
// system's; it stays, and only Abort makes sense then.
func (w *Writer) Write(p []byte) (int, error) {
	switch {
	case w.done:
		return 0, errors.New("claims: write after the end")
	case w.err != nil:
		return 0, w.err
	case w.size+int64(len(p)) > w.store.o.MaxBody:
		w.err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.store.o.MaxBody)
		return 0, w.err
	}
	if w.size >= w.look {
		w.look = w.size + spaceStep
		if w.err = w.store.space(); w.err != nil {
			return 0, w.err
		}
	}
	w.sum.Write(p)
	w.size += int64(len(p))
	for b := p; len(b) > 0; {
		if len(w.buf) == chunkSize { // only now it is known not to be the last
			if w.err = w.flush(false); w.err != nil {
				return 0, w.err
			}
		}
		n := min(chunkSize-len(w.buf), len(b))
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
	}
	return len(p), nil
}

// flush encrypts the pending chunk in place and writes it.
func (w *Writer) flush(last bool) error {
	nonce := nonceOf(w.chunk, last)
	out := w.aead.Seal(w.buf[:0], nonce[:], w.buf, w.head[:])
	w.chunk++
	w.buf = w.buf[:0]
	return w.emit(out)
}

// Finish makes the body durable and returns its claim. On an error nothing is left.
func (w *Writer) Finish() (*Claim, error) {
	if w.done {
		return nil, errors.New("claims: finished twice")
	}
	c := &Claim{store: w.store, id: idText(w.id), size: w.size}
	w.sum.Sum(c.digest[:0])
	if err := w.finish(c.id); err != nil {
		w.Abort()
		return nil, err
	}
	w.done = true
	smcrypto.Zero(w.buf[:cap(w.buf)])
	w.store.mu.Lock()
	w.store.files++
	w.store.mu.Unlock()
	if err := w.store.o.Fault(StepFinish); err != nil {
		c.Discard()
		return nil, err
	}
	return c, nil
}

func (w *Writer) finish(id string) error {
	switch {
	case w.err != nil:
		return w.err
	case w.size == 0:
		return ErrEmpty
	}
	if err := w.flush(true); err != nil {
		return err
	}
	for _, step := range []struct {
		name Step
		run  func() error
	}{
		{StepSync, w.file.Sync},
		{StepRename, func() error { return w.publish(id) }},
		{StepSyncDir, func() error { return fsatomic.SyncDir(w.store.dir) }},
	} {
		if err := w.store.o.Fault(step.name); err != nil {
			return err
		}
		if err := step.run(); err != nil {
			return diskError(string(step.name), err)
		}
	}
	return nil
}

// publish closes the file and gives it its name.
func (w *Writer) publish(id string) error {
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	w.store.setLive(id, true)
	return os.Rename(w.temp(), w.store.path(id))
}

// Abort removes what was written. It does nothing after Finish has returned a claim.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	if w.file != nil {
		_ = w.file.Close() // it is thrown away
	}
	// A name that cannot be removed now is removed at the next start, or collected.
	_ = os.Remove(w.temp())
	_ = os.Remove(w.store.path(idText(w.id)))
	w.store.setLive(idText(w.id), false)
	w.store.give(w.taken, 0)
	smcrypto.Zero(w.buf[:cap(w.buf)])
}

// Take is Create, Write and Finish for a body that comes from a reader, which is read to
// its end.
func (s *Store) Take(ctx context.Context, r io.Reader) (*Claim, error) {
	w, err := s.Create(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	for buf := make([]byte, 32<<10); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			return w.Finish()
		}
		if err != nil {
			return nil, fmt.Errorf("claims: read the body: %w", err)
		}
	}
}

// Claim is a body on disk that no message refers to yet. Exactly one of HandOver, Discard
// and Abandon ends that; later calls do nothing.
type Claim struct {
	store  *Store
	id     string
	size   int64
	digest [32]byte
}

// LogValue implements slog.LogValuer.
func (c *Claim) LogValue() slog.Value {
	return slog.GroupValue(slog.String("claim", c.id), slog.Int64("bytes", c.size))
}

// ID names the claim: 32 hexadecimal digits.
func (c *Claim) ID() string { return c.id }

// Size is the length of the body in bytes.
func (c *Claim) Size() int64 { return c.size }

// Digest is the SM3 digest of the body.
func (c *Claim) Digest() [32]byte { return c.digest }

// Reader reads the body from its beginning.
func (c *Claim) Reader() (io.ReadSeekCloser, error) {
	r, err := c.store.Open(c.id)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// HandOver says that a durable message refers to the claim, so that whoever handles the
// message removes it.
func (c *Claim) HandOver() {
	_ = c.store.o.Fault(StepHand) // it cannot fail any more
	c.store.setLive(c.id, false)
}

// Abandon says that it is not known whether a durable message refers to the claim. The body
// stays until Collect has found out.
func (c *Claim) Abandon() { c.store.setLive(c.id, false) }

// Discard removes the body, unless the claim was handed over or abandoned.
func (c *Claim) Discard() {
	if c.store.setLive(c.id, false) {
		_ = c.store.Remove(c.id) // what stays is collected
	}
}
