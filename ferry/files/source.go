package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Header and subject of a message that is a file.
const (
	Subject    = "file"
	headerName = "Name"
	// taking is the folder, inside the one that is watched, of files that are being sent.
	taking = ".taking"
)

// Sender is the part of a ferry.Port that a Source needs.
type Sender interface {
	Send(ctx context.Context, lane ferry.Lane, items []ferry.Item) error
	Source(lane ferry.Lane) uint64
}

// Source sends the files of a folder. Not safe for concurrent use.
type Source struct {
	Dir    string
	Lane   ferry.Lane
	Max    int64         // largest file in bytes; longer ones stay where they are, with an error
	Settle time.Duration // a file that changed within this time is left alone
	Now    func() time.Time
}

// Send takes the files that are there, in the order of their names, and returns how many
// were made durable in the spool.
func (s *Source) Send(ctx context.Context, to Sender) (sent int, err error) {
	if err := os.MkdirAll(filepath.Join(s.Dir, taking), 0o700); err != nil {
		return 0, err
	}
	if err := s.finish(ctx, to); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") || s.Now().Sub(info.ModTime()) < s.Settle {
			continue
		}
		if info.Size() > s.Max {
			errs = append(errs, fmt.Errorf("ferry: %s has %d bytes, a bundle takes %d: cut it into parts or raise the limit", e.Name(), info.Size(), s.Max))
			continue
		}
		n := to.Source(s.Lane) + 1
		held := filepath.Join(s.Dir, taking, fmt.Sprintf("%012d-%s", n, e.Name()))
		// From here on the file has a number, by which a later start knows whether it was sent.
		if err := os.Rename(filepath.Join(s.Dir, e.Name()), held); err != nil {
			return sent, errors.Join(append(errs, err)...)
		}
		if err := fsatomic.SyncDir(filepath.Join(s.Dir, taking)); err != nil {
			return sent, errors.Join(append(errs, err)...)
		}
		if err := s.one(ctx, to, n, e.Name(), held); err != nil {
			return sent, errors.Join(append(errs, err)...)
		}
		sent++
	}
	return sent, errors.Join(errs...)
}

// finish deals with files that an earlier process had begun with.
func (s *Source) finish(ctx context.Context, to Sender) error {
	entries, err := os.ReadDir(filepath.Join(s.Dir, taking))
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		number, name, ok := strings.Cut(e.Name(), "-")
		n, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil {
			return fmt.Errorf("ferry: %s is a strange file in %s", e.Name(), taking)
		}
		path := filepath.Join(s.Dir, taking, e.Name())
		if n <= to.Source(s.Lane) {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err := s.one(ctx, to, n, name, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) one(ctx context.Context, to Sender, n uint64, name, path string) error {
	data, err := ferry.OS{}.Read(path, s.Max)
	if err != nil {
		return err
	}
	m := ferry.Message{ID: strconv.FormatUint(n, 10), Subject: Subject, Header: map[string][]string{headerName: {name}}, Data: data}
	if err := to.Send(ctx, s.Lane, []ferry.Item{{Message: m, Source: n}}); err != nil {
		return err
	}
	return os.Remove(path)
}
