package retrieve

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

// intake receives one delivery stream.
type intake struct {
	*job
	start time.Time // of the call
	mark  time.Time // end of the step before
	keys  bool      // the key grants have begun
}

// lap returns the time since the step before.
func (in *intake) lap() time.Duration {
	now := time.Now()
	d := now.Sub(in.mark)
	in.mark = now
	return d
}

// read takes a stream to its end. What came whole is kept, whatever follows.
func (in *intake) read(r *wire.Reader) error {
	for first := true; ; first = false {
		item, err := r.Next()
		if first {
			in.mark = in.start
			in.out.Timings.Decision += in.lap()
		}
		if err != nil {
			return err
		}
		switch item := item.(type) {
		case *wire.RecordHead:
			err = in.record(item, r)
			in.out.Timings.Transfer += in.lap()
		case *wire.Absent:
			err = in.note(item)
		case *wire.Grant:
			in.begin()
			err = in.grant(item)
		case *wire.End:
			in.begin()
			return nil
		case *wire.Failure:
			return &RefusedError{Code: Code(item.Code)}
		}
		if err != nil {
			return err
		}
	}
}

func (in *intake) begin() {
	if !in.keys {
		in.keys = true
		in.out.Timings.Delivery += in.lap()
	}
}

// asked reports whether the record belongs to this request.
func (in *intake) asked(id evidence.RecordID) bool {
	return slices.ContainsFunc(in.anchors, func(a evidence.Anchor) bool { return a.ID == id })
}

func (in *intake) record(head *wire.RecordHead, r io.Reader) error {
	if !in.asked(head.ID) {
		return fmt.Errorf("%w: %s sent a record that was not asked for", wire.ErrMalformed, in.owner.MSP)
	}
	s, err := receive(r, head.Length, in.SpoolDir, in.Provider)
	if errors.Is(err, wire.ErrDropped) {
		in.absent[head.ID] = wire.Damaged
		return nil
	}
	if err != nil {
		return err
	}
	if old := in.spools[head.ID]; old != nil {
		old.close()
	}
	in.spools[head.ID] = s
	return nil
}

func (in *intake) note(a *wire.Absent) error {
	if !in.asked(a.ID) || len(a.Code) > 32 {
		return fmt.Errorf("%w: %s speaks of a record that was not asked for", wire.ErrMalformed, in.owner.MSP)
	}
	in.absent[a.ID] = a.Code
	return nil
}

func (in *intake) grant(g *wire.Grant) error {
	if in.spools[g.ID] == nil {
		return fmt.Errorf("%w: %s sent a key without its record", wire.ErrMalformed, in.owner.MSP)
	}
	in.grants[g.ID] = g.Bytes
	return nil
}
