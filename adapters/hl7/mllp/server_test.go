package mllp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events counts what a server reports.
type events struct {
	mu sync.Mutex
	n  map[mllp.EventKind]int
}

func (e *events) observe(ev mllp.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == nil {
		e.n = map[mllp.EventKind]int{}
	}
	e.n[ev.Kind]++
}

func (e *events) count(k mllp.EventKind) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n[k]
}

func (e *events) await(t *testing.T, k mllp.EventKind, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return e.count(k) >= n }, 5*time.Second, 5*time.Millisecond, k.String())
}

// start runs a server on the loopback until the test ends.
func start(t *testing.T, cfg mllp.Config) (addr string, s *mllp.Server, ev *events) {
	t.Helper()
	ev = &events{}
	cfg.Observe = ev.observe
	s, err := mllp.New(cfg)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, mllp.ErrServerClosed)
		assert.Zero(t, s.Conns())
	})
	return l.Addr().String(), s, ev
}

// echo answers every whole frame with its payload and others with their fault.
func echo(_ context.Context, f mllp.Frame) ([]byte, error) {
	if f.Fault != mllp.Whole {
		return fmt.Appendf(nil, "fault %d size %d kept %d", f.Fault, f.Size, len(f.Payload)), nil
	}
	return f.Payload, nil
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

func frame(s string) string { return "\x0b" + s + "\x1c\r" }

// readFrame reads one framed answer.
func readFrame(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\r')
	require.NoError(t, err)
	for !strings.HasSuffix(s, "\x1c\r") {
		more, err := r.ReadString('\r')
		require.NoError(t, err)
		s += more
	}
	return strings.TrimSuffix(strings.TrimPrefix(s, "\x0b"), "\x1c\r")
}

func send(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(conn, s)
	require.NoError(t, err)
}

func TestFraming(t *testing.T) {
	cases := []struct {
		name   string
		writes []string
		want   []string
		junk   bool
	}{
		{"one", []string{frame("a\rb\r")}, []string{"a\rb\r"}, false},
		{"pipelined", []string{frame("one") + frame("two") + frame("three")}, []string{"one", "two", "three"}, false},
		{"byte by byte", strings.Split(frame("split")+frame("again"), ""), []string{"split", "again"}, false},
		{"split end", []string{"\x0bmsg\x1c", "\r\x0b", "next\x1c", "\r"}, []string{"msg", "next"}, false},
		{"line feed after the end", []string{"\x0bone\x1c\r\n\x0btwo\x1c\r\n"}, []string{"one", "two"}, false},
		{"line feed for the CR", []string{"\x0bone\x1c\n\x0btwo\x1c\n"}, []string{"one", "two"}, false},
		{"no CR before the next", []string{"\x0bone\x1c\x0btwo\x1c\r"}, []string{"one", "two"}, false},
		{"junk before", []string{"junk" + frame("one") + "more" + frame("two")}, []string{"one", "two"}, true},
		{"FS inside", []string{"\x0bone\x1cstill\x1c\r"}, []string{"one\x1cstill"}, false},
		{"VT inside", []string{"\x0bhalf\x0bwhole\x1c\r"}, []string{"half\x0bwhole"}, false},
		{"empty", []string{frame("") + frame("x")}, []string{"", "x"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			addr, _, ev := start(t, mllp.Config{Handler: echo})
			conn, r := dial(t, addr)
			for _, w := range c.writes {
				send(t, conn, w)
				if len(c.writes) > 1 {
					time.Sleep(time.Millisecond)
				}
			}
			for _, want := range c.want {
				assert.Equal(t, want, readFrame(t, r))
			}
			assert.Equal(t, c.junk, ev.count(mllp.Junk) > 0)
			assert.Equal(t, len(c.want), ev.count(mllp.Received))
		})
	}
}

func TestOversizeIsAnsweredAndTheConnectionGoesOn(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, MaxFrame: 128 << 10})
	conn, r := dial(t, addr)
	send(t, conn, frame(strings.Repeat("x", 128<<10)))
	assert.Len(t, readFrame(t, r), 128<<10, "exactly at the limit")
	go io.WriteString(conn, frame(strings.Repeat("x", 128<<10+1))+frame("after"))
	assert.Equal(t, "fault 1 size 131073 kept 65536", readFrame(t, r))
	assert.Equal(t, "after", readFrame(t, r))
	assert.Equal(t, 1, ev.count(mllp.TooLong))
}

func TestFarAboveTheLimitIsAnsweredAndClosed(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, MaxFrame: 1 << 10})
	conn, r := dial(t, addr)
	go func() {
		conn.Write([]byte{0x0b})
		for range 1000 {
			if _, err := conn.Write(bytes.Repeat([]byte("x"), 1<<10)); err != nil {
				return
			}
		}
	}()
	assert.Contains(t, readFrame(t, r), "fault 1")
	ev.await(t, mllp.Closed, 1)
	assert.Equal(t, 1, ev.count(mllp.TooLong))
}

func TestHalfAMessageThenSilence(t *testing.T) {
	addr, s, ev := start(t, mllp.Config{Handler: echo, ReadTimeout: 30 * time.Millisecond})
	conn, r := dial(t, addr)
	send(t, conn, "\x0bhalf a mess")
	assert.Equal(t, "fault 2 size 11 kept 11", readFrame(t, r))
	_, err := r.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 1, ev.count(mllp.CutOff))
	require.Eventually(t, func() bool { return s.Conns() == 0 }, time.Second, time.Millisecond)
}

func TestSlowDripIsBoundedByTheFrameTimeout(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, ReadTimeout: time.Second, FrameTimeout: 60 * time.Millisecond})
	conn, r := dial(t, addr)
	send(t, conn, "\x0b")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 40 {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	assert.Contains(t, readFrame(t, r), "fault 2")
	ev.await(t, mllp.CutOff, 1)
	conn.Close()
	<-stop
}

func TestPeerThatGoesAwayInsideAFrame(t *testing.T) {
	frames := make(chan mllp.Frame, 1)
	addr, _, ev := start(t, mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		frames <- f
		return []byte("nack"), nil
	}})
	conn, r := dial(t, addr)
	send(t, conn, "\x0bhalf")
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	f := <-frames
	assert.Equal(t, mllp.Incomplete, f.Fault)
	assert.Equal(t, "half", string(f.Payload), "what came can be quarantined")
	assert.Equal(t, "nack", readFrame(t, r))
	ev.await(t, mllp.CutOff, 1)
}

func TestMissingCarriageReturn(t *testing.T) {
	addr, _, _ := start(t, mllp.Config{Handler: echo, EndWait: 20 * time.Millisecond})
	conn, r := dial(t, addr)
	for _, m := range []string{"one", "two"} {
		send(t, conn, "\x0b"+m+"\x1c")
		assert.Equal(t, m, readFrame(t, r))
	}
	addr, _, _ = start(t, mllp.Config{Handler: echo, ReadTimeout: 20 * time.Millisecond})
	conn, r = dial(t, addr)
	send(t, conn, "\x0bone\x1c")
	assert.Contains(t, readFrame(t, r), "fault 2", "without EndWait such a frame is not whole")
}

func TestClientThatNeverReads(t *testing.T) {
	big := bytes.Repeat([]byte("a"), 8<<20)
	addr, s, ev := start(t, mllp.Config{WriteTimeout: 50 * time.Millisecond,
		Handler: func(context.Context, mllp.Frame) ([]byte, error) { return big, nil }})
	conn, _ := dial(t, addr)
	send(t, conn, frame("m")+frame("m"))
	ev.await(t, mllp.SlowReader, 1)
	require.Eventually(t, func() bool { return s.Conns() == 0 }, time.Second, time.Millisecond)
	other, r := dial(t, addr)
	send(t, other, frame("m"))
	_, err := r.ReadByte()
	assert.NoError(t, err, "the listener is unharmed")
}

func TestJunkIsBounded(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, MaxJunk: 1 << 10})
	conn, r := dial(t, addr)
	go io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\n", 1000))
	_, err := r.ReadByte()
	assert.Error(t, err)
	ev.await(t, mllp.Closed, 1)
	assert.Equal(t, 1, ev.count(mllp.Junk))
}

func TestIdleConnectionsEnd(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, IdleTimeout: 20 * time.Millisecond})
	_, r := dial(t, addr)
	_, err := r.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
	ev.await(t, mllp.Closed, 1)
}

func TestConnectionLimit(t *testing.T) {
	addr, s, ev := start(t, mllp.Config{Handler: echo, MaxConns: 2})
	for range 2 {
		conn, r := dial(t, addr)
		send(t, conn, frame("x"))
		readFrame(t, r)
	}
	_, r := dial(t, addr)
	_, err := r.ReadByte()
	assert.Error(t, err)
	ev.await(t, mllp.Refused, 1)
	assert.Equal(t, 2, s.Conns())
}

func TestMemoryBudgetIsSharedAndGivenBack(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: echo, MaxFrame: 256 << 10, MaxInFlight: 256 << 10})
	holder, hr := dial(t, addr)
	send(t, holder, "\x0b"+strings.Repeat("h", 200<<10))
	time.Sleep(30 * time.Millisecond)
	conn, r := dial(t, addr)
	body := strings.Repeat("x", 200<<10)
	go io.WriteString(conn, frame(body))
	assert.Contains(t, readFrame(t, r), "fault 3")
	assert.Equal(t, 1, ev.count(mllp.OutOfMemory))
	send(t, conn, frame("small frames need none of it"))
	assert.Equal(t, "small frames need none of it", readFrame(t, r))
	send(t, holder, "\x1c\r")
	readFrame(t, hr)
	send(t, holder, frame("the memory is given back before the next frame is read"))
	readFrame(t, hr)
	go io.WriteString(conn, frame(body))
	assert.Len(t, readFrame(t, r), 200<<10, "given back")
}

func TestHandlerErrorsAndPanicsEndOnlyTheirConnection(t *testing.T) {
	addr, _, ev := start(t, mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		switch string(f.Payload) {
		case "panic":
			panic("patient data in a panic")
		case "error":
			return nil, errors.New("no")
		case "silent":
			return nil, nil
		}
		return f.Payload, nil
	}})
	for _, bad := range []string{"panic", "error"} {
		conn, r := dial(t, addr)
		send(t, conn, frame(bad))
		_, err := r.ReadByte()
		assert.Error(t, err)
	}
	ev.await(t, mllp.HandlerError, 2)
	conn, r := dial(t, addr)
	send(t, conn, frame("silent")+frame("fine"))
	assert.Equal(t, "fine", readFrame(t, r), "no answer where none is asked for")
}

func TestShutdownDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	addr, s, _ := start(t, mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		close(entered)
		<-release
		return f.Payload, nil
	}})
	idle, idleReader := dial(t, addr)
	half, halfReader := dial(t, addr)
	busy, busyReader := dial(t, addr)
	send(t, half, "\x0bhalf")
	send(t, busy, frame("last"))
	<-entered
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	for _, r := range []*bufio.Reader{idleReader, halfReader} {
		_, err := r.ReadByte()
		assert.Error(t, err, "closed at once, nothing acknowledged")
	}
	select {
	case <-done:
		t.Fatal("shutdown did not wait for the handler")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	assert.Equal(t, "last", readFrame(t, busyReader))
	require.NoError(t, <-done)
	_, err := net.DialTimeout("tcp", addr, time.Second)
	assert.Error(t, err)
	_ = idle
}

func TestShutdownIsForcedWhenItsContextEnds(t *testing.T) {
	entered := make(chan struct{})
	addr, s, _ := start(t, mllp.Config{Handler: func(ctx context.Context, _ mllp.Frame) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	conn, _ := dial(t, addr)
	send(t, conn, frame("x"))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	assert.Zero(t, s.Conns())
}

func TestConfigReportsAllFaults(t *testing.T) {
	_, err := mllp.New(mllp.Config{MaxFrame: 1, MaxConns: -1, ReadTimeout: -1, MaxInFlight: 1 << 40})
	require.ErrorIs(t, err, mllp.ErrConfig)
	for _, want := range []string{"Handler", "MaxFrame", "MaxConns", "timeouts"} {
		assert.ErrorContains(t, err, want)
	}
}

// TestReceiverOverTheWire joins the server to the HL7 receiver: each kind of bad input
// gets its answer and is kept, and the connection serves on.
func TestReceiverOverTheWire(t *testing.T) {
	var mu sync.Mutex
	quarantined, submitted := map[string]int{}, 0
	rcv := &hl7.Receiver{
		Submit: func(context.Context, hl7.Submission) error { mu.Lock(); submitted++; mu.Unlock(); return nil },
		Quarantine: func(_ context.Context, raw []byte, why hl7.Reason) error {
			mu.Lock()
			defer mu.Unlock()
			quarantined[string(why.Ack)+fmt.Sprint(int(why.Fault.Code))]++
			return nil
		},
	}
	addr, _, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(rcv), MaxFrame: 4 << 10, ReadTimeout: 50 * time.Millisecond})
	head := "MSH|^~\\&|A|B|C|D|2026||ADT^A01|77|P|2.5"
	conn, r := dial(t, addr)
	for _, c := range []struct{ raw, want, code string }{
		{head + "\rPID|1\r", "MSA|AA|77", ""},
		{"garbage", "MSA|AR", "|100^"},
		{head + "||||||EBCDIC\rPID|||\xc1\r", "MSA|AR|77", "|103^"},
		{strings.Replace(head, "ADT^A01", "adt", 1) + "\r", "MSA|AR|77", "|200^"},
		{head + "\rPID|" + strings.Repeat("x", 8<<10) + "\r", "MSA|AR|77", "|207^"},
		{head + "\rNTE|1\r", "MSA|AA|77", ""},
	} {
		send(t, conn, frame(c.raw))
		got := readFrame(t, r)
		assert.Contains(t, got, c.want)
		assert.Contains(t, got, c.code)
	}
	send(t, conn, "\x0b"+head+"\rPID|")
	assert.Contains(t, readFrame(t, r), "MSA|AE|77")
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 2, submitted)
	assert.Equal(t, map[string]int{"AR100": 1, "AR103": 1, "AR200": 1, "AR207": 1, "AE100": 1}, quarantined)
}
