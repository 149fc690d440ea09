package fhir

import (
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// subjectElements may name the patient of a resource, in the order in which they count.
var subjectElements = []string{"subject", "patient", "beneficiary", "for", "individual"}

// dateElements may hold when the event of a resource took place, in the order in which they
// count: the clinically relevant time before the time of writing.
var dateElements = []string{
	"effectiveDateTime", "effectivePeriod", "effectiveInstant", "performedDateTime", "performedPeriod",
	"occurrenceDateTime", "occurrencePeriod", "period", "started", "start", "servicePeriod", "billablePeriod",
	"whenHandedOver", "whenPrepared", "onsetDateTime", "onsetPeriod", "authoredOn", "authored", "dateTime", "date", "recordedDate",
	"recorded", "sent", "issued", "created", "timestamp", "lastModified",
}

// authorElements may name who answers for a resource.
var authorElements = []string{"author", "performer", "recorder", "requester", "asserter", "practitioner", "sender", "agent", "participant"}

// tokenElements are searched as tokens, by the name of the search parameter.
var tokenElements = map[string][]string{
	"identifier": {"identifier", "masterIdentifier"}, "code": {"code", "vaccineCode", "medicationCodeableConcept"},
	"status": {"status"}, "category": {"category"}, "type": {"type"}, "class": {"class"}, "gender": {"gender"},
}

// TokenParameters are the search parameters that TokensOf knows.
func TokenParameters() []string {
	out := make([]string, 0, len(tokenElements))
	for name := range tokenElements {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Token is a value that a resource can be found by.
type Token struct{ Parameter, System, Value string }

// TokensOf lists the tokens of a resource: codes, codings and identifiers.
func TokensOf(n *Node) []Token {
	var out []Token
	for parameter, elements := range tokenElements {
		for _, name := range elements {
			for _, v := range n.Get(name).List() {
				out = appendTokens(out, parameter, v)
			}
		}
	}
	return out
}

func appendTokens(out []Token, parameter string, v *Node) []Token {
	switch {
	case v.Kind == String:
		return append(out, Token{parameter, "", v.Text})
	case v.Get("coding") != nil:
		for _, c := range v.Get("coding").List() {
			out = appendTokens(out, parameter, c)
		}
	case v.Get("code").Str() != "":
		return append(out, Token{parameter, v.Get("system").Str(), v.Get("code").Str()})
	case v.Get("value").Str() != "":
		return append(out, Token{parameter, v.Get("system").Str(), v.Get("value").Str()})
	}
	return out
}

// SubjectOf returns the reference and the logical identifier of the patient of a resource.
func SubjectOf(n *Node) (reference string, identifier *Node) {
	for _, name := range subjectElements {
		for _, s := range n.Get(name).List() {
			ref := s.Get("reference").Str()
			kind, _, ok := SplitReference(ref)
			if ok && kind != "Patient" || strings.HasPrefix(ref, "#") && containedOf(n, ref).Get("resourceType").Str() != "Patient" {
				continue
			}
			if ref != "" || s.Get("identifier") != nil {
				return ref, s.Get("identifier")
			}
		}
	}
	return "", nil
}

// containedOf returns the contained resource that a local reference names.
func containedOf(n *Node, ref string) *Node {
	for _, c := range n.Get("contained").List() {
		if "#"+c.Get("id").Str() == ref {
			return c
		}
	}
	return nil
}

// EncounterOf returns the reference to the encounter of a resource.
func EncounterOf(n *Node) string {
	for _, name := range []string{"encounter", "context"} {
		for _, e := range n.Get(name).List() {
			for _, one := range append(e.Get("encounter").List(), e) { // DocumentReference.context.encounter
				if ref := one.Get("reference").Str(); ref != "" {
					return ref
				}
			}
		}
	}
	return ""
}

// authorOf names who answers for a resource: by reference, number or name.
func authorOf(n *Node) string {
	for _, name := range authorElements {
		for _, a := range n.Get(name).List() {
			for _, inner := range []*Node{a, a.Get("actor"), a.Get("who"), a.Get("individual")} {
				for _, text := range []string{inner.Get("reference").Str(), inner.At("identifier", "value").Str(), inner.Get("display").Str()} {
					if text != "" {
						return text
					}
				}
			}
		}
	}
	return ""
}

// DatesOf returns the interval in which the event of a resource took place, and the text of
// its start. ok is false where it names none. An open end is the zero time.
func DatesOf(n *Node, zone *time.Location) (from, to time.Time, text string, ok bool) {
	for _, name := range dateElements {
		v := n.Get(name)
		if v == nil {
			continue
		}
		if v.Kind == String {
			if from, to, ok = DateRangeIn(v.Text, zone); ok {
				return from, to, v.Text, true
			}
			continue
		}
		start, end := v.Get("start").Str(), v.Get("end").Str()
		var okStart, okEnd bool
		if from, _, okStart = DateRangeIn(start, zone); !okStart {
			if from, _, okStart = DateRangeIn(end, zone); !okStart {
				continue
			}
			start = end
		}
		if _, to, okEnd = DateRangeIn(end, zone); !okEnd {
			to = time.Time{}
		}
		return from, to, start, true
	}
	return from, to, "", false
}

// TimeOf turns a FHIR date or dateTime into a record time with its precision and zone.
func TimeOf(text string, zone *time.Location) record.Time {
	from, _, ok := DateRangeIn(text, zone)
	if !ok {
		return record.Time{}
	}
	switch {
	case len(text) == 4:
		return record.NewTime(from, record.Year, true)
	case len(text) == 7:
		return record.NewTime(from, record.Month, true)
	case len(text) == 10:
		return record.NewTime(from, record.Day, true)
	case len(text) > 19 && text[19] == '.':
		return record.NewTime(from, record.Millisecond, false)
	}
	return record.NewTime(from, record.Second, false)
}
