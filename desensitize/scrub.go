package desensitize

import "context"

// TextScrubber finds identifiers in free text. It is safe for concurrent use.
type TextScrubber interface {
	// ForRecord prepares for the texts of one record, about whose people known (never nil)
	// is known.
	ForRecord(known *Known) TextReplacer
}

// TextReplacer replaces identifiers in the texts of one record. It is used by one goroutine
// at a time.
type TextReplacer interface {
	// Replace appends text to dst with every identifier replaced by what by returns for it.
	// by gets the identifiers in the order of the text.
	Replace(dst []byte, text string, by func(Found) string) []byte
}

// Found is an identifier in a text.
type Found struct {
	Type  Type
	Value string // as it stands in the text
	Known bool   // it is a variant of something in Known
}

// Attachments turns attached content of other formats into what may leave. It is safe for
// concurrent use.
type Attachments interface {
	// Scrub returns what takes the place of data. mediaType is what the record says of it,
	// "" if nothing; the content decides. clean scrubs free text of the same record. A nil
	// content means that nothing may take its place: the attachment is dropped.
	Scrub(ctx context.Context, mediaType string, data []byte, clean func(text string) string) (Content, error)
}

// Content is an attachment after scrubbing.
type Content struct {
	Data      []byte
	MediaType string
	// What says what was done: text, kept, refused …; it goes into the report as the detail
	// of the change.
	What string
}

// Cipher encrypts values for the method encrypt. It is safe for concurrent use.
type Cipher interface {
	// Encrypt returns the ciphertext of plain as printable ASCII without blanks.
	Encrypt(plain []byte) (string, error)
}
