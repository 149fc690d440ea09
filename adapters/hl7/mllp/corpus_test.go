//go:build corpus

package mllp_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// TestCorpusSimulatedHospital sends an outside stream of messages whole, as it stands in
// its file, over one connection; every one is accepted in the mode that it asks for.
func TestCorpusSimulatedHospital(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(os.Getenv("CORPUS"), "hl7v2/google+simhospital/messages.shared.out"))
	require.NoError(t, err)
	messages := hl7.SplitMessages(data).Messages()
	require.NotEmpty(t, messages)
	addr, _, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(accepting(nil))})
	c := client(t, addr, mllp.ClientConfig{})
	codes := map[hl7.AckCode]int{}
	for _, m := range messages {
		reply, err := c.Send(t.Context(), m)
		require.NoError(t, err)
		codes[reply.Code]++
		assert.True(t, reply.Code.Accepted())
	}
	t.Logf("%d messages: %v", len(messages), codes)
}

// TestCorpusEveryMessageIsAnswered sends every message of the outside data through client
// and server: each is answered for itself, and what the receiver submits are its bytes.
func TestCorpusEveryMessageIsAnswered(t *testing.T) {
	handled := make(chan []byte, 1) // what was submitted, nil for what was refused
	addr, _, _ := start(t, mllp.Config{MaxFrame: 64 << 20, Handler: mllp.ForReceiver(&hl7.Receiver{
		Submit:     func(_ context.Context, s hl7.Submission) error { handled <- s.Raw; return nil },
		Quarantine: func(context.Context, []byte, hl7.Reason) error { handled <- nil; return nil },
	})})
	alone := &hl7.Receiver{Submit: func(context.Context, hl7.Submission) error { return nil }}
	c := client(t, addr, mllp.ClientConfig{AnswerTimeout: 10 * time.Second, SilenceTimeout: 100 * time.Millisecond})
	codes := map[hl7.AckCode]int{}
	for _, raw := range corpusMessages(t) {
		v := alone.Take(t.Context(), hl7.Incoming{Raw: raw})
		if v.Code == "" || bytes.ContainsAny(raw, "\x0b\x1c") {
			continue // an acknowledgement is never answered; framing bytes end a frame
		}
		reply, err := c.Send(t.Context(), raw)
		require.NoError(t, err, "%q", raw[:min(len(raw), 60)])
		codes[reply.Code]++
		got := <-handled
		if v.Code.Accepted() {
			require.Equal(t, raw, got, "every byte")
		} else {
			require.Nil(t, got)
		}
		if reply.Code != "" {
			require.Equal(t, v.Code.Commit(), reply.Code.Commit())
		}
	}
	t.Logf("answers: %v", codes)
}

// corpusMessages returns every message of the outside ER7 files.
func corpusMessages(t *testing.T) (out [][]byte) {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2")
	for _, dir := range []string{"hl7v2", "hl7v2-derived-encodings", "hl7v2-to-fhir"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || dir == "hl7v2-to-fhir" && filepath.Ext(path) != ".hl7" {
				return err
			}
			data, err := os.ReadFile(path)
			out = append(out, hl7.SplitMessages(data).Messages()...)
			return err
		}))
	}
	return out
}
