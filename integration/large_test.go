package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// largeLimit is how much memory large documents may need above what the process uses when
// idle, in bytes.
const largeLimit = 64 << 20

// document is a message of about n bytes with a document in base64.
func document(kind, control, resident, charset string, n int) []byte {
	head := strings.Join([]string{
		fmt.Sprintf(`MSH|^~\&|RIS|LARGE|EMRBRIDGE||20260302101500+0800||%s|%s|P|2.5||||||%s`, kind, control, charset),
		"PID|1||" + resident + "^^^GA^NNCHN||大^文书",
		"TXA|1|CN|AP|20260302101500|||||||DOC" + control + "|||||LA",
		"OBX|1|ED|18748-4^诊断影像报告^LN||^application^pdf^Base64^",
	}, "\r")
	cs, _ := hl7.CharsetByName(charset)
	raw, err := cs.Encode([]byte(head))
	if err != nil {
		panic(err)
	}
	line := []byte("JVBERi0xLjcKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+Pgplbm" + control + "/")
	raw = append(raw, bytes.Repeat(line, (n-len(raw))/len(line))...)
	return append(raw, "||||||F\r"...)
}

func largePatient(t *testing.T) hospitalday.Patient {
	t.Helper()
	for _, p := range hospitalday.GenerateFor("LARGE", 8151, 12, time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)).Patients {
		if p.ResidentID != "" {
			return p
		}
	}
	require.Fail(t, "no invented patient has a resident number")
	return hospitalday.Patient{}
}

// sendLarge sends one message and waits for its answer longer than others do.
func (s *site) sendLarge(ctx context.Context, raw []byte) (mllp.Reply, error) {
	c, err := mllp.Dial(ctx, s.mllp(), mllp.ClientConfig{AnswerTimeout: patience, Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	if err != nil {
		return mllp.Reply{}, err
	}
	defer func() { _ = c.Close() }()
	return c.Send(ctx, raw)
}

// waiting lists the files of large bodies.
func (s *site) waiting(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.Config.Dir("claims"))
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// memory reads a line of the process's status, in bytes.
func (s *site) memory(t testing.TB, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), name+":")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return kib << 10
}

// TestLargeDocuments takes documents of 50 MB all the way: acknowledged, on the ledger,
// retrieved by another hospital, verified, in little memory; twice sent, once there; what
// is cut off leaves nothing.
func TestLargeDocuments(t *testing.T) {
	s, asker := w.up(t, 1, nil), w.up(t, 2, nil)
	p := largePatient(t)
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.PID()), []byte("5"), 0)) // the peak counts from here
	idle := s.memory(t, "VmRSS")
	messages := [][]byte{
		document("ORU^R01", "L1", p.ResidentID, "UNICODE UTF-8", 50<<20), document("MDM^T02", "L2", p.ResidentID, "GB 18030-2000", 20<<20),
		document("ORU^R01", "L3", p.ResidentID, "UNICODE UTF-8", 9<<20), document("MDM^T02", "L4", p.ResidentID, "UNICODE UTF-8", 2<<20),
	}
	var wg sync.WaitGroup
	for _, raw := range messages {
		s.note(t, raw, false)
		wg.Go(func() {
			for range 2 { // the second time it is known
				r, err := s.sendLarge(t.Context(), raw)
				if assert.NoError(t, err) {
					assert.True(t, r.Code.Accepted(), "%s %s", r.Code, r.Text)
				}
			}
		})
	}
	wg.Wait()
	for _, raw := range messages {
		s.note(t, raw, true)
	}
	cut := s.wire(t)
	cut.put(frame(messages[0])[:20<<20])
	require.NoError(t, cut.Close())
	bad := append(bytes.Clone(messages[2]), 0xff, '\r')
	r, err := s.sendLarge(t.Context(), bad)
	require.NoError(t, err)
	assert.Equal(t, hl7.AppError, r.Code, "a byte that does not fit, 9 MB from the beginning")
	s.reconcile(t)
	eventually(t, "no file is left", func() bool { return len(s.waiting(t)) == 0 })
	used := s.memory(t, "VmHWM") - idle
	t.Logf("%d MiB idle, %d MiB above at most", idle>>20, used>>20)
	assert.Less(t, used, largeLimit)

	s.must(t, "consent", "grant", "--id-file", s.patientFile(t, p.ResidentID), "--to", asker.hospital.MSPID, "--days", "1")
	out := filepath.Join(t.TempDir(), "out")
	var answer struct {
		Genuine int `json:"genuine"`
	}
	asker.answer(t, 0, &answer, "retrieve", "--id-file", asker.patientFile(t, p.ResidentID), "--out", out)
	require.Equal(t, len(messages), answer.Genuine)
	for _, raw := range messages {
		files, err := filepath.Glob(filepath.Join(out, s.id(t, raw).String()+"*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		got, err := os.ReadFile(files[0])
		require.NoError(t, err)
		require.True(t, bytes.Equal(raw, got), "not a byte is changed")
	}
	var sealed struct {
		Outcome string `json:"outcome"`
	}
	file := filepath.Join(t.TempDir(), "one.sealed")
	require.NoError(t, os.WriteFile(file, s.must(t, "store", "get", s.id(t, messages[0]).String()), 0o600))
	text, code, err := s.Run(t.Context(), "verify", file, "--json")
	require.NoError(t, err)
	require.Zero(t, code, "%s", text)
	require.NoError(t, json.Unmarshal(text, &sealed))
	s.verify(t)
}

// TestLargeDocumentsKilledAtRandomMoments kills the process again and again while large
// documents come in: each is on the ledger once in the end.
func TestLargeDocumentsKilledAtRandomMoments(t *testing.T) {
	s := w.up(t, 1, nil)
	p := largePatient(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 3 {
		raw := document("ORU^R01", fmt.Sprintf("K%d", i), p.ResidentID, "UNICODE UTF-8", 12<<20)
		s.note(t, raw, false)
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := s.sendLarge(ctx, raw)
				if err == nil && r.Code.Accepted() {
					s.note(t, raw, true)
					return
				}
				if nap(ctx, 50*time.Millisecond) != nil {
					assert.Fail(t, "never acknowledged")
				}
			}
		})
	}
	for range 3 {
		time.Sleep(time.Duration(rand.Int64N(int64(1500 * time.Millisecond))))
		s.kill()
		s.start(t)
	}
	wg.Wait()
	s.reconcile(t)
	s.verify(t)
	for _, name := range s.waiting(t) {
		assert.True(t, strings.HasSuffix(name, ".claim"), "what was not finished is gone: %s", name)
	}
}

// largeOnAFullDisk: a document that does not fit is answered AE, leaves nothing, and is
// taken when there is room again; ordinary messages pass all the time. The disk has 420 MiB.
func (s *site) largeOnAFullDisk(t *testing.T, disk string) {
	p := largePatient(t)
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 240<<20), 0o600))
	raw := document("ORU^R01", "D1", p.ResidentID, "UNICODE UTF-8", 50<<20)
	s.note(t, raw, false)
	r, err := s.sendLarge(t.Context(), raw)
	require.NoError(t, err)
	assert.Equal(t, hl7.AppError, r.Code)
	assert.Equal(t, "207", r.ErrorCode)
	assert.Empty(t, s.waiting(t))
	s.accepted(t, adt("BESIDE", "某某"))
	require.NoError(t, os.Remove(ballast))
	r, err = s.sendLarge(t.Context(), raw)
	require.NoError(t, err)
	require.True(t, r.Code.Accepted(), "%s %s", r.Code, r.Text)
	s.note(t, raw, true)
	s.reconcile(t)
	assert.Empty(t, s.waiting(t))
}
