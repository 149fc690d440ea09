package fhir

import (
	"encoding/hex"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
)

// base takes the place of the address of a server, which can name the hospital.
const base = "https://example.invalid/fhir/"

// reference rewrites what names a resource: an id, a literal reference in any of its forms
// (FHIR R4 §2.3.0.1), a full URL, the address of a request. pseudonym returns the new id for
// the type and id of a resource. What cannot be read, such as conditional references, which
// hold identifiers, becomes "".
func (w *walk) reference(c *Call, pseudonym func(kind, id string) string) string {
	text := c.Text
	if c.Element.Primitive == "id" || c.Element.Name == "id" {
		if w.here().contained {
			return pseudonym("#", text)
		}
		return pseudonym(c.OwnerType.Name, text)
	}
	if local, ok := strings.CutPrefix(text, "#"); ok {
		if local == "" {
			return text // the container itself
		}
		return "#" + pseudonym("#", local)
	}
	if out, ok := c.w.links[text]; ok {
		return out
	}
	out := rewrite(text, c.w.people.home, pseudonym)
	if c.w.links == nil {
		c.w.links = map[string]string{}
	}
	if len(c.w.links) < maxLinks {
		c.w.links[text] = out
	}
	return out
}

// maxLinks bounds the references that a walk remembers.
const maxLinks = 4096

func rewrite(text, home string, pseudonym func(kind, id string) string) string {
	lower := strings.ToLower(text)
	if id, ok := strings.CutPrefix(lower, "urn:uuid:"); ok {
		return "urn:uuid:" + asUUID(pseudonym("urn", id))
	}
	if id, ok := strings.CutPrefix(lower, "urn:oid:"); ok {
		return "urn:uuid:" + asUUID(pseudonym("urn", id))
	}
	if _, ok := schema.FindResource(text); ok {
		return text // POST Patient
	}
	kind, id, ok := fhir.SplitReference(text)
	if !ok {
		return ""
	}
	if server := baseOf(text); server != "" && home != "" && server != home {
		id += "@" + server
	}
	out := kind + "/" + pseudonym(kind, id)
	if strings.Contains(text, "://") {
		out = base + out
	}
	return out
}

// isUUID reports an id in the form of a UUID (RFC 9562 §4).
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f'):
			return false
		}
	}
	return true
}

// asUUID makes a UUID of version 8 (RFC 9562 §5.8) of a pseudonym. All groups but the one with
// the version begin with a letter, so that no part of it looks like a telephone number.
func asUUID(pseudonym string) string {
	u := desensitize.PseudonymBits(pseudonym)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x1f|0xa0
	for _, first := range []int{0, 4, 10} {
		u[first] = u[first]&0x1f | 0xa0 // no group is a number
	}
	h := hex.EncodeToString(u[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// pseudonym returns the id that takes the place of one of a resource. The patient whom the
// caller names has one pseudonym in all records of the project.
func (w *walk) pseudonym(r *desensitize.Rule, kind, id string) string {
	project := w.session.Job().Project()
	name := kind + "/" + id
	p, ok := "", false
	if w.people.given != nil && name == w.people.main {
		p = project.SubjectPseudonym(w.people.given)
	} else {
		if isUUID(id) {
			name = "urn/" + strings.ToLower(id) // unique without a type: urn:uuid:x is Patient/x
		}
		if p, ok = w.ids[name]; !ok {
			p = project.Pseudonym(desensitize.Reference, name)
			if w.ids == nil {
				w.ids = map[string]string{}
			}
			if len(w.ids) < maxLinks {
				w.ids[name] = p
			}
		}
	}
	if r == nil {
		return p
	}
	if kind == "urn" {
		return p
	}
	if n := r.Length; n > 0 && n < len(p) {
		p = p[:n]
	}
	return r.Prefix + p
}

// Reference changes the id in a literal reference, a URN or the address of a request, and
// leaves the rest of it as it is: Patient/1 → Patient/x. What is none of these is changed as a
// whole.
func Reference(text string, change func(id string) string) string {
	for _, prefix := range []string{"#", "urn:uuid:", "urn:oid:"} {
		if id, ok := strings.CutPrefix(text, prefix); ok && id != "" {
			return prefix + change(id)
		}
	}
	typ, id, ok := fhir.SplitReference(text)
	if !ok {
		if _, is := schema.FindResource(text); is || text == "" {
			return text
		}
		return change(text)
	}
	at := strings.LastIndex(text, typ+"/"+id) + len(typ) + 1
	return text[:at] + change(id) + text[at+len(id):]
}
