package ferry

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// report stands beside each file in the quarantine.
type report struct {
	Kind   EventKind `json:"kind"`
	Lane   Lane      `json:"lane,omitempty"`
	Seq    uint64    `json:"seq,omitempty"`
	Bytes  int64     `json:"bytes"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// suspect gives a file that does not add up time to become whole, since gatekeepers copy
// without renaming. After that it goes to the quarantine, and what it should have been is
// asked for again. aside says that the file is no longer in the inbox.
func (p *Port) suspect(now time.Time, f Entry, kind EventKind, e Event) (aside bool, err error) {
	if !p.settled(now, f) {
		return false, nil
	}
	e.Kind, e.Bytes = kind, f.Size
	if e.Err == nil {
		e.Err = errors.New("no file of this channel")
	}
	var data []byte // of a file that is longer than any bundle the report alone is kept
	if f.Size <= p.limits.fileBytes() {
		if data, err = p.disk.Read(join(p.cfg.Inbox, f.Name), p.limits.fileBytes()); err != nil {
			return vanished(err) == nil, vanished(err)
		}
	}
	sum := p.cfg.Provider.SM3(data, []byte(f.Name))
	name := fmt.Sprintf("%s-%d-%x", kind, now.UnixMilli(), sum[:4])
	if err := p.keep(name, data, e); err != nil {
		return false, err
	}
	delete(p.strange, f.Name)
	p.tell(e)
	if e.Seq > 0 {
		p.lanes[e.Lane].missing[e.Seq] = now.Add(-p.limits.GapAfter) // ask at once
	}
	return true, ignoreMissing(p.disk.Remove(join(p.cfg.Inbox, f.Name)))
}

// settled says whether a file has not changed for long: as far as this process saw, or by
// the time of its last change, which a process that has just begun goes by.
func (p *Port) settled(now time.Time, f Entry) bool {
	if !f.Modified.IsZero() && now.Sub(f.Modified) >= p.limits.Settle {
		return true
	}
	was, seen := p.strange[f.Name]
	if !seen || was.size != f.Size {
		p.strange[f.Name] = unsettled{size: f.Size, since: now}
		return false
	}
	return now.Sub(was.since) >= p.limits.Settle
}

// keep writes data and a report into the quarantine.
func (p *Port) keep(name string, data []byte, e Event) error {
	if p.cfg.Protect != nil {
		var err error
		if data, err = p.cfg.Protect(data); err != nil {
			return err
		}
	}
	r := report{Kind: e.Kind, Lane: e.Lane, Seq: e.Seq, Bytes: e.Bytes, At: p.now().UTC()}
	if e.Err != nil {
		r.Reason = e.Err.Error()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := put(p.disk, p.cfg.Quarantine, name+".held", data); err != nil {
		return err
	}
	return put(p.disk, p.cfg.Quarantine, name+".json", append(text, '\n'))
}
