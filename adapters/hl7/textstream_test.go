package hl7

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inParts decodes raw in chunks of n bytes.
func inParts(raw []byte, cs Charset, doubt bool, n int) ([]byte, error) {
	t := newTextReader(bytes.NewReader(raw), cs, doubt)
	t.raw = make([]byte, 0, n)
	return io.ReadAll(t)
}

func requireSameVerdict(t *testing.T, raw []byte, p CharsetPolicy, n int) {
	t.Helper()
	want, wantCS, wantErr := p.Decode(raw)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	cs, _, err := p.resolveStream(open)
	var got []byte
	if err == nil {
		require.Equal(t, wantCS, cs)
		got, err = inParts(raw, cs, !p.Force, n)
	}
	require.Equal(t, wantErr == nil, err == nil, "in memory: %v; streamed: %v", wantErr, err)
	if err == nil {
		require.True(t, bytes.Equal(want, got))
		return
	}
	var a, b *CharsetError
	require.True(t, errors.As(wantErr, &a))
	require.True(t, errors.As(err, &b))
	require.Equal(t, a.Unknown, b.Unknown)
}

func TestStreamedDecodingGivesTheSameVerdict(t *testing.T) {
	encode := func(cs Charset, s string) []byte {
		b, err := cs.Encode([]byte(s))
		require.NoError(t, err)
		return b
	}
	chinese := strings.Repeat("患者张三，男，四十二岁。抗生素㐂", 40)
	msh := func(name string) string {
		return "MSH|^~\\&|HIS|H|||20260301||ADT^A01|1|P|2.5||||||" + name + "\rPID|1||"
	}
	policies := []CharsetPolicy{{}, {Default: GB18030}, {Default: Latin1}, {Default: Big5}, {Default: GB18030, Force: true}, {Default: Latin1, Force: true}}
	inputs := [][]byte{
		[]byte(msh("") + "plain\r"), []byte(msh("UNICODE UTF-8") + chinese), encode(GB18030, msh("GB 18030-2000")+chinese),
		encode(GB18030, msh("")+chinese), encode(GB18030, msh("8859/1")+chinese), []byte(msh("GB18030") + chinese),
		encode(Big5, msh("BIG-5")+strings.Repeat("病人資料", 50)), encode(Latin1, msh("8859/1")+strings.Repeat("Müller né à Zürich ", 20)),
		[]byte(msh("UNICODE UTF-16")), []byte(msh("KLINGON") + "plain"), []byte(msh("KLINGON") + chinese), []byte(msh("ASCII~GB18030") + "plain"),
		encode(GB18030, msh("ASCII~GB18030")+chinese), encode(GB18030, msh("~GBK")+chinese), []byte(msh("KLINGON") + "esc\x1b$B"),
		append([]byte("\xef\xbb\xbf"), msh("")+chinese...), append(encode(GB18030, msh("GBK")+chinese), 0x81), append([]byte(msh("UTF-8")+chinese), 0xe4, 0xb8),
		append(encode(GB18030, msh("GBK")), 0xff, 'x'), encode(GB18030, msh("GBK")+chinese+strings.Repeat("A", 90_000)+"尾"), {}, []byte("M"), {0x80},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, raw := range inputs {
		for _, p := range policies {
			for _, n := range []int{5, 6, 7, 8, 13, 64, 1000, textChunk} {
				requireSameVerdict(t, raw, p, n)
			}
			for range 5 { // damaged somewhere
				if len(raw) == 0 {
					break
				}
				bad := bytes.Clone(raw)
				bad[r.IntN(len(bad))] ^= byte(1 << r.IntN(8))
				if !p.Force && strings.Contains(string(bad), "8859") {
					continue // the guess at Chinese is made part by part there
				}
				requireSameVerdict(t, bad, p, 5+r.IntN(40))
			}
		}
	}
}

func TestOffsetsOfAStream(t *testing.T) {
	raw := append([]byte("MSH|^~\\&|"), bytes.Repeat([]byte("A"), 100_000)...)
	raw = append(raw, 0xff)
	for cs, problem := range map[Charset]string{UTF8: "not UTF-8", GB18030: "not a character", ASCII: "above 0x7F"} {
		_, err := inParts(raw, cs, true, textChunk)
		var ce *CharsetError
		require.ErrorAs(t, err, &ce)
		require.Equal(t, len(raw)-1, ce.Offset)
		require.ErrorContains(t, err, problem)
	}
	_, err := inParts(raw[:10], Charset{}, true, 100)
	require.NoError(t, err)
	failing := io.MultiReader(strings.NewReader("MSH"), failingReader{})
	_, err = io.ReadAll(newTextReader(failing, UTF8, true))
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzStreamedDecoding(f *testing.F) {
	f.Add([]byte("MSH|^~\\&|HIS|||||ADT^A01|1|P|2.5||||||GBK\rPID|\xd5\xc5\xc8\xfd\r"), uint8(0), uint8(9))
	f.Add([]byte("MSH|^~\\&|\xe5\xbc\xa0\r"), uint8(1), uint8(5))
	all := []CharsetPolicy{{}, {Default: GB18030}, {Default: Big5}, {Default: GB18030, Force: true}}
	f.Fuzz(func(t *testing.T, raw []byte, policy, n uint8) {
		p := all[int(policy)%len(all)]
		if cs, _, err := p.Resolve(raw); err == nil && cs.def.family == singleByte && cs.def.codec != nil {
			return // the guess at Chinese is made part by part there
		}
		requireSameVerdict(t, raw, p, 5+int(n))
	})
}
