// Package oplog is the append-only log of what operators did by hand: whom they showed a
// record, what they sent again and where to, what they dropped, and why.
//
// It is a file of JSON lines. Each line carries the digest of the one before, so that a
// line that is changed, removed or put in between shows. It holds ids and reasons, never
// patient data.
package oplog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Entry is one line. Its JSON form is stable.
type Entry struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`      // user of the operating system
	Action  string    `json:"action"`  // as "replay"
	Subject string    `json:"subject"` // id of a record, of a quarantined or of a parked item
	To      string    `json:"to,omitempty"`
	Reason  string    `json:"reason"`
	Result  string    `json:"result"`
	Prev    string    `json:"prev"` // digest of the line before, empty in the first
}

// MaxReason is the longest reason, in bytes.
const MaxReason = 500

// maxLine bounds a line, in bytes.
const maxLine = 8 << 10

// Errors.
var (
	// ErrReason: no reason was given, or one that is too long.
	ErrReason = errors.New("oplog: a reason of up to 500 bytes is required")
	// ErrBroken: the log was changed.
	ErrBroken = errors.New("oplog: the log was changed")
)

// CheckReason returns ErrReason for a reason that cannot be recorded.
func CheckReason(reason string) error {
	if reason == "" || len(reason) > MaxReason {
		return ErrReason
	}
	return nil
}

// Log is the log in a file. Processes may append at the same time; a Log itself belongs to
// one goroutine.
type Log struct{ path string }

// Open returns the log at path. Its folder is made, private, if it is missing.
func Open(path string) (*Log, error) {
	if err := fsatomic.MkdirPrivate(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("oplog: %w", err)
	}
	return &Log{path: path}, nil
}

// Append adds an entry, whose Prev it sets, and returns when it is on disk.
func (l *Log) Append(e Entry) (err error) {
	if err := CheckReason(e.Reason); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) //nolint:gosec // the composition root names the file
	if err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // closing ends the lock
	if err := lock(f); err != nil {
		return fmt.Errorf("oplog: lock: %w", err)
	}
	last, err := lastLine(f)
	if err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	e.At, e.Prev = e.At.UTC().Truncate(time.Millisecond), digest(last)
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	if len(line) >= maxLine {
		return fmt.Errorf("oplog: entry of %d bytes", len(line))
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	return nil
}

// lastLine reads the last line without its end, nil if there is none.
func lastLine(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	from := max(0, info.Size()-2*maxLine)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.HasSuffix(tail, []byte("\n")) {
		return nil, fmt.Errorf("%w: the last line is cut off; look at it, end it, and try again", ErrBroken)
	}
	tail = tail[:len(tail)-1]
	return tail[bytes.LastIndexByte(tail, '\n')+1:], nil
}

func digest(line []byte) string {
	if len(line) == 0 {
		return ""
	}
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Each calls f with the entries in order, checking the chain on the way; the error wraps
// ErrBroken, with the number of the line, where it does not hold. No log is an empty one.
func (l *Log) Each(f func(Entry) error) error {
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("oplog: %w", err)
	}
	defer func() { _ = file.Close() }()
	s := bufio.NewScanner(file)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	prev := ""
	for n := 1; s.Scan(); n++ {
		var e Entry
		if json.Unmarshal(s.Bytes(), &e) != nil || e.Prev != prev {
			return fmt.Errorf("%w: line %d", ErrBroken, n)
		}
		prev = digest(s.Bytes())
		if err := f(e); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}
