package hl7

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Severity says what an issue means for the message.
type Severity uint8

// Severities. A message with an error breaks the standard in a way that loses or confuses
// information; one with warnings only is odd but can be used.
const (
	Warning Severity = iota + 1
	Error
)

// String returns "warning" or "error".
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Issue is one finding of Validate. It names the place and the rule, never a value.
type Issue struct {
	Severity Severity
	Code     ErrorCode // as ERR-3 would give it
	Path     string    // as PID-7 or OBX[3]-5; the segment alone where it is missing or out of place
	Offset   int       // in bytes of the decoded message; where something is missing, the place before which it belongs
	Text     string    // the rule that is broken, with its clause where there is one
}

// String returns the issue as one line.
func (i Issue) String() string {
	where := i.Path
	if where == "" {
		where = "message"
	}
	return fmt.Sprintf("%s %s at byte %d: %s", i.Severity, where, i.Offset, i.Text)
}

// maxIssues bounds the findings for one message; a last warning says that there are more.
const maxIssues = 200

// Validate checks a message against the standard by its version and event: the required
// fields of the header, the segments that the event needs and their order, the form of the
// dates and numbers in well-known fields, with OBX-5 by OBX-2, and whether values are
// escaped. Lengths, tables that sites extend, local segments and optional parts are left
// alone.
//
// The result is in the order of the message and empty for a clean one.
func Validate(m *Message) []Issue {
	v := &validator{m: m, header: m.Header(), count: map[string]int{}}
	v.checkHeader()
	v.checkSyntax()
	v.checkStructure()
	for _, s := range m.Segments() {
		v.checkSegment(s)
	}
	v.checkTexts()
	slices.SortStableFunc(v.issues, func(a, b Issue) int { return a.Offset - b.Offset })
	return v.issues
}

// HasErrors reports whether any issue is an error.
func HasErrors(issues []Issue) bool {
	for _, i := range issues {
		if i.Severity == Error {
			return true
		}
	}
	return false
}

// validator collects the findings for one message.
type validator struct {
	m      *Message
	header Header
	issues []Issue
	count  map[string]int // how many segments of a name have been passed
}

// LogValue implements slog.LogValuer: the message holds patient data.
func (v *validator) LogValue() slog.Value { return slog.IntValue(len(v.issues)) }

func (v *validator) report(sev Severity, code ErrorCode, path string, offset int, text string) {
	switch {
	case len(v.issues) < maxIssues:
		v.issues = append(v.issues, Issue{sev, code, path, offset, text})
	case len(v.issues) == maxIssues:
		v.issues = append(v.issues, Issue{Warning, CodeAccepted, "", offset, "more findings are not listed"})
	}
	if len(v.issues) > maxIssues && sev == Error { // an error beyond the limit still counts
		v.issues[maxIssues].Severity = Error
	}
}

// checkHeader checks the fields of MSH that every message needs (HL7 v2 chapter 2, §2.14.9).
func (v *validator) checkHeader() {
	msh := v.m.Segment(0)
	end := msh.Offset() + len(msh.Raw())
	missing := func(field int, sev Severity, text string) {
		if f := msh.Field(field); f.IsEmpty() || strings.TrimSpace(f.Text()) == "" {
			offset := f.Offset()
			if offset == 0 {
				offset = end
			}
			v.report(sev, CodeRequiredFieldMissing, Path{Segment: "MSH", Field: field}.String(), offset, text)
		}
	}
	missing(3, Warning, "the sending application is not named")
	missing(4, Warning, "the sending facility is not named")
	if v.header.Version >= "2.4" {
		missing(7, Error, "the time of the message is required since v2.4")
	}
	missing(9, Error, "the message type is required")
	missing(10, Error, "the control id is required: without it the message cannot be acknowledged")
	missing(11, Warning, "the processing id (P, T or D) is required")
	missing(12, Error, "the version is required")
	v.checkHeaderValues(msh)
}

// checkHeaderValues checks the header fields that have a closed set of values.
func (v *validator) checkHeaderValues(msh Segment) {
	at := func(field int, sev Severity, code ErrorCode, text string) {
		v.report(sev, code, Path{Segment: "MSH", Field: field}.String(), msh.Field(field).Offset(), text)
	}
	h := v.header
	switch {
	case h.MessageCode == "":
	case !segmentName([]byte(h.MessageCode)):
		at(9, Error, CodeUnsupportedMessage, "the message type is not three capital letters or digits")
	case h.TriggerEvent != "" && !segmentName([]byte(h.TriggerEvent)):
		at(9, Error, CodeUnsupportedEvent, "the trigger event is not three capital letters or digits")
	case h.TriggerEvent == "" && h.MessageCode != "ACK":
		at(9, v.since("2.3", Error, Warning), CodeUnsupportedEvent, "no trigger event: MSH-9.2 is required for every type but ACK")
	}
	if len(h.ControlID) > maxControlID {
		at(10, Error, CodeDataType, "the control id is longer than 199 bytes")
	}
	if h.ProcessingID != "" && !slices.Contains([]string{"P", "T", "D"}, h.ProcessingID) {
		at(11, Warning, CodeUnsupportedProcess, "the processing id is not one of P, T, D (table 0103)")
	}
	if h.Version != "" && !versions[h.Version] {
		at(12, Error, CodeUnsupportedVersion, "the version is not one of table 0104")
	}
	for i, value := range []string{h.AcceptAck, h.ApplicationAck} {
		if !slices.Contains([]string{"", "AL", "NE", "ER", "SU"}, value) {
			at(15+i, Warning, CodeTableValue, "not one of AL, NE, ER, SU (table 0155)")
		}
	}
}

// since returns a if the message declares at least the version, b otherwise.
func (v *validator) since(version string, a, b Severity) Severity {
	if v.header.Version >= version {
		return a
	}
	return b
}

// checkSyntax reports what the parser forgives.
func (v *validator) checkSyntax() {
	msh := v.m.Segment(0)
	if bytes.HasPrefix(v.m.text, utf8BOM) {
		v.report(Warning, CodeAccepted, "", 0, "a byte order mark before MSH")
	}
	chars := msh.Field(2)
	switch raw := chars.Raw(); {
	case len(raw) < 4:
		v.report(Warning, CodeAccepted, "MSH-2", chars.Offset(), "fewer than four encoding characters: values cannot hold every delimiter")
	case len(raw) == 5 && raw[2] == raw[3]:
		v.report(Warning, CodeAccepted, "MSH-2", chars.Offset(), "the escape character is doubled; it is read as one")
	}
	if line := msh.Offset() + len(msh.Raw()); line < len(v.m.text) && v.m.text[line] == '\n' {
		v.report(Warning, CodeAccepted, "MSH", line, "segments end with a line feed; the standard asks for a carriage return")
	}
}
