package dropfolder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// errStay says that messages cannot be taken at the moment.
var errStay = errors.New("dropfolder: messages cannot be taken at the moment")

// errLarge is the fault of a file above the limit, whose contents are not looked at.
var errLarge = errors.New("the file is larger than this folder takes")

// file takes one complete file to its end. An error leaves it where it is.
func (f *Folder) file(ctx context.Context, name string) error {
	data, size, err := f.read(name)
	res := Result{File: name, Size: size, TakenAt: f.cfg.Now().UTC()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // its sender has taken it back
	case errors.Is(err, errLarge):
		res.Error = fmt.Sprintf("%v: %d bytes, the limit is %d", errLarge, size, f.cfg.MaxFile)
		return f.finish(name, nil, &res)
	case err != nil:
		f.passOver(name, err)
		return nil
	}
	sum := sha256.Sum256(data)
	res.SHA256 = hex.EncodeToString(sum[:])
	j, err := openJournal(f.cfg.StateDir, name, res.SHA256)
	if err != nil {
		return err
	}
	defer j.close()
	if err := f.messages(ctx, data, j, &res); err != nil {
		return err
	}
	return f.finish(name, j, &res)
}

// read reads a plain file within the limit. What was a plain file when the folder was
// listed may have been exchanged for a link since: the opened file must be the same.
func (f *Folder) read(name string) (data []byte, size int64, err error) {
	before, err := f.root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !before.Mode().IsRegular() {
		return nil, 0, errors.New("no plain file any more")
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !os.SameFile(before, info) {
		return nil, 0, errors.New("the file was exchanged while it was opened")
	}
	if info.Size() > f.cfg.MaxFile {
		return nil, info.Size(), errLarge
	}
	data, err = io.ReadAll(io.LimitReader(file, f.cfg.MaxFile+1))
	if int64(len(data)) > f.cfg.MaxFile {
		return nil, int64(len(data)), errLarge
	}
	return data, int64(len(data)), err
}

// messages gives the messages of a file to the receiver and fills in the result.
func (f *Folder) messages(ctx context.Context, data []byte, j *journal, res *Result) error {
	s := hl7.SplitMessages(data)
	for _, p := range s.Problems {
		res.Problems = append(res.Problems, fmt.Sprintf("%s (byte %d)", p.Text, p.Offset))
	}
	if err := refusal(s, f.cfg.MaxMessages); err != nil {
		res.Error = err.Error()
		return nil
	}
	if len(s.Problems) > 0 {
		res.Error = "the file holds bytes that belong to no message"
	}
	number := 0
	for _, it := range s.Items {
		if it.Kind != hl7.ItemMessage {
			continue
		}
		number++
		item, known := j.known(number)
		if !known {
			var err error
			if item, err = f.take(ctx, it, number); err != nil {
				return err
			}
			if err := j.add(item); err != nil {
				return err
			}
		}
		res.add(item)
	}
	return nil
}

// refusal returns why nothing of a file may be taken: a wrapper at fault means that
// something is missing.
func refusal(s *hl7.Stream, limit int) error {
	wrapped, messages := false, 0
	for _, it := range s.Items {
		switch it.Kind {
		case hl7.ItemMessage:
			messages++
		case hl7.ItemJunk:
		default:
			wrapped = true
		}
	}
	switch {
	case messages > limit:
		return fmt.Errorf("%d messages, the limit is %d: split the file", messages, limit)
	case wrapped:
		return s.CheckBatch(limit)
	case messages == 0:
		return errors.New("there is no message in it; a message begins with MSH")
	}
	return nil
}

// take gives one message to the receiver.
func (f *Folder) take(ctx context.Context, it hl7.Item, number int) (ItemResult, error) {
	if err := ctx.Err(); err != nil {
		return ItemResult{}, context.Cause(ctx)
	}
	// A message that is begun is finished even if the folder is being closed.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.MessageTimeout)
	defer cancel()
	in := hl7.Incoming{Raw: it.Raw, Peer: "folder:" + f.cfg.Name, ReceivedAt: f.cfg.Now(), Size: int64(len(it.Raw))}
	if f.cfg.Spool != nil && len(it.Raw) > f.cfg.SpoolFrom {
		body, err := f.spool(it.Raw)
		if err != nil {
			return ItemResult{}, fmt.Errorf("%w: %w", errStay, err)
		}
		defer body.Discard()
		in.Raw, in.Body = it.Raw[:min(len(it.Raw), beginning)], body
	}
	v := f.cfg.Receiver.Take(bounded, in)
	if v.Again {
		return ItemResult{}, errStay
	}
	return itemResult(v, it, number), nil
}

// beginning is how much of a spooled message the receiver sees at once, in bytes.
const beginning = 64 << 10

// spool writes a long message to where the bus carries only a reference to it.
func (f *Folder) spool(raw []byte) (hl7.Body, error) {
	w, err := f.cfg.Spool()
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	return w.Finish()
}
