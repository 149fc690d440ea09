package mllp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

func TestReplyFollowsTheAnswer(t *testing.T) {
	later := make(chan func(context.Context, []byte) error, 1)
	addr, s, _ := start(t, mllp.Config{Handler: func(ctx context.Context, f mllp.Frame) ([]byte, error) {
		go func() { assert.NoError(t, f.Reply(context.Background(), []byte("second"))) }()
		time.Sleep(20 * time.Millisecond) // the reply is ready before the answer
		later <- f.Reply
		return []byte("first"), nil
	}})
	conn, r := dial(t, addr)
	send(t, conn, frame("x"))
	assert.Equal(t, "first", readFrame(t, r))
	assert.Equal(t, "second", readFrame(t, r))
	reply := <-later
	require.NoError(t, reply(t.Context(), []byte("third")), "at any time")
	assert.Equal(t, "third", readFrame(t, r))
	conn.Close()
	require.Eventually(t, func() bool { return s.Conns() == 0 }, 5*time.Second, 5*time.Millisecond)
	require.ErrorIs(t, reply(t.Context(), []byte("fourth")), mllp.ErrClosed)
}

func TestRepliesAndAnswersNeverMix(t *testing.T) {
	var all sync.WaitGroup
	long := strings.Repeat("r", 20<<10)
	addr, _, _ := start(t, mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		all.Go(func() { assert.NoError(t, f.Reply(context.Background(), []byte(long))) })
		return []byte("a" + string(f.Payload)), nil
	}})
	conn, r := dial(t, addr)
	const n = 50
	go func() {
		for range n {
			send(t, conn, frame("x"))
		}
	}()
	answers, replies := 0, 0
	for range 2 * n {
		switch readFrame(t, r) {
		case "ax":
			answers++
		case long:
			replies++
		}
		assert.GreaterOrEqual(t, answers, replies)
	}
	assert.Equal(t, []int{n, n}, []int{answers, replies})
	all.Wait()
}

func TestReplyWaitsNoLongerThanItsContext(t *testing.T) {
	told := make(chan error, 1)
	addr, _, _ := start(t, mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errors.New("enough"))
		defer cancel()
		told <- f.Reply(ctx, []byte("never")) // within the handler: it would wait for itself
		return nil, nil
	}})
	conn, _ := dial(t, addr)
	send(t, conn, frame("x"))
	require.EqualError(t, <-told, "enough")
}

const both = "MSH|^~\\&|HIS|H1|EMR|H1|20260301||ADT^A01|7|P|2.5|||AL|AL\r"

func TestClientAwaitsTheApplicationAcknowledgement(t *testing.T) {
	r := accepting(nil)
	r.DeferApplicationAck = true
	submit := r.Submit
	r.Submit = func(ctx context.Context, s hl7.Submission) error {
		if s.Later != nil {
			go func() {
				time.Sleep(30 * time.Millisecond)
				_, err := s.Later.Send(context.Background(), hl7.Outcome{Code: hl7.AppError, Fault: &hl7.Fault{Code: hl7.CodeInternal}})
				assert.NoError(t, err)
			}()
		}
		return submit(ctx, s)
	}
	addr, _, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(r)})
	var late []hl7.AckCode
	c := client(t, addr, mllp.ClientConfig{AwaitApplication: true, Late: func(a hl7.Answer) { late = append(late, a.Code) }})
	reply, err := c.Send(t.Context(), []byte(both))
	require.NoError(t, err)
	assert.Equal(t, hl7.CommitAccept, reply.Commit)
	assert.Equal(t, hl7.AppError, reply.Code)
	assert.Empty(t, late)

	plain := client(t, addr, mllp.ClientConfig{Late: func(a hl7.Answer) { late = append(late, a.Code) }})
	reply, err = plain.Send(t.Context(), []byte(both))
	require.NoError(t, err)
	assert.Equal(t, hl7.CommitAccept, reply.Code, "the first answer is enough")
	time.Sleep(60 * time.Millisecond)
	reply, err = plain.Send(t.Context(), adt("8"))
	require.NoError(t, err)
	assert.Equal(t, "8", reply.ControlID)
	assert.Equal(t, []hl7.AckCode{hl7.AppError}, late, "what comes later is passed over")
}

func TestClientAnswersAnAcknowledgementThatAsksForIt(t *testing.T) {
	got := make(chan string, 1)
	addr := scripted(t, func(c net.Conn, r *bufio.Reader) {
		r.ReadString(0x1c)
		r.ReadString('\r')
		c.Write([]byte(frame("MSH|^~\\&|EMR|H1|HIS|H1|20260301||ACK^A01^ACK|a9|P|2.5|||AL|NE\rMSA|AA|1\r")))
		answer, _ := r.ReadString(0x1c)
		got <- answer
	})
	c := client(t, addr, mllp.ClientConfig{})
	_, err := c.Send(t.Context(), adt("1"))
	require.NoError(t, err)
	assert.Contains(t, <-got, "MSA|CA|a9\r")
}

// A peer that sends answers to others for ever, each in time, must not hold the client.
func TestClientIsNotHeldByAnswersToOthers(t *testing.T) {
	addr := scripted(t, func(c net.Conn, r *bufio.Reader) {
		r.ReadString('\r')
		for {
			if _, err := c.Write([]byte(acknowledge("other"))); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	c := client(t, addr, mllp.ClientConfig{AnswerTimeout: 100 * time.Millisecond, ApplicationTimeout: time.Hour})
	begun := time.Now()
	_, err := c.Send(t.Context(), adt("1"))
	require.ErrorIs(t, err, mllp.ErrNoAnswer)
	assert.Less(t, time.Since(begun), 2*time.Second)
}

func TestClientResetsAConnectionWhoseAnswerIsLate(t *testing.T) {
	reset := make(chan error, 1)
	addr := scripted(t, func(c net.Conn, r *bufio.Reader) {
		r.ReadString(0x1c)
		r.ReadString('\r')
		_, err := r.ReadByte()
		reset <- err
	})
	c := client(t, addr, mllp.ClientConfig{AnswerTimeout: 50 * time.Millisecond})
	_, err := c.Send(t.Context(), adt("1"))
	require.ErrorIs(t, err, mllp.ErrNoAnswer)
	require.ErrorIs(t, <-reset, syscall.ECONNRESET, "so that the late answer reaches nobody")
}

// An idle connection is still good when the deadline of its last answer has passed.
func TestClientKeepsAnIdleConnection(t *testing.T) {
	addr, s, ev := start(t, mllp.Config{Handler: mllp.ForReceiver(accepting(nil))})
	c := client(t, addr, mllp.ClientConfig{AnswerTimeout: 40 * time.Millisecond})
	for i := range 3 {
		_, err := c.Send(t.Context(), adt(fmt.Sprint(i)))
		require.NoError(t, err)
		time.Sleep(60 * time.Millisecond)
	}
	assert.Equal(t, 1, s.Conns())
	assert.Equal(t, 1, ev.count(mllp.Opened))
}

// Some servers close the connection after each answer. The next message must not go out
// into nowhere.
func TestClientNoticesThatThePeerHasClosed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var cfg mllp.Config
		var dialing mllp.ClientConfig
		if secure {
			a := newAuthority(t)
			cfg.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "localhost")}, MinVersion: tls.VersionTLS12}
			dialing.TLS = &tls.Config{RootCAs: a.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
		}
		cfg.Handler = mllp.ForReceiver(accepting(nil))
		addr, s, _ := start(t, cfg)
		c := client(t, addr, dialing)
		for i := range 2 {
			_, err := c.Send(t.Context(), adt(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		require.NoError(t, s.Shutdown(t.Context()))
		time.Sleep(20 * time.Millisecond)
		_, err := c.Send(t.Context(), adt("9"))
		require.ErrorIs(t, err, mllp.ErrNotSent)
		_, err = c.Send(t.Context(), adt("9"))
		require.ErrorIs(t, err, mllp.ErrClosed)
	}
}

// A message that asks for refusals only is taken if nothing comes.
func TestClientTakesSilenceForAYesWhereItIsOne(t *testing.T) {
	var fail atomic.Bool
	r := accepting(nil)
	r.Submit = func(context.Context, hl7.Submission) error {
		if fail.Load() {
			return errors.New("full")
		}
		return nil
	}
	addr, s, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(r)})
	c := client(t, addr, mllp.ClientConfig{SilenceTimeout: 50 * time.Millisecond})
	onError := []byte(strings.Replace(both, "|AL|AL", "|ER|NE", 1))
	reply, err := c.Send(t.Context(), onError)
	require.NoError(t, err)
	assert.Empty(t, reply.Code)
	fail.Store(true)
	reply, err = c.Send(t.Context(), onError)
	require.NoError(t, err)
	assert.Equal(t, hl7.CommitError, reply.Code, "over the same connection")
	assert.Equal(t, 1, s.Conns())
	require.NoError(t, s.Close())
	_, err = c.Send(t.Context(), onError)
	require.Error(t, err, "an ended connection is no silence")
}
