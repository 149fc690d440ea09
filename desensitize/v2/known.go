package v2

import (
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
)

// source is a field that says something about the people of a message.
type source struct {
	field int
	node  *node
}

// sourcesOf lists the fields of a segment from which knowledge is taken.
func sourcesOf(s *plan) []source {
	var out []source
	for i, n := range s.fields {
		switch n.typ {
		case "XPN", "XCN", "CX", "XAD", "XTN", "XON", "HD", "EI", "EIP", "NDL", "DLN", "PLN":
			out = append(out, source{i + 1, n})
		default:
			if identifies(n.meaning) {
				out = append(out, source{i + 1, n})
			}
		}
	}
	return out
}

// identifies reports whether values of a type name somebody.
func identifies(t desensitize.Type) bool {
	switch t {
	case "", desensitize.Text, desensitize.Coded, desensitize.Quantity, desensitize.Date, desensitize.Diagnosis,
		desensitize.Other, desensitize.Attachment, desensitize.Device, desensitize.Ward, desensitize.Bed, desensitize.Age, desensitize.Postcode:
		return false
	}
	return true
}

// collect puts what the fields of a message say about its people into the session.
func (r *run) collect(m *hl7.Message) {
	for _, s := range m.Segments() {
		raw := s.Raw()
		if len(raw) < 4 {
			continue
		}
		p := r.w.planner.plan(raw[:3])
		if p.name == "PID" {
			r.subjectOf(s)
		}
		if len(p.sources) > 0 {
			r.learnSegment(p, s)
		}
	}
}

// learnSegment goes through the fields of a segment that say something.
func (r *run) learnSegment(p *plan, s hl7.Segment) {
	sources := p.sources
	for c := s.Cursor(); len(sources) > 0 && c.Next(); {
		if c.Number() != sources[0].field {
			continue
		}
		v, n := c.Value(), sources[0].node
		sources = sources[1:]
		for rep := v.Cursor(); !v.IsEmpty() && rep.Next(); {
			if value := rep.Value(); !value.IsEmpty() {
				r.learn(n, value)
			}
		}
	}
}

// subjectOf names the patient by the resident identity number, else by the first number.
func (r *run) subjectOf(s hl7.Segment) {
	for _, v := range s.Field(3).Reps() {
		if t := v.Comp(5).Text(); t == "NNCHN" || t == "NI" {
			r.session.SetLocalSubject(v.Comp(1).Text())
		}
	}
	r.session.SetLocalSubject(s.Field(3).Comp(1).Text())
	r.session.SetLocalSubject(s.Field(2).Comp(1).Text())
}

// Shorter values are not put into Known: they would take ordinary words out of texts.
const (
	minNumber = 4 // characters of a number
	minPlace  = 4 // bytes of the name of an institution
)

// learn takes what one repetition says.
func (r *run) learn(n *node, v hl7.Value) {
	if f, ok := learners[n.typ]; ok {
		f(r, n, v)
		return
	}
	text := v.Comp(1).Text()
	switch n.meaning {
	case desensitize.BirthDate:
		r.session.Known().Add(n.meaning, text[:min(8, len(text))])
	case desensitize.Name:
		r.learnName(n, hl7.Person{Family: text})
	case desensitize.Address, desensitize.Employer, desensitize.Hospital, desensitize.Email:
		if len(text) >= minPlace {
			r.session.Known().Add(n.meaning, text)
		}
	default:
		r.learnNumber(n.meaning, text)
	}
}

// learners read the composite data types.
var learners = map[string]func(r *run, n *node, v hl7.Value){
	"XPN": func(r *run, n *node, v hl7.Value) { r.learnName(n, clean(v.XPN())) },
	"XCN": func(r *run, n *node, v hl7.Value) {
		p := v.XCN()
		r.learnName(n, clean(p))
		r.learnNumber(desensitize.OtherID, p.ID)
	},
	"NDL": func(r *run, n *node, v hl7.Value) {
		c := v.Comp(1)
		r.learnName(n, hl7.Person{Family: c.Sub(2).Text(), Given: c.Sub(3).Text()})
	},
	"CX": func(r *run, n *node, v hl7.Value) {
		t := n.meaning
		if by, ok := identifierCodes[v.Comp(5).Text()]; ok {
			t = by
		}
		r.learnNumber(t, v.Comp(1).Text())
	},
	"EI": learnEntity, "EIP": learnEntity, "DLN": learnEntity, "PLN": learnEntity,
	"XAD": func(r *run, n *node, v hl7.Value) {
		if n.whose != staff {
			r.learnAddress(v)
		}
	},
	"XTN": func(r *run, _ *node, v hl7.Value) { r.learnPhone(v) },
	"XON": func(r *run, n *node, v hl7.Value) {
		if name := v.Comp(1).Text(); len(name) >= minPlace {
			r.session.Known().Add(n.meaning, name)
		}
	},
	"HD": func(r *run, n *node, v hl7.Value) { // short ASCII ones are names of programs
		if name := v.Comp(1).Text(); len(name) >= minPlace && utf8.RuneCountInString(name) < len(name) {
			r.session.Known().Add(n.meaning, name)
		}
	},
}

func learnEntity(r *run, n *node, v hl7.Value) {
	r.learnNumber(n.meaning, v.Comp(1).Sub(1).Text())
	if n.typ == "EIP" {
		r.learnNumber(n.meaning, v.Comp(2).Sub(1).Text())
	}
}

// clean leaves titles out of a name.
func clean(p hl7.Person) hl7.Person {
	p.Prefix, p.Suffix, p.Degree = "", "", ""
	return p
}

func (r *run) learnName(n *node, p hl7.Person) {
	name := strings.TrimSpace(p.FullName())
	if utf8.RuneCountInString(name) < 2 {
		return
	}
	known := r.session.Known()
	switch n.whose {
	case patient:
		known.Add(desensitize.Name, name)
	case relative:
		known.AddRelative(name)
	default:
		known.AddStaff(name)
	}
}

func (r *run) learnNumber(t desensitize.Type, number string) {
	if len(number) >= minNumber {
		r.session.Known().Add(t, number)
	}
}

func (r *run) learnPhone(v hl7.Value) {
	known := r.session.Known()
	if mail := v.Comp(4).Text(); mail != "" {
		known.Add(desensitize.Email, mail)
	}
	number := v.Comp(12).Text()
	if number == "" {
		number = v.Comp(1).Text()
	}
	if number == "" {
		number = v.Comp(6).Text() + v.Comp(7).Text()
	}
	if len(number) > minNumber {
		known.Add(desensitize.Phone, number)
	}
}

func (r *run) learnAddress(v hl7.Value) {
	var parts [9]string
	for i := range parts {
		c := v.Comp(i + 1)
		if parts[i] = c.Sub(1).Text(); i == 0 && parts[i] == "" {
			parts[i] = c.Sub(2).Text() + c.Sub(3).Text()
		}
	}
	if full := joinAddress([]string{parts[0], parts[1], parts[2], parts[3], parts[7], parts[8]}); len(full) > 2*minPlace {
		r.session.Known().Add(desensitize.Address, full)
	}
	if len(parts[0]) > 2*minPlace {
		r.session.Known().Add(desensitize.Address, parts[0])
	}
}
