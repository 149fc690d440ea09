package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/internal/oplog"
)

// archive is a destination that answers as it is told.
type archive struct {
	addr string
	mu   sync.Mutex
	code hl7.AckCode
	got  [][]byte
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{code: hl7.AppAccept}
	srv, err := mllp.New(mllp.Config{Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
		h, _, _ := hl7.PeekHeader(f.Payload, hl7.CharsetPolicy{})
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got = append(a.got, f.Payload)
		return hl7.Ack{}.Build(h, a.code, nil), nil
	}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()); <-done })
	a.addr = l.Addr().String()
	return a
}

func (a *archive) answer(code hl7.AckCode) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.code = code
}

func (a *archive) came() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([][]byte{}, a.got...)
}

func TestMessageBrowser(t *testing.T) {
	s := newLonelySite(t, nil)
	for _, id := range []string{"M-1", "M-2", "M-3"} {
		require.Equal(t, hl7.AppAccept, s.send(t, testADT(id)).Code)
	}
	require.Equal(t, hl7.AppReject, s.send(t, []byte("MSH|^~\\&|WARD|H1|||2026||ADT^A08|BAD|P|9.9\r")).Code)
	all := s.stored(t, 3)
	assert.Equal(t, []string{"M-3", "M-2", "M-1"}, []string{all[0].ControlID, all[1].ControlID, all[2].ControlID}, "the latest first")

	t.Run("list", func(t *testing.T) {
		refused := lines[listedMessage](t, s, 0, "messages", "list", "--state", "refused")
		require.Len(t, refused, 1)
		assert.Equal(t, []string{"BAD", "refused", "203"}, []string{refused[0].ControlID, refused[0].State, refused[0].Code})
		assert.Len(t, lines[listedMessage](t, s, 0, "messages", "list"), 4)
		assert.Len(t, lines[listedMessage](t, s, 0, "messages", "list", "--control-id", "M-2", "--sender", "WARD|H1"), 1)
		assert.Empty(t, lines[listedMessage](t, s, 0, "messages", "list", "--kind", "ORU*"))
		assert.Empty(t, lines[listedMessage](t, s, 0, "messages", "list", "--until", "2020-01-01"))
		assert.Len(t, lines[listedMessage](t, s, 0, "messages", "list", "--since", "1h", "--limit", "2"), 2)
		text, code := s.command(t, "messages", "list")
		assert.Zero(t, code)
		assert.Contains(t, text, "M-3")
		for _, bad := range [][]string{{"--state", "lost"}, {"--since", "soon"}, {"--limit", "0"}} {
			_, code := s.command(t, append([]string{"messages", "list"}, bad...)...)
			assert.Equal(t, exitUsage, code, bad)
		}
	})
	t.Run("show", func(t *testing.T) {
		raw, code := s.command(t, "messages", "show", "M-2", "--raw")
		assert.Zero(t, code)
		assert.Equal(t, string(testADT("M-2")), raw, "every byte")
		text, code := s.command(t, "messages", "show", all[0].Record)
		assert.Zero(t, code)
		assert.Contains(t, text, "测")
		text, _ = s.command(t, "messages", "show", "M-2", "--decoded")
		assert.Contains(t, text, "\nPID|1||")
		m := lines[map[string]any](t, s, 0, "messages", "show", "M-2", "--reason", "INC-1")
		assert.Len(t, m[0]["segments"], 4)
		bad := lines[listedMessage](t, s, 0, "messages", "list", "--state", "refused")[0]
		text, code = s.command(t, "messages", "show", bad.Quarantine, "--raw")
		assert.Zero(t, code)
		assert.Contains(t, text, "|BAD|P|9.9")
		text, code = s.command(t, "messages", "show", "NONE")
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, text, "未找到")
	})
	t.Run("replay", func(t *testing.T) { s.replays(t) })
	t.Run("log", func(t *testing.T) {
		entries := lines[oplog.Entry](t, s, 0, "messages", "log")
		require.NotEmpty(t, entries)
		assert.Equal(t, "show", entries[0].Action)
		path := filepath.Join(s.config.DataDir, "operations.jsonl")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "990101199003071237")
		require.NoError(t, os.WriteFile(path, text[10:], 0o600))
		_, code := s.command(t, "messages", "log")
		assert.Equal(t, exitFailed, code, "a changed log shows")
	})
}

func (s *lonelySite) replays(t *testing.T) {
	a := newArchive(t)
	to := []string{"--to", "mllp://" + a.addr, "--reason", "archive was down", "--tries", "2"}
	replay := func(code int, args ...string) []replayed {
		return lines[replayed](t, s, code, append(append([]string{"messages", "replay"}, args...), to...)...)
	}
	dry := replay(0, "--kind", "ADT*", "--state", "stored", "--dry-run")
	require.Len(t, dry, 3)
	assert.Equal(t, []string{"M-1", "M-2", "M-3"}, []string{dry[0].ControlID, dry[1].ControlID, dry[2].ControlID}, "the oldest first")
	assert.Empty(t, a.came(), "nothing is sent")

	sent := replay(0, "M-2", "M-1")
	assert.Equal(t, []any{"M-2", true, "AA", 1}, []any{sent[0].ControlID, sent[0].OK, sent[0].Code, sent[0].Tries})
	assert.Equal(t, [][]byte{testADT("M-2"), testADT("M-1")}, a.came(), "in the order named, every byte")
	again := replay(0, "M-2")
	assert.True(t, again[0].Suppressed)
	assert.Len(t, a.came(), 2, "a destination gets nothing twice")
	replay(0, "M-2", "--again")
	assert.Len(t, a.came(), 3)
	other := newArchive(t)
	lines[replayed](t, s, 0, "messages", "replay", "M-2", "--to", "mllp://"+other.addr, "--reason", "x")
	assert.Len(t, other.came(), 1, "another destination does")

	a.answer(hl7.AppReject)
	refused := replay(1, "--state", "stored")
	require.Len(t, refused, 3)
	assert.Equal(t, []any{true, true, "AR"}, []any{refused[0].Suppressed, refused[1].Suppressed, refused[2].Code})
	a.answer(hl7.AppError)
	assert.Equal(t, 2, replay(1, "M-3")[0].Tries)
	a.answer(hl7.AppAccept)
	assert.True(t, replay(0, "M-3")[0].OK, "what was refused may be sent again")

	for _, bad := range [][]string{
		{"M-1", "--to", "mllp://x:1"}, {"M-1", "--to", "http://x", "--reason", "x"}, {"--to", "mllp://x:1", "--reason", "x"},
		{"M-1", "--kind", "ADT*", "--to", "mllp://x:1", "--reason", "x"}, {"M-1", "--to", "mllp://x:1", "--reason", ""},
	} {
		_, code := s.command(t, append([]string{"messages", "replay"}, bad...)...)
		assert.Equal(t, exitUsage, code, bad)
	}
	away := lines[replayed](t, s, 1, "messages", "replay", "M-1", "--to", "mllp://127.0.0.1:1", "--reason", "x", "--tries", "1")
	assert.Contains(t, away[0].Error, "does not answer")
}

// A message in a charset that it does not name is refused; an operator takes it in by the
// right one.
func TestQuarantineReplay(t *testing.T) {
	s := newLonelySite(t, nil)
	raw, err := hl7.GB18030.Encode([]byte("MSH|^~\\&|WARD|H1|EMR|H1|20260302||ADT^A08|Q-1|P|2.5||||||UNICODE UTF-8\rPID|1||7^^^H1^PI||张^三\r"))
	require.NoError(t, err)
	require.Equal(t, hl7.AppError, s.send(t, raw).Code)
	items := lines[[]intake.Label](t, s, 0, "quarantine", "list")[0]
	require.Len(t, items, 1)
	again := lines[operated](t, s, 1, "quarantine", "replay", items[0].ID, "--reason", "try")
	assert.Equal(t, "AE", again[0].Code)
	assert.Len(t, lines[[]intake.Label](t, s, 0, "quarantine", "list")[0], 1, "it stays, once")
	taken := lines[operated](t, s, 0, "quarantine", "replay", items[0].ID, "--charset", "GB18030", "--reason", "MSH-18 is wrong")
	assert.Equal(t, []any{true, "AA", "Q-1"}, []any{taken[0].OK, taken[0].Code, taken[0].ControlID})
	assert.Empty(t, lines[[]intake.Label](t, s, 0, "quarantine", "list")[0])
	assert.Equal(t, "Q-1", s.stored(t, 1)[0].ControlID)
	m := lines[map[string]any](t, s, 0, "messages", "show", "Q-1")
	assert.Contains(t, m[0]["text"], "张^三")
	gone := lines[operated](t, s, 1, "quarantine", "replay", items[0].ID, "--reason", "again")
	assert.Contains(t, gone[0].Error, "no such item")
}

func TestParkedCommands(t *testing.T) {
	s := newLonelySite(t, nil)
	text, code := s.command(t, "parked", "list")
	assert.Zero(t, code, text)
	assert.Equal(t, [][]any{{}}, lines[[]any](t, s, 0, "parked", "list"))
	out := lines[operated](t, s, 1, "parked", "release", "seal.0001", "--reason", "x")
	assert.Contains(t, out[0].Error, "nothing is set aside")
	_, code = s.command(t, "parked", "drop", "seal.0001")
	assert.Equal(t, exitUsage, code, "a reason is required")
	s.halt(t)
	text, code = s.command(t, "parked", "list")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, text, "emrbridge serve")
}

// A destination with TLS is sent to only if its certificate holds, with the own one where it
// asks for it.
func TestReplayOverTLS(t *testing.T) {
	s := newLonelySite(t, nil)
	require.Equal(t, hl7.AppAccept, s.send(t, testADT("T-1")).Code)
	s.stored(t, 1)
	cert, key := s.certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	pool, err := certPool(cert)
	require.NoError(t, err)
	srv, err := mllp.New(mllp.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12},
		Handler: func(_ context.Context, f mllp.Frame) ([]byte, error) {
			h, _, _ := hl7.PeekHeader(f.Payload, hl7.CharsetPolicy{})
			return hl7.Ack{}.Build(h, hl7.AppAccept, nil), nil
		},
	})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()); <-done })
	to := []string{"messages", "replay", "T-1", "--to", "mllps://" + l.Addr().String(), "--reason", "x", "--tries", "1"}
	out := lines[replayed](t, s, 0, append(append([]string{}, to...), "--ca", cert, "--cert", cert, "--key", key)...)
	assert.Equal(t, "AA", out[0].Code)
	for name, more := range map[string][]string{"no authority": nil, "no certificate": {"--ca", cert}} {
		out := lines[replayed](t, s, 1, append(append(append([]string{}, to...), "--again"), more...)...)
		assert.False(t, out[0].OK, name)
	}
}
