package mapping

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/record"
)

// Difference is a fact that two records of the same message do not share. Its values are
// patient data.
type Difference struct {
	Fact string `json:"fact"` // time, patient.name, metadata.department …
	A    string `json:"a"`
	B    string `json:"b"`
}

// LogValue implements slog.LogValuer: only the name of the fact may be logged.
func (d Difference) LogValue() slog.Value { return slog.StringValue("[" + d.Fact + "]") }

// Compare lists the facts in which the envelopes of two records differ, in a fixed order.
// The mapping version is not one of them.
func Compare(a, b *record.Record) []Difference {
	var out []Difference
	add := func(fact, x, y string) {
		if x != y {
			out = append(out, Difference{fact, x, y})
		}
	}
	add("kind", a.Kind, b.Kind)
	add("time", timeText(a.EventTime), timeText(b.EventTime))
	add("author", a.Author, b.Author)
	add("encounter", a.Encounter, b.Encounter)
	add("version", a.Version, b.Version)
	add("replaces", a.Replaces, b.Replaces)
	add("confidentiality", string(a.Confidentiality), string(b.Confidentiality))
	add("charset", a.Charset, b.Charset)
	add("patient.name", a.Patient.Name, b.Patient.Name)
	add("patient.birth-date", a.Patient.BirthDate, b.Patient.BirthDate)
	add("patient.gender", a.Patient.Gender, b.Patient.Gender)
	add("patient.identifiers", IdentifierText(a.Patient.Identifiers), IdentifierText(b.Patient.Identifiers))
	all := maps.Clone(b.Metadata)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, a.Metadata)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		add("metadata."+name, a.Metadata[name], b.Metadata[name])
	}
	return out
}

func timeText(t record.Time) string {
	if t.ZoneAssumed {
		return t.String() + " (zone assumed)"
	}
	return t.String()
}

// IdentifierText writes numbers for people, in their order: type=value@authority.
func IdentifierText(ids []record.Identifier) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id.Type) + "=" + id.Value
		if id.Authority != "" {
			out[i] += "@" + id.Authority
		}
	}
	return strings.Join(out, ", ")
}
