package hl7

import (
	"strconv"
	"strings"
)

// form is what the text of a field must look like.
type form uint8

const (
	formTime    form = iota + 1 // TS, DTM, DT
	formClock                   // TM
	formNumber                  // NM
	formOrdinal                 // SI
)

type formRule struct {
	field int
	form  form
}

// formRules are the form of the first component of a field. Sources: the attribute
// tables of HL7 v2.5.1 chapters 2 to 10; all of these are the same in every version
// that has the field.
var formRules = map[string][]formRule{
	"MSH": {{7, formTime}},
	"EVN": {{2, formTime}, {3, formTime}},
	"PID": {{1, formOrdinal}, {7, formTime}, {25, formNumber}, {29, formTime}},
	"PV1": {{1, formOrdinal}, {25, formTime}, {26, formNumber}, {27, formNumber}, {44, formTime}, {45, formTime},
		{46, formNumber}, {47, formNumber}, {48, formNumber}, {49, formNumber}},
	"PV2": {{8, formTime}, {9, formTime}, {10, formNumber}, {11, formNumber}, {14, formTime}, {17, formTime}, {33, formTime}},
	"NK1": {{1, formOrdinal}, {8, formTime}, {9, formTime}, {16, formTime}},
	"AL1": {{6, formTime}},
	"DG1": {{1, formOrdinal}, {5, formTime}, {19, formTime}},
	"PR1": {{1, formOrdinal}, {5, formTime}, {7, formNumber}, {10, formNumber}},
	"IN1": {{1, formOrdinal}, {12, formTime}, {13, formTime}, {18, formTime}, {24, formTime}, {29, formTime}, {33, formNumber}, {34, formNumber}},
	"GT1": {{1, formOrdinal}, {8, formTime}, {13, formTime}, {14, formTime}, {15, formNumber}},
	"ORC": {{9, formTime}, {15, formTime}},
	"OBR": {{1, formOrdinal}, {6, formTime}, {7, formTime}, {8, formTime}, {14, formTime}, {22, formTime}, {36, formTime}, {37, formNumber}},
	"OBX": {{1, formOrdinal}, {12, formTime}, {14, formTime}},
	"NTE": {{1, formOrdinal}},
	"TXA": {{1, formOrdinal}, {4, formTime}, {6, formTime}, {7, formTime}, {8, formTime}},
	"FT1": {{1, formOrdinal}, {4, formTime}, {5, formTime}, {10, formNumber}},
	"RXA": {{1, formNumber}, {2, formNumber}, {3, formTime}, {4, formTime}, {16, formTime}, {22, formTime}},
	"RXD": {{1, formNumber}, {3, formTime}, {8, formNumber}},
	"AIS": {{1, formOrdinal}, {4, formTime}, {5, formNumber}, {7, formNumber}},
	"AIG": {{1, formOrdinal}, {8, formTime}, {9, formNumber}, {11, formNumber}},
	"AIL": {{1, formOrdinal}, {6, formTime}, {7, formNumber}, {9, formNumber}},
	"AIP": {{1, formOrdinal}, {6, formTime}, {7, formNumber}, {9, formNumber}},
	"SPM": {{1, formOrdinal}, {17, formTime}, {18, formTime}, {26, formNumber}},
	"MFI": {{4, formTime}, {5, formTime}},
	"MFE": {{3, formTime}},
}

// formRules25 are those that hold from v2.5 on, where the field is new or was another before.
var formRules25 = map[string][]formRule{
	"EVN": {{6, formTime}},
	"OBX": {{19, formTime}},
	"ORC": {{27, formTime}},
	"PID": {{33, formTime}},
}

// requiredFields are fields that a segment cannot do without, for the segments that carry
// the meaning of a message.
var requiredFields = map[string][]int{
	"PID": {3, 5},
	"MRG": {1},
	"MSA": {1, 2},
	"OBR": {4},
	"OBX": {3},
	"PV1": {2},
	"TXA": {2},
	"QPD": {1},
	"QAK": {2},
}

// checkSegment checks the fields of one segment.
func (v *validator) checkSegment(s Segment) {
	name := s.Name()
	v.count[name]++
	path := Path{Segment: name, Occurrence: v.count[name]}
	if name[0] != 'Z' && !standardSegments[name] && v.count[name] == 1 {
		v.report(Warning, CodeSegmentSequence, name, s.Offset(), "not a segment of the standard; local ones begin with Z")
	}
	if len(s.Raw()) == 3 {
		v.report(Warning, CodeSegmentSequence, segmentPath(path), s.Offset(), "the segment has no fields")
		return
	}
	for _, field := range requiredFields[name] {
		if f := s.Field(field); f.IsEmpty() {
			path.Field = field
			offset := f.Offset()
			if offset == 0 {
				offset = s.Offset() + len(s.Raw())
			}
			v.report(Warning, CodeRequiredFieldMissing, path.String(), offset, "the field is required")
		}
	}
	for _, rule := range formRules[name] {
		path.Field = rule.field
		v.checkForm(path, s.Field(rule.field), rule.form, Error)
	}
	if v.header.Version >= "2.5" {
		for _, rule := range formRules25[name] {
			path.Field = rule.field
			v.checkForm(path, s.Field(rule.field), rule.form, Error)
		}
	}
	if name == "OBX" {
		v.checkObservation(path, s)
	}
}

// segmentPath writes the path of a whole segment.
func segmentPath(p Path) string {
	if p.Occurrence > 1 {
		return p.Segment + "[" + strconv.Itoa(p.Occurrence) + "]"
	}
	return p.Segment
}

// checkForm checks the first component of every repetition. A wrong sequence number does no
// harm.
func (v *validator) checkForm(path Path, field Value, f form, sev Severity) {
	if f == formOrdinal {
		sev = Warning
	}
	for c := field.Cursor(); c.Next(); {
		value := c.Value().Comp(1).Sub(1)
		if value.IsEmpty() || value.IsNull() {
			continue
		}
		if problem := f.problem(value.Text()); problem != "" {
			if c.Number() > 1 {
				path.Repetition = c.Number()
			}
			v.report(sev, CodeDataType, path.String(), value.Offset(), problem)
		}
	}
}

// problem says why text does not have the form, "" if it has.
func (f form) problem(text string) string {
	switch f {
	case formTime:
		if _, err := ParseTime(text, nil); err != nil {
			return "not a date or time of the form YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+/-ZZZZ] (chapter 2A, DTM)"
		}
	case formClock:
		if !validClock(text) {
			return "not a time of day of the form HH[MM[SS[.S…]]][+/-ZZZZ] (chapter 2A, TM)"
		}
	case formNumber:
		if _, err := ParseNumber(text); err != nil {
			return "not a number: digits with an optional sign and decimal point (chapter 2A, NM)"
		}
	case formOrdinal:
		if text = strings.TrimSpace(text); text == "" || !allDigits(text) {
			return "not a sequence number: digits only (chapter 2A, SI)"
		}
	}
	return ""
}

// observationForms are the forms of OBX-5 by OBX-2 that can be checked.
var observationForms = map[string]form{"NM": formNumber, "DT": formTime, "TS": formTime, "DTM": formTime, "TM": formClock, "SI": formOrdinal}

// valueTypes are the data types that OBX-2 may name (tables 0125 and 0440).
var valueTypes = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`AD CE CF CK CN CNE CP CQ CWE CX DLN DR DT DTM ED EI ERL FC FN FT HD ID IS JCC MA
		MO NA NDL NM NR PL PN PPN PT RI RP SAD SI SN SNM SPS ST TM TN TQ TS TX VH VID XAD XCN XON XPN XTN`) {
		set[name] = true
	}
	return set
}()

// checkObservation checks OBX-5 by OBX-2. A value that is not of its type, such as <15 in an
// NM, is kept as text, so that it is a warning. Without OBX-2 the type is not known: from
// v2.4 on that is an error (chapter 7, OBX-2: conditional on OBX-11).
func (v *validator) checkObservation(path Path, s Segment) {
	kind, value := s.Field(2), s.Field(5)
	if !value.IsEmpty() && kind.IsEmpty() {
		path.Field = 2
		offset := kind.Offset()
		if offset == 0 {
			offset = s.Offset() + len(s.Raw())
		}
		v.report(v.since("2.4", Error, Warning), CodeRequiredFieldMissing, path.String(), offset,
			"the value type is required where OBX-5 has a value (chapter 7, OBX-2)")
		return
	}
	if code := kind.Text(); code != "" && code[0] != 'Z' && !valueTypes[code] {
		path.Field = 2
		v.report(v.since("2.4", Error, Warning), CodeTableValue, path.String(), kind.Offset(),
			"not a value type (table 0125), so that OBX-5 cannot be read")
	}
	path.Field = 5
	if f, ok := observationForms[kind.Text()]; ok {
		v.checkForm(path, value, f, Warning)
	}
	if kind.Text() == "ED" && !value.IsEmpty() && !value.IsNull() && value.Comp(5).IsEmpty() {
		v.report(Warning, CodeDataType, path.String(), value.Offset(), "encapsulated data without data: ED.5 is empty")
	}
}
