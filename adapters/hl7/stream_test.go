package hl7_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

func TestSplitMessages(t *testing.T) {
	one, two := "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\rPID|2\r"
	lf := func(s string) string { return strings.ReplaceAll(s, "\r", "\n") }
	cases := []struct {
		name, data string
		want       []string
		problems   int
	}{
		{"one", one, []string{one}, 0},
		{"one without end", strings.TrimSuffix(one, "\r"), []string{strings.TrimSuffix(one, "\r")}, 0},
		{"two", one + two, []string{one, two}, 0},
		{"blank lines between", one + "\n\n\r\n" + two, []string{one + "\n", two}, 0},
		{"LF", lf(one + "\r" + two), []string{lf(one), lf(two)}, 0},
		{"MLLP frames", "\x0b" + one + "\x1c\r\x0b" + two + "\x1c\r", []string{one, two}, 0},
		{"MLLP frames, line feeds", "\x0b" + one + "\x1c\r\n\x0b" + two + "\x1c\n", []string{one, two}, 0},
		{"frame without a last CR", "\x0b" + strings.TrimSuffix(one, "\r") + "\x1c\r", []string{strings.TrimSuffix(one, "\r")}, 0},
		{"byte order mark", "\xef\xbb\xbf" + one, []string{"\xef\xbb\xbf" + one}, 0},
		{"batch", "FHS|^~\\&\rBHS|^~\\&\r" + one + two + "BTS|2\rFTS|1\r", []string{one, two}, 0},
		{"two batches", "FHS|^~\\&\rBHS|^~\\&\r" + one + "BTS|1\rBHS|^~\\&\r" + two + "BTS|1\rFTS|2\r", []string{one, two}, 0},
		{"wrong counts", "FHS|^~\\&\rBHS|^~\\&\r" + one + "BTS|2\rFTS|7\r", []string{one}, 2},
		{"count not a number", "BHS|^~\\&\r" + one + "BTS|x\r", []string{one}, 1},
		{"file without batches", "FHS|^~\\&\r" + one + two + "FTS|1\r", []string{one, two}, 0},
		{"file without batches, messages counted", "FHS|^~\\&\r" + one + two + "FTS|2|x\r", []string{one, two}, 0},
		{"file without batches, wrong count", "FHS|^~\\&\r" + one + two + "FTS|3\r", []string{one, two}, 1},
		{"some in a batch", "FHS|^~\\&\rBHS|^~\\&\r" + one + "BTS|1\r" + two + "FTS|2\r", []string{one, two}, 0},
		{"counts left out", "FHS|^~\\&\rBHS|^~\\&\r" + one + "BTS\rFTS|\r", []string{one}, 0},
		{"count with a blank", "BHS|^~\\&\r" + one + "BTS| 1 \r", []string{one}, 0},
		{"other separators", "FHS@~#!$\rBHS@~#!$\r" + one + "BTS@1@x\rFTS@1\r", []string{one}, 0},
		{"nothing in a batch", "BHS|^~\\&\rBTS|0\r", nil, 0},
		{"not closed", "FHS|^~\\&\rBHS|^~\\&\r" + one, []string{one}, 2},
		{"closed without being open", one + "BTS|1\rFTS\r", []string{one}, 2},
		{"junk", "hello\r\n" + one, []string{one}, 1},
		{"after the batch", "BHS|^~\\&\r" + one + "BTS|1\r" + two, []string{one, two}, 1},
		{"nothing", "\r\n\n", nil, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := hl7.ReadMessages(strings.NewReader(c.data), 0)
			require.NoError(t, err)
			var got []string
			for _, m := range s.Messages() {
				got = append(got, string(m))
			}
			assert.Equal(t, c.want, got)
			assert.Len(t, s.Problems, c.problems, "%v", s.Problems)
		})
	}
}

func TestReadMessagesIsBounded(t *testing.T) {
	_, err := hl7.ReadMessages(strings.NewReader(adt), 10)
	assert.ErrorIs(t, err, hl7.ErrTooLarge)
}

func FuzzSplitMessages(f *testing.F) {
	addOwnMessages(f, func(data []byte) { f.Add(data) })
	f.Add([]byte("\x0bMSH|^~\\&|A\rPID|1\r\x1c\rBHS|x\rMSH|\nfoo\r\nBTS|1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		end := 0
		for _, it := range hl7.SplitMessages(data).Items {
			if it.Offset < end || !bytes.Equal(it.Raw, data[it.Offset:it.Offset+len(it.Raw)]) {
				t.Fatal("items overlap or are not of the input")
			}
			if skipped := bytes.Trim(data[end:it.Offset], "\r\n\x0b\x1c"); len(skipped) > 0 {
				t.Fatalf("bytes lost between items: %q", skipped)
			}
			end = it.Offset + len(it.Raw)
		}
		if rest := bytes.Trim(data[end:], "\r\n\x0b\x1c"); len(rest) > 0 {
			t.Fatalf("bytes lost at the end: %q", rest)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(adt + strings.Repeat("OBX|1|NM|WBC^白细胞计数^L||5.6|10*9/L|3.5-9.5|N|||F|||20260301083000||N01^赵^护士\r", 20))
	b.Run("lazy", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := hl7.Parse(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("walk", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			m, _ := hl7.Parse(text)
			n := 0
			for w := m.Walk(); w.Next(); {
				n += len(w.Raw()) + w.Field() + w.Component()
			}
			if n == 0 {
				b.Fatal("nothing read")
			}
		}
	})
	b.Run("every-subcomponent", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			m, _ := hl7.Parse(text)
			n := 0
			for i := range m.NumSegments() {
				for f := m.Segment(i).Cursor(); f.Next(); {
					for r := f.Value().Cursor(); r.Next(); {
						for c := r.Value().Cursor(); c.Next(); {
							for x := c.Value().Cursor(); x.Next(); {
								n += len(x.Value().Raw())
							}
						}
					}
				}
			}
			if n == 0 {
				b.Fatal("nothing read")
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	m, err := hl7.Parse([]byte(strings.Repeat(adt, 1) + strings.Repeat("OBX|1|NM|WBC||5.6\r", 20)))
	require.NoError(b, err)
	buf := make([]byte, 0, m.Len())
	b.SetBytes(int64(m.Len()))
	for b.Loop() {
		buf = m.AppendTo(buf[:0])
	}
}

func BenchmarkMap(b *testing.B) {
	mapper := mapping.NewMapper(nil, mapping.Options{})
	src := mapping.Source{Raw: []byte(adt), HospitalNumber: 1, HospitalMSP: "H1MSP"}
	b.SetBytes(int64(len(adt)))
	for b.Loop() {
		if _, err := mapper.Map(src); err != nil {
			b.Fatal(err)
		}
	}
}
