package forward_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// fault is what a proxy does to one frame on its way.
type fault string

const (
	faultless  fault = "none"
	split      fault = "split"      // in pieces of a few bytes
	late       fault = "late"       // after a pause that the client endures
	stalled    fault = "stalled"    // half of it, then a pause that the client does not endure
	cutOff     fault = "cut off"    // half of it, then both sides are reset
	cutBehind  fault = "cut behind" // all of it, then both sides are reset
	duplicated fault = "duplicated" // twice
	reordered  fault = "reordered"  // behind the next frame, if one comes in time
	swallowed  fault = "swallowed"  // not at all
)

var allFaults = []fault{faultless, faultless, split, late, stalled, cutOff, cutBehind, duplicated, reordered, swallowed}

// proxy stands between a client and a server, and mistreats frames in both directions.
type proxy struct {
	listener net.Listener
	target   string
	faults   []fault

	mu   sync.Mutex
	rng  *rand.Rand
	seen map[fault]int

	all sync.WaitGroup
}

func newProxy(t *testing.T, target string, seed uint64, faults ...fault) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, target: target, faults: faults, rng: rand.New(rand.NewPCG(seed, 7)), seen: map[fault]int{}}
	p.all.Go(p.accept)
	t.Cleanup(func() { _ = l.Close(); p.all.Wait() })
	return p
}

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		reset := func() {
			for _, c := range []net.Conn{from, to} {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		}
		p.all.Go(func() { p.pump(from, to, reset) })
		p.all.Go(func() { p.pump(to, from, reset) })
	}
}

func (p *proxy) choose() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults[p.rng.IntN(len(p.faults))]
	p.seen[f]++
	return f
}

// pump passes frames on until one side ends.
func (p *proxy) pump(from, to net.Conn, reset func()) {
	defer reset()
	r := bufio.NewReader(from)
	var held []byte
	for {
		wait := time.Hour
		if held != nil {
			wait = 20 * time.Millisecond
		}
		_ = from.SetReadDeadline(time.Now().Add(wait))
		frame, err := readAll(r)
		if ne, ok := err.(net.Error); ok && ne.Timeout() && held != nil && len(frame) == 0 { //nolint:errorlint // as it comes
			if _, err := to.Write(held); err != nil {
				return
			}
			held = nil
			continue
		}
		if err != nil {
			return
		}
		f := p.choose()
		if f == reordered && held == nil {
			held = frame
			continue
		}
		if !p.pass(to, frame, f) {
			return
		}
		if held != nil {
			if _, err := to.Write(held); err != nil {
				return
			}
			held = nil
		}
	}
}

// readAll reads to the end of a frame.
func readAll(r *bufio.Reader) ([]byte, error) {
	frame, err := r.ReadBytes(0x1c)
	if err != nil {
		return frame, err
	}
	end, err := r.ReadByte()
	return append(frame, end), err
}

// pass writes one frame and reports whether the connection goes on.
func (p *proxy) pass(to io.Writer, frame []byte, f fault) bool {
	half := frame[:len(frame)/2]
	write := func(b []byte) bool { _, err := to.Write(b); return err == nil }
	switch f {
	case swallowed:
		return true
	case cutOff:
		write(half)
		time.Sleep(2 * time.Millisecond)
		return false
	case cutBehind:
		write(frame)
		time.Sleep(2 * time.Millisecond)
		return false
	case duplicated:
		return write(append(frame, frame...))
	case late:
		time.Sleep(15 * time.Millisecond)
	case stalled:
		write(half)
		time.Sleep(3 * answerTime / 2)
		return write(frame[len(half):])
	case split:
		for len(frame) > 0 {
			n := min(len(frame), 1+len(frame)%7)
			if !write(frame[:n]) {
				return false
			}
			frame = frame[n:]
			time.Sleep(20 * time.Microsecond)
		}
		return true
	}
	return write(frame)
}

// answerTime is how long the client waits for an answer.
const answerTime = 60 * time.Millisecond

// hospital is a server that keeps what it has submitted, by control id.
type hospital struct {
	addr string
	mu   sync.Mutex
	got  map[string]map[string]int // control id, bytes, times
}

func newHospital(t *testing.T) *hospital {
	t.Helper()
	h := &hospital{got: map[string]map[string]int{}}
	r := &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.got[s.ControlID] == nil {
			h.got[s.ControlID] = map[string]int{}
		}
		h.got[s.ControlID][string(s.Raw)]++
		return nil
	}}
	srv, err := mllp.New(mllp.Config{Handler: mllp.ForReceiver(r), ReadTimeout: time.Second})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()); <-done })
	h.addr = l.Addr().String()
	return h
}

// has reports whether a message was submitted with exactly these bytes and no others.
func (h *hospital) has(id string, raw []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got[id]) == 1 && h.got[id][string(raw)] > 0
}

// Whatever happens on the way: a message that is answered AA has been submitted, as it was
// sent, under one identity; and nothing is submitted that nobody sent.
func TestThroughAProxyThatMistreatsFrames(t *testing.T) {
	seen := map[fault]int{}
	t.Cleanup(func() {
		for _, f := range allFaults {
			assert.NotZero(t, seen[f], "%s never happened", f)
		}
	})
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHospital(t)
			p := newProxy(t, h.addr, seed, allFaults...)
			const senders, each = 4, 12
			var all sync.WaitGroup
			for n := range senders {
				all.Go(func() { deliverAll(t, h, p.listener.Addr().String(), n, each) })
			}
			all.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			assert.Len(t, h.got, senders*each, "every message, and nothing else")
			p.mu.Lock()
			defer p.mu.Unlock()
			for f, n := range p.seen {
				seen[f] += n
			}
		})
	}
}

func deliverAll(t *testing.T, h *hospital, addr string, sender, n int) {
	s, err := forward.NewSender(forward.SenderConfig{Addr: addr, Client: mllp.ClientConfig{AnswerTimeout: answerTime}, Policy: quick()})
	assert.NoError(t, err)
	defer s.Close()
	for i := range n {
		id := fmt.Sprintf("%d-%d", sender, i)
		r, err := s.Deliver(t.Context(), message(id))
		if assert.NoError(t, err) {
			assert.Equal(t, []string{"AA", id}, []string{string(r.Code), r.ControlID})
			assert.True(t, h.has(id, adt(id)), "%s is answered AA and was not submitted as it was sent", id)
		}
	}
}

// A sender that pipelines, over a way on which frames overtake each other: each answer
// belongs to its message all the same.
func TestPipelinedFramesThatAreReordered(t *testing.T) {
	h := newHospital(t)
	p := newProxy(t, h.addr, 3, reordered, faultless, split, duplicated)
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	const n = 40
	want := map[string]bool{}
	go func() {
		for i := range n {
			_, _ = conn.Write([]byte("\x0b" + string(adt(fmt.Sprint(i))) + "\x1c\r"))
		}
	}()
	for i := range n {
		want[fmt.Sprint(i)] = true
	}
	r, answered := bufio.NewReader(conn), map[string]bool{}
	for len(answered) < n {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		frame, err := readAll(r)
		require.NoError(t, err, "%d of %d answered", len(answered), n)
		a, err := hl7.ReadAnswer(frame[1:len(frame)-2], hl7.CharsetPolicy{})
		require.NoError(t, err)
		require.Equal(t, hl7.AppAccept, a.Code)
		require.True(t, want[a.ControlID])
		assert.True(t, h.has(a.ControlID, adt(a.ControlID)), "%s is answered AA and was not submitted", a.ControlID)
		answered[a.ControlID] = true
	}
	assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(answered)))
}
