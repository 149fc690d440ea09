package hl7

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// AckCode is a code of HL7 table 0008: the original mode's AA, AE, AR and the enhanced
// mode's accept codes CA, CE, CR.
type AckCode string

// Acknowledgement codes.
const (
	AppAccept    AckCode = "AA" // taken
	AppError     AckCode = "AE" // not taken: an error in this message or while processing it
	AppReject    AckCode = "AR" // not taken: type, version or form is not served
	CommitAccept AckCode = "CA"
	CommitError  AckCode = "CE"
	CommitReject AckCode = "CR"
)

// Accepted reports AA or CA.
func (c AckCode) Accepted() bool { return c == AppAccept || c == CommitAccept }

// Commit returns the code of the enhanced mode's accept acknowledgement that corresponds.
func (c AckCode) Commit() AckCode {
	switch c {
	case AppAccept:
		return CommitAccept
	case AppError:
		return CommitError
	case AppReject:
		return CommitReject
	}
	return c
}

// Fault is what an ERR segment says. The zero Fault makes none.
type Fault struct {
	Code        ErrorCode
	Segment     string
	Sequence    int
	Field       int
	Diagnostics string // ERR-7 or MSA-3; free of message content
}

// FaultOf describes an error of this package for an ERR segment. Any other error becomes
// code 207 without its text, which may hold what a sender should not see.
func FaultOf(err error) Fault {
	var parse *ParseError
	if errors.As(err, &parse) {
		return Fault{Code: parse.Code, Segment: parse.Segment, Sequence: parse.Sequence, Field: parse.Field,
			Diagnostics: parse.Problem + " (byte " + strconv.Itoa(parse.Offset) + ")"}
	}
	var charset *CharsetError
	if errors.As(err, &charset) {
		f := Fault{Code: CodeDataType, Segment: "MSH", Sequence: 1, Field: 18, Diagnostics: charset.Error()}
		if charset.Unknown {
			f.Code = CodeTableValue
		}
		return f
	}
	return Fault{Code: CodeInternal, Diagnostics: "the message could not be stored; send it again"}
}

// Ack builds acknowledgements.
type Ack struct {
	// Now is the clock for MSH-7; time.Now if nil.
	Now func() time.Time
	// NewControlID makes MSH-10 of the acknowledgement; 20 random hexadecimal digits if nil.
	NewControlID func() string
	// Application and Facility name this system where the request names no receiver.
	Application, Facility string
}

// defaultAckVersion is MSH-12 where the request has none that can be echoed.
const defaultAckVersion = "2.5"

// Build returns an acknowledgement as UTF-8 text: MSH with sender and receiver exchanged
// and MSH-9 ACK^event^ACK, MSA, and an ERR segment for a fault. The request's delimiters,
// version, processing id and charset are echoed.
func (a Ack) Build(h Header, code AckCode, fault *Fault) []byte {
	return a.build(h, code, fault, "")
}

// build is Build; conditions, if not empty, stands in MSH-15 and MSH-16 and says which
// answers the acknowledgement itself asks for.
func (a Ack) build(h Header, code AckCode, fault *Fault, conditions string) []byte {
	d := h.Delimiters
	if d.Component == 0 {
		d = DefaultDelimiters
		h = Header{ControlID: h.ControlID, TriggerEvent: h.TriggerEvent, Version: h.Version,
			controlRaw: string(d.EscapeText(h.ControlID))}
	}
	b := builder{d: &d}
	a.msh(&b, h, conditions)
	a.msa(&b, h, code, fault)
	if fault != nil {
		errSegment(&b, *fault, modernERR(h.Version))
	}
	return b.out
}

func (a Ack) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

func (a Ack) controlID() string {
	if a.NewControlID != nil {
		return a.NewControlID()
	}
	var id [10]byte
	rand.Read(id[:]) // never fails: see crypto/rand
	return strings.ToUpper(hex.EncodeToString(id[:]))
}

func (a Ack) msh(b *builder, h Header, conditions string) {
	app, facility := h.ReceivingApplication, h.ReceivingFacility
	if app == "" {
		app = string(b.d.EscapeText(a.Application))
	}
	if facility == "" {
		facility = string(b.d.EscapeText(a.Facility))
	}
	version := h.Version
	if !versions[version] {
		version = defaultAckVersion
	}
	process := h.ProcessingID
	if len(process) != 1 || process < "A" || process > "Z" {
		process = "P"
	}
	b.begin("MSH")
	b.out = append(b.out, b.d.EncodingCharacters()...)
	b.raw(app).raw(facility).raw(h.SendingApplication).raw(h.SendingFacility)
	b.raw(a.now().Format("20060102150405-0700")).raw("")
	b.raw(ackType(b.d, h.TriggerEvent, version)).raw(a.controlID()).raw(process).raw(version)
	b.raw("").raw("").raw(conditions).raw(conditions).raw("").raw(h.DeclaredCharset)
	b.end()
}

// ackType returns MSH-9. Before v2.3.1 it had no third component, and an event that is not
// a legal one is not echoed.
func ackType(d *Delimiters, event, version string) string {
	c := string(d.Component)
	if !segmentName([]byte(event)) {
		event = ""
	}
	switch {
	case version < "2.3.1" && event == "":
		return "ACK"
	case version < "2.3.1":
		return "ACK" + c + event
	}
	return "ACK" + c + event + c + "ACK"
}

// msa writes MSA-1 and MSA-2. Where ERR cannot carry text (before v2.5) MSA-3 does.
func (a Ack) msa(b *builder, h Header, code AckCode, fault *Fault) {
	b.begin("MSA").raw(string(code)).raw(h.controlRaw)
	if fault != nil && !modernERR(h.Version) {
		b.text(fault.Code.String() + ": " + fault.Diagnostics)
	}
	b.end()
}

// modernERR reports whether ERR has the fields of v2.5 (ERR-2 … ERR-12).
func modernERR(version string) bool { return !versions[version] || version >= "2.5" }

// errSegment writes ERR: v2.5 and later with location, code and severity; earlier with
// the single field ERR-1 (segment, sequence, field, code).
func errSegment(b *builder, f Fault, modern bool) {
	sequence, field := "", ""
	if f.Segment != "" {
		sequence = strconv.Itoa(max(f.Sequence, 1))
	}
	if f.Field > 0 {
		field = strconv.Itoa(f.Field)
	}
	code := strconv.Itoa(int(f.Code))
	b.begin("ERR")
	if !modern {
		b.out = append(b.out, b.d.Field)
		for _, part := range []string{f.Segment, sequence, field} { // the code is the fourth, whatever is empty
			b.out = append(b.d.appendEscaped(b.out, part), b.d.Component)
		}
		sub := b.d.Subcomponent
		b.out = append(b.out, code...)
		if sub != 0 {
			b.out = append(append(b.out, sub), b.d.EscapeText(f.Code.String())...)
			b.out = append(append(b.out, sub), "HL70357"...)
		}
		b.end()
		return
	}
	b.raw("").comps(f.Segment, sequence, field)
	b.comps(code, f.Code.String(), "HL70357").raw("E").raw("").raw("").text(f.Diagnostics)
	b.end()
}

// builder writes segments.
type builder struct {
	d   *Delimiters
	out []byte
}

// begin starts a segment. For MSH the separator follows, which is its first field.
func (b *builder) begin(name string) *builder {
	b.out = append(b.out, name...)
	if name == "MSH" {
		b.out = append(b.out, b.d.Field)
	}
	return b
}

// raw adds a field that is encoded already.
func (b *builder) raw(v string) *builder {
	b.out = append(append(b.out, b.d.Field), v...)
	return b
}

// text adds a field of plain text.
func (b *builder) text(v string) {
	b.out = b.d.appendEscaped(append(b.out, b.d.Field), v)
}

// comps adds a field of components, without trailing empty ones.
func (b *builder) comps(parts ...string) *builder {
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	b.out = append(b.out, b.d.Field)
	for i, p := range parts {
		if i > 0 {
			b.out = append(b.out, b.d.Component)
		}
		b.out = b.d.appendEscaped(b.out, p)
	}
	return b
}

// end closes the segment without trailing separators.
func (b *builder) end() {
	for len(b.out) > 0 && b.out[len(b.out)-1] == b.d.Field && !b.atHeader() {
		b.out = b.out[:len(b.out)-1]
	}
	b.out = append(b.out, '\r')
}

// atHeader keeps MSH| itself from being trimmed.
func (b *builder) atHeader() bool { return len(b.out) <= 4 }

// Answer is what an acknowledgement says.
type Answer struct {
	Code      AckCode
	ControlID string // MSA-2
	Text      string // MSA-3, or ERR-7, ERR-8 where MSA-3 is empty
	ErrorCode string // ERR-3.1, or the code in ERR-1 of early versions
	Location  string // ERR-2 as it stands
}

// ReadAnswer reads an acknowledgement from a raw frame.
func ReadAnswer(raw []byte, policy CharsetPolicy) (Answer, error) {
	text, _, err := policy.Decode(raw)
	if err != nil {
		return Answer{}, err
	}
	m, err := Parse(text)
	if err != nil {
		return Answer{}, err
	}
	msa, ok := m.Find("MSA", 1)
	if !ok {
		return Answer{}, &ParseError{Kind: ErrSegment, Code: CodeSegmentSequence, Segment: "MSA", Problem: "not an acknowledgement: no MSA segment"}
	}
	a := Answer{Code: AckCode(msa.Field(1).Text()), ControlID: msa.Field(2).Text(), Text: msa.Field(3).Text()}
	if e, ok := m.Find("ERR", 1); ok {
		a.ErrorCode, a.Location = e.Field(3).Comp(1).Text(), string(e.Field(2).Raw())
		if a.ErrorCode == "" {
			a.ErrorCode = e.Field(1).Comp(4).Sub(1).Text()
		}
		for _, n := range []int{7, 8} {
			if a.Text == "" {
				a.Text = e.Field(n).Text()
			}
		}
	}
	return a, nil
}
