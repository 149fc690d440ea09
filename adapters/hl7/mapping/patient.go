package mapping

import (
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// parts returns the first components of a repetition, taken apart in one pass.
func parts(v hl7.Value) (p [5]hl7.Value) {
	n := 0
	for c := v.Cursor(); n < len(p) && c.Next(); n++ {
		p[n] = c.Value()
	}
	return p
}

// patientNumber is one number of a patient with where it stood.
type patientNumber struct {
	record.Identifier
	path    string
	invalid bool // declared a resident id, but its form or check digit is wrong
}

// maxIdentifiers bounds the numbers that are read from one message.
const maxIdentifiers = 32

// short returns text without blanks around it, "" if it is too long for a number.
func short(v hl7.Value) string {
	s := strings.TrimSpace(v.Text())
	if len(s) > maxValue {
		return ""
	}
	return s
}

// patient reads the numbers of one patient. at gives the place of a field of the document:
// of the first patient, or of one of several.
func (g *reading) patient(at func(*field) hl7.Value) []patientNumber {
	var out []patientNumber
	for i := range g.p.fields {
		f := &g.p.fields[i]
		if v := at(f); !v.IsEmpty() && g.holds(f.when) {
			out = g.numbers(out, v, f, f.name)
		}
	}
	return out
}

// fieldOfFirst returns the place of a field in the first segment of its name.
func (g *reading) fieldOfFirst(f *field) hl7.Value { return g.fieldOf(&f.path, f.segment) }

// numbers appends the numbers of one field that are not there yet.
func (g *reading) numbers(out []patientNumber, v hl7.Value, f *field, path string) []patientNumber {
	first := f.path == g.p.fields[0].path
	looked := 0
	for c := v.Cursor(); c.Next() && looked < maxIdentifiers; looked++ {
		n := g.number(c.Value(), f, path)
		if n.Value == "" || len(out) >= maxIdentifiers || known(out, n, first) {
			continue
		}
		out = append(out, n)
	}
	return out
}

// known reports whether a number is there already. A later field that repeats a value of
// an earlier one says nothing new, whatever type it gives it.
func known(have []patientNumber, n patientNumber, first bool) bool {
	for _, h := range have {
		if h.Value == n.Value && (h.Identifier == n.Identifier || !first) {
			return true
		}
	}
	return false
}

// number reads one CX: value, assigning authority, type (HL7 v2 chapter 2A, §2A.14). A
// number that is declared a resident id but is none becomes another number: a wrong
// identity is worse than a missing one.
func (g *reading) number(cx hl7.Value, f *field, path string) patientNumber {
	n := patientNumber{path: path}
	p := parts(cx)
	n.Value = short(p[0].Sub(1))
	if n.Value == "" {
		return n
	}
	authority := p[3]
	namespace, universal := short(authority.Sub(1)), short(authority.Sub(2))
	n.Authority = namespace
	if namespace == "" {
		n.Authority = universal
	}
	n.Type = f.Type
	if n.Type == "" {
		n.Type = g.typeOf(short(p[4]), namespace, universal, f, path)
	}
	id, valid := "", false
	if n.Type == record.ResidentID || f.Detect {
		id, valid = hl7.NormalResidentID(n.Value)
	}
	switch {
	case valid:
		n.Type, n.Value = record.ResidentID, id
	case n.Type == record.ResidentID:
		n.Type, n.invalid = record.OtherID, true
	}
	return n
}

// typeOf finds the type of a number: by authority and code, by authority, by code.
func (g *reading) typeOf(code, namespace, universal string, f *field, path string) record.IdentifierType {
	for _, authority := range [2]string{namespace, universal} {
		if authority == "" {
			continue
		}
		if len(g.p.byBoth) > 0 && code != "" {
			if t, ok := g.p.byBoth[authority+"^"+code]; ok {
				return t
			}
		}
		if t, ok := g.p.authorities[authority]; ok {
			return t
		}
	}
	if code == "" {
		if f.Untyped != "" {
			return f.Untyped
		}
		return record.OtherID
	}
	t, ok := g.p.types[code]
	if !ok {
		t, ok = g.p.types[upper(code)]
	}
	if !ok {
		g.report("identifiers.types", path, code)
		return record.OtherID
	}
	return t
}

// personName reads an XPN field. Of several names the first with Chinese characters is
// taken, since registration and identity papers carry that one.
func personName(field hl7.Value) string {
	name := ""
	looked := 0
	for c := field.Cursor(); c.Next() && looked < maxEvery; looked++ {
		p := parts(c.Value())
		n := joinName(p[0].Sub(1).Text(), p[1].Text(), p[2].Text())
		if name == "" || hasHan(n) && !hasHan(name) {
			name = n
		}
	}
	return name
}

// staffName reads an XCN, CN or NDL value: number and name, or what there is of them.
func staffName(v hl7.Value) string {
	if v.IsEmpty() {
		return ""
	}
	p := parts(v.Rep(1))
	id, family, given, middle := p[0], p[1].Sub(1), p[2], p[3]
	if !id.Sub(2).IsEmpty() { // NDL: the person is in subcomponents
		id, family, given, middle = id.Sub(1), id.Sub(2), id.Sub(3), id.Sub(4)
	}
	name := joinName(family.Text(), given.Text(), middle.Text())
	number := strings.TrimSpace(id.Sub(1).Text())
	return strings.TrimSpace(number + " " + name)
}

// joinName writes a Chinese name without blanks, family first; any other with blanks,
// family last.
func joinName(family, given, middle string) string {
	family, given, middle = strings.TrimSpace(family), strings.TrimSpace(given), strings.TrimSpace(middle)
	if hasHan(family) || hasHan(given) {
		return family + given + middle
	}
	return strings.Join(strings.Fields(given+" "+middle+" "+family), " ")
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x2e80 && unicode.Is(unicode.Han, r) })
}
