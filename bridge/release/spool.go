package release

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/fingerprint"
)

// spool keeps de-identified lines on disk until it is known which subjects stay, and in
// memory where each of them lies and by what it is sorted: 24 bytes for a line.
type spool struct {
	dir     string
	marker  *fingerprint.Marker
	streams map[string]*stream
}

// stream is one file of the package to be.
type stream struct {
	f     *os.File
	w     *bufio.Writer
	end   int64
	lines []line
	keyed map[string]int // of resources that come again, their line
}

// gone is the length of a line that a later one has replaced.
const gone = -1

type line struct {
	rank    uint64
	at      int64
	length  int32
	subject int32
}

func newSpool(dir string, marker *fingerprint.Marker) (*spool, error) {
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return &spool{dir: dir, marker: marker, streams: map[string]*stream{}}, nil
}

// replace is add for a resource of which the last one counts: an earlier line with the same
// key of the same file goes.
func (s *spool) replace(name, key string, subject int32, text []byte) error {
	if err := s.add(name, subject, text); err != nil {
		return err
	}
	st := s.streams[name]
	if st.keyed == nil {
		st.keyed = map[string]int{}
	}
	if old, ok := st.keyed[key]; ok {
		st.lines[old].length = gone
	}
	st.keyed[key] = len(st.lines) - 1
	return nil
}

// add appends a line of a subject to the file of a name.
func (s *spool) add(name string, subject int32, text []byte) error {
	if len(text) > dataset.MaxLine {
		return fmt.Errorf("%w: a resource of more than %d bytes", ErrUnfit, dataset.MaxLine)
	}
	st := s.streams[name]
	if st == nil {
		f, err := os.OpenFile(filepath.Join(s.dir, strings.ReplaceAll(name, "/", "-")), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("release: %w", err)
		}
		st = &stream{f: f, w: bufio.NewWriterSize(f, 64<<10)}
		s.streams[name] = st
	}
	st.lines = append(st.lines, line{rank: s.marker.Rank(text), at: st.end, length: int32(len(text)), subject: subject})
	st.end += int64(len(text))
	if _, err := st.w.Write(text); err != nil {
		return fmt.Errorf("release: spool: %w", err)
	}
	return nil
}

// names lists the files, in order.
func (s *spool) names() []string {
	var out []string
	for name := range s.streams {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// write hands the lines of the subjects that stay to out, in the order of the recipient's
// copy.
func (s *spool) write(name string, stays func(subject int32) bool, out *dataset.Lines) error {
	st := s.streams[name]
	if err := st.w.Flush(); err != nil {
		return fmt.Errorf("release: spool: %w", err)
	}
	slices.SortFunc(st.lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.at, b.at)) })
	var buf []byte
	for _, l := range st.lines {
		if l.length == gone || !stays(l.subject) {
			continue
		}
		buf = slices.Grow(buf[:0], int(l.length))[:l.length]
		if _, err := st.f.ReadAt(buf, l.at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("release: spool: %w", err)
		}
		if err := out.Add(buf); err != nil {
			return err
		}
	}
	return nil
}

// close ends the spool and removes its files.
func (s *spool) close() error {
	var errs []error
	for _, st := range s.streams {
		errs = append(errs, st.f.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
