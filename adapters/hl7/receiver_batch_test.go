package hl7_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func inBatch(id string) string {
	return "MSH|^~\\&|LAB|H1|EMR|H1|2026||ADT^A01|" + id + "|P|2.5\rPID|1||" + id + "^^^H1^PI\r"
}

const batchHeader = "BHS|^~\\&|LAB|H1|EMR|H1|2026||||B-7\r"

// codes lists the acknowledgements of a response batch as CODE:ID.
func codes(t *testing.T, out []byte) (list []string, s *hl7.Stream) {
	t.Helper()
	s = hl7.SplitMessages(out)
	require.Empty(t, s.Problems, "%q", out)
	for _, raw := range s.Messages() {
		a, err := hl7.ReadAnswer(raw, hl7.CharsetPolicy{})
		require.NoError(t, err)
		list = append(list, string(a.Code)+":"+a.ControlID)
	}
	return list, s
}

func TestBatchIsAnsweredMessageByMessage(t *testing.T) {
	s := &sink{}
	bad := "MSH|^~\\&|LAB|H1|EMR|H1|2026||ADT^A01|2|P|2.5\rpid|broken\r"
	raw := "FHS|^~\\&|LAB|H1|EMR|H1|2026||||F-1\r" + batchHeader + inBatch("1") + bad + inBatch("3") + "BTS|3\rFTS|1\r"
	require.True(t, hl7.IsBatch([]byte(raw)))
	out := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: []byte(raw), Peer: "p"})
	got, _ := codes(t, out)
	assert.Equal(t, []string{"AA:1", "AE:2", "AA:3"}, got)
	lines := strings.Split(string(out), "\r")
	assert.Regexp(t, `^FHS\|\^~\\&\|EMR\|H1\|LAB\|H1\|\d{14}[+-]\d{4}\|\|\|\|[0-9A-Z]+\|F-1$`, lines[0])
	assert.Regexp(t, `^BHS\|.*\|B-7$`, lines[1])
	assert.Equal(t, []string{"BTS|3", "FTS|1", ""}, lines[len(lines)-3:])
	require.Len(t, s.submitted, 2)
	assert.Equal(t, inBatch("1"), string(s.submitted[0].Raw), "every byte of the message and no other")
	require.Len(t, s.refused, 1)
	assert.Equal(t, bad, string(s.raw[0]), "the broken one alone is quarantined")
}

func TestBatchWithWrongCountsIsRefusedAsAWhole(t *testing.T) {
	for name, c := range map[string]struct{ raw, says, id string }{
		"count":        {batchHeader + inBatch("1") + "BTS|2\r", "BTS-1 says 2 messages, there are 1", "B-7"},
		"not closed":   {batchHeader + inBatch("1"), "not closed by BTS", "B-7"},
		"not a number": {batchHeader + inBatch("1") + "BTS|x\r", "not a number", "B-7"},
		"batches":      {"FHS|^~\\&|LAB||||||||F-1\r" + batchHeader + inBatch("1") + "BTS|1\rFTS|2\r", "FTS-1 says 2", "B-7"},
		"file open":    {"FHS|^~\\&|LAB||||||||F-1\r" + inBatch("1"), "not closed by FTS", "F-1"},
		"too many":     {batchHeader + inBatch("1") + inBatch("2") + inBatch("3") + inBatch("4") + "BTS|4\r", "4 messages, the limit is 3", "B-7"},
		"between":      {batchHeader + "secret\r" + inBatch("1") + "BTS|1\r", "belong to no message", "B-7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{}
			r := s.receiver()
			r.MaxBatch = 3
			out := r.HandleFrame(t.Context(), hl7.Incoming{Raw: []byte(c.raw)})
			got, _ := codes(t, out)
			assert.Equal(t, []string{"AR:" + c.id}, got)
			assert.Contains(t, string(out), c.says)
			assert.NotContains(t, string(out), "secret")
			assert.Empty(t, s.submitted, "nothing of it is taken")
			require.Len(t, s.refused, 1)
			assert.Equal(t, c.raw, string(s.raw[0]))
			assert.Equal(t, c.id, s.refused[0].ControlID)
		})
	}
}

func TestBatchInTheEndpointsCharset(t *testing.T) {
	s := &sink{}
	r := s.receiver()
	r.Charset = hl7.CharsetPolicy{Default: hl7.GB18030}
	one := "MSH|^~\\&|检验|院|EMR|H1|2026||ADT^A01|1|P|2.5\rPID|1||1^^^H1^PI||張^三\r"
	raw, err := hl7.GB18030.Encode([]byte("BHS|^~\\&|检验^X|院|||2026||||B\r" + one + "BTS|1\r"))
	require.NoError(t, err)
	out := r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw})
	text, err := hl7.GB18030.Decode(out)
	require.NoError(t, err)
	assert.Contains(t, string(text), "|检验^X|院|", "its names are echoed as they stand")
	assert.Contains(t, string(text), "MSA|AA|1\r")
	require.Len(t, s.submitted, 1)
	assert.Equal(t, hl7.GB18030.String(), s.submitted[0].Charset)
}

func TestBatchWithOtherDelimiters(t *testing.T) {
	out := (&sink{}).receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: []byte("BHS#*~\\&#L|B#H^1###2026####B\r" + inBatch("1") + "BTS#1\r")})
	assert.Contains(t, string(out), `|L\F\B|H\S\1|`, "escaped for the usual delimiters")
	got, _ := codes(t, out)
	assert.Equal(t, []string{"AA:1"}, got)
}

func TestBatchOfMessagesThatAskForNoAnswer(t *testing.T) {
	quiet := "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5|||NE|NE\r"
	s := &sink{}
	out := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: []byte(batchHeader + quiet + inBatch("2") + "BTS|2\r")})
	got, _ := codes(t, out)
	assert.Equal(t, []string{"AA:2"}, got)
	assert.Contains(t, string(out), "\rBTS|1\r")
	assert.Len(t, s.submitted, 2)
}

func TestSubmitFailureInABatchIsThatMessagesAlone(t *testing.T) {
	s := &sink{}
	r := s.receiver()
	r.Submit = func(_ context.Context, sub hl7.Submission) error {
		if sub.ControlID == "2" {
			return fmt.Errorf("full")
		}
		return nil
	}
	out := r.HandleFrame(t.Context(), hl7.Incoming{Raw: []byte(batchHeader + inBatch("1") + inBatch("2") + inBatch("3") + "BTS|3\r")})
	got, _ := codes(t, out)
	assert.Equal(t, []string{"AA:1", "AE:2", "AA:3"}, got)
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(batchHeader + inBatch("1") + "BTS|1\r"))
	f.Add([]byte("FHS|^~\\&|\r" + batchHeader + inBatch("1") + "BTS|1\rFTS|1\r"))
	f.Add([]byte("BHS"))
	f.Add([]byte("BHS|^~\\&|\xd5\xc5|\xff\r"))
	f.Add([]byte("FHS#" + strings.Repeat("#", 300)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &sink{}
		out := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: raw})
		if !hl7.IsBatch(raw) {
			return
		}
		split := hl7.SplitMessages(raw)
		if split.CheckBatch(0) != nil {
			if len(s.submitted) > 0 {
				t.Fatal("something of a faulty batch was taken")
			}
			if len(hl7.SplitMessages(out).Messages()) != 1 {
				t.Fatalf("not answered with one refusal: %q", out)
			}
			return
		}
		if len(s.submitted)+len(s.refused) != len(split.Messages()) {
			t.Fatal("not every message was taken or refused")
		}
	})
}
