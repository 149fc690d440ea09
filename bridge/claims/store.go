package claims

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/internal/diskspace"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Options configure a store of claims. Zero fields take the defaults given.
type Options struct {
	// Keys seal and open the files. Required.
	Keys Keys
	// MaxBytes bounds the files of all claims, in bytes; default 1 GiB.
	MaxBytes int64
	// MaxBody bounds one body, in bytes; default and limit record.MaxPayload.
	MaxBody int64
	// Reserve is how much of the disk stays free, in bytes, for what is on its way already;
	// default 64 MiB.
	Reserve  int64
	Provider smcrypto.Provider // nil: the default one
	Now      func() time.Time  // nil: time.Now
	// Fault is called before each step on disk; an error makes the step fail. For tests.
	Fault func(Step) error
}

// Step names a step on disk.
type Step string

// Steps in the life of a claim, in their order.
const (
	StepCreate  Step = "create"
	StepWrite   Step = "write"
	StepSync    Step = "sync"
	StepRename  Step = "rename"
	StepSyncDir Step = "sync-folder"
	StepFinish  Step = "finished" // durable, not yet referred to
	StepHand    Step = "handed-over"
	StepOpen    Step = "open"
	StepRemove  Step = "remove"
	StepRemoved Step = "removed"
)

// settle is how old an unreferenced file must be before Collect removes it.
const settle = time.Minute

// spaceStep is how many bytes are written between two looks at the free space.
const spaceStep = 1 << 20

// Store is a folder of claims. It is safe for concurrent use by one process, the only one
// that may have the folder open.
type Store struct {
	dir string
	o   Options

	mu    sync.Mutex
	bytes int64
	files int
	live  map[string]struct{} // finished here, not yet handed over
}

// Open opens the folder, which is made with mode 0700 if it is missing, and removes what
// writers of an earlier process did not finish.
func Open(dir string, o Options) (*Store, error) {
	if _, ok := o.Keys.Master[o.Keys.Current]; !ok {
		return nil, errors.New("claims: no current key")
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxBody <= 0 || o.MaxBody > record.MaxPayload {
		o.MaxBody = record.MaxPayload
	}
	if o.Reserve <= 0 {
		o.Reserve = 64 << 20
	}
	if o.Provider == nil {
		o.Provider = smcrypto.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Fault == nil {
		o.Fault = func(Step) error { return nil }
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	s := &Store{dir: dir, o: o, live: map[string]struct{}{}}
	return s, s.count()
}

// count adds up the files and removes unfinished ones.
func (s *Store) count() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tempSuffix) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return fmt.Errorf("claims: remove an unfinished body: %w", err)
			}
			continue
		}
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			s.bytes, s.files = s.bytes+info.Size(), s.files+1
		}
	}
	return nil
}

// MaxBody is the longest body taken, in bytes.
func (s *Store) MaxBody() int64 { return s.o.MaxBody }

// Stats are totals of a store.
type Stats struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // on disk, those being written included
}

// Stats returns totals.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Files: s.files, Bytes: s.bytes}
}

// reserve takes room for n more bytes on disk.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+n > s.o.MaxBytes {
		return fmt.Errorf("%w: %d of %d MiB are taken", ErrFull, s.bytes>>20, s.o.MaxBytes>>20)
	}
	s.bytes += n
	return nil
}

func (s *Store) give(n int64, files int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= n
	s.files -= files
}

// space returns ErrFull while less than the reserve is free on the disk, and room for the
// bodies that wait in the record store and in its log.
func (s *Store) space() error {
	keep := s.o.Reserve + 2*s.Stats().Bytes
	free, err := diskspace.Free(s.dir)
	if err != nil || free >= keep { // not known on every system
		return nil
	}
	return fmt.Errorf("%w: %d MiB are free on the disk of %s, %d MiB are kept for what is on its way", ErrFull, free>>20, s.dir, keep>>20)
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, id+suffix) }

// Remove deletes a claim whose body is safe elsewhere. One that is gone already is no
// error.
func (s *Store) Remove(id string) error {
	if _, err := parseID(id); err != nil {
		return err
	}
	if err := s.o.Fault(StepRemove); err != nil {
		return err
	}
	info, err := os.Lstat(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(s.path(id))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("claims: remove: %w", err)
	}
	if err == nil {
		s.give(info.Size(), 1)
	}
	// The folder is not synced: a claim that comes back after a power failure is collected.
	return s.o.Fault(StepRemoved)
}

// Collect removes claims that nothing refers to: left by a crash, or by a message that an
// operator dropped. refs returns the ids of all claims that messages on the bus refer to;
// it is called after the folder was listed, twice, so that a message that moves from one
// stream to another between the looks is seen. It returns how many were removed.
func (s *Store) Collect(ctx context.Context, refs func(context.Context) (map[string]bool, error)) (int, error) {
	candidates, err := s.unclaimed()
	if err != nil || len(candidates) == 0 {
		return 0, err
	}
	for range 2 {
		known, err := refs(ctx)
		if err != nil {
			return 0, fmt.Errorf("claims: look for references: %w", err)
		}
		for id := range known {
			delete(candidates, id)
		}
	}
	removed := 0
	for id := range candidates {
		if err := s.Remove(id); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// unclaimed lists the files that no part of this process works on and that have settled.
func (s *Store) unclaimed() (map[string]bool, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	out := map[string]bool{}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		if _, err := parseID(id); err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil || s.o.Now().Sub(info.ModTime()) < settle {
			continue // gone meanwhile, or perhaps about to be referred to
		}
		s.mu.Lock()
		_, busy := s.live[id]
		s.mu.Unlock()
		if !busy {
			out[id] = true
		}
	}
	return out, nil
}

func (s *Store) setLive(id string, on bool) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was = s.live[id]
	if on {
		s.live[id] = struct{}{}
	} else {
		delete(s.live, id)
	}
	return was
}

func idText(id [idSize]byte) string { return hex.EncodeToString(id[:]) }
