package hl7

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorCode is a code of HL7 table 0357 (message error condition codes), which goes into
// ERR-3.
type ErrorCode int

// Codes of HL7 table 0357.
const (
	CodeAccepted             ErrorCode = 0
	CodeSegmentSequence      ErrorCode = 100
	CodeRequiredFieldMissing ErrorCode = 101
	CodeDataType             ErrorCode = 102
	CodeTableValue           ErrorCode = 103
	CodeUnsupportedMessage   ErrorCode = 200
	CodeUnsupportedEvent     ErrorCode = 201
	CodeUnsupportedProcess   ErrorCode = 202
	CodeUnsupportedVersion   ErrorCode = 203
	CodeUnknownKey           ErrorCode = 204
	CodeDuplicateKey         ErrorCode = 205
	CodeLocked               ErrorCode = 206
	CodeInternal             ErrorCode = 207
)

var codeText = map[ErrorCode]string{
	CodeAccepted:             "Message accepted",
	CodeSegmentSequence:      "Segment sequence error",
	CodeRequiredFieldMissing: "Required field missing",
	CodeDataType:             "Data type error",
	CodeTableValue:           "Table value not found",
	CodeUnsupportedMessage:   "Unsupported message type",
	CodeUnsupportedEvent:     "Unsupported event code",
	CodeUnsupportedProcess:   "Unsupported processing id",
	CodeUnsupportedVersion:   "Unsupported version id",
	CodeUnknownKey:           "Unknown key identifier",
	CodeDuplicateKey:         "Duplicate key identifier",
	CodeLocked:               "Application record locked",
	CodeInternal:             "Application internal error",
}

// String returns the text that table 0357 gives for the code.
func (c ErrorCode) String() string {
	if s, ok := codeText[c]; ok {
		return s
	}
	return fmt.Sprintf("error %d", int(c))
}

// Sentinels for errors.Is. The error itself is a *ParseError or a *CharsetError.
var (
	// ErrNoHeader reports input that does not begin with an MSH segment.
	ErrNoHeader = errors.New("hl7: no MSH segment")
	// ErrXML reports HL7 v2 in its XML encoding, which is not taken. It is an ErrNoHeader.
	ErrXML = fmt.Errorf("%w: XML encoding", ErrNoHeader)
	// ErrDelimiters reports an MSH-1 or MSH-2 that cannot serve as delimiters.
	ErrDelimiters = errors.New("hl7: unusable delimiters")
	// ErrSegment reports a line that is not a segment.
	ErrSegment = errors.New("hl7: not a segment")
	// ErrHeader reports an MSH field that is missing or not understood.
	ErrHeader = errors.New("hl7: header field")
	// ErrTooLarge reports a message above the size that positions can address (2 GiB).
	ErrTooLarge = errors.New("hl7: message too large")
	// ErrCharset reports bytes that do not fit the declared or configured charset.
	ErrCharset = errors.New("hl7: charset")
)

// ParseError says where a message is wrong and why, without any value of it.
type ParseError struct {
	Kind     error     // one of the sentinels of this package
	Code     ErrorCode // for ERR-3
	Segment  string    // segment name, "" if the line has none
	Sequence int       // occurrence of that segment in the message, from 1; 0 if not known
	Field    int       // field number, 0 for the segment as a whole
	Offset   int       // byte offset in the decoded message; in the raw bytes for a CharsetError
	Problem  string    // cause and cure, free of message content
}

// Error implements error.
func (e *ParseError) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	if e.Segment != "" {
		fmt.Fprintf(&b, ": %s", e.Segment)
		if e.Sequence > 1 {
			fmt.Fprintf(&b, "[%d]", e.Sequence)
		}
		if e.Field > 0 {
			fmt.Fprintf(&b, "-%d", e.Field)
		}
	}
	fmt.Fprintf(&b, " at byte %d: %s", e.Offset, e.Problem)
	return b.String()
}

// Unwrap lets errors.Is find the sentinel.
func (e *ParseError) Unwrap() error { return e.Kind }

// CharsetError says which byte does not fit which charset.
type CharsetError struct {
	Charset  string // declared or configured name, cleaned of anything but [A-Z0-9 /-]
	Declared bool   // from MSH-18 rather than from the endpoint's configuration
	Offset   int    // byte offset in the raw frame, -1 if no single byte is at fault
	Unknown  bool   // the name itself is not known
	Problem  string
}

// Error implements error.
func (e *CharsetError) Error() string {
	source := "endpoint default"
	if e.Declared {
		source = "MSH-18"
	}
	if e.Offset < 0 {
		return fmt.Sprintf("%v %q (%s): %s", ErrCharset, e.Charset, source, e.Problem)
	}
	return fmt.Sprintf("%v %q (%s) at byte %d: %s", ErrCharset, e.Charset, source, e.Offset, e.Problem)
}

// Unwrap lets errors.Is find ErrCharset.
func (e *CharsetError) Unwrap() error { return ErrCharset }
