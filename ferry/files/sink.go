package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Sink writes files that arrive into a folder. A bundle is first written whole into a hidden
// folder with its mark; the renaming of that folder is the moment at which it counts as
// delivered. Then its files are moved to their names.
type Sink struct {
	Dir string
}

const markFile = "mark.json"

func (s *Sink) hidden(kind string, l ferry.Lane) string {
	return filepath.Join(s.Dir, "."+kind+"-"+string(l))
}

// Delivered implements ferry.Inlet.
func (s *Sink) Delivered(_ context.Context, l ferry.Lane) (ferry.Mark, error) {
	if err := s.publish(l); err != nil {
		return ferry.Mark{}, err
	}
	var mark ferry.Mark
	text, err := os.ReadFile(s.hidden("mark", l))
	if errors.Is(err, fs.ErrNotExist) {
		return mark, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &mark)
	}
	return mark, err
}

// Deliver implements ferry.Inlet.
func (s *Sink) Deliver(_ context.Context, l ferry.Lane, mark ferry.Mark, messages []ferry.Message) error {
	staging := s.hidden("staging", l)
	if err := errors.Join(os.RemoveAll(staging), os.Mkdir(staging, 0o700)); err != nil {
		return err
	}
	for i, m := range messages {
		name := safeName(m)
		if err := fsatomic.WriteFile(filepath.Join(staging, fmt.Sprintf("%06d-%012d-%s", i, mark.Seq, name)), m.Data, 0o600); err != nil {
			return err
		}
	}
	text, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(staging, markFile), text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(staging, s.hidden("ready", l)); err != nil {
		return err
	}
	if err := fsatomic.SyncDir(s.Dir); err != nil {
		return err
	}
	return s.publish(l)
}

// publish moves what is ready to its place; it may be called again after a crash.
func (s *Sink) publish(l ferry.Lane) error {
	ready := s.hidden("ready", l)
	files, err := os.ReadDir(ready)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == markFile {
			continue
		}
		_, rest, _ := strings.Cut(f.Name(), "-")
		seq, name, _ := strings.Cut(rest, "-")
		to := filepath.Join(s.Dir, name)
		if _, err := os.Lstat(to); err == nil { // a file of that name came before: both are kept
			to = filepath.Join(s.Dir, seq+"-"+f.Name()[:6]+"-"+name)
		}
		if err := os.Rename(filepath.Join(ready, f.Name()), to); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(filepath.Join(ready, markFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := fsatomic.WriteFile(s.hidden("mark", l), text, 0o600); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(ready); err != nil {
		return err
	}
	return fsatomic.SyncDir(s.Dir)
}

// safeName is the name of a file that arrived: that which it had, if it can name a file here
// and stay in the folder.
func safeName(m ferry.Message) string {
	name := ""
	if v := m.Header[headerName]; len(v) == 1 {
		name = v[0]
	}
	if name == "" || len(name) > 200 || !utf8.ValidString(name) || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\\x00\r\n") || name != filepath.Base(name) {
		return "message-" + m.ID + ".bin"
	}
	return name
}
