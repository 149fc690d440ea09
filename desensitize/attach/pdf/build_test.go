package pdf_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
	"unicode/utf16"
)

// document builds PDF files for the tests.
type document struct {
	bytes.Buffer
	count int
}

func newDocument() *document {
	d := &document{}
	d.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	return d
}

// object writes an object and returns its number.
func (d *document) object(body string) int {
	d.count++
	fmt.Fprintf(d, "%d 0 obj\n%s\nendobj\n", d.count, body)
	return d.count
}

func (d *document) stream(dict, body string, deflate bool) int {
	if deflate {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		z.Write([]byte(body))
		z.Close()
		body, dict = b.String(), dict+" /Filter /FlateDecode"
	}
	return d.object(fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(body), body))
}

// page ends the file with one page that shows the content in the font object.
func (d *document) page(content string, font int, deflate bool) []byte {
	c := d.stream("", content, deflate)
	kid := d.count + 1
	d.object(fmt.Sprintf("<< /Type /Page /Parent %d 0 R /Contents %d 0 R /Resources << /Font << /F1 %d 0 R >> >> >>", kid+1, c, font))
	d.object(fmt.Sprintf("<< /Type /Pages /Kids [%d 0 R] /Count 1 >>", kid))
	d.object(fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R >>", kid+1))
	fmt.Fprintf(d, "trailer << /Root %d 0 R >>\nstartxref\n0\n%%%%EOF\n", d.count)
	return d.Bytes()
}

func (d *document) type0(encoding, toUnicode string) int {
	cid := d.object("<< /Type /Font /Subtype /CIDFontType0 /BaseFont /SimSun /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /DW 1000 >>")
	return d.object(fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /SimSun /Encoding %s /DescendantFonts [%d 0 R] %s >>", encoding, cid, toUnicode))
}

func hexUTF16(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// latin is a page of plain Latin text.
func latin(content string) []byte {
	d := newDocument()
	font := d.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	return d.page(content, font, true)
}
