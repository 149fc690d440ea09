package v2tofhir

import (
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// organization returns the Organization of an XON (data type map XON[Organization]).
func (c *converter) organization(v val) *tree.Resource {
	if !v.has() {
		return nil
	}
	name, number := v.c(1).whole(), firstText(v.c(10).whole(), v.c(3).whole())
	if name == "" && number == "" {
		return nil
	}
	a := hd(v.c(6).s)
	typ := v.c(7).whole()
	return c.organizationOf(name, c.identifier(number, typ, a), number)
}

// organizationOf returns the Organization of a name and an identifier.
func (c *converter) organizationOf(name string, id *tree.Object, number string) *tree.Resource {
	if name == "" && id == nil {
		return nil
	}
	return c.once("Organization", name+"\x00"+number, func(r *tree.Resource) {
		r.Add("identifier", id)
		r.Set("name", name)
	})
}

// facilityOf returns the Organization that an HD names (data type map HD[Organization]).
func (c *converter) facilityOf(a authority) *tree.Resource {
	if a.empty() {
		return nil
	}
	return c.once("Organization", "HD\x00"+a.name+"\x00"+a.id, func(r *tree.Resource) {
		if uri := c.uri(authority{id: a.id, kind: a.kind}); uri != "" {
			r.Add("identifier", tree.New("system", "urn:ietf:rfc:3986", "value", uri))
		} else if a.id != "" {
			r.Add("identifier", tree.New("value", a.id))
		}
		r.Set("name", firstText(a.name, a.id))
	})
}

// namedOrganization returns the Organization of a CWE (data type map CWE[Organization]).
func (c *converter) namedOrganization(v val) *tree.Resource {
	if !v.has() {
		return nil
	}
	code, text := v.c(1).whole(), v.c(2).whole()
	system := c.codeSystem(v.c(3).peek(), "")
	if system != "" {
		v.c(3).done()
	}
	var id *tree.Object
	if code != "" && (text != "" || system != "") {
		id = tree.New("system", system, "value", code)
	}
	return c.organizationOf(firstText(text, code), id, code)
}

// levels are the parts of a PL from the outermost, with the codes of
// http://terminology.hl7.org/CodeSystem/location-physical-type.
var levels = []struct {
	component int
	code      string
	display   string
}{{4, "si", "Site"}, {7, "bu", "Building"}, {8, "lvl", "Level"}, {1, "wa", "Ward"}, {2, "ro", "Room"}, {3, "bd", "Bed"}}

// location returns the most granular Location of a PL; the others follow by partOf (data
// type map PL[Location]).
func (c *converter) location(v val) *tree.Resource {
	if !v.has() {
		return nil
	}
	var inner *tree.Resource
	path := "PL"
	for _, l := range levels {
		a := hd(v.c(l.component).s)
		name := firstText(a.name, a.id)
		if name == "" {
			continue
		}
		path += "\x00" + l.code + "\x00" + a.name + "\x00" + a.id
		outer, level := inner, l
		inner = c.once("Location", path, func(r *tree.Resource) {
			if uri := c.uri(authority{id: a.id, kind: a.kind}); uri != "" {
				r.Add("identifier", tree.New("system", "urn:ietf:rfc:3986", "value", uri))
			}
			r.Set("name", name).Set("mode", "instance")
			r.Set("physicalType", tree.Concept(terminology+"location-physical-type", level.code, level.display))
			r.Set("partOf", outer.Ref())
		})
	}
	if inner == nil {
		if text := v.c(9).whole(); text != "" {
			inner = c.once("Location", "PL9\x00"+text, func(r *tree.Resource) { r.Set("name", text).Set("mode", "instance") })
		}
		return inner
	}
	if text := v.c(9).whole(); text != "" && !inner.Has("description") {
		inner.Set("description", text)
	}
	return inner
}
