package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/dropfolder"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
)

// asking is a message whose sender wants both acknowledgements.
func asking(id string) []byte {
	return []byte(strings.Replace(string(testADT(id)), "|P|2.5||||||", "|P|2.5|||AL|AL||", 1))
}

func TestApplicationAcknowledgementWhenSealed(t *testing.T) {
	s := newLonelySite(t, func(c *config.Config) { c.HL7.Listeners[0].ApplicationAck = config.AckSealed })
	c, err := mllp.Dial(t.Context(), s.mllp(), mllp.ClientConfig{AwaitApplication: true})
	require.NoError(t, err)
	defer c.Close()
	for i := range 5 {
		r, err := c.Send(t.Context(), asking(fmt.Sprintf("S-%d", i)))
		require.NoError(t, err)
		assert.Equal(t, []hl7.AckCode{hl7.CommitAccept, hl7.AppAccept}, []hl7.AckCode{r.Commit, r.Code})
		assert.Contains(t, string(r.Raw), "|NE|NE|")
		events := lines[[]trail.Event](t, s, 0, "trace", fmt.Sprintf("S-%d", i))[0]
		assert.Equal(t, "stored", events[len(events)-1].Stage, "it is sealed when the sender is told so")
	}
	r, err := c.Send(t.Context(), asking("S-1"))
	require.NoError(t, err)
	assert.Equal(t, hl7.AppAccept, r.Code, "the same message again has the same outcome")
	assert.Equal(t, hl7.AppAccept, s.send(t, testADT("S-9")).Code, "who asks for nothing gets the original mode")
}

// The ledger is away, the sender goes: the trail says that it could not be told.
func TestApplicationAcknowledgementThatNobodyAwaits(t *testing.T) {
	s := newLonelySite(t, func(c *config.Config) { c.HL7.Listeners[0].ApplicationAck = config.AckSealed })
	conn, err := net.Dial("tcp", s.mllp())
	require.NoError(t, err)
	_, err = conn.Write([]byte("\x0b" + string(asking("G-1")) + "\x1c\r"))
	require.NoError(t, err)
	first, err := bufio.NewReader(conn).ReadString(0x1c)
	require.NoError(t, err)
	require.Contains(t, first, "MSA|CA|G-1")
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool {
		text, _ := s.command(t, "trace", "G-1", "--json")
		return strings.Contains(text, codeSenderGone)
	}, 20*time.Second, 50*time.Millisecond, "%s", s.log)
}

// returns collects what comes to a return address.
type returns struct {
	addr string
	mu   sync.Mutex
	got  []string
}

func newReturns(t *testing.T) *returns {
	t.Helper()
	r := &returns{}
	srv, err := mllp.New(mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, string(f.Payload))
		return nil, nil
	}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()); <-done })
	r.addr = l.Addr().String()
	return r
}

func (r *returns) came() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, "\n")
}

// With a return address an acknowledgement outlives its connection, and a restart.
func TestApplicationAcknowledgementToTheReturnAddress(t *testing.T) {
	back := newReturns(t)
	s := newLonelySite(t, func(c *config.Config) {
		c.HL7.Listeners[0].ApplicationAck, c.HL7.Listeners[0].ReturnAddress = config.AckSealed, "mllp://"+back.addr
	})
	conn, err := net.Dial("tcp", s.mllp())
	require.NoError(t, err)
	_, err = conn.Write([]byte("\x0b" + string(asking("R-1")) + "\x1c\r"))
	require.NoError(t, err)
	first, err := bufio.NewReader(conn).ReadString(0x1c)
	require.NoError(t, err)
	require.Contains(t, first, "MSA|CA|R-1")
	owed := filepath.Join(s.config.DataDir, "acks", "his", "owed")
	s.halt(t)
	require.NoError(t, conn.Close())
	files, err := os.ReadDir(owed)
	require.NoError(t, err)
	if len(files) == 1 { // it was sealed after the connection had ended
		text, err := os.ReadFile(filepath.Join(owed, files[0].Name()))
		require.NoError(t, err)
		assert.NotContains(t, string(text), "MSA|", "it is not readable on the disk")
	}
	s.start(t)
	c, err := mllp.Dial(t.Context(), s.mllp(), mllp.ClientConfig{})
	require.NoError(t, err)
	_, err = c.Send(t.Context(), asking("R-2"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(owed)
		return err == nil && len(left) == 0
	}, 20*time.Second, 20*time.Millisecond, "%s", s.log)
	require.Eventually(t, func() bool { return len(files) == 0 || strings.Contains(back.came(), "MSA|AA|R-1") }, 20*time.Second, 20*time.Millisecond, "%s", s.log)
}

func TestDropFolderOfASite(t *testing.T) {
	in := t.TempDir()
	s := newLonelySite(t, func(c *config.Config) {
		c.HL7.Folders = []config.Folder{{Name: "lab", Dir: in, Charset: "GB18030", Poll: config.Duration(100 * time.Millisecond), StablePolls: 1}}
	})
	text, err := hl7.GB18030.Encode([]byte("BHS|^~\\&|LAB|H1\r" + "MSH|^~\\&|LAB|H1|EMR|H1|20260302||ADT^A08|F-1|P|2.5\rPID|1||7^^^H1^PI||張^三\r" +
		"MSH|^~\\&|LAB|H1|EMR|H1|20260302||ADT^A08|F-2|P|9.9\r" + "BTS|2\r"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(in, "张三.part"), text, 0o600))
	require.NoError(t, os.Rename(filepath.Join(in, "张三.part"), filepath.Join(in, "张三.hl7")))
	result := filepath.Join(in, "failed", "张三.hl7"+dropfolder.ResultJSON)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(in, "failed", "张三.hl7")); return err == nil }, 20*time.Second, 20*time.Millisecond, "%s", s.log)
	var r dropfolder.Result
	body, err := os.ReadFile(result)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &r))
	assert.Equal(t, []int{1, 1}, []int{r.Accepted, r.Refused})
	assert.Equal(t, "F-1", s.stored(t, 1)[0].ControlID)
	refused := lines[listedMessage](t, s, 0, "messages", "list", "--state", "refused")
	require.Len(t, refused, 1)
	assert.Equal(t, "F-2", refused[0].ControlID)
	assert.NotContains(t, s.log.String(), "张三", "names of files stay out of the log")
}
