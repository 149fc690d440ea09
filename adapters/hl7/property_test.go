package hl7_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// TestRandomMessagesRoundTrip builds well-formed messages at random (delimiters, charset,
// line ends, escapes, empty and null parts, Chinese text) and takes them through decoding,
// parsing, splitting, joining and encoding.
func TestRandomMessagesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	charsets := []hl7.Charset{hl7.UTF8, hl7.GB18030}
	for range 2000 {
		text, d := randomMessage(r)
		cs := charsets[r.IntN(2)]
		raw, err := cs.Encode(text)
		require.NoError(t, err)
		decoded, got, err := hl7.CharsetPolicy{Default: cs}.Decode(raw)
		require.NoError(t, err, "%q", text)
		require.Equal(t, cs, got)
		m, err := hl7.Parse(decoded)
		require.NoError(t, err, "%q", text)
		require.Equal(t, d, m.Delimiters())
		require.Equal(t, nested(m), walked(m))
		require.Equal(t, string(text), string(m.Rebuild()))
		back, err := cs.Encode(m.Encode())
		require.NoError(t, err)
		require.True(t, bytes.Equal(raw, back))
	}
}

// TestRandomStreamsComeApart puts random messages one after another, in MLLP frames or not,
// in batches with right and wrong counts, with a broken one among them, and cuts them again.
func TestRandomStreamsComeApart(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var stream []byte
		var want []string
		framed, batch := r.IntN(3) == 0, r.IntN(3) == 0
		count, wrong := r.IntN(5), r.IntN(4) == 0
		if batch {
			stream = append(stream, "FHS|^~\\&|HIS\rBHS|^~\\&|HIS\r"...)
		}
		for range count {
			text, _ := randomMessage(r)
			if r.IntN(6) == 0 {
				text = []byte("MSH|^~\rPID|broken\r")
			}
			if !bytes.HasSuffix(text, []byte("\n")) && !bytes.HasSuffix(text, []byte("\r")) {
				text = append(text, '\r')
			}
			want = append(want, string(text))
			if framed {
				text = append(append([]byte{0x0b}, text...), 0x1c, '\r')
			}
			stream = append(stream, text...)
		}
		if batch {
			n := count
			if wrong {
				n++
			}
			stream = fmt.Appendf(stream, "BTS|%d\rFTS|1\r", n)
		}
		got := hl7.SplitMessages(stream)
		var texts []string
		for _, m := range got.Messages() {
			texts = append(texts, string(m))
		}
		require.Equal(t, want, texts, "%q", stream)
		problems := 0
		if batch && wrong {
			problems = 1
		}
		require.Len(t, got.Problems, problems, "%q", stream)
	}
}

// TestRandomTextSurvivesEscaping writes random text into a value, with any delimiters that
// have an escape character, and reads it back, from the value and from the whole message.
func TestRandomTextSurvivesEscaping(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		_, d := randomMessage(r)
		if d.Escape == 0 {
			continue
		}
		var text []rune
		for range r.IntN(30) {
			pool := []rune{'|', '^', '~', '\\', '&', '#', rune(d.Field), rune(d.Component), rune(d.Escape), '\n', 'F', 'X', '0', ' ', '.', '张', '\u3000', '"'}
			text = append(text, pool[r.IntN(len(pool))])
		}
		line := append([]byte("MSH"), d.Field)
		line = append(append(line, d.EncodingCharacters()...), d.Field)
		line = append(append(append(line, "A\rNTE"...), d.Field), 'x', d.Field)
		line = append(line, d.EscapeText(string(text)+".")...)
		m, err := hl7.Parse(line)
		require.NoError(t, err)
		require.Equal(t, string(text)+".", m.Get("NTE-2").Text(), "%q", line)
		require.Equal(t, 2, m.Segment(1).NumFields())
	}
}

// randomMessage makes a message and the delimiters that it declares.
func randomMessage(r *rand.Rand) ([]byte, hl7.Delimiters) {
	marks := []byte("|^~\\&#$%@!*+=;:<>?/")
	r.Shuffle(len(marks), func(i, j int) { marks[i], marks[j] = marks[j], marks[i] })
	n := 1 + r.IntN(5)
	d := hl7.Delimiters{Field: marks[0]}
	for i, slot := range []*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation} {
		if i < n {
			*slot = marks[1+i]
		}
	}
	end := []string{"\r", "\n", "\r\n"}[r.IntN(3)]
	out := append([]byte("MSH"), d.Field)
	out = append(append(out, d.EncodingCharacters()...), d.Field)
	out = append(out, "HIS"...)
	for range r.IntN(8) {
		out = append(append(out, end...), []string{"PID", "OBX", "ZXY", "Z01", "NTE"}[r.IntN(5)]...)
		for range r.IntN(12) {
			out = randomField(r, append(out, d.Field), d)
		}
	}
	if r.IntN(2) == 0 {
		out = append(out, end...)
	}
	return out, d
}

// randomField appends parts and separators in any order.
func randomField(r *rand.Rand, out []byte, d hl7.Delimiters) []byte {
	for range r.IntN(6) {
		switch r.IntN(9) {
		case 0:
			out = appendMark(out, d.Component)
		case 1:
			out = appendMark(out, d.Repetition)
		case 2:
			out = appendMark(out, d.Subcomponent)
		case 3:
			out = appendMark(out, d.Escape)
		case 4:
			out = append(out, `""`...)
		case 5, 6:
			for range 1 + r.IntN(4) {
				out = append(out, string(rune(0x4e00+r.IntN(0x5000)))...)
			}
		default:
			out = append(out, d.EscapeText("text "+string(rune('A'+r.IntN(26))))...)
		}
	}
	return out
}

func appendMark(out []byte, mark byte) []byte {
	if mark == 0 {
		return out
	}
	return append(out, mark)
}
