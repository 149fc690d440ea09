package attach

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/emrbridge/emrbridge/desensitize/attach/dicom"
	"github.com/emrbridge/emrbridge/desensitize/attach/pdf"
	"github.com/emrbridge/emrbridge/desensitize/attach/rtf"
)

// Why an attachment is refused. A Refused wraps one of these or an error of a reader.
var (
	ErrPicture = errors.New("pictures are not allowed by the policy")
	ErrGenomic = errors.New("genomic data identifies a person and is not allowed by the policy")
	ErrUnknown = errors.New("the format is not one that can be de-identified")
	ErrNested  = errors.New("documents are nested too deeply")
	ErrSize    = errors.New("the attachment is larger than the limit")
)

// Refused says that an attachment must be left out, and why. It holds no content.
type Refused struct {
	Kind Kind
	Err  error
}

func (e *Refused) Error() string { return fmt.Sprintf("attachment (%s) refused: %v", e.Kind, e.Err) }

// Unwrap returns the reason.
func (e *Refused) Unwrap() error { return e.Err }

// Options say what is allowed and how parts are treated.
type Options struct {
	// Images keeps pictures, and the pixels of DICOM files, as they are.
	Images bool
	// Genomic keeps sequence and variant files as they are.
	Genomic bool
	// MaxBytes is the size of one attachment; 64 MiB if zero.
	MaxBytes int
	// MaxDepth is how deep documents may stand within attachments; 4 if zero.
	MaxDepth int
	// Scrub takes identifiers out of text. Required.
	Scrub func(text string) (string, error)
	// Document de-identifies a record within an attachment: CDA, FHIR or HL7v2. Without it
	// such an attachment is refused. depth is that of the document, to be handed back to
	// Convert for attachments within it.
	Document func(kind Kind, data []byte, depth int) ([]byte, error)
	// UID and Subject are for DICOM files; without UID they are refused.
	UID     func(value string) string
	Subject string
}

// Result is what takes the place of an attachment.
type Result struct {
	Kind      Kind   // what it was
	MediaType string // what Data is now
	Data      []byte
}

// Convert de-identifies one attachment at the given depth of nesting (0: in a record). The
// error is a *Refused unless a function of Options failed.
func Convert(mediaType string, data []byte, depth int, o Options) (Result, error) {
	limit, deepest := o.MaxBytes, o.MaxDepth
	if limit <= 0 {
		limit = 64 << 20
	}
	if deepest <= 0 {
		deepest = 4
	}
	kind := Sniff(mediaType, data)
	switch {
	case len(data) > limit:
		return Result{}, &Refused{kind, ErrSize}
	case depth >= deepest:
		return Result{}, &Refused{kind, ErrNested}
	}
	switch kind {
	case Empty:
		return Result{Kind: kind, MediaType: mediaType, Data: data}, nil
	case Text, HTML, RTF, PDF, XML:
		return textual(kind, data, o)
	case CDA, FHIR, HL7v2:
		return document(kind, data, depth, o)
	case DICOM:
		return picture(data, o)
	case Image, Video, Audio:
		return kept(kind, mediaType, data, o.Images, ErrPicture)
	case Genomic:
		return kept(kind, mediaType, data, o.Genomic, ErrGenomic)
	}
	return Result{}, &Refused{kind, ErrUnknown}
}

func kept(kind Kind, mediaType string, data []byte, allowed bool, why error) (Result, error) {
	if !allowed {
		return Result{}, &Refused{kind, why}
	}
	return Result{Kind: kind, MediaType: mediaType, Data: data}, nil
}

func textual(kind Kind, data []byte, o Options) (Result, error) {
	text, err := PlainText(kind, data)
	if err != nil {
		return Result{}, &Refused{kind, err}
	}
	if IsGenomic([]byte(text)) && !o.Genomic {
		return Result{}, &Refused{Genomic, ErrGenomic}
	}
	clean, err := o.Scrub(text)
	if err != nil {
		return Result{}, err
	}
	return Result{Kind: kind, MediaType: "text/plain; charset=utf-8", Data: []byte(clean)}, nil
}

func document(kind Kind, data []byte, depth int, o Options) (Result, error) {
	if o.Document == nil {
		return Result{}, &Refused{kind, ErrUnknown}
	}
	out, err := o.Document(kind, data, depth+1)
	if err != nil {
		return Result{}, &Refused{kind, err}
	}
	types := map[Kind]string{CDA: "application/xml", FHIR: "application/fhir+json", HL7v2: "application/hl7-v2+er7"}
	return Result{Kind: kind, MediaType: types[kind], Data: out}, nil
}

func picture(data []byte, o Options) (Result, error) {
	if o.UID == nil {
		return Result{}, &Refused{DICOM, ErrUnknown}
	}
	r, err := dicom.Deidentify(data, dicom.Options{Pixels: o.Images, UID: o.UID, Subject: o.Subject})
	if err != nil {
		return Result{}, &Refused{DICOM, err}
	}
	return Result{Kind: DICOM, MediaType: "application/dicom", Data: r.Data}, nil
}

// PlainText reads the text of a Text, HTML, XML, RTF or PDF attachment.
func PlainText(kind Kind, data []byte) (string, error) {
	switch kind {
	case RTF:
		return rtf.Text(data)
	case PDF:
		return pdf.Text(data, pdf.Limits{})
	}
	text, err := Decode(data)
	if err == nil && (kind == HTML || kind == XML) {
		text = StripMarkup(text)
	}
	return text, err
}

// Decode reads bytes as UTF-8, as UTF-16 with a byte order mark, or else as GB 18030.
func Decode(data []byte) (string, error) {
	switch {
	case wide(data):
		b, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
		return string(b), err
	case utf8.Valid(data):
		return strings.TrimPrefix(string(data), "\ufeff"), nil
	}
	b, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data)
	if err != nil || strings.ContainsRune(string(b), utf8.RuneError) {
		return "", fmt.Errorf("neither UTF-8 nor GB 18030: %w", ErrUnknown)
	}
	return string(b), nil
}
