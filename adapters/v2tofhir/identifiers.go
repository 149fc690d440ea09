package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// authority is an assigning authority or application (HD): a namespace, an object
// identifier or other universal id, or both.
type authority struct{ name, id, kind string }

// hd reads an HD at a depth: the parts are components of a field, or subcomponents.
func hd(part func(int) val) authority {
	return authority{name: part(1).whole(), id: part(2).whole(), kind: strings.ToUpper(part(3).whole())}
}

func (a authority) empty() bool { return a.name == "" && a.id == "" }

// uri is the address that an authority is, "" if it has only a name (data type map HD[uri]).
func (c *converter) uri(a authority) string {
	switch {
	case oidPattern.MatchString(a.id) && (a.kind == "ISO" || a.kind == ""):
		return "urn:oid:" + a.id
	case uuidPattern.MatchString(a.id) && (a.kind == "UUID" || a.kind == "GUID" || a.kind == ""):
		return "urn:uuid:" + strings.ToLower(a.id)
	case (a.kind == "URI" || a.kind == "URL") && uriPattern.MatchString(a.id):
		return a.id
	case oidPattern.MatchString(a.name):
		return "urn:oid:" + a.name
	}
	return c.o.Systems[a.name]
}

// assigner is a reference to an authority by name and number, not by resource.
func (a authority) assigner() *tree.Object {
	if a.empty() {
		return nil
	}
	o := tree.New("display", firstText(a.name, a.id))
	if a.id != "" {
		o.Set("identifier", tree.New("value", a.id))
	}
	return o
}

// identifierTypes gives the system of numbers that are the same in all of China, by the
// type code of CX.5, where the message names no system.
var identifierTypes = map[string]string{
	"HC": oidHealth, "JHC": oidHealth, "健康卡": oidHealth, "居民健康卡": oidHealth,
}

// identifier makes an Identifier of its parts, or nil without a value.
func (c *converter) identifier(value, typ string, a authority) *tree.Object {
	if value == "" {
		return nil
	}
	o := tree.New()
	if typ != "" {
		o.Set("type", identifierType(typ))
	}
	system := c.uri(a)
	if id, ok := hl7.NormalResidentID(value); ok && system == "" && residentType(typ) {
		system, value = oidResident, id
	}
	if system == "" {
		system = identifierTypes[strings.ToUpper(typ)]
	}
	o.Set("system", system).Set("value", value)
	if system == "" || a.name != "" {
		o.Set("assigner", a.assigner())
	}
	return o
}

// residentType reports the type codes under which Chinese systems send resident ids.
func residentType(typ string) bool {
	switch strings.ToUpper(typ) {
	case "", "NI", "NN", "NNCHN", "NNCN", "SS", "PRC", "ID", "IDCARD", "SFZ", "SFZH", "身份证", "居民身份证", "01":
		return true
	}
	return false
}

// identifierType makes the type of an identifier: a code of HL7 table 0203, or a text.
func identifierType(typ string) *tree.Object {
	if strings.IndexFunc(typ, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) >= 0 {
		return tree.New("text", typ)
	}
	return tree.Concept(hl7Table+"0203", typ, "")
}

// cx reads a CX (data type map CX[Identifier]). fallback is the type where CX.5 is empty.
func (c *converter) cx(v val, fallback string) *tree.Object {
	if !v.has() {
		return nil
	}
	value := v.c(1).whole()
	a := hd(v.c(4).s)
	o := c.identifier(value, firstText(v.c(5).whole(), fallback), a)
	if o == nil {
		return nil
	}
	if digit := v.c(2).whole(); digit != "" {
		o.Add("extension", tree.Extension("http://hl7.org/fhir/StructureDefinition/identifier-checkDigit", "valueString", digit))
	}
	o.Set("period", c.period(v.c(7), v.c(8)))
	return o
}

// cxs adds the repetitions of a field to an object's identifiers.
func (c *converter) cxs(o *tree.Object, v val, fallback string) {
	for _, r := range v.reps() {
		o.Add("identifier", c.cx(r, fallback))
	}
}

// ei reads an EI (data type map EI[Identifier]) whose parts are at a depth.
func (c *converter) ei(part func(int) val, typ string) *tree.Object {
	value := part(1).whole()
	if value == "" {
		return nil
	}
	return c.identifier(value, typ, hd(func(n int) val { return part(n + 1) }))
}
