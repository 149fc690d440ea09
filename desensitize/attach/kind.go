package attach

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize/attach/dicom"
	"github.com/emrbridge/emrbridge/desensitize/attach/pdf"
	"github.com/emrbridge/emrbridge/desensitize/attach/rtf"
)

// Kind is what an attachment is.
type Kind string

// The kinds.
const (
	Empty   Kind = "empty"
	Text    Kind = "text"
	HTML    Kind = "html"
	RTF     Kind = "rtf"
	PDF     Kind = "pdf"
	CDA     Kind = "cda"   // a ClinicalDocument in XML
	XML     Kind = "xml"   // any other XML
	FHIR    Kind = "fhir"  // a FHIR resource in JSON
	JSON    Kind = "json"  // any other JSON
	HL7v2   Kind = "hl7v2" // a message that begins with MSH
	Image   Kind = "image"
	Video   Kind = "video"
	Audio   Kind = "audio"
	DICOM   Kind = "dicom"
	Genomic Kind = "genomic"
	Archive Kind = "archive" // ZIP, gzip, Office documents and the like
	Unknown Kind = "unknown"
)

// magic are the first bytes of formats that hold no text.
var magic = []struct {
	prefix string
	kind   Kind
}{
	{"\xff\xd8\xff", Image}, {"\x89PNG\r\n\x1a\n", Image}, {"GIF87a", Image}, {"GIF89a", Image}, {"BM", Image},
	{"II*\x00", Image}, {"MM\x00*", Image}, {"II+\x00", Image}, {"MM\x00+", Image}, {"\x00\x00\x00\x0cjP  ", Image}, {"\xff\x4f\xff\x51", Image},
	{"8BPS", Image}, {"\x00\x00\x01\x00", Image}, {"\xd7\xcd\xc6\x9a", Image},
	{"CRAM", Genomic}, {"BAM\x01", Genomic}, {"BCF\x02", Genomic}, {".scf", Genomic}, {"ABIF", Genomic}, {"\x93HDF", Unknown},
	{"ID3", Audio}, {"OggS", Audio}, {"fLaC", Audio}, {"\x1a\x45\xdf\xa3", Video},
	{"PK\x03\x04", Archive}, {"PK\x05\x06", Archive}, {"7z\xbc\xaf\x27\x1c", Archive}, {"Rar!\x1a\x07", Archive}, {"\x1f\x8b", Archive},
	{"\x1f\x9d", Archive}, {"BZh", Archive}, {"\xfd7zXZ\x00", Archive}, {"\x28\xb5\x2f\xfd", Archive}, {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Archive},
	{"\x7fELF", Unknown}, {"MZ\x90", Unknown},
}

// Sniff says what data is. The media type decides only what the bytes leave open.
func Sniff(mediaType string, data []byte) Kind {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return Empty
	case dicom.Is(data):
		return DICOM
	case pdf.Is(data):
		return PDF
	case rtf.Is(data):
		return RTF
	}
	if kind := byMagic(data); kind != "" {
		return kind
	}
	if bytes.IndexByte(data[:min(len(data), 512)], 0) >= 0 && !wide(data) {
		return Unknown
	}
	return textKind(mediaType, data)
}

func byMagic(data []byte) Kind {
	for _, m := range magic {
		if !bytes.HasPrefix(data, []byte(m.prefix)) {
			continue
		}
		switch {
		case m.prefix == "BM" && (len(data) < 14 || !bytes.Equal(data[6:10], make([]byte, 4))):
			continue // text that begins with BM; a bitmap has four reserved zero bytes here
		case m.prefix == "\x1f\x8b" && genomicInside(data):
			return Genomic
		}
		return m.kind
	}
	if len(data) > 12 {
		switch box := string(data[4:12]); {
		case strings.HasPrefix(box, "ftyphei"), strings.HasPrefix(box, "ftypmif1"), strings.HasPrefix(box, "ftypavif"):
			return Image
		case strings.HasPrefix(box, "ftyp"), strings.HasPrefix(string(data), "RIFF") && string(data[8:12]) == "AVI ":
			return Video
		case strings.HasPrefix(string(data), "RIFF") && string(data[8:12]) == "WEBP":
			return Image
		case strings.HasPrefix(string(data), "RIFF"):
			return Audio
		}
	}
	return ""
}

// genomicInside looks into gzip, which BAM, BCF and most sequence files are packed with.
func genomicInside(data []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return false
	}
	head, _ := io.ReadAll(io.LimitReader(z, 4096)) // a cut file still shows its head
	return bytes.HasPrefix(head, []byte("BAM\x01")) || bytes.HasPrefix(head, []byte("BCF\x02")) || IsGenomic(head)
}

// wide reports UTF-16 by its byte order mark.
func wide(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF})
}

// textKind tells the text formats apart.
func textKind(mediaType string, data []byte) Kind {
	head := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n\x0b\x1c")
	head = head[:min(len(head), 4096)]
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		base = strings.ToLower(mediaType)
	}
	switch {
	case IsGenomic(head):
		return Genomic
	case bytes.HasPrefix(head, []byte("MSH")), bytes.HasPrefix(head, []byte("FHS")), bytes.HasPrefix(head, []byte("BHS")):
		return HL7v2
	case bytes.HasPrefix(head, []byte("{")):
		if bytes.Contains(head, []byte(`"resourceType"`)) {
			return FHIR
		}
		return JSON
	case bytes.HasPrefix(head, []byte("<")):
		return markup(head, base)
	case strings.HasPrefix(base, "image/") || strings.HasPrefix(base, "video/") || strings.HasPrefix(base, "audio/"):
		return Image
	case readable(data):
		return Text
	}
	return Unknown
}

func markup(head []byte, base string) Kind {
	low := bytes.ToLower(head)
	switch {
	case bytes.Contains(head, []byte("ClinicalDocument")):
		return CDA
	case bytes.Contains(low, []byte("<svg")):
		return Image
	case bytes.Contains(low, []byte("<html")), bytes.Contains(low, []byte("<!doctype html")), base == "text/html", base == "application/xhtml+xml",
		bytes.HasPrefix(low, []byte("<p")), bytes.HasPrefix(low, []byte("<div")), bytes.HasPrefix(low, []byte("<table")):
		return HTML
	case base == "text/plain":
		return Text
	}
	return XML
}

// readable reports that hardly any byte is a control character.
func readable(data []byte) bool {
	if wide(data) {
		return true
	}
	bad := 0
	for _, c := range data {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x0B && c != 0x1B {
			bad++
		}
	}
	return bad*200 <= len(data)
}
