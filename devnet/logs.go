package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// lastLines returns the last n lines of a file, reading at most its last 256 KiB.
func lastLines(path string, n int) ([]string, error) {
	const window = 256 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, min(info.Size(), window))
	if _, err := f.ReadAt(buf, info.Size()-int64(len(buf))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimRight(buf, "\n"), []byte("\n"))
	if len(lines) == 1 && len(lines[0]) == 0 {
		return nil, nil
	}
	out := make([]string, 0, n)
	for _, l := range lines[max(0, len(lines)-n):] {
		out = append(out, string(l))
	}
	return out, nil
}

// Logs writes the last lines of a process's log and, with follow, what is added until ctx ends.
func (n *Network) Logs(ctx context.Context, w io.Writer, name string, lines int, follow bool) error {
	path := logPath(n.dir, name)
	last, err := lastLines(path, lines)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no log of %q: %w; the processes are %v", name, fs.ErrNotExist, n.state.processNames())
	}
	if err != nil {
		return fmt.Errorf("log of %s: %w", name, err)
	}
	for _, l := range last {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	return followFile(ctx, w, path)
}

func followFile(ctx context.Context, w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return nil
		}
	}
}
