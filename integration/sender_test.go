package integration_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// day is an invented day. Its facility must be used by no other test, since the sender's
// name and the control id together make a message what it is.
func day(facility string, patients int) *hospitalday.Day {
	return hospitalday.GenerateFor(facility, 20260302, patients, time.Date(2026, 3, 2, 0, 0, 0, 0, hl7.ChinaStandardTime))
}

// load is a number of senders at work. A sender does what a good HIS interface does: one
// message at a time over one connection, again and again until it is acknowledged, over
// as many connections as it takes.
type load struct {
	site  *site
	stop  context.CancelFunc
	done  sync.WaitGroup
	acked atomic.Int64
	again atomic.Int64 // sent again: the connection broke, or the answer was AE
	fatal atomic.Pointer[error]
}

const senders = 6

// send starts senders on a day's messages, a patient's on one connection. They end when
// all is acknowledged.
func (s *site) send(t *testing.T, d *hospitalday.Day) *load {
	return s.load(t, func(lane int) iter.Seq[hospitalday.Message] {
		return func(yield func(hospitalday.Message) bool) {
			for _, m := range d.Messages {
				if m.PatientIndex%senders == lane && !yield(m) {
					return
				}
			}
		}
	}, 0)
}

// flow starts senders that go on until finish, with a pause after each message, on one
// invented day after the other. The names of the facilities begin with facility.
func (s *site) flow(t *testing.T, facility string, pause time.Duration) *load {
	return s.load(t, func(lane int) iter.Seq[hospitalday.Message] {
		return func(yield func(hospitalday.Message) bool) {
			for i := 0; ; i++ {
				for _, m := range day(fmt.Sprintf("%s-%d-%d", facility, lane, i), 5).Messages {
					if !yield(m) {
						return
					}
				}
			}
		}
	}, pause)
}

func (s *site) load(t *testing.T, messages func(lane int) iter.Seq[hospitalday.Message], pause time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{site: s, stop: cancel}
	t.Cleanup(func() { cancel(); l.done.Wait() })
	for i := range senders {
		l.done.Go(func() { l.lane(ctx, t, messages(i), pause) })
	}
	return l
}

// wait waits until all messages are acknowledged.
func (l *load) wait(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { l.done.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * patience):
		require.Fail(t, "the senders do not come to an end", "%d acknowledged", l.acked.Load())
	}
	l.check(t)
}

// finish ends the load. The message that a sender has in hand stays unacknowledged.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	l.check(t)
}

func (l *load) check(t *testing.T) {
	t.Helper()
	if err := l.fatal.Load(); err != nil {
		require.NoError(t, *err)
	}
}

func (l *load) lane(ctx context.Context, t *testing.T, lane iter.Seq[hospitalday.Message], pause time.Duration) {
	var c *mllp.Client
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	for m := range lane {
		l.site.note(t, m.Raw, false)
		for first := true; ; first = false {
			if !first {
				l.again.Add(1)
			}
			if nap(ctx, pause) != nil {
				return
			}
			if c == nil {
				var err error
				if c, err = mllp.Dial(ctx, l.site.mllp(), mllp.ClientConfig{AnswerTimeout: 30 * time.Second, Charset: hl7.CharsetPolicy{Default: hl7.UTF8}}); err != nil {
					if nap(ctx, 50*time.Millisecond) != nil {
						return
					}
					continue
				}
			}
			reply, err := c.Send(ctx, m.Raw)
			if err != nil {
				_ = c.Close()
				c = nil
				continue
			}
			if reply.Code.Accepted() {
				l.site.note(t, m.Raw, true)
				l.acked.Add(1)
				break
			}
			if reply.Code != hl7.AppError || reply.ErrorCode != "207" {
				err := fmt.Errorf("%s was answered %s %s %q, which a sender does not repeat", m.ControlID, reply.Code, reply.ErrorCode, reply.Text)
				l.fatal.Store(&err)
				return
			}
			if nap(ctx, 100*time.Millisecond) != nil {
				return
			}
		}
	}
}

func nap(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// note remembers what was sent and what was acknowledged.
func (s *site) note(t testing.TB, raw []byte, acked bool) {
	id := s.id(t, raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[id] = true
	if acked {
		s.acked[id] = true
	}
}

// one sends one message and returns the answer.
func (s *site) one(t testing.TB, raw []byte) mllp.Reply {
	t.Helper()
	r, err := s.tryOne(raw)
	require.NoError(t, err)
	return r
}

func (s *site) tryOne(raw []byte) (mllp.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := mllp.Dial(ctx, s.mllp(), mllp.ClientConfig{Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	if err != nil {
		return mllp.Reply{}, err
	}
	r, err := c.Send(ctx, raw)
	return r, errors.Join(err, c.Close())
}

// accepted sends one message that has to be taken.
func (s *site) accepted(t testing.TB, raw []byte) {
	t.Helper()
	s.note(t, raw, false)
	r := s.one(t, raw)
	require.True(t, r.Code.Accepted(), "%s %s", r.Code, r.Text)
	s.note(t, raw, true)
}
