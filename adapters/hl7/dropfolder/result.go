package dropfolder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Suffixes of the result files.
const (
	ResultJSON = ".result.json"
	ResultText = ".result.txt"
)

// Result is what became of a file: the contents of NAME.result.json. It holds nothing of
// the messages but the control ids and types by which their sender knows them.
type Result struct {
	File     string       `json:"file"`
	OK       bool         `json:"ok"`
	Error    string       `json:"error,omitempty"` // of the file as a whole
	Problems []string     `json:"problems,omitempty"`
	Size     int64        `json:"bytes"`
	SHA256   string       `json:"sha256,omitempty"`
	TakenAt  time.Time    `json:"taken_at"`
	Accepted int          `json:"accepted"`
	Refused  int          `json:"refused"`
	Items    []ItemResult `json:"items"`
}

// ItemResult is what became of one message.
type ItemResult struct {
	Item      int    `json:"item"` // number of the message in the file, from 1
	Line      int    `json:"line"`
	Offset    int    `json:"offset"` // in bytes
	ControlID string `json:"control_id,omitempty"`
	Kind      string `json:"kind,omitempty"`
	OK        bool   `json:"ok"`
	Code      string `json:"code"`                 // AA, AE or AR
	ErrorCode int    `json:"error_code,omitempty"` // of HL7 table 0357
	Segment   string `json:"segment,omitempty"`
	Field     int    `json:"field,omitempty"`
	Error     string `json:"error,omitempty"`
}

func itemResult(v hl7.Verdict, it hl7.Item, number int) ItemResult {
	r := ItemResult{Item: number, Line: it.Line, Offset: it.Offset, ControlID: v.Header.ControlID, Kind: v.Header.Kind(),
		OK: v.Code == hl7.AppAccept, Code: string(v.Code)}
	switch {
	case v.Fault != nil:
		r.ErrorCode, r.Segment, r.Field, r.Error = int(v.Fault.Code), v.Fault.Segment, v.Fault.Field, v.Fault.Diagnostics
	case v.Code == "":
		r.Error = "an acknowledgement, not a message"
	}
	return r
}

func (r *Result) add(it ItemResult) {
	r.Items = append(r.Items, it)
	if it.OK {
		r.Accepted++
	} else {
		r.Refused++
	}
}

// finish writes the result and moves the file beside it.
func (f *Folder) finish(name string, j *journal, res *Result) error {
	res.OK = res.Error == "" && res.Refused == 0
	if res.Items == nil {
		res.Items = []ItemResult{}
	}
	dir, kind := FailedDir, Failed
	if res.OK {
		dir, kind = DoneDir, Done
	}
	target, err := f.free(dir, name)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return fmt.Errorf("dropfolder: %w", err)
	}
	if err := f.write(target+ResultJSON, append(text, '\n')); err != nil {
		return err
	}
	if err := f.write(target+ResultText, []byte(res.text())); err != nil {
		return err
	}
	if err := f.root.Rename(name, target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dropfolder: move to %s: %w", dir, err)
	}
	f.sync(dir)
	f.sync(".")
	if j != nil {
		j.remove()
	}
	f.cfg.Observe(Event{Kind: kind, Accepted: res.Accepted, Refused: res.Refused})
	return nil
}

// free returns a path in dir that no earlier file of the same name has. Results that a
// crash left without their file are written anew.
func (f *Folder) free(dir, name string) (string, error) {
	base, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	for n := 1; n < 100_000; n++ {
		target := path.Join(dir, name)
		if n > 1 {
			target = path.Join(dir, fmt.Sprintf("%s~%d%s", base, n, ext))
		}
		if _, err := f.root.Lstat(target); errors.Is(err, fs.ErrNotExist) {
			return target, nil
		} else if err != nil {
			return "", fmt.Errorf("dropfolder: %w", err)
		}
	}
	return "", fmt.Errorf("dropfolder: %s holds too many files of one name: clear it", dir)
}

// write writes a file so that who polls for it never sees a part.
func (f *Folder) write(name string, data []byte) (err error) {
	temporary := path.Join(path.Dir(name), "."+path.Base(name)+".tmp")
	if err := f.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dropfolder: %w", err)
	}
	file, err := f.root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("dropfolder: result: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("dropfolder: result: %w", err)
	}
	if err := f.root.Rename(temporary, name); err != nil {
		return fmt.Errorf("dropfolder: result: %w", err)
	}
	return nil
}

// sync makes renames durable where the file system can: on others a crash repeats them.
func (f *Folder) sync(dir string) {
	if d, err := f.root.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// text is the result for people.
func (r *Result) text() string {
	var b strings.Builder
	verdict := "taken · 已接收"
	if !r.OK {
		verdict = "NOT ALL TAKEN · 未全部接收"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s, %d bytes, SHA-256 %s\naccepted · 接受 %d, refused · 拒绝 %d\n", r.File, verdict,
		r.TakenAt.Format(time.RFC3339), r.Size, r.SHA256, r.Accepted, r.Refused)
	if r.Error != "" {
		fmt.Fprintf(&b, "error · 错误: %s\n", r.Error)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "  - %s\n", p)
	}
	for _, it := range r.Items {
		fmt.Fprintf(&b, "%6d  line %-7d %-2s  %-10s %s", it.Item, it.Line, it.Code, it.Kind, it.ControlID)
		if it.Error != "" {
			fmt.Fprintf(&b, "  %d %s", it.ErrorCode, it.Error)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
