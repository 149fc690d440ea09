package hl7

import (
	"bytes"
	"strings"
)

// Header is what MSH says. Application and facility fields keep their raw form, since an
// acknowledgement gives them back byte for byte.
type Header struct {
	Delimiters Delimiters

	SendingApplication   string // MSH-3, raw
	SendingFacility      string // MSH-4, raw
	ReceivingApplication string // MSH-5, raw
	ReceivingFacility    string // MSH-6, raw
	Time                 string // MSH-7, raw
	MessageCode          string // MSH-9.1, as ADT
	TriggerEvent         string // MSH-9.2, as A01; from EVN-1 where an old message has it only there
	Structure            string // MSH-9.3, as ADT_A01
	ControlID            string // MSH-10, unescaped
	ProcessingID         string // MSH-11.1: P, T or D
	Version              string // MSH-12.1
	AcceptAck            string // MSH-15: AL, NE, ER, SU or ""
	ApplicationAck       string // MSH-16: the same
	DeclaredCharset      string // MSH-18, raw, all repetitions

	controlRaw string     // MSH-10 as it stands, for MSA-2
	at         [13]uint32 // where the fields that Check looks at begin; an absent one, where the segment ends
}

// Header returns the header of the message.
func (m *Message) Header() Header {
	h := readHeader(m.Segment(0))
	if h.TriggerEvent == "" {
		if evn, ok := m.Find("EVN", 1); ok {
			h.TriggerEvent = evn.Field(1).Comp(1).Text()
		}
	}
	return h
}

func readHeader(s Segment) Header {
	var f [19]Value // by number
	for c := s.Cursor(); c.Next() && c.Number() < len(f); {
		f[c.Number()] = c.Value()
	}
	raw := func(n int) string { return string(f[n].Raw()) }
	h := Header{
		Delimiters:         s.src.syn.Delimiters,
		SendingApplication: raw(3), SendingFacility: raw(4),
		ReceivingApplication: raw(5), ReceivingFacility: raw(6),
		Time:        raw(7),
		MessageCode: f[9].Comp(1).Text(), TriggerEvent: f[9].Comp(2).Text(),
		Structure: f[9].Comp(3).Text(),
		ControlID: f[10].Text(), controlRaw: raw(10),
		ProcessingID: f[11].Comp(1).Text(), Version: strings.TrimSpace(f[12].Comp(1).Text()),
		AcceptAck: f[15].Text(), ApplicationAck: f[16].Text(),
		DeclaredCharset: raw(18),
	}
	for _, n := range []int{9, 10, 12} {
		if h.at[n] = f[n].start; h.at[n] == 0 {
			h.at[n] = s.end
		}
	}
	return h
}

// Kind returns the record kind, as ADT^A01; the message code alone if there is no event.
func (h Header) Kind() string {
	if h.TriggerEvent == "" {
		return h.MessageCode
	}
	return h.MessageCode + "^" + h.TriggerEvent
}

// Sender returns MSH-3|MSH-4, the name under which control ids are unique. The separator
// is a bar whatever MSH-1 is, so that the name does not depend on the delimiters.
func (h Header) Sender() string { return h.SendingApplication + "|" + h.SendingFacility }

// Enhanced reports enhanced acknowledgement mode: MSH-15 or MSH-16 is valued (HL7 v2
// chapter 2, §2.9.3).
func (h Header) Enhanced() bool { return h.AcceptAck != "" || h.ApplicationAck != "" }

// versions are the values of HL7 table 0104 that the parser serves.
var versions = map[string]bool{
	"2.0": true, "2.0D": true, "2.1": true, "2.2": true, "2.3": true, "2.3.1": true, "2.3.2": true,
	"2.4": true, "2.5": true, "2.5.1": true, "2.6": true, "2.7": true, "2.7.1": true,
	"2.8": true, "2.8.1": true, "2.8.2": true, "2.9": true, "2.9.1": true,
}

// maxControlID bounds MSH-10. The standard allows 20 characters up to v2.6 and 199 later;
// senders exceed the former often.
const maxControlID = 199

// Check reports what keeps a message with this header from being taken: the message type,
// the control id or the version. Errors are *ParseError and match ErrHeader.
//
// A missing version is allowed: early senders leave it out, and the parser needs none.
func (h Header) Check() error {
	fail := func(code ErrorCode, field int, problem string) error {
		return &ParseError{Kind: ErrHeader, Code: code, Segment: "MSH", Sequence: 1, Field: field,
			Offset: int(h.at[field]), Problem: problem}
	}
	switch {
	case h.MessageCode == "":
		return fail(CodeRequiredFieldMissing, 9, "no message type")
	case !segmentName([]byte(h.MessageCode)):
		return fail(CodeUnsupportedMessage, 9, "the message type is not three capital letters or digits")
	case h.TriggerEvent != "" && !segmentName([]byte(h.TriggerEvent)):
		return fail(CodeUnsupportedEvent, 9, "the trigger event is not three capital letters or digits")
	case h.TriggerEvent == "" && h.MessageCode == "ADT":
		return fail(CodeUnsupportedEvent, 9, "ADT without a trigger event")
	case strings.TrimSpace(h.ControlID) == "":
		return fail(CodeRequiredFieldMissing, 10, "no control id, so the message cannot be told from another")
	case len(h.ControlID) > maxControlID:
		return fail(CodeDataType, 10, "the control id is longer than 199 bytes")
	case h.Version != "" && !versions[h.Version]:
		return fail(CodeUnsupportedVersion, 12, "the version is not one from 2.0 to 2.9")
	}
	return nil
}

// PeekHeader reads as much of the header as it can from a raw frame that could not be
// parsed, so that it can be answered. ok is false if there is no MSH at all. Fields with
// bytes that do not decode are left empty.
func PeekHeader(raw []byte, policy CharsetPolicy) (h Header, cs Charset, ok bool) {
	at := bytes.Index(raw, []byte("MSH"))
	if at < 0 || at > len(utf8BOM)+64 || bytes.IndexByte(raw[:at], '<') >= 0 { // an XML element is no header
		return Header{Delimiters: DefaultDelimiters}, ASCII, false
	}
	raw = raw[at:]
	line := raw[:min(lineLength(raw), 8<<10)]
	text, cs, err := policy.Decode(line)
	d, problem := Delimiters{}, ""
	if err == nil {
		d, problem = parseDelimiters(text)
	}
	if err == nil && problem == "" {
		return readHeader(lineAlone(text, d)).clean(), cs, true
	}
	text = blankNonASCII(line)
	if d, problem = parseDelimiters(text); problem != "" {
		d = guessDelimiters(text)
	}
	if d.Field == 0 {
		return Header{Delimiters: DefaultDelimiters}, ASCII, true
	}
	h = readHeader(lineAlone(text, d))
	h.DeclaredCharset = "" // the answer is in ASCII
	return h.clean(), ASCII, true
}

// lineAlone makes a segment of a line that is not part of a message.
func lineAlone(line []byte, d Delimiters) Segment {
	end := uint32(len(line))
	return Segment{src: &source{line, syntaxOf(d)}, end: end, next: end}
}

// guessDelimiters takes the usual delimiters where MSH-2 is damaged but MSH-1 is not.
func guessDelimiters(line []byte) Delimiters {
	if len(line) < 4 || !usableDelimiter(line[3]) {
		return Delimiters{}
	}
	d := DefaultDelimiters
	if line[3] != d.Field {
		return Delimiters{Field: line[3]}
	}
	return d
}

// clean drops from a header that was read by force what may not be sent back: overlong
// values and control characters.
func (h Header) clean() Header {
	for _, s := range []*string{&h.SendingApplication, &h.SendingFacility, &h.ReceivingApplication,
		&h.ReceivingFacility, &h.controlRaw, &h.ControlID, &h.Version} {
		if len(*s) > maxControlID || strings.ContainsFunc(*s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			*s = ""
		}
	}
	return h
}

// blankNonASCII empties every field that holds a byte above 0x7F.
func blankNonASCII(line []byte) []byte {
	if len(line) < 4 {
		return line
	}
	fields := bytes.Split(line, line[3:4])
	for i, f := range fields {
		if firstNonASCII(f) < len(f) {
			fields[i] = nil
		}
	}
	return bytes.Join(fields, line[3:4])
}
