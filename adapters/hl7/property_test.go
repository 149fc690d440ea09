package hl7_test

import (
	"bytes"
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
		require.Equal(t, string(text), string(m.Rebuild()))
		back, err := cs.Encode(m.Encode())
		require.NoError(t, err)
		require.True(t, bytes.Equal(raw, back))
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
