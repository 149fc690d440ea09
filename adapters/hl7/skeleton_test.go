package hl7_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func opener(raw []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
}

func skim(t testing.TB, raw []byte, p hl7.CharsetPolicy) *hl7.Skeleton {
	t.Helper()
	s, err := p.Skim(t.Context(), opener(raw))
	require.NoError(t, err)
	return s
}

const largeHead = "MSH|^~\\&|RIS|H1|EMR|H1|20260301080000||ORU^R01^ORU_R01|L1|P|2.5\r" +
	"PID|1||10001^^^H1^PI||张^三\rOBR|1|A1|B1|77^CT^L\r"

// document is an ORU^R01 with n bytes of base64 in OBX-5.
func document(n int) []byte {
	b := append([]byte(largeHead), "OBX|1|ED|77^CT^L||^application^pdf^Base64^"...)
	b = append(b, bytes.Repeat([]byte("JVBERi0x"), n/8)...)
	return append(b, "||||||F\rNTE|1||after\r"...)
}

func TestSkeletonLacksOnlyWhatIsLong(t *testing.T) {
	raw := document(3 << 20)
	s := skim(t, raw, hl7.CharsetPolicy{})
	require.Equal(t, largeHead+"OBX|1|ED|77^CT^L||^application^pdf^Base64^||||||F\rNTE|1||after\r", string(s.Text))
	require.Equal(t, []hl7.Elision{{Path: "OBX-5[1].5.1", Bytes: 3 << 20}}, s.Elided)
	require.False(t, s.Partial)
	require.Zero(t, s.Left)
	m, err := hl7.Parse(s.Text)
	require.NoError(t, err)
	require.Equal(t, "10001", m.Get("PID-3.1").Text())
	require.NotContains(t, s.LogValue().String(), "张")
}

func TestSkeletonOfOtherForms(t *testing.T) {
	long := strings.Repeat("JVBERi0xLjQK\n", 10_000)
	gb := func(s string) []byte {
		b, err := hl7.GB18030.Encode([]byte(s))
		require.NoError(t, err)
		return b
	}
	for name, c := range map[string]struct {
		raw    []byte
		want   string
		elided []string
	}{
		"line feeds inside a value": {[]byte(largeHead + "OBX|1|ED|x||^a^b^c^" + long + "|\rNTE|1\r"), largeHead + "OBX|1|ED|x||^a^b^c^|\rNTE|1\r", []string{"OBX-5[1].5.1"}},
		"second repetition, no end": {[]byte(largeHead + "OBX|1|ED|x||a~b&c" + strings.Repeat("d", 70_000)), largeHead + "OBX|1|ED|x||a~b&", []string{"OBX-5[2].1.2"}},
		"long Chinese text":         {gb(largeHead + "OBX|1|TX|x||" + strings.Repeat("检查所见", 20_000) + "|完\r"), largeHead + "OBX|1|TX|x|||完\r", []string{"OBX-5[1].1.1"}},
		"line feeds end segments":   {[]byte(strings.ReplaceAll(largeHead, "\r", "\n") + "OBX|1|TX|x||" + strings.Repeat("x", 70_000) + "\n\n\n\nNTE|2"), strings.ReplaceAll(largeHead, "\r", "\n") + "OBX|1|TX|x||\n\nNTE|2", []string{"OBX-5[1].1.1"}},
		"byte order mark":           {append([]byte("\xef\xbb\xbf\r\n"), document(80_000)...), "\ufeff\r\n" + largeHead + "OBX|1|ED|77^CT^L||^application^pdf^Base64^||||||F\rNTE|1||after\r", []string{"OBX-5[1].5.1"}},
	} {
		policy := hl7.CharsetPolicy{}
		if name == "long Chinese text" {
			policy.Default = hl7.GB18030
		}
		s := skim(t, c.raw, policy)
		require.Equal(t, c.want, string(s.Text), name)
		var paths []string
		for _, e := range s.Elided {
			paths = append(paths, e.Path)
		}
		require.Equal(t, c.elided, paths, name)
		_, err := hl7.Parse(s.Text)
		require.NoError(t, err, name)
	}
}

func TestSkeletonIsBounded(t *testing.T) {
	many := []byte(largeHead)
	for i := range 200_000 {
		many = fmt.Appendf(many, "OBX|%d|NM|8867-4^HR||%d|/min|||||F\r", i, 60+i%40)
	}
	many = append(many, "PID|2||20002^^^H1^PI\r"...)
	s := skim(t, many, hl7.CharsetPolicy{})
	require.Less(t, len(s.Text), 2<<20)
	require.Positive(t, s.Left)
	require.False(t, s.Partial)
	require.True(t, bytes.HasSuffix(s.Text, []byte("PID|2||20002^^^H1^PI\r")), "who it is about is kept to the end")

	people := []byte(largeHead)
	for i := range 400_000 {
		people = fmt.Appendf(people, "PID|%d||%d^^^H1^PI\r", i, i)
	}
	s = skim(t, people, hl7.CharsetPolicy{})
	require.LessOrEqual(t, len(s.Text), hl7.MaxSkeleton)
	require.True(t, s.Partial, "somebody was left out")

	wide := append([]byte(largeHead+"PID|2||"), bytes.Repeat([]byte("123^^^H1^PI~"), 500_000)...)
	s = skim(t, append(wide, "\rPV1|1\r"...), hl7.CharsetPolicy{})
	require.Less(t, len(s.Text), 1<<20)
	require.True(t, s.Partial)
	require.True(t, bytes.HasSuffix(s.Text, []byte("\rPV1|1\r")))
	_, err := hl7.Parse(s.Text)
	require.NoError(t, err)
}

func TestSkimRefusesWhatParseRefuses(t *testing.T) {
	filler := strings.Repeat("A", 200_000)
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"no header": {"PID|1\r" + filler, hl7.ErrNoHeader}, "nothing": {"", hl7.ErrNoHeader},
		"delimiters": {"MSH|^^^^|x\r" + filler, hl7.ErrDelimiters}, "long header": {"MSH|^~\\&|" + filler + "\r", hl7.ErrHeader},
		"not a segment": {largeHead + "OBX|1|TX|||" + filler + "\rnot a segment\r", hl7.ErrSegment},
		"no separator":  {largeHead + "OBXX1|TX\r", hl7.ErrSegment}, "second header": {largeHead + "OBX|" + filler + "\r" + largeHead, hl7.ErrSegment},
		"frame start":  {largeHead + "OBX|" + filler + "\x0b\r", hl7.ErrSegment},
		"frame end":    {largeHead + "OBX|" + filler + "\x1c" + filler, hl7.ErrSegment},
		"charset":      {largeHead + "OBX|" + filler + "\xff\r", hl7.ErrCharset},
		"charset, end": {largeHead + "OBX|" + filler + "\xe5\xbc", hl7.ErrCharset},
	} {
		_, err := hl7.CharsetPolicy{}.Skim(t.Context(), opener([]byte(c.raw)))
		require.ErrorIs(t, err, c.want, name)
		if text, _, derr := (hl7.CharsetPolicy{}).Decode([]byte(c.raw)); derr == nil && name != "long header" {
			_, derr = hl7.Parse(text)
			var a, b *hl7.ParseError
			require.ErrorAs(t, derr, &a, name)
			require.ErrorAs(t, err, &b, name)
			require.Equal(t, a.Kind, b.Kind)
			require.Equal(t, a.Offset, b.Offset, name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := hl7.CharsetPolicy{}.Skim(ctx, opener(document(100_000)))
	require.ErrorIs(t, err, context.Canceled)
	_, err = hl7.CharsetPolicy{}.Skim(t.Context(), func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe })
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// TestSkeletonOfRandomMessages: whatever the delimiters, line ends and charset, the skeleton
// of a message without long values is the message.
func TestSkeletonOfRandomMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 1000 {
		text, _ := randomMessage(r)
		cs := []hl7.Charset{hl7.UTF8, hl7.GB18030}[r.IntN(2)]
		raw, err := cs.Encode(text)
		require.NoError(t, err)
		s := skim(t, raw, hl7.CharsetPolicy{Default: cs})
		require.Equal(t, string(text), string(s.Text))
		require.Equal(t, cs, s.Charset)
	}
}

func TestSkimNeedsLittleMemory(t *testing.T) {
	raw := document(50 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	skim(t, raw, hl7.CharsetPolicy{})
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// FuzzSkim: a skeleton exists if and only if the message can be read, and it parses.
func FuzzSkim(f *testing.F) {
	f.Add([]byte(largeHead+"OBX|1|ED|x||^a^b^c^AAAA\nBBBB|\rNTE|1\r"), uint8(0))
	f.Add([]byte("\xef\xbb\xbfMSH|^~\\&|A\n\nPID|1\n"), uint8(1))
	f.Add([]byte("MSH#"), uint8(0))
	policies := []hl7.CharsetPolicy{{}, {Default: hl7.GB18030, Force: true}}
	f.Fuzz(func(t *testing.T, raw []byte, policy uint8) {
		p := policies[int(policy)%len(policies)]
		s, err := p.Skim(t.Context(), opener(raw))
		text, _, wantErr := p.Decode(raw)
		if wantErr == nil {
			_, wantErr = hl7.Parse(text)
		}
		require.Equal(t, wantErr == nil, err == nil, "%v / %v", wantErr, err)
		if err != nil {
			var ce *hl7.CharsetError
			var pe *hl7.ParseError
			require.True(t, errors.As(err, &ce) || errors.As(err, &pe))
			return
		}
		_, err = hl7.Parse(s.Text)
		require.NoError(t, err)
	})
}

func BenchmarkSkim(b *testing.B) {
	raw := document(16 << 20)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		skim(b, raw, hl7.CharsetPolicy{})
	}
}
