package mapping

import (
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Bounds of the merges that are read from one message. What is beyond them is noted as
// unread, since a merge that was overlooked would leave records with the wrong person.
const (
	maxMerges     = 64
	maxMergeText  = 16 << 10  // bytes of one in the record
	maxMergesText = 256 << 10 // bytes of all
)

// priorFields are the fields of MRG (HL7 v2 chapter 3, §3.4.9) that stand for those of PID.
var priorFields = map[int]int{2: 4, 3: 1, 4: 2} // PID-2 ↔ MRG-4, PID-3 ↔ MRG-1, PID-4 ↔ MRG-2

// Merges returns the merges that a message asks for, none if its event is not one of
// those that the document lists. A message holds several where PID and MRG repeat.
func (m *Mapper) Merges(msg *hl7.Message) []hl7.Merge {
	g := m.begin(msg, hl7.Header{})
	defer g.end()
	return g.mergesOf(msg.Header().Kind())
}

// mergesOf reads the pairs of PID and MRG, or of two PID for events that name both patients
// so (ADT^A24, A37, and some senders' own).
func (g *reading) mergesOf(kind string) []hl7.Merge {
	subject, undo, pairs := g.p.merges[kind], g.p.undo[kind], g.p.pairs[kind]
	if subject == "" && !undo {
		return nil
	}
	if subject == "" {
		subject = hl7.PatientSubject
	}
	var out []hl7.Merge
	var pid hl7.Segment // not yet in a pair
	for i := range g.msg.NumSegments() {
		s := g.msg.Segment(i)
		name := s.Name()
		paired := pid.Raw() != nil && (name == "MRG" || name == "PID" && pairs)
		if !paired {
			if name == "PID" {
				pid = s
			}
			continue
		}
		m := g.merge(pid, s, subject)
		m.Event, m.Undo = kind, undo
		if pid = (hl7.Segment{}); len(m.Survivor) == 0 || len(m.Prior) == 0 {
			continue
		}
		if len(out) >= maxMerges {
			g.unread = append(g.unread, "MRG")
			break
		}
		out = append(out, m)
	}
	return out
}

// merge reads a pair: who remains, and an MRG or a PID that says who is absorbed.
func (g *reading) merge(pid, other hl7.Segment, subject hl7.MergeSubject) hl7.Merge {
	m := hl7.Merge{Subject: subject, Survivor: g.survivor(pid, subject)}
	if other.Name() == "PID" {
		m.Prior = g.person(other)
	} else {
		m.Prior = g.prior(other, subject)
	}
	if subject == hl7.MovedSubject {
		m.Prior = without(m.Prior, m.Survivor)
	}
	return m
}

// person returns the numbers in one PID.
func (g *reading) person(pid hl7.Segment) []record.Identifier {
	return identifiersOf(g.patient(func(f *field) hl7.Value {
		if f.path.Segment == "PID" {
			return pid.Field(f.path.Field)
		}
		return hl7.Value{}
	}))
}

// survivor returns the numbers of who or what remains.
func (g *reading) survivor(pid hl7.Segment, subject hl7.MergeSubject) []record.Identifier {
	out := g.person(pid)
	switch subject {
	case hl7.AccountSubject:
		out = g.withNumber(out, pid.Field(18))
	case hl7.VisitSubject:
		pv1, _ := g.msg.Find("PV1", 1)
		if pv1.Raw() != nil {
			out = g.withNumber(out, pv1.Field(19))
		}
	}
	return out
}

// prior returns the numbers in one MRG.
func (g *reading) prior(mrg hl7.Segment, subject hl7.MergeSubject) []record.Identifier {
	var numbers []patientNumber
	for i := range g.p.fields {
		f := &g.p.fields[i]
		if n := priorFields[f.path.Field]; n > 0 && f.path.Segment == "PID" {
			numbers = g.numbers(numbers, mrg.Field(n), f, fmt.Sprintf("MRG-%d", n))
		}
	}
	out := identifiersOf(numbers)
	switch subject {
	case hl7.AccountSubject:
		out = g.withNumber(out, mrg.Field(3))
	case hl7.VisitSubject:
		out = g.withNumber(out, mrg.Field(5))
	}
	return out
}

// withNumber adds the number of an account or a visit.
func (g *reading) withNumber(list []record.Identifier, cx hl7.Value) []record.Identifier {
	if cx.IsEmpty() {
		return list
	}
	n := g.number(cx.Rep(1), &field{Untyped: record.OtherID}, "")
	if n.Value == "" || slices.Contains(list, n.Identifier) {
		return list
	}
	return append(list, n.Identifier)
}

func identifiersOf(numbers []patientNumber) []record.Identifier {
	out := make([]record.Identifier, len(numbers))
	for i, n := range numbers {
		out[i] = n.Identifier
	}
	return out
}

// without drops from list what other has.
func without(list, other []record.Identifier) []record.Identifier {
	return slices.DeleteFunc(list, func(id record.Identifier) bool { return slices.Contains(other, id) })
}

// merges leaves the merges of a message in the record's metadata.
func (g *reading) merges() {
	if g.p.merges[g.rec.Kind] == "" && !g.p.undo[g.rec.Kind] {
		return
	}
	count, size := map[string]int{}, 0
	missed := len(g.missed) // the numbers of PID were told of already
	for _, m := range g.mergesOf(g.rec.Kind) {
		text := m.Encode()
		if size += len(text); len(text) > maxMergeText || size > maxMergesText {
			g.unread = append(g.unread, "MRG")
			continue
		}
		name := hl7.MergeKey
		if m.Subject != hl7.PatientSubject {
			name += "." + string(m.Subject)
		}
		if count[name]++; count[name] > 1 {
			name = fmt.Sprintf("%s.%d", name, count[name])
		}
		g.rec.Metadata[name] = text
	}
	g.missed = g.missed[:missed]
}
