package dropfolder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Folders below the watched one.
const (
	DoneDir   = "done"
	FailedDir = "failed"
)

// EventKind says what happened in a folder.
type EventKind uint8

// Events.
const (
	Done    EventKind = iota // all messages of a file were taken
	Failed                   // a file was moved to failed/
	Waiting                  // messages cannot be taken at the moment; the file stays
	Skipped                  // something that is no plain file, or cannot be read, was passed over
	Absent                   // the folder itself cannot be read
)

var eventNames = [...]string{"done", "failed", "waiting", "skipped", "absent"}

// String returns the name of the event as used in metrics.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something that happened. File names stay out of it: senders put names of
// patients into them.
type Event struct {
	Kind              EventKind
	Accepted, Refused int   // messages of the file
	Err               error // of Waiting, Skipped and Absent
}

// taker takes one message; hl7.Receiver is one.
type taker interface {
	Take(ctx context.Context, in hl7.Incoming) hl7.Verdict
}

// Spool takes a message too long for memory; mllp.Spool is one.
type Spool interface {
	io.Writer
	// Finish makes what was written durable. On an error nothing is left.
	Finish() (hl7.Body, error)
	// Abort removes what was written; it does nothing after Finish.
	Abort()
}

// Config configures a Folder. Zero fields take the defaults given.
type Config struct {
	Name     string // for the trail, as "folder:NAME"
	Dir      string // must exist; done/ and failed/ are made below it
	StateDir string // private folder for journals
	Receiver taker
	// Suffixes of files that are taken, whatever their case. Default .hl7, .er7, .txt, .dat.
	Suffixes []string
	// StablePolls is how many polls in a row must find a file unchanged. Default 2; negative
	// takes files as soon as they have their name, for senders that rename.
	StablePolls int
	// Poll is the time between two looks at the folder. Default 2 s.
	Poll time.Duration
	// MaxFile is the largest file, in bytes. Default 64 MiB, at most 1 GiB.
	MaxFile int64
	// MaxMessages is the most messages of a file. Default 100,000.
	MaxMessages int
	// MessageTimeout bounds the taking of one message. Default 30 s.
	MessageTimeout time.Duration
	// Spool opens a place for a message longer than SpoolFrom bytes, default 1 MiB. Nil gives
	// every message to the receiver in memory.
	Spool     func() (Spool, error)
	SpoolFrom int
	// Observe is told of events; it must be quick. May be nil.
	Observe func(Event)
	Now     func() time.Time // default time.Now
}

// ErrConfig reports a configuration that cannot work.
var ErrConfig = errors.New("dropfolder: configuration")

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.StateDir == "" || c.Receiver == nil {
		return c, fmt.Errorf("%w: folder, state folder and receiver are required", ErrConfig)
	}
	if c.MaxFile < 0 || c.MaxFile > 1<<30 || c.MaxMessages < 0 || c.Poll < 0 || c.MessageTimeout < 0 {
		return c, fmt.Errorf("%w: limits must be positive, files at most 1 GiB", ErrConfig)
	}
	var err error
	if c.Suffixes, err = suffixes(c.Suffixes); err != nil {
		return c, err
	}
	setDefault(&c.StablePolls, 2)
	setDefault(&c.Poll, 2*time.Second)
	setDefault(&c.MaxFile, 64<<20)
	setDefault(&c.MaxMessages, 100_000)
	setDefault(&c.SpoolFrom, 1<<20)
	setDefault(&c.MessageTimeout, 30*time.Second)
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// suffixes returns the suffixes in small letters, the default ones for none.
func suffixes(given []string) ([]string, error) {
	if len(given) == 0 {
		return []string{".hl7", ".er7", ".txt", ".dat"}, nil
	}
	out := make([]string, len(given))
	for i, s := range given {
		if len(s) < 2 || s[0] != '.' || strings.ContainsAny(s, `/\`) {
			return nil, fmt.Errorf("%w: %q is no suffix; write for example .hl7", ErrConfig, s)
		}
		out[i] = strings.ToLower(s)
	}
	return out, nil
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Folder watches one folder. One process at a time may watch it.
type Folder struct {
	cfg  Config
	root *os.Root
	seen map[string]sighting
	odd  map[string]bool // passed over and told of
}

// sighting is how a file looked, and for how many polls.
type sighting struct {
	size  int64
	at    time.Time
	polls int
}

// Open opens the folder. Files that a crash left half done are taken up by Run.
func Open(c Config) (*Folder, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := fsatomic.MkdirPrivate(c.StateDir); err != nil {
		return nil, fmt.Errorf("dropfolder: %w", err)
	}
	f := &Folder{cfg: c, seen: map[string]sighting{}, odd: map[string]bool{}}
	if err := f.openRoot(); err != nil {
		return nil, err
	}
	return f, nil
}

// openRoot opens the folder by its name, and makes done/ and failed/ in it.
func (f *Folder) openRoot() error {
	root, err := os.OpenRoot(f.cfg.Dir)
	if err != nil {
		return fmt.Errorf("dropfolder: %w (make the folder, or correct its name)", err)
	}
	old := f.root
	f.root = root
	for _, dir := range []string{DoneDir, FailedDir} {
		if err := f.makeDir(dir); err != nil {
			f.root = old
			return errors.Join(fmt.Errorf("dropfolder: %s: %w", dir, err), root.Close())
		}
	}
	if old != nil {
		_ = old.Close() // nothing was written through it
	}
	return nil
}

// present makes sure that what is open is what the folder's name stands for: a share may
// have been taken away or mounted since.
func (f *Folder) present() error {
	named, err := os.Stat(f.cfg.Dir)
	if err != nil {
		return fmt.Errorf("dropfolder: %w", err)
	}
	open, err := f.root.Stat(".")
	if err == nil && os.SameFile(named, open) {
		return nil
	}
	return f.openRoot()
}

// makeDir makes a folder for results. One that is a link, though it lead to a place
// within, is refused.
func (f *Folder) makeDir(name string) error {
	if err := f.root.Mkdir(name, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := f.root.Lstat(name)
	if err == nil && !info.IsDir() {
		err = errors.New("is in the way and no folder: remove it")
	}
	return err
}

// Close ends access to the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Run watches until ctx ends. A file in hand is finished up to its current message.
func (f *Folder) Run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		if err := f.Poll(ctx); err != nil && ctx.Err() == nil {
			failures++
		} else {
			failures = 0
		}
		wait := min(f.cfg.Poll<<min(failures, 6), max(f.cfg.Poll, time.Minute))
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// Poll looks at the folder once and takes what is complete. The error says why files had
// to stay: they are taken by a later poll.
func (f *Folder) Poll(ctx context.Context) error {
	var names []string
	err := f.present()
	if err == nil {
		names, err = f.complete()
	}
	if err != nil {
		f.cfg.Observe(Event{Kind: Absent, Err: err})
		return err
	}
	for _, name := range names {
		if err := f.file(ctx, name); err != nil {
			if ctx.Err() == nil {
				f.cfg.Observe(Event{Kind: Waiting, Err: err})
			}
			return err
		}
		delete(f.seen, name)
	}
	return ctx.Err()
}

// complete lists the files that are ready, by name.
func (f *Folder) complete() ([]string, error) {
	dir, err := f.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("dropfolder: %w", err)
	}
	entries, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("dropfolder: %w", err)
	}
	var ready []string
	present := make(map[string]bool, len(entries))
	for _, e := range entries {
		name := e.Name()
		if !f.wanted(name) {
			continue
		}
		info, err := f.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its sender has renamed it
		}
		present[name] = true
		if err != nil || !info.Mode().IsRegular() {
			f.passOver(name, err)
			continue
		}
		delete(f.odd, name)
		if f.stable(name, info) {
			ready = append(ready, name)
		}
	}
	forget(f.seen, present)
	forget(f.odd, present)
	slices.Sort(ready)
	return ready, nil
}

// wanted reports a name that is neither hidden nor of another suffix.
func (f *Folder) wanted(name string) bool {
	return name[0] != '.' && slices.Contains(f.cfg.Suffixes, strings.ToLower(filepath.Ext(name)))
}

// passOver tells once of something that cannot be taken.
func (f *Folder) passOver(name string, err error) {
	if f.odd[name] {
		return
	}
	f.odd[name] = true
	if err == nil {
		err = errors.New("a link, a folder or a device: only plain files are taken")
	}
	f.cfg.Observe(Event{Kind: Skipped, Err: err})
}

func (f *Folder) stable(name string, info fs.FileInfo) bool {
	s, known := f.seen[name]
	if !known || s.size != info.Size() || !s.at.Equal(info.ModTime()) {
		s = sighting{size: info.Size(), at: info.ModTime()}
	} else {
		s.polls++
	}
	f.seen[name] = s
	return s.polls >= f.cfg.StablePolls
}

func forget[V any](m map[string]V, present map[string]bool) {
	for name := range m {
		if !present[name] {
			delete(m, name)
		}
	}
}
