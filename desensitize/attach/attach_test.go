package attach_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/attach"
)

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func TestSniff(t *testing.T) {
	fastq := "@SEQ_ID\n" + strings.Repeat("GATTTGGGG", 10) + "\n+\n" + strings.Repeat("!", 90) + "\n"
	for _, c := range []struct {
		media, data string
		want        attach.Kind
	}{
		{"text/plain", "  \n", attach.Empty}, {"", "患者王小明", attach.Text}, {"application/pdf", "plain text", attach.Text}, {"text/plain", "%PDF-1.4\n", attach.PDF},
		{"", `{\rtf1 x}`, attach.RTF}, {"text/plain", "<!DOCTYPE html><html>", attach.HTML}, {"text/html", "<span>x</span>", attach.HTML},
		{"", `<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>`, attach.CDA}, {"", "<a/>", attach.XML}, {"image/svg+xml", "<svg><text>王</text></svg>", attach.Image},
		{"", `{"resourceType":"Patient"}`, attach.FHIR}, {"", `{"a":1}`, attach.JSON}, {"", "MSH|^~\\&|", attach.HL7v2}, {"", "\x89PNG\r\n\x1a\n", attach.Image},
		{"text/plain", "\xff\xd8\xff\xe0", attach.Image}, {"", "PK\x03\x04", attach.Archive}, {"", zipped("hello"), attach.Archive}, {"", zipped("BAM\x01xxxx"), attach.Genomic},
		{"", zipped("##fileformat=VCFv4.2\n"), attach.Genomic}, {"", fastq, attach.Genomic}, {"", ">chr1\n" + strings.Repeat("ACGTN\n", 20), attach.Genomic},
		{"", "# rsid\tchromosome\tposition\tgenotype\nrs4477212\t1\t82154\tAA\nrs3094315\t1\t752566\tAG\nrs12562034\t1\t768448\tGG\n", attach.Genomic},
		{"", "primer GATTACAGATTACAGATTACA was used", attach.Text}, {"", "\x00\x01\x02\x03", attach.Unknown}, {"audio/wav", "RIFF\x00\x00\x00\x00WAVEfmt ", attach.Audio},
		{"", "\xff\xfe\x8b\x73", attach.Text}, {"", "BMI 23.5, no bitmap", attach.Text}, {"", strings.Repeat("\x00", 128) + "DICM", attach.DICOM},
	} {
		require.Equal(t, c.want, attach.Sniff(c.media, []byte(c.data)), "%q", c.data[:min(len(c.data), 30)])
	}
}

func convert(media, data string, depth int) (attach.Result, error) {
	return attach.Convert(media, []byte(data), depth, attach.Options{
		Scrub:    func(s string) (string, error) { return strings.ReplaceAll(s, "王小明", "[姓名]"), nil },
		Document: func(kind attach.Kind, data []byte, depth int) ([]byte, error) { return []byte("record"), nil },
	})
}

func TestConvert(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"患者王小明", "患者[姓名]"}, {"\xcd\xf5\xd0\xa1\xc3\xf7", "[姓名]"}, {"<html><p>王<b>小</b>明<!-- 王小明 --><script>王小明</script></p></html>", "\n[姓名]\n"},
		{`{\rtf1\ansicpg936 \'cd\'f5\'d0\'a1\'c3\'f7}`, "[姓名]"}, {"<r>王小明 &#x738B;小明<![CDATA[王小明]]></r>", "[姓名] [姓名][姓名]"},
		{`{"resourceType":"Patient"}`, "record"}, {"<ClinicalDocument/>", "record"}, {"", ""},
	} {
		r, err := convert("", c.data, 0)
		require.NoError(t, err, c.data)
		require.Equal(t, c.want, string(r.Data))
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		data  string
		depth int
		want  error
	}{
		{"\x89PNG\r\n\x1a\n", 0, attach.ErrPicture}, {">x\n" + strings.Repeat("ACGT", 50), 0, attach.ErrGenomic}, {"PK\x03\x04", 0, attach.ErrUnknown},
		{`{"a":"王小明"}`, 0, attach.ErrUnknown}, {"text", 4, attach.ErrNested}, {"%PDF-1.4 broken", 0, nil}, {strings.Repeat("\x00", 128) + "DICM", 0, attach.ErrUnknown},
	} {
		_, err := convert("", c.data, c.depth)
		var refused *attach.Refused
		require.ErrorAs(t, err, &refused, c.data)
		if c.want != nil {
			require.ErrorIs(t, err, c.want)
		}
		require.NotContains(t, err.Error(), "王小明")
	}
	failure := errors.New("cipher")
	_, err := attach.Convert("", []byte("x"), 0, attach.Options{Scrub: func(string) (string, error) { return "", failure }})
	require.ErrorIs(t, err, failure)
}

func FuzzConvert(f *testing.F) {
	for _, s := range []string{"王小明", "<p>王小明</p>", `{\rtf1 x}`, "%PDF-1.4", "<script>", "\xff\xfe\x8b\x73"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = convert("", string(data), 0) })
}
