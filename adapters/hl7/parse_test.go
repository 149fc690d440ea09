package hl7_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

const adt = "MSH|^~\\&|HIS|H1|EMR|H1|20260301080000+0800||ADT^A01^ADT_A01|C-1|P|2.5||||||UNICODE UTF-8\r" +
	"EVN|A01|20260301075900\r" +
	"PID|1||10001^^^H1&1.2.3&ISO^PI~99010119800101123X^^^GA^NNCHN||测^试甲~CESHI^JIA||19800101|M\r" +
	"PV1|1|I|内科^301^05||||D001^王^医生|||||||||||Z2026-1\r" +
	"ZXX|a&b^c|\"\"||\r"

func TestRoundTripIsTheIdentity(t *testing.T) {
	cases := map[string]string{
		"usual":               adt,
		"no final CR":         strings.TrimSuffix(adt, "\r"),
		"LF":                  strings.ReplaceAll(adt, "\r", "\n"),
		"CRLF":                strings.ReplaceAll(adt, "\r", "\r\n"),
		"mixed ends":          "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\r\nEVN|A01\nPID|1\rPV1|1\r\r\n",
		"blank lines":         "\r\nMSH|^~\\&|A|B\r\r\rPID|1\r\n\r\n",
		"byte order mark":     "\xef\xbb\xbf" + adt,
		"other delimiters":    "MSH@~#!$@A@B@C@D@2026@@ADT~A01@1@P@2.5\rPID@1@@1~~~H$1$ISO#2@@\r",
		"short MSH-2":         "MSH|^|A|B|C|D|2026||ADT^A01|1|P|2.1\rPID|1||a~b&c\\d^e\r",
		"truncation":          "MSH|^~\\&#|A|B|C|D|2026||ADT^A01|1|P|2.7\rPID|1||long#\r",
		"doubled backslash":   "MSH|^~\\\\&|A|B|C|D|2026||ADT^A01|1|P|2.6\rPID|1||a&b\r",
		"trailing separators": "MSH|^~\\&|A|||||\rPID|1||||^^^~~&&|||\r",
		"bare segments":       "MSH|^~\\&|\rPID\rZ99\rPV1|",
		"LF inside a value":   "MSH|^~\\&|A\rOBX|1|TX|||first line\nsecond line\r\rPID|1\r",
		"odd escapes":         "MSH|^~\\&|A\rNTE|1||\\Zmine\\ \\X0D0A\\ \\.sp+2\\ \\ \\E\\H\\E \\\r",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := hl7.Parse([]byte(text))
			require.NoError(t, err)
			assert.Equal(t, text, string(m.Encode()))
			assert.Equal(t, text, string(m.Rebuild()), "split and joined")
		})
	}
}

func TestAccessByPath(t *testing.T) {
	m, err := hl7.Parse([]byte(adt))
	require.NoError(t, err)
	for path, want := range map[string]string{
		"MSH-1": "|", "MSH-2": "^~\\&", "MSH-3": "HIS", "MSH-9.2": "A01", "MSH-18": "UNICODE UTF-8",
		"PID-3.1": "10001", "PID-3.4": "H1&1.2.3&ISO", "PID-3.4.2": "1.2.3", "PID-3[2].1": "99010119800101123X",
		"PID-3[2].5": "NNCHN", "PID-5.1": "测", "PID-5[2].2": "JIA", "PV1-3.3": "05", "PID[1]-8": "M",
		"PID[2]-8": "", "PID-99": "", "PID-3[9].1": "", "PID-3.4.9": "", "PID-8.1.1": "M", "PID-8.2": "", "ZXX-1.1.2": "b",
	} {
		assert.Equal(t, want, m.Get(path).Text(), path)
	}
	assert.True(t, m.Get("ZXX-2").IsNull())
	assert.Equal(t, "", m.Get("ZXX-2").Text(), "null deletes, it is not a text")
	assert.True(t, m.Get("ZXX-3").IsEmpty())
	assert.False(t, m.Get("ZXX-3").IsNull())
	assert.Equal(t, strings.Index(adt, "1.2.3"), m.Get("PID-3.4.2").Offset())
	s, ok := m.Find("ZXX", 1)
	require.True(t, ok)
	assert.Equal(t, 4, s.NumFields())
}

func TestParsePath(t *testing.T) {
	for _, s := range []string{"PID-3", "PID-3[2]", "PID-3[2].4", "PID-3[2].4.2", "OBX[12]-5", "Z01-1.2.3"} {
		p, err := hl7.ParsePath(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, p.String())
	}
	for _, s := range []string{"", "PID", "PID-", "PID-0", "PID-x", "pid-3", "PID-3[", "PID-3[0]", "PID-3.1.2.3", "PID-3.+1", "PID[x]-1", "PIDX-1"} {
		_, err := hl7.ParsePath(s)
		assert.Error(t, err, s)
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct {
		name, text string
		kind       error
		offset     int
	}{
		{"empty", "", hl7.ErrNoHeader, 0},
		{"blank", "\r\n\r\n", hl7.ErrNoHeader, 4},
		{"no header", "PID|1||SECRET\r", hl7.ErrNoHeader, 0},
		{"header alone", "MSH", hl7.ErrDelimiters, 3},
		{"too short", "MSH|^~\\&", hl7.ErrDelimiters, 3},
		{"MSH-2 empty", "MSH||A|B\r", hl7.ErrDelimiters, 3},
		{"clash", "MSH|^^\\&|A|B\r", hl7.ErrDelimiters, 3},
		{"clash with MSH-1", "MSH^^~\\&^A\r", hl7.ErrDelimiters, 3},
		{"letters", "MSH|abcd|A|B\r", hl7.ErrDelimiters, 3},
		{"digits", "MSH|0000|A|B\r", hl7.ErrDelimiters, 3},
		{"letter as MSH-1", "MSHH0\r", hl7.ErrDelimiters, 3},
		{"quotation mark", "MSH|^~\\\"|A\r", hl7.ErrDelimiters, 3},
		{"long MSH-2", "MSH|^~\\&#%|A\r", hl7.ErrDelimiters, 3},
		{"no segment name", "MSH|^~\\&|A\r|0|SECRET\r", hl7.ErrSegment, 11},
		{"long segment name", "MSH|^~\\&|A\rPIDX|1||SECRET\r", hl7.ErrSegment, 14},
		{"short segment name", "MSH|^~\\&|A\rPV|1|SECRET\r", hl7.ErrSegment, 11},
		{"lower case", "MSH|^~\\&|A\rpid|1|SECRET\r", hl7.ErrSegment, 11},
		{"second header", "MSH|^~\\&|A\rMSH|^~\\&|SECRET\r", hl7.ErrSegment, 11},
		{"start of block inside", "MSH|^~\\&|A\rPID|1\x0bMSH|^~\\&|SECRET\r", hl7.ErrSegment, 16},
		{"end of block inside", "MSH|^~\\&|A\rPID|1\x1cSECRET\r", hl7.ErrSegment, 16},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := hl7.Parse([]byte(c.text))
			require.ErrorIs(t, err, c.kind)
			var pe *hl7.ParseError
			require.ErrorAs(t, err, &pe)
			assert.Equal(t, c.offset, pe.Offset)
			assert.NotContains(t, err.Error(), "SECRET")
		})
	}
}

func TestUnescape(t *testing.T) {
	d := hl7.DefaultDelimiters
	for in, want := range map[string]string{
		"plain":                 "plain",
		`a\F\b\S\c\T\d\R\e\E\f`: `a|b^c&d~e\f`,
		`x\X4142\y`:             "xABy",
		`\XE4BDA0\`:             "你",
		`\XFF\ kept, not UTF-8`: `\XFF\ kept, not UTF-8`,
		`\X4\ odd`:              `\X4\ odd`,
		`one\.br\two`:           "one\ntwo",
		`\H\bold\N\ \F\`:        `\H\bold\N\ |`,
		`\Zmine\\T\`:            `\Zmine\&`,
		`\.sp+2\\T\`:            `\.sp+2\&`,
		`lone \ one`:            `lone \ one`,
		`lone \ and \T\`:        `lone \ and &`,
		`\`:                     `\`,
		`\\`:                    `\\`,
		`\P\`:                   `\P\`,
		`\C2842\x\M244221\\F\`:  `\C2842\x\M244221\|`,
		`\.in+4\a\.ti-2\b`:      `\.in+4\a\.ti-2\b`,
		`\X0D0A\`:               "\r\n",
		`\Q\ unknown \f\`:       `\Q\ unknown \f\`,
		`C:\dir\file \F\`:       `C:\dir\file |`,
	} {
		assert.Equal(t, want, string(d.Unescape([]byte(in))), in)
	}
	short := hl7.Delimiters{Field: '|', Component: '^'}
	assert.Equal(t, `a\T\b`, string(short.Unescape([]byte(`a\T\b`))), "no escape character declared")
}

func TestEscapeTextSurvives(t *testing.T) {
	d := hl7.DefaultDelimiters
	for _, s := range []string{"", "plain", `a|b^c&d~e\f`, "两行\n文字", `\F\`, "#"} {
		e := d.EscapeText(s)
		assert.False(t, bytes.ContainsAny(e, "|^&~\r\n"), s)
		assert.Equal(t, s, string(d.Unescape(e)))
	}
}

func TestNothingPersonalIsLogged(t *testing.T) {
	m, err := hl7.Parse([]byte(adt))
	require.NoError(t, err)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "m", m, "s", m.Segment(2), "v", m.Get("PID-5"))
	for _, secret := range []string{"测", "10001", "CESHI"} {
		assert.NotContains(t, out.String(), secret)
	}
}

func FuzzParse(f *testing.F) {
	addOwnMessages(f, func(data []byte) { f.Add(data) })
	for _, s := range []string{adt, "MSH|^|A\r", "MSH@~#!$@A@B\nPID@1~2\r\n", "\xef\xbb\xbfMSH|^~\\&|\r\rZZZ|\\", "MSH|^~\\\\&|a\nb\rc"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := hl7.Parse(in)
		if err != nil {
			return
		}
		if !bytes.Equal(in, m.Encode()) || !bytes.Equal(in, m.Rebuild()) {
			t.Fatalf("round trip changed %q", in)
		}
		if !slices.Equal(nested(m), walked(m)) {
			t.Fatalf("two ways of reading differ on %q", in)
		}
		_ = m.Header().Check()
		for _, s := range m.Segments() {
			for _, v := range s.Fields() {
				_ = v.Text()
			}
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte(`a\F\b\H\c\Zx\\`))
	d := hl7.DefaultDelimiters
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = d.Unescape(in)
		if text := strings.ToValidUTF8(string(in), ""); !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			require.Equal(t, text, string(d.Unescape(d.EscapeText(text))))
		}
	})
}

func ExampleParse() {
	m, err := hl7.Parse([]byte("MSH|^~\\&|HIS|H1|||20260301||ADT^A01|42|P|2.5\rPID|1||10001^^^H1^PI\r"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Header().Kind(), m.Get("PID-3[1].5").Text())
	// Output: ADT^A01 PI
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"PID-3[2].4.2", "OBX[12]-5", "PID-", "X[1]-1[", "Z01-1.2.3.4"} {
		f.Add(s)
	}
	m, err := hl7.Parse([]byte(adt))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := hl7.ParsePath(s)
		if err != nil {
			return
		}
		again, err := hl7.ParsePath(p.String())
		if err != nil || again != p {
			t.Fatalf("%q became %q", s, p)
		}
		_ = m.At(p).Text()
	})
}
