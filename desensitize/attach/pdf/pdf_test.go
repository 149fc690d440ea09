package pdf_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/emrbridge/emrbridge/desensitize/attach/pdf"
)

const chinese = "患者王小明，住院号ZY0012345"

func TestPredefinedChineseMaps(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(chinese)
	require.NoError(t, err)
	for name, code := range map[string]string{
		"/GBK-EUC-H": hex.EncodeToString([]byte(gbk)), "/GBKp-EUC-V": hex.EncodeToString([]byte(gbk)), "/GBK2K-H": hex.EncodeToString([]byte(gbk)),
		"/UniGB-UCS2-H": hexUTF16(chinese), "/UniGB-UTF16-H": hexUTF16(chinese),
	} {
		d := newDocument()
		out, err := pdf.Text(d.page("BT /F1 12 Tf 72 700 Td <"+code+"> Tj ET", d.type0(name, ""), true), pdf.Limits{})
		require.NoError(t, err, name)
		require.Equal(t, chinese, out, name)
	}
}

func TestToUnicodeMap(t *testing.T) {
	d := newDocument()
	var codes, chars strings.Builder
	for i, r := range []rune(chinese) {
		fmt.Fprintf(&codes, "%04X", i+1)
		fmt.Fprintf(&chars, "<%04X> <%s>\n", i+1, hexUTF16(string(r)))
	}
	cmap := "/CIDInit /ProcSet findresource begin begincmap\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n" +
		fmt.Sprintf("%d beginbfchar\n%sendbfchar\nendcmap", len([]rune(chinese)), chars.String())
	tu := d.stream("", cmap, true)
	font := d.type0("/Identity-H", fmt.Sprintf("/ToUnicode %d 0 R", tu))
	out, err := pdf.Text(d.page("BT /F1 12 Tf 72 700 Td <"+codes.String()+"> Tj ET", font, false), pdf.Limits{})
	require.NoError(t, err)
	require.Equal(t, chinese, out)
}

func TestRangesOfToUnicode(t *testing.T) {
	d := newDocument()
	tu := d.stream("", "1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfrange <41> <43> <4E00> <44> <45> [<738B> <5C0F>] endbfrange", false)
	font := d.object(fmt.Sprintf("<< /Type /Font /Subtype /TrueType /ToUnicode %d 0 R >>", tu))
	out, err := pdf.Text(d.page("BT /F1 12 Tf (ABCDE) Tj ET", font, false), pdf.Limits{})
	require.NoError(t, err)
	require.Equal(t, "一丁丂王小", out)
}

func TestLayout(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"lines", "BT /F1 12 Tf 72 700 Td (Name: John) Tj 0 -14 Td (MRN 123456) Tj ET", "Name: John\nMRN 123456"},
		{"kerning is no space", "BT /F1 12 Tf [(Jo) -20 (hn) -600 (Smith)] TJ ET", "John Smith"},
		{"letter by letter", "BT /F1 10 Tf 1 0 0 1 72 700 Tm (J) Tj 1 0 0 1 77 700 Tm (o) Tj 1 0 0 1 82 700 Tm (e) Tj ET", "Joe"},
		{"leading", "BT /F1 12 Tf 14 TL 72 700 Td (a) Tj T* (b) Tj (c) ' ET", "a\nb\nc"},
		{"escapes", `BT /F1 12 Tf (\(a\) \101\\\
b) Tj ET`, `(a) A\b`},
		{"inline image", "BI /W 1 /H 1 ID \x00Tj(ignored)\x01 EI BT /F1 12 Tf (x) Tj ET", "x"},
	} {
		out, err := pdf.Text(latin(c.content), pdf.Limits{})
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, out, c.name)
	}
}

func TestDifferencesAndGlyphNames(t *testing.T) {
	d := newDocument()
	font := d.object("<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Type /Encoding /Differences [1 /J /o /h /n /space /uni738B /eacute /f_i.alt] >> >>")
	out, err := pdf.Text(d.page("BT /F1 12 Tf <0102030405060708> Tj ET", font, false), pdf.Limits{})
	require.NoError(t, err)
	require.Equal(t, "John 王éfi", out)
}

func TestFormsAndAnnotations(t *testing.T) {
	d := newDocument()
	font := d.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	form := d.stream(fmt.Sprintf("/Type /XObject /Subtype /Form /Resources << /Font << /F1 %d 0 R >> >>", font), "BT /F1 10 Tf (in the form) Tj ET", true)
	content := d.stream("", "/X1 Do", false)
	d.object(fmt.Sprintf("<< /Type /Page /Contents %d 0 R /Resources << /XObject << /X1 %d 0 R >> >> /Annots [<< /Subtype /FreeText /Contents <FEFF738B5C0F660E> >>] >>", content, form))
	out, err := pdf.Text(d.Bytes(), pdf.Limits{})
	require.NoError(t, err)
	require.Equal(t, "in the form\n王小明", out)
}

func TestObjectStreamsAndUpdates(t *testing.T) {
	d := newDocument()
	font := d.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	d.object("(old)")
	content := d.stream("", "BT /F1 10 Tf (packed) Tj ET", true)
	page := fmt.Sprintf("<< /Type /Page /Contents %d 0 R /Resources << /Font << /F1 %d 0 R >> >> >>", content, font)
	head := "40 0 41 " + fmt.Sprint(len(page)+1) + " "
	d.stream(fmt.Sprintf("/Type /ObjStm /N 2 /First %d", len(head)), head+page+" << /Type /Pages /Kids [40 0 R] >>", true)
	d.object("<< /Type /Catalog /Pages 41 0 R >>")
	fmt.Fprintf(d, "trailer << /Root %d 0 R >>", d.count)
	out, err := pdf.Text(d.Bytes(), pdf.Limits{})
	require.NoError(t, err)
	require.Equal(t, "packed", out)
}

func TestRefused(t *testing.T) {
	encrypted := append(latin("BT /F1 12 Tf (x) Tj ET"), "trailer << /Encrypt 9 0 R >>"...)
	d := newDocument()
	identity := d.page("BT /F1 12 Tf <00010002> Tj ET", d.type0("/Identity-H", ""), false)
	e := newDocument()
	scan := e.page("q 100 0 0 100 0 0 cm /Im1 Do Q", e.object("<< >>"), false)
	f := newDocument()
	filter := f.stream("/Filter /JBIG2Decode", "xx", false)
	f.object(fmt.Sprintf("<< /Type /Page /Contents %d 0 R >>", filter))
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"not a PDF", []byte("hello"), pdf.ErrSyntax}, {"no pages", []byte("%PDF-1.4\n"), pdf.ErrSyntax}, {"encrypted", encrypted, pdf.ErrEncrypted},
		{"glyphs without characters", identity, pdf.ErrUnmapped}, {"a scan", scan, pdf.ErrNoText}, {"an unknown filter", f.Bytes(), pdf.ErrUnsupported},
	} {
		_, err := pdf.Text(c.data, pdf.Limits{})
		require.ErrorIs(t, err, c.want, c.name)
	}
}

func TestLimits(t *testing.T) {
	bomb := latin("BT /F1 12 Tf (x) Tj ET" + strings.Repeat(" ", 1<<20))
	_, err := pdf.Text(bomb, pdf.Limits{MaxInflated: 1 << 16})
	require.ErrorIs(t, err, pdf.ErrTooLarge)
	_, err = pdf.Text(latin(strings.Repeat("BT /F1 12 Tf (x) Tj ET ", 1000)), pdf.Limits{MaxOps: 100})
	require.ErrorIs(t, err, pdf.ErrTooLarge)
	d := newDocument() // a form that shows itself
	d.stream("/Subtype /Form /Resources << /XObject << /X 1 0 R >> >>", "/X Do", false)
	d.object("<< /Type /Page /Contents 1 0 R /Resources << /XObject << /X 1 0 R >> >> >>")
	_, err = pdf.Text(d.Bytes(), pdf.Limits{})
	require.ErrorIs(t, err, pdf.ErrTooLarge)
	_, err = pdf.Text([]byte("%PDF-1.4\n1 0 obj "+strings.Repeat("[", 1<<20)), pdf.Limits{})
	require.Error(t, err)
}

func TestLZW(t *testing.T) {
	// The example of ISO 32000-1 §7.4.4.2: 45 45 45 45 45 65 45 45 45 66, between text.
	d := newDocument()
	c := d.stream("/Filter [/ASCIIHexDecode /LZWDecode]", "800B6050220C0C8501>", false)
	d.object(fmt.Sprintf("<< /Type /Page /Contents %d 0 R >>", c))
	_, err := pdf.Text(d.Bytes(), pdf.Limits{})
	require.ErrorIs(t, err, pdf.ErrNoText) // "-----A---B" is read and shows nothing
}

func FuzzText(f *testing.F) {
	f.Add(latin("BT /F1 12 Tf (Name: John) Tj ET"))
	d := newDocument()
	f.Add(d.page("BT /F1 12 Tf <"+hexUTF16(chinese)+"> Tj ET", d.type0("/UniGB-UCS2-H", ""), false))
	f.Add([]byte("%PDF-1.4\n1 0 obj << /Type /Page /Contents 2 0 R >> 2 0 obj << /Filter /LZWDecode >> stream\n\x80\x0b\x60\x50 endstream"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = pdf.Text(data, pdf.Limits{MaxInflated: 1 << 20, MaxText: 1 << 20, MaxOps: 10_000, MaxObjects: 1000})
	})
}
