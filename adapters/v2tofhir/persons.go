package v2tofhir

import (
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// xpn reads an XPN (data type map XPN[HumanName]). at is the number of the component that
// holds the family name: 1 in XPN, 2 in XCN and CNN.
func (c *converter) xpn(v val, at int) *tree.Object {
	o := tree.New()
	family := v.c(at)
	own, surname := family.s(3).whole(), family.s(1).whole()
	if own != "" && surname == "" {
		surname = own
	}
	given, middle := v.c(at+1).whole(), v.c(at+2).whole()
	suffix, prefix, degree := v.c(at+3).whole(), v.c(at+4).whole(), v.c(at+5).whole()
	text := display(prefix, surname, given, middle, suffix)
	o.Set("text", text)
	o.Set("family", surname)
	o.Add("given", given)
	for name := range strings.FieldsSeq(middle) {
		o.Add("given", name)
	}
	o.Add("prefix", prefix).Add("suffix", suffix, degree)
	if text == "" && degree == "" {
		return nil
	}
	return o
}

// display writes a name as people do: Han names without a blank, family name first; others
// given name first.
func display(prefix, family, given, middle, suffix string) string {
	if han(family) || (family == "" && han(given)) {
		return family + given + middle
	}
	var parts []string
	for _, p := range []string{prefix, given, middle, family, suffix} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " ")
}

func han(s string) bool {
	for _, r := range s {
		return unicode.Is(unicode.Han, r)
	}
	return false
}

// humanName reads one repetition of an XPN field with its use and period.
func (c *converter) humanName(v val, use string) *tree.Object {
	o := c.xpn(v, 1)
	if o == nil {
		return nil
	}
	if mapped := pick(v.c(7), nameUses); mapped != "" {
		use = mapped
	}
	o.Set("use", use)
	p := c.period(v.c(12), v.c(13))
	if p.IsEmpty() && v.c(10).has() {
		p = c.period(v.c(10).s(1), v.c(10).s(2))
	}
	return o.Set("period", p)
}

// humanNames adds the repetitions of an XPN field to an object's names.
func (c *converter) humanNames(o *tree.Object, v val, use string) {
	for _, r := range v.reps() {
		o.Add("name", c.humanName(r, use))
	}
}

// xad reads an XAD or AD (data type map XAD[Address]).
func (c *converter) xad(v val) *tree.Object {
	if !v.has() {
		return nil
	}
	o := tree.New()
	street := v.c(1)
	line := street.s(1).whole()
	lines := []any{line}
	for _, part := range []string{street.s(2).whole(), street.s(3).whole(), v.c(2).whole(), v.c(19).whole()} {
		if !says(line, part) {
			lines = append(lines, part)
		}
	}
	kind := v.c(7)
	o.Set("use", pick(kind, addressUses))
	o.Set("type", pick(kind, addressTypes))
	o.Add("line", lines...)
	o.Set("city", v.c(3).whole())
	o.Set("district", v.c(9).whole())
	o.Set("state", v.c(4).whole())
	o.Set("postalCode", v.c(5).whole())
	o.Set("country", v.c(6).whole())
	if tract := v.c(10).whole(); tract != "" {
		o.Add("extension", tree.Extension("http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-censusTract", "valueString", tract))
	}
	p := c.period(v.c(13), v.c(14))
	if p.IsEmpty() {
		p = c.period(v.c(12).s(1), v.c(12).s(2))
	}
	if han(line + o.Text("city") + o.Text("state")) {
		o.Set("text", o.Text("state")+o.Text("city")+o.Text("district")+strings.Join(texts(o.Get("line")), ""))
	}
	return o.Set("period", p)
}

// says reports whether a line holds a part of it already, as a word or as a long enough run.
func says(line, part string) bool {
	return part == "" || strings.Contains(" "+line+" ", " "+part+" ") || (len(part) >= 4 && strings.Contains(line, part))
}

// texts returns the strings of a list.
func texts(list any) []string {
	all, _ := list.([]any)
	var out []string
	for _, v := range all {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (c *converter) xads(o *tree.Object, v val) {
	for _, r := range v.reps() {
		o.Add("address", c.xad(r))
	}
}

// xtn reads an XTN (data type map XTN[ContactPoint]). use is that of the field.
func (c *converter) xtn(v val, use string) *tree.Object {
	if !v.has() {
		return nil
	}
	o := tree.New()
	kind := v.c(3)
	system := pick(kind, telecomKinds)
	mail := v.c(4).whole()
	if mapped := pick(v.c(2), telecomUses); mapped != "" {
		use = mapped
	}
	if strings.EqualFold(kind.peek(), "CP") {
		use = "mobile"
	}
	number := firstText(v.c(12).whole(), phone(v), v.c(1).whole())
	switch {
	case mail != "" && (system == "email" || system == "" || number == ""):
		o.Set("system", firstText(system, "email")).Set("value", mail)
	case strings.Contains(number, "@"):
		o.Set("system", "email").Set("value", number)
	case number != "":
		o.Set("system", firstText(system, "phone")).Set("value", number)
	default:
		return nil
	}
	o.Set("use", use)
	if rank, ok := integer(v.c(18), 1, 1<<20); ok {
		o.Set("rank", rank)
	}
	p := c.period(v.c(13), v.c(14))
	return o.Set("period", p)
}

// phone puts a number together from country, area, local number and extension.
func phone(v val) string {
	country, area, local, ext := v.c(5).whole(), v.c(6).whole(), v.c(7).whole(), v.c(8).whole()
	if local == "" {
		return ""
	}
	var parts []string
	if country != "" {
		parts = append(parts, "+"+strings.TrimPrefix(country, "+"))
	}
	for _, p := range []string{area, local} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	s := strings.Join(parts, " ")
	if ext != "" {
		s += " ext. " + ext
	}
	return s
}

func (c *converter) xtns(o *tree.Object, v val, use string) {
	for _, r := range v.reps() {
		o.Add("telecom", c.xtn(r, use))
	}
}

// practitioner returns the Practitioner of an XCN, or of a CNN in the subcomponents of a
// component (data type maps XCN[Practitioner], CNN[Practitioner]); nil for an empty value.
func (c *converter) practitioner(v val) *tree.Resource {
	if !v.has() {
		return nil
	}
	id, name := v.c(1).whole(), c.xpn(v, 2)
	if id == "" && name == nil {
		return nil
	}
	a := hd(v.c(9).s)
	typ, use, valid := v.c(13).whole(), pick(v.c(10), nameUses), c.period(v.c(19), v.c(20))
	if valid.IsEmpty() {
		valid = c.period(v.c(17).s(1), v.c(17).s(2))
	}
	return c.once("Practitioner", "XCN\x00"+id+"\x00"+name.Text("text")+"\x00"+a.name+"\x00"+a.id+"\x00"+typ, func(r *tree.Resource) {
		r.Add("identifier", c.identifier(id, typ, a))
		if name != nil {
			name.Set("use", use).Set("period", valid)
			r.Add("name", name)
		}
	})
}

// practitionerIn returns the Practitioner of a CNN, whose parts are subcomponents.
func (c *converter) practitionerIn(v val) *tree.Resource {
	id, family, given, middle := v.s(1).whole(), v.s(2).whole(), v.s(3).whole(), v.s(4).whole()
	text := display("", family, given, middle, "")
	if id == "" && text == "" {
		return nil
	}
	a := authority{name: v.s(9).whole(), id: v.s(10).whole(), kind: v.s(11).whole()}
	return c.once("Practitioner", "XCN\x00"+id+"\x00"+text+"\x00"+a.name+"\x00"+a.id+"\x00", func(r *tree.Resource) {
		r.Add("identifier", c.identifier(id, "", a))
		r.Add("name", tree.New("text", text, "family", family, "given", []any{given, middle}))
	})
}

// practitioners adds references to the people of a field to a list; wrap may be nil.
func (c *converter) practitioners(o *tree.Object, name string, v val, wrap func(*tree.Object) *tree.Object) {
	for _, r := range v.reps() {
		p := c.practitioner(r)
		if p == nil {
			continue
		}
		if wrap == nil {
			o.Add(name, p.Ref())
			continue
		}
		o.Add(name, wrap(p.Ref()))
	}
}
