package integration_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/config"
)

// planted is patient data in all bad input of these tests.
const planted = "机密患者甲PLANTED7F3A"

// memoryLimit bounds the resident memory that a process may ever have used, in bytes.
const memoryLimit = 700 << 20

// TestBadInput sends what no listener should see. Each time the sender gets the right
// code with an ERR segment, the bytes are in the quarantine, encrypted, and the next good
// message is taken.
func TestBadInput(t *testing.T) {
	s := w.up(t, 1, func(c *config.Config) {
		l := &c.HL7.Listeners[0]
		l.Charset, l.MaxFrame, l.FrameTimeout = "UTF-8", 64<<10, config.Duration(time.Second)
		c.HL7.AcceptUnknown = false
	})
	for i, c := range []struct {
		name    string
		raw     []byte
		silence bool // the frame is not completed
		code    hl7.AckCode
		fault   hl7.ErrorCode
	}{
		{"no HL7 at all", []byte("GET / HTTP/1.1 " + planted), false, hl7.AppReject, hl7.CodeSegmentSequence},
		{"broken delimiters", []byte("MSH||||\r" + planted), false, hl7.AppReject, hl7.CodeRequiredFieldMissing},
		{"malformed segment", append(adt("BAD-SEG", planted), "\r??|"+planted...), false, hl7.AppError, hl7.CodeSegmentSequence},
		{"no control id", adt("", planted), false, hl7.AppReject, hl7.CodeRequiredFieldMissing},
		{"unknown version", adt("BAD-VER", planted, func(h *header) { h.version = "7.1" }), false, hl7.AppReject, hl7.CodeUnsupportedVersion},
		{"unknown charset", adt("BAD-CS", planted, func(h *header) { h.charset = "KOI8-X" }), false, hl7.AppReject, hl7.CodeTableValue},
		{"bytes of another charset", append(adt("BAD-BYTES", planted), 0xff, 0xfe), false, hl7.AppError, hl7.CodeDataType},
		{"unknown message type", adt("BAD-TYPE", planted, func(h *header) { h.kind = "ZZZ^Z01" }), false, hl7.AppReject, hl7.CodeUnsupportedMessage},
		{"unknown event", adt("BAD-EVENT", planted, func(h *header) { h.kind = "ADT^Z99" }), false, hl7.AppReject, hl7.CodeUnsupportedEvent},
		{"oversize", adt("BAD-LONG", planted, func(h *header) { h.extra = "NTE|1||" + strings.Repeat("x", 100<<10) }), false, hl7.AppReject, hl7.CodeInternal},
		{"half a message, then silence", adt("BAD-HALF", planted)[:180], true, hl7.AppError, hl7.CodeSegmentSequence},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.quarantined(t)
			conn := s.wire(t)
			sent := frame(c.raw)
			if c.silence {
				sent = sent[:len(sent)-2]
			}
			conn.put(sent)
			raw := conn.answer()
			answer, err := hl7.ReadAnswer(raw, hl7.CharsetPolicy{Default: hl7.UTF8})
			require.NoError(t, err, "%q", raw)
			assert.Equal(t, c.code, answer.Code, "%q", raw)
			assert.Contains(t, string(raw), "\rERR|")
			assert.Equal(t, strconv.Itoa(int(c.fault)), answer.ErrorCode, "%q", raw)
			assert.NotContains(t, string(raw), planted[:9], "an answer quotes nothing")

			fresh := newItems(before, s.quarantined(t))
			require.Len(t, fresh, 1, "one item in the quarantine")
			kept := s.must(t, "quarantine", "show", fresh[0].ID)
			require.NotEmpty(t, kept)
			if fresh[0].Truncated {
				assert.True(t, bytes.HasPrefix(c.raw, kept), "its beginning")
			} else {
				assert.Equal(t, c.raw, kept)
			}
			s.accepted(t, adt(fmt.Sprintf("GOOD-%d", i), "良好"))
		})
	}
	assert.Empty(t, search(t, s.Dir(), secret("planted", planted)), "nothing of it is readable on the disk")
	s.memoryBounded(t)
	s.reconcile(t)
}

// TestUnknownTypeAccepted: with the default setting a type that nobody has mapped is sealed
// as it is.
func TestUnknownTypeAccepted(t *testing.T) {
	s := w.up(t, 1, nil)
	s.accepted(t, adt("UNKNOWN-1", "某某", func(h *header) { h.kind = "ZZZ^Z01" }))
	s.reconcile(t)
}

// TestHostileConnections keeps the listener busy with connections that nobody wants.
func TestHostileConnections(t *testing.T) {
	const limit = 320
	s := w.up(t, 1, func(c *config.Config) {
		l := &c.HL7.Listeners[0]
		l.MaxConnections = limit
		l.IdleTimeout, l.WriteTimeout, l.FrameTimeout = config.Duration(8*time.Second), config.Duration(time.Second), config.Duration(4*time.Second)
	})
	events := func(name string) float64 {
		m, err := s.metrics(t.Context())
		require.NoError(t, err)
		v, _ := m.of("emrbridge_mllp_events_total", "event", name)
		return v
	}
	t.Run("a client that never reads its answers", func(t *testing.T) {
		raw := adt("NEVER-READ", "某某")
		s.accepted(t, raw)
		conn := s.wire(t)
		require.NoError(t, conn.Conn.(*net.TCPConn).SetReadBuffer(1<<10))
		// The same message again and again: it is known, so it is acknowledged at once.
		many := bytes.Repeat(frame(raw), 100)
		var rest []byte
		for begun := time.Now(); events("slow-reader") == 0 && time.Since(begun) < patience; {
			if len(rest) == 0 {
				rest = many
			}
			_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			n, _ := conn.Write(rest) // when it does not go on, the server is at its wits' end, or has closed
			rest = rest[n:]
		}
		assert.NotZero(t, events("slow-reader"), "the server gives the connection up")
		s.accepted(t, adt("AFTER-NEVER-READ", "某某"))
	})
	t.Run("300 idle connections", func(t *testing.T) {
		old := s.wire(t)
		old.put(frame(adt("OLD-1", "某某")))
		s.note(t, adt("OLD-1", "某某"), false)
		require.Contains(t, string(old.answer()), "MSA|AA|OLD-1")
		for range 300 {
			s.wire(t)
		}
		s.accepted(t, adt("BESIDE-300", "某某"))
		for range limit {
			s.wire(t)
		}
		eventually(t, "surplus connections are refused", func() bool { return events("refused") > 0 })
		s.note(t, adt("OLD-2", "某某"), false)
		old.put(frame(adt("OLD-2", "某某")))
		require.Contains(t, string(old.answer()), "MSA|AA|OLD-2", "who is connected is served")
		eventually(t, "idle connections are closed after their time", func() bool {
			s.note(t, adt("LATER", "某某"), false)
			r, err := s.tryOne(adt("LATER", "某某"))
			return err == nil && r.Code.Accepted()
		})
	})
	t.Run("many large frames at once", func(t *testing.T) {
		big := bytes.Repeat([]byte("x"), 8<<20)
		var all sync.WaitGroup
		for i := range 24 {
			conn := s.wire(t)
			all.Go(func() {
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				_, _ = conn.Write([]byte("\x0bMSH|^~\\&|IT|BIG|||20260302||ADT^A08|BIG-" + strconv.Itoa(i) + "|P|2.5\r"))
				_, _ = conn.Write(big)
			})
		}
		s.accepted(t, adt("BESIDE-LARGE", "某某"))
		all.Wait()
		s.memoryBounded(t)
	})
	s.reconcile(t)
}

func (s *site) quarantined(t testing.TB) []intake.Label {
	t.Helper()
	var list []intake.Label
	s.answer(t.(*testing.T), 0, &list, "quarantine", "list")
	return list
}

func newItems(before, after []intake.Label) (fresh []intake.Label) {
	known := map[string]bool{}
	for _, l := range before {
		known[l.ID] = true
	}
	for _, l := range after {
		if !known[l.ID] {
			fresh = append(fresh, l)
		}
	}
	return fresh
}

// memoryBounded reads how much memory the process has had resident at most.
func (s *site) memoryBounded(t testing.TB) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	t.Logf("%s has used %d MiB at most", s.hospital.MSPID, kib>>10)
	assert.Less(t, kib<<10, memoryLimit)
}
