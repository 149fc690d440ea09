package hl7_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// trailing returns a Chinese character whose second byte in GB 18030 is b.
func trailing(t testing.TB, b byte) string {
	enc := simplifiedchinese.GB18030.NewEncoder()
	for r := rune(0x4e00); r < 0x9fa5; r++ {
		if out, err := enc.String(string(r)); err == nil && len(out) == 2 && out[1] == b {
			return string(r)
		}
	}
	t.Fatalf("no character ends in %q", b)
	return ""
}

func encode(t testing.TB, cs hl7.Charset, text string) []byte {
	out, err := cs.Encode([]byte(text))
	require.NoError(t, err)
	return out
}

// message is a message whose application name, patient name and charset are given.
func message(app, name, charset string) string {
	return "MSH|^~\\&|" + app + "|H1|EMR|H1|20260301080000||ADT^A01^ADT_A01|C-1|P|2.5||||||" + charset +
		"\rPID|1||10001^^^H1^PI||" + name + "||19800101|M\r"
}

func TestTrailBytesThatEqualDelimiters(t *testing.T) {
	for _, delim := range []byte{'|', '^', '~', '\\'} {
		ch := trailing(t, delim)
		for _, declared := range []string{"GB 18030-2000", "GB18030", "GBK", "GB2312", "gb-18030"} {
			for _, fallback := range []hl7.Charset{{}, hl7.GB18030, hl7.UTF8, hl7.Latin1} {
				raw := encode(t, hl7.GB18030, message("系统"+ch+ch, "王"+ch+"^"+ch, declared))
				text, cs, err := hl7.CharsetPolicy{Default: fallback}.Decode(raw)
				require.NoError(t, err, "%q %s", delim, declared)
				assert.Equal(t, hl7.GB18030, cs)
				m, err := hl7.Parse(text)
				require.NoError(t, err)
				assert.Equal(t, "系统"+ch+ch, m.Get("MSH-3").Text())
				assert.Equal(t, "王"+ch, m.Get("PID-5.1").Text())
				assert.Equal(t, "M", m.Get("PID-8").Text())
				assert.Equal(t, raw, encode(t, cs, string(m.Encode())))
			}
		}
	}
}

func TestCharsetResolution(t *testing.T) {
	gb, u8 := hl7.GB18030, hl7.UTF8
	cases := []struct {
		name   string
		raw    []byte
		policy hl7.CharsetPolicy
		want   hl7.Charset
	}{
		{"declared UTF-8 against default GB", []byte(message("医院信息系统", "张三", "UNICODE UTF-8")), hl7.CharsetPolicy{Default: gb}, u8},
		{"declared UTF-8, short name", []byte(message("医院", "张三", "UTF-8")), hl7.CharsetPolicy{Default: gb}, u8},
		{"nothing declared, default GB", encode(t, gb, message("医院", "张三", "")), hl7.CharsetPolicy{Default: gb}, gb},
		{"nothing declared, no default", []byte(message("医院", "张三", "")), hl7.CharsetPolicy{}, u8},
		{"byte order mark", []byte("\xef\xbb\xbf" + message("医院", "张三", "")), hl7.CharsetPolicy{Default: gb}, u8},
		{"repetitions: the second is meant", []byte(message("医院", "张三", "ASCII~UNICODE UTF-8")), hl7.CharsetPolicy{Default: gb}, u8},
		{"repetitions: the first is empty", encode(t, gb, message("医院", "张三", "~GB 18030-2000")), hl7.CharsetPolicy{}, gb},
		{"repetitions: plain text", []byte(message("A", "B", "~GB 18030-2000")), hl7.CharsetPolicy{}, u8},
		{"unknown names, plain text", []byte(message("A", "B", "code1~code2")), hl7.CharsetPolicy{}, hl7.ASCII},
		{"accents in a row, 8859/1", encode(t, hl7.Latin1, message("A", "Grüße ÄÖ", "8859/1")), hl7.CharsetPolicy{}, hl7.Latin1},
		{"repetitions: the first counts", []byte(message("医院", "张三", "UNICODE UTF-8~GB 18030-2000")), hl7.CharsetPolicy{}, u8},
		{"forced", encode(t, gb, message("医院", "张三", "ASCII")), hl7.CharsetPolicy{Default: gb, Force: true}, gb},
		{"8859/1", encode(t, hl7.Latin1, message("A", "Müller", "8859/1")), hl7.CharsetPolicy{}, hl7.Latin1},
		{"BIG5", encode(t, hl7.Big5, message("醫院", "張三", "BIG5")), hl7.CharsetPolicy{}, hl7.Big5},
		{"four-byte GB 18030", encode(t, gb, message("医院", "㐀𠀀", "GB18030")), hl7.CharsetPolicy{}, gb},
		{"ASCII", []byte(message("A", "B", "ASCII")), hl7.CharsetPolicy{}, hl7.ASCII},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text, cs, err := c.policy.Decode(c.raw)
			require.NoError(t, err)
			assert.Equal(t, c.want.String(), cs.String())
			assert.True(t, utf8.Valid(text))
			assert.NotContains(t, string(text), "\uFFFD")
			assert.Equal(t, c.raw, encode(t, cs, string(text)))
		})
	}
}

func TestCharsetThatDoesNotFit(t *testing.T) {
	gb := hl7.GB18030
	utf := message("医院", "张三", "GB18030")
	cases := []struct {
		name    string
		raw     []byte
		policy  hl7.CharsetPolicy
		unknown bool
		offset  int
	}{
		{"GB declared as UTF-8", encode(t, gb, message("H", "张三", "UTF-8")), hl7.CharsetPolicy{}, false, 99},
		{"UTF-8 declared as GB", []byte(utf), hl7.CharsetPolicy{}, false, 9},
		{"UTF-8 under default GB", []byte(message("医院", "张三", "")), hl7.CharsetPolicy{Default: gb}, false, 9},
		{"UTF-8 declared as 8859/1", []byte(message("A", "Müller", "8859/1")), hl7.CharsetPolicy{}, false, 101},
		{"bytes above 0x7F in ASCII", []byte(message("A", "Müller", "ASCII")), hl7.CharsetPolicy{}, false, 100},
		{"cut double byte", append(encode(t, gb, message("医", "张", "GBK")), 0xd5), hl7.CharsetPolicy{}, false, 110},
		{"unknown name", []byte(message("A", "\xc2", "KOI8-R")), hl7.CharsetPolicy{}, true, -1},
		{"escape-switched charset", []byte(message("A", "\x1b$B;3ED\x1b(B", "ISO IR87")), hl7.CharsetPolicy{}, true, -1},
		{"GB declared as 8859/1", encode(t, gb, message("H", "张三", "8859/1")), hl7.CharsetPolicy{}, false, 99},
		{"controls in 8859/1", []byte(message("H", "a\x80b", "8859/1")), hl7.CharsetPolicy{}, false, 100},
		{"UTF-16", []byte("M\x00S\x00H\x00|\x00"), hl7.CharsetPolicy{}, true, 0},
		{"UTF-16 mark", []byte("\xff\xfeM\x00S\x00H\x00"), hl7.CharsetPolicy{Default: gb}, true, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text, _, err := c.policy.Decode(c.raw)
			require.ErrorIs(t, err, hl7.ErrCharset)
			assert.Nil(t, text, "nothing mangled comes out")
			var ce *hl7.CharsetError
			require.ErrorAs(t, err, &ce)
			assert.Equal(t, c.unknown, ce.Unknown)
			if c.offset >= 0 {
				assert.InDelta(t, c.offset, ce.Offset, 8, "near the byte that does not fit")
			}
			assert.NotContains(t, err.Error(), "张")
		})
	}
}

func TestCharsetEncodeRefusesWhatIsLacking(t *testing.T) {
	for _, cs := range []hl7.Charset{hl7.ASCII, hl7.Latin1, hl7.Big5, {}} {
		_, err := cs.Encode([]byte("简体测试们"))
		assert.ErrorIs(t, err, hl7.ErrCharset)
	}
}

func TestCharsetNames(t *testing.T) {
	for name, want := range map[string]hl7.Charset{
		"GB 18030-2000": hl7.GB18030, "GB18030": hl7.GB18030, "GBK": hl7.GB18030, "GB2312": hl7.GB18030,
		"UNICODE UTF-8": hl7.UTF8, "UTF-8": hl7.UTF8, "utf8": hl7.UTF8, "8859/1": hl7.Latin1,
		"ISO-8859-1": hl7.Latin1, "ASCII": hl7.ASCII, "US-ASCII": hl7.ASCII, "BIG5": hl7.Big5, "BIG-5": hl7.Big5,
	} {
		cs, ok := hl7.CharsetByName(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, cs, name)
	}
	for part := range 17 {
		cs, ok := hl7.CharsetByName(fmt.Sprintf("8859/%d", part))
		if ok {
			assert.Equal(t, fmt.Sprintf("8859/%d", part), cs.String())
		}
	}
	_, ok := hl7.CharsetByName("UTF-16")
	assert.False(t, ok)
}

func TestDetectCharset(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		want hl7.Charset
	}{
		"ASCII":    {[]byte(message("A", "B", "")), hl7.ASCII},
		"UTF-8":    {[]byte(message("A", "张三", "")), hl7.UTF8},
		"GB 18030": {encode(t, hl7.GB18030, message("医院信息系统", "张三", "")), hl7.GB18030},
		"Big5":     {encode(t, hl7.Big5, message("醫院資訊系統", "張三豐", "")), hl7.Big5},
		"8859/1":   {encode(t, hl7.Latin1, message("A", "Müller^Jürgen", "")), hl7.Latin1},
	} {
		got, ok := hl7.DetectCharset(c.raw)
		assert.True(t, ok, name)
		assert.Equal(t, c.want.String(), got.String(), name)
	}
	_, ok := hl7.DetectCharset([]byte("\x80\x81\xff"))
	assert.False(t, ok, "nothing fits")
}

func TestMisfitsNameTheLikelyCharset(t *testing.T) {
	_, _, err := hl7.CharsetPolicy{}.Decode(encode(t, hl7.GB18030, message("医院", "张三", "")))
	assert.ErrorContains(t, err, "the bytes look like GB 18030-2000")
}

// TestDoubleByteCharsetsComeBack decodes and encodes every character of the double-byte
// charsets. The exceptions are what has two codes: a second ideographic space in GB 18030, and
// characters in Big5 that its Hong Kong supplement repeats. The record keeps the raw bytes.
func TestDoubleByteCharsetsComeBack(t *testing.T) {
	for _, c := range []struct {
		cs   hl7.Charset
		lost int
	}{{hl7.GB18030, 1}, {hl7.Big5, 104}} {
		lost := 0
		for lead := 0x81; lead <= 0xfe; lead++ {
			for trail := 0x40; trail <= 0xfe; trail++ {
				raw := []byte{byte(lead), byte(trail)}
				text, err := c.cs.Decode(raw)
				if err != nil {
					continue
				}
				if back, err := c.cs.Encode(text); err != nil || !bytes.Equal(back, raw) {
					lost++
				}
			}
		}
		assert.Equal(t, c.lost, lost, c.cs.String())
	}
}

// TestGB18030AgreesWithTheGeneralCodec compares the fast paths with the codec that their
// tables come from, on every pair, on characters of four bytes and on text of both.
func TestGB18030AgreesWithTheGeneralCodec(t *testing.T) {
	codec := simplifiedchinese.GB18030
	check := func(raw []byte) {
		want, err := codec.NewDecoder().Bytes(raw)
		got, gotErr := hl7.GB18030.Decode(raw)
		if err != nil || bytes.Contains(want, []byte("\uFFFD")) {
			require.Error(t, gotErr, "% x", raw)
			return
		}
		require.NoError(t, gotErr, "% x", raw)
		require.Equal(t, string(want), string(got), "% x", raw)
		wantRaw, err := codec.NewEncoder().Bytes(want)
		require.NoError(t, err)
		gotRaw, err := hl7.GB18030.Encode(want)
		require.NoError(t, err)
		require.Equal(t, wantRaw, gotRaw, "% x", raw)
	}
	for lead := 0x80; lead <= 0xff; lead++ {
		check([]byte{byte(lead)})
		for trail := 0; trail <= 0xff; trail++ {
			if pair := []byte{byte(lead), byte(trail)}; trail < 0x30 || trail > 0x39 {
				check(pair)
			}
		}
		for third := 0x81; third <= 0xfe; third += 25 {
			check([]byte{byte(lead), 0x35, byte(third), 0x37, 'a', 0xb0, 0xa1})
		}
	}
}

func FuzzDecode(f *testing.F) {
	addOwnMessages(f, func(data []byte) { f.Add(data, uint8(len(data))) })
	f.Add([]byte(message("医院", "张三", "UTF-8")), uint8(0))
	f.Add(encode(f, hl7.GB18030, message(trailing(f, '|'), "张三", "GBK")), uint8(1))
	f.Add([]byte("\xef\xbb\xbfMSH|"), uint8(2))
	all := []hl7.Charset{{}, hl7.GB18030, hl7.Latin1, hl7.Big5, hl7.ASCII}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8) {
		p := hl7.CharsetPolicy{Default: all[int(which)%len(all)], Force: which >= 128}
		text, cs, err := p.Decode(raw)
		if err != nil {
			return
		}
		if !utf8.Valid(text) {
			t.Fatalf("%s gave text that is not UTF-8", cs)
		}
		if cs != hl7.UTF8 && bytes.Contains(text, []byte("\uFFFD")) {
			t.Fatalf("%s replaced a character", cs)
		}
		hl7.PeekHeader(raw, p)
	})
}

func BenchmarkDecodeGB18030(b *testing.B) {
	raw := encode(b, hl7.GB18030, message("医院", "张三", "GBK")+strings.Repeat("OBX|1|TX|CT^检查||双肺纹理清晰，未见明显异常密度影。||||||F\r", 20))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, _, err := (hl7.CharsetPolicy{}).Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
