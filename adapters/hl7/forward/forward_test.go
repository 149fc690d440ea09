package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func adt(id string) []byte {
	return []byte("MSH|^~\\&|EMR|H1|HIS|H1|20260301||ADT^A01|" + id + "|P|2.5\rPID|1||1^^^H1^PI\r")
}

func message(id string) forward.Message { return forward.Message{ID: "r-" + id, Raw: adt(id)} }

// peer is a destination whose answers a test writes: one code for each message that comes.
// "silence" gives none, "close" ends the connection.
type peer struct {
	addr string
	mu   sync.Mutex
	plan []string
	got  []string // control ids as they came
}

func newPeer(t *testing.T, plan ...string) *peer {
	t.Helper()
	p := &peer{plan: plan}
	s, err := mllp.New(mllp.Config{Handler: p.handle})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, s.Close()); <-done })
	p.addr = l.Addr().String()
	return p
}

func (p *peer) handle(_ context.Context, f mllp.Frame) ([]byte, error) {
	h, _, _ := hl7.PeekHeader(f.Payload, hl7.CharsetPolicy{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, h.ControlID)
	code := "AA"
	if len(p.plan) > 0 {
		code, p.plan = p.plan[0], p.plan[1:]
	}
	switch code {
	case "silence":
		return nil, nil
	case "close":
		return nil, errors.New("closed")
	}
	return hl7.Ack{}.Build(h, hl7.AckCode(code), &hl7.Fault{Code: hl7.CodeInternal, Diagnostics: "why"}), nil
}

func (p *peer) came() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.got...)
}

func quick() forward.Policy {
	return forward.Policy{RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond}
}

func sender(t *testing.T, addr string, p forward.Policy, observe func(forward.Event)) *forward.Sender {
	t.Helper()
	s, err := forward.NewSender(forward.SenderConfig{Addr: addr, Policy: p, Observe: observe,
		Client: mllp.ClientConfig{AnswerTimeout: 100 * time.Millisecond}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestDeliverByPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		plan  []string
		tries int
		held  string
	}{
		"taken":                   {nil, 1, ""},
		"commit":                  {[]string{"CA"}, 1, ""},
		"error, then taken":       {[]string{"AE", "AE", "AA"}, 3, ""},
		"error too often":         {[]string{"AE", "CE", "AE", "AA"}, 3, "AE"},
		"rejected":                {[]string{"AR", "AA"}, 1, "AR"},
		"commit reject":           {[]string{"CR", "AA"}, 1, "CR"},
		"a code that is none":     {[]string{"OK", "AA"}, 1, "OK"},
		"silence, then taken":     {[]string{"silence", "AA"}, 2, ""},
		"closed, then taken":      {[]string{"close", "close", "AA"}, 3, ""},
		"away does not use tries": {[]string{"close", "AE", "close", "AE", "close", "AA"}, 6, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, c.plan...)
			s := sender(t, p.addr, quick(), nil)
			r, err := s.Deliver(t.Context(), message("1"))
			assert.Len(t, p.came(), c.tries)
			var held *forward.HeldError
			if c.held != "" {
				require.ErrorAs(t, err, &held)
				assert.Equal(t, c.held, string(held.Code))
				assert.Equal(t, "207", held.ErrorCode)
				assert.Equal(t, "why", held.Text)
				assert.NotContains(t, err.Error(), "why", "the destination's words may quote the message")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.tries, r.Tries)
		})
	}
}

func TestDeliverOverOneConnection(t *testing.T) {
	p := newPeer(t)
	s := sender(t, p.addr, quick(), nil)
	for i := range 20 {
		_, err := s.Deliver(t.Context(), message(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	assert.Len(t, p.came(), 20)
}

// The answer to the first message comes when nobody waits for it any more. It must not be
// taken for the answer to the next.
func TestLateAnswersAreDiscarded(t *testing.T) {
	var later atomic.Bool
	s, err := mllp.New(mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		h, _, _ := hl7.PeekHeader(f.Payload, hl7.CharsetPolicy{})
		if !later.Swap(true) {
			time.Sleep(250 * time.Millisecond)
		}
		return hl7.Ack{}.Build(h, hl7.AppAccept, nil), nil
	}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() { require.NoError(t, s.Close()); <-done }()
	var events []string
	to := sender(t, l.Addr().String(), forward.Policy{RetryMin: time.Millisecond, RetryMax: time.Millisecond, AwayTries: 1},
		func(e forward.Event) { events = append(events, e.Kind.String()) })
	_, err = to.Deliver(t.Context(), message("1"))
	require.ErrorIs(t, err, forward.ErrAway)
	require.ErrorIs(t, err, forward.ErrDoubt, "it has gone out")
	r, err := to.Deliver(t.Context(), message("2"))
	require.NoError(t, err)
	assert.Equal(t, "2", r.ControlID)
	assert.Equal(t, []string{"sent"}, events)
}

func TestDeliverWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	policy := quick()
	policy.AwayTries = 3
	var away int
	s := sender(t, addr, policy, func(e forward.Event) { away++ })
	_, err = s.Deliver(t.Context(), message("1"))
	require.ErrorIs(t, err, forward.ErrAway)
	require.NotErrorIs(t, err, forward.ErrDoubt)
	assert.Equal(t, 2, away, "the last try is the error")
	policy.AwayTries = 0
	s = sender(t, addr, policy, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = s.Deliver(ctx, message("1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestMessageThatAsksForNoAnswer(t *testing.T) {
	p := newPeer(t, "silence")
	raw := []byte(strings.Replace(string(adt("1")), "|P|2.5", "|P|2.5|||NE|NE", 1))
	r, err := sender(t, p.addr, quick(), nil).Deliver(t.Context(), forward.Message{ID: "1", Raw: raw})
	require.NoError(t, err)
	assert.Empty(t, r.Code)
}

func TestSenderConfig(t *testing.T) {
	_, err := forward.NewSender(forward.SenderConfig{})
	require.ErrorIs(t, err, forward.ErrConfig)
	_, err = forward.NewSender(forward.SenderConfig{Addr: "x:1", Policy: forward.Policy{ErrorTries: -1}})
	require.ErrorIs(t, err, forward.ErrConfig)
}
