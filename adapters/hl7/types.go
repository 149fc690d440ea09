package hl7

import (
	"log/slog"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// HD names an assigning authority, a facility or an application (HL7 v2 chapter 2A, HD).
type HD struct {
	Namespace       string // HD.1
	UniversalID     string // HD.2, as 2.16.156.10011.1.12
	UniversalIDType string // HD.3, as ISO
}

// IsZero reports that nothing is named.
func (h HD) IsZero() bool { return h == HD{} }

// String returns the universal id if there is one, the namespace otherwise.
func (h HD) String() string {
	if h.UniversalID != "" {
		return h.UniversalID
	}
	return h.Namespace
}

// HD reads the value as HD: a component by its subcomponents, a field or repetition by its
// components.
func (v Value) HD() HD {
	part := v.Comp
	if v.part.depth >= AtComponent {
		part = v.Sub
	}
	return HD{Namespace: part(1).Text(), UniversalID: part(2).Text(), UniversalIDType: part(3).Text()}
}

// CX is an identifier (HL7 v2 chapter 2A, CX; CK before v2.3).
type CX struct {
	ID          string
	CheckDigit  string
	CheckScheme string // table 0061: M10, M11, ISO, …
	Authority   HD
	Type        string // table 0203: PI, MR, NNCHN, …
	Facility    HD
}

// CX reads a field's first repetition, or a repetition, as CX.
func (v Value) CX() CX {
	return CX{ID: v.Comp(1).Text(), CheckDigit: v.Comp(2).Text(), CheckScheme: v.Comp(3).Text(),
		Authority: v.Comp(4).HD(), Type: v.Comp(5).Text(), Facility: v.Comp(6).HD()}
}

// LogValue implements slog.LogValuer: an identifier is patient data.
func (c CX) LogValue() slog.Value { return slog.StringValue("[identifier " + clean(c.Type) + "]") }

// CheckDigitHolds reports whether the check digit fits the identifier. known is false where
// there is none or its scheme is not one of M10 and M11 (HL7 v2 chapter 2A, CX.3).
func (c CX) CheckDigitHolds() (holds, known bool) {
	if c.ID == "" || c.CheckDigit == "" || !allDigits(c.ID) {
		return false, false
	}
	switch c.CheckScheme {
	case "M10":
		return c.CheckDigit == string(mod10(c.ID)), true
	case "M11":
		return c.CheckDigit == string(mod11(c.ID)), true
	}
	return false, false
}

// mod10 doubles every other digit from the right and sums all digits.
func mod10(digits string) byte {
	sum, double := 0, true
	for i := len(digits) - 1; i >= 0; i-- {
		d := int(digits[i] - '0')
		if double {
			d *= 2
			d = d/10 + d%10
		}
		sum, double = sum+d, !double
	}
	return '0' + byte((10-sum%10)%10)
}

// mod11 weighs the digits from the right with 2 to 7, again and again.
func mod11(digits string) byte {
	sum, weight := 0, 2
	for i := len(digits) - 1; i >= 0; i-- {
		sum += int(digits[i]-'0') * weight
		if weight++; weight > 7 {
			weight = 2
		}
	}
	c := max(sum%11, 1)
	return '0' + byte((11-c)%10)
}

// Coded is a coded value (HL7 v2 chapter 2A, CWE; CE, CNE and CF are its beginnings).
type Coded struct {
	Code, Text, System          string
	AltCode, AltText, AltSystem string
	Original                    string // CWE.9: what the user wrote
}

// Coded reads a field's first repetition, or a repetition, as a coded value.
func (v Value) Coded() Coded {
	return Coded{Code: v.Comp(1).Text(), Text: v.Comp(2).Text(), System: v.Comp(3).Text(),
		AltCode: v.Comp(4).Text(), AltText: v.Comp(5).Text(), AltSystem: v.Comp(6).Text(), Original: v.Comp(9).Text()}
}

// IsZero reports that no code and no text was sent.
func (c Coded) IsZero() bool { return c == Coded{} }

// Display returns the best text for people: that of the code, of the alternate code, what
// the user wrote, and the code itself if there is no text at all.
func (c Coded) Display() string {
	for _, s := range []string{c.Text, c.AltText, c.Original, c.Code} {
		if s != "" {
			return s
		}
	}
	return c.AltCode
}

// LogValue implements slog.LogValuer: a diagnosis is patient data.
func (c Coded) LogValue() slog.Value { return slog.StringValue("[coded value]") }

// Person is a name, with the number that a member of the staff has (HL7 v2 chapter 2A, XPN
// and XCN; PN and CN before v2.3).
type Person struct {
	ID                     string // XCN.1
	Family, Given, Middle  string
	Suffix, Prefix, Degree string
	NameType               string // table 0200: L legal, D displayed, …
	Representation         string // table 0465: A alphabetic, I ideographic, P phonetic
	Authority              HD     // XCN.9
	IDType                 string // XCN.13
}

// XPN reads a field's first repetition, or a repetition, as the name of a person.
func (v Value) XPN() Person {
	return Person{Family: v.Comp(1).Sub(1).Text(), Given: v.Comp(2).Text(), Middle: v.Comp(3).Text(),
		Suffix: v.Comp(4).Text(), Prefix: v.Comp(5).Text(), Degree: v.Comp(6).Text(),
		NameType: v.Comp(7).Text(), Representation: v.Comp(8).Text()}
}

// XCN reads a field's first repetition, or a repetition, as a number with a name.
func (v Value) XCN() Person {
	return Person{ID: v.Comp(1).Text(), Family: v.Comp(2).Sub(1).Text(), Given: v.Comp(3).Text(),
		Middle: v.Comp(4).Text(), Suffix: v.Comp(5).Text(), Prefix: v.Comp(6).Text(), Degree: v.Comp(7).Text(),
		Authority: v.Comp(9).HD(), NameType: v.Comp(10).Text(), IDType: v.Comp(13).Text(), Representation: v.Comp(15).Text()}
}

// FullName returns the name in the order of its language: family name first without a blank
// where it is written in ideographs, prefix and given names first otherwise.
func (p Person) FullName() string {
	if ideographic(p.Family) || p.Family == "" && ideographic(p.Given) {
		return p.Family + p.Given + p.Middle
	}
	return strings.Join(strings.Fields(strings.Join([]string{p.Prefix, p.Given, p.Middle, p.Family, p.Suffix}, " ")), " ")
}

// ideographic reports whether text begins with a character of the Han script's blocks.
func ideographic(s string) bool {
	for _, r := range s {
		return r >= 0x3400 && r <= 0x9fff || r >= 0xf900 && r <= 0xfaff || r >= 0x20000 && r <= 0x323af
	}
	return false
}

// LogValue implements slog.LogValuer: a name is patient data.
func (p Person) LogValue() slog.Value { return slog.StringValue("[person]") }

// Time reads a value as TS, DTM or DT with the precision and zone it has; def is the zone
// where it gives none (nil: ChinaStandardTime). TS.2, the degree of precision of versions
// before v2.3, is honoured. The error is ErrTime.
func (v Value) Time(def *time.Location) (record.Time, error) {
	text := v
	if v.part.depth < AtComponent {
		text = v.Comp(1)
	}
	s := strings.TrimSpace(text.Text())
	if v.part.depth < AtComponent {
		s = atPrecision(s, v.Comp(2).Text())
	}
	return ParseTime(s, def)
}

// atPrecision cuts a time to the digits that TS.2 says are meant (table 0529).
func atPrecision(s, degree string) string {
	digits, ok := map[string]int{"Y": 4, "L": 6, "D": 8, "H": 10, "M": 12, "S": 14}[degree]
	if !ok || len(s) < digits {
		return s
	}
	zone := ""
	if i := strings.LastIndexAny(s, "+-"); i >= digits {
		zone = s[i:]
	}
	return s[:digits] + zone
}

// Number reads a value as NM (see ParseNumber). The error is ErrNumber.
func (v Value) Number() (string, error) {
	if v.part.depth < AtComponent {
		v = v.Comp(1)
	}
	return ParseNumber(v.Text())
}
