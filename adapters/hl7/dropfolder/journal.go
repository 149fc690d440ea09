package dropfolder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// journal holds the outcomes of the messages of one file while it is being taken: a line
// with the digest of the file, then a line of JSON for each message. A line that a crash
// cut off is not counted. It is not synced: after a power failure outcomes may be missing,
// and their messages, which are durable, are recognised when they are taken again.
type journal struct {
	path string
	file *os.File
	done map[int]ItemResult
}

// openJournal opens the journal of a file. One of other contents under the same name is
// begun anew. The name of the journal is a digest, since file names may tell of patients.
func openJournal(dir, name, digest string) (*journal, error) {
	sum := sha256.Sum256([]byte(name))
	j := &journal{path: filepath.Join(dir, hex.EncodeToString(sum[:16])+".journal"), done: map[int]ItemResult{}}
	text, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dropfolder: journal: %w", err)
	}
	good := j.load(text, digest)
	if j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("dropfolder: journal: %w", err)
	}
	if err = j.file.Truncate(int64(good)); err == nil {
		_, err = j.file.Seek(int64(good), 0)
	}
	if err == nil && good == 0 {
		_, err = fmt.Fprintln(j.file, digest)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dropfolder: journal: %w", err), j.file.Close())
	}
	return j, nil
}

// load reads the whole lines of a journal and returns their length, 0 if it is of other
// contents.
func (j *journal) load(text []byte, digest string) int {
	head, _, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(head) != digest {
		return 0
	}
	good := len(head) + 1
	for line := range bytes.Lines(text[good:]) {
		var it ItemResult
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &it) != nil || it.Item != len(j.done)+1 {
			break
		}
		j.done[it.Item] = it
		good += len(line)
	}
	return good
}

func (j *journal) known(item int) (ItemResult, bool) {
	it, ok := j.done[item]
	return it, ok
}

func (j *journal) add(it ItemResult) error {
	line, err := json.Marshal(it)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("dropfolder: journal: %w", err)
	}
	return nil
}

func (j *journal) close() { _ = j.file.Close() }

// remove deletes the journal of a file that is done. Where that fails the journal is of no
// use to anybody and does no harm.
func (j *journal) remove() { _ = os.Remove(j.path) }
