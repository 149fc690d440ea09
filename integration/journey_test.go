package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/record"
)

// retrieved is what `emrbridge retrieve --json` prints.
type retrieved struct {
	Genuine int `json:"genuine"`
	Total   int `json:"total"`
	local.RetrieveResponse
}

// TestTraceFindsTheTrail finds the whole trail of a message by each of its names.
func TestTraceFindsTheTrail(t *testing.T) {
	s := w.up(t, 1, nil)
	d := day("TRACE", 8)
	l := s.send(t, d)
	l.wait(t)
	s.reconcile(t)
	m := d.Messages[len(d.Messages)/2]
	id := s.id(t, m.Raw).String()
	var whole []trail.Event
	eventually(t, "the trail of the record ends with anchored", func() bool {
		out, code, err := s.Run(t.Context(), "trace", id, "--json")
		return err == nil && code == 0 && json.Unmarshal(out, &whole) == nil && whole[len(whole)-1].Stage == stage.Anchored
	})
	var stages []string
	for _, e := range whole {
		stages = append(stages, e.Stage)
		assert.Equal(t, id, e.Record)
	}
	assert.Equal(t, []string{stage.Received, stage.Normalized, stage.Stored, stage.Anchored}, stages)
	last := whole[len(whole)-1]
	for name, key := range map[string]string{
		"control id": m.ControlID, "record id": id, "patient token": last.Tag, "transaction id": last.Tx, "batch": last.Batch,
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEmpty(t, key)
			var found []trail.Event
			s.answer(t, 0, &found, "trace", key)
			for _, e := range whole {
				assert.Contains(t, found, e)
			}
			assert.NotEmpty(t, s.must(t, "trace", key), "and as a table")
		})
	}
	_, code, err := s.Run(t.Context(), "trace", "NOBODY-KNOWS-THIS")
	require.NoError(t, err)
	assert.Equal(t, 1, code)
}

// TestBytesComeBackAsSent sends messages in GB 18030, GBK and UTF-8, declared and not, and
// retrieves them at another hospital: byte for byte what was sent.
func TestBytesComeBackAsSent(t *testing.T) {
	s, other := w.up(t, 1, nil), w.up(t, 2, nil)
	d := day("BYTES", 12)
	l := s.send(t, d)
	l.wait(t)
	sent := map[string]map[record.ID][]byte{} // by resident number
	charsets := map[record.ID]string{}
	add := func(number, charset string, raw []byte) {
		if sent[number] == nil {
			sent[number] = map[record.ID][]byte{}
		}
		id := s.id(t, raw)
		sent[number][id], charsets[id] = raw, charset
	}
	for _, m := range d.Messages {
		if p := d.Patients[m.PatientIndex]; p.ResidentID != "" {
			add(p.ResidentID, m.Charset, m.Raw)
		}
	}
	// The listener's own charset, for a message that names none.
	undeclared, err := simplifiedchinese.GB18030.NewEncoder().Bytes(adt("UNDECLARED-1", "朱镕基㐀", func(h *header) { h.charset = "" }))
	require.NoError(t, err)
	s.accepted(t, undeclared)
	add(residentOfADT, "", undeclared)
	s.reconcile(t)

	seen := map[string]int{}
	for number, messages := range sent {
		dir := filepath.Join(t.TempDir(), "out")
		idFile := s.patientFile(t, number)
		s.must(t, "consent", "grant", "--id-file", idFile, "--to", other.hospital.MSPID)
		var answer retrieved
		other.answer(t, 0, &answer, "retrieve", "--id-file", idFile, "--out", dir)
		require.Equal(t, answer.Total, answer.Genuine)
		for id, raw := range messages {
			got, err := os.ReadFile(filepath.Join(dir, id.String()+".hl7"))
			if assert.NoError(t, err) {
				assert.Equal(t, raw, got)
				seen[charsets[id]]++
			}
		}
		if len(seen) == 4 {
			break
		}
	}
	t.Logf("came back: %v", seen)
	assert.Len(t, seen, 4, "every charset came back")
}

// patientFile writes a resident number into a file for --id-file.
func (s *site) patientFile(t testing.TB, number string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patient.id")
	require.NoError(t, os.WriteFile(path, []byte(number+"\n"), 0o600))
	return path
}

// access reads the state of an access request as the witness sees it.
func (w *world) access(t testing.TB, request string, want evidence.AccessState) evidence.Access {
	t.Helper()
	id, err := evidence.ParseNonce(request)
	require.NoError(t, err)
	var a evidence.Access
	eventually(t, "the ledger shows the access as "+string(want), func() bool {
		a, err = w.witness.Access(t.Context(), id)
		return err == nil && a.State == want
	})
	return a
}
