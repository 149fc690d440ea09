package hl7

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/emrbridge/emrbridge/record"
)

// Merge is what a message says about two patients, visits or accounts being one (HL7 v2
// chapter 3, §3.6: ADT^A18, A34, A40, A41 and their like), or no longer one (A37).
type Merge struct {
	Event string // as ADT^A40
	// Subject says what is merged. Only PatientSubject changes who is who.
	Subject MergeSubject
	// Survivor names who remains: of PID-3, PID-2 and PID-4; for a visit or an account
	// also its number.
	Survivor []record.Identifier
	// Prior names who is absorbed: of MRG-1, MRG-4 and MRG-2.
	Prior []record.Identifier
	// Undo asks for an earlier merge of the two to be taken back.
	Undo bool
}

// MergeSubject says what a merge is about.
type MergeSubject string

// Subjects of a merge.
const (
	PatientSubject MergeSubject = "patient" // the persons are one: A18, A34, A36, A39, A40, A47 …
	MovedSubject   MergeSubject = "move"    // numbers go from one person to another: A43
	AccountSubject MergeSubject = "account" // accounts: A35, A41, A44, A49
	VisitSubject   MergeSubject = "visit"   // visits: A42, A45, A50, A51
)

// MergeKey is the name in record.Record.Metadata under which the mapping leaves the merge
// of patients that a message asks for, in the form of Merge.Encode. A message that asks
// for several has the others under MergeKey.2, MergeKey.3 and so on. Merges of other
// subjects stand under MergeKey and their subject, as "merge.account".
const MergeKey = "merge"

// maxMerge bounds the text form of a merge, in bytes.
const maxMerge = 16 << 10

// ErrMerge reports text that is not an encoded merge.
var ErrMerge = errors.New("hl7: not an encoded merge")

// mergeText is the text form of a Merge, whose names are agreed with its readers.
type mergeText struct {
	Event    string       `json:"event"`
	Subject  MergeSubject `json:"subject"`
	Survivor []numberText `json:"survivor"`
	Prior    []numberText `json:"prior"`
	Undo     bool         `json:"undo,omitempty"`
}

type numberText struct {
	Authority string                `json:"authority,omitempty"`
	Type      record.IdentifierType `json:"type"`
	Value     string                `json:"value"`
}

// Encode returns the merge as JSON:
//
//	{"event":"ADT^A40","subject":"patient","survivor":[{"authority":…,"type":…,"value":…}],"prior":[…],"undo":true}
func (m Merge) Encode() string {
	text := mergeText{Event: m.Event, Subject: m.Subject, Undo: m.Undo,
		Survivor: make([]numberText, len(m.Survivor)), Prior: make([]numberText, len(m.Prior))}
	for i, id := range m.Survivor {
		text.Survivor[i] = numberText(id)
	}
	for i, id := range m.Prior {
		text.Prior[i] = numberText(id)
	}
	b, err := json.Marshal(text)
	if err != nil { // strings and a bool cannot fail
		return ""
	}
	return string(b)
}

// ParseMerge reads what Encode wrote. Errors match ErrMerge and hold no values.
func ParseMerge(s string) (Merge, error) {
	if len(s) > maxMerge {
		return Merge{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrMerge, len(s), maxMerge)
	}
	var text mergeText
	if err := json.Unmarshal([]byte(s), &text); err != nil {
		return Merge{}, fmt.Errorf("%w: the text is no JSON of one", ErrMerge)
	}
	if text.Event == "" {
		return Merge{}, fmt.Errorf("%w: no event", ErrMerge)
	}
	m := Merge{Event: text.Event, Subject: text.Subject, Undo: text.Undo}
	for _, id := range text.Survivor {
		m.Survivor = append(m.Survivor, record.Identifier(id))
	}
	for _, id := range text.Prior {
		m.Prior = append(m.Prior, record.Identifier(id))
	}
	return m, nil
}

// LogValue implements slog.LogValuer: the numbers of patients never reach a log.
func (m Merge) LogValue() slog.Value {
	return slog.GroupValue(slog.String("event", m.Event), slog.String("subject", string(m.Subject)),
		slog.Int("survivor", len(m.Survivor)), slog.Int("prior", len(m.Prior)), slog.Bool("undo", m.Undo))
}
