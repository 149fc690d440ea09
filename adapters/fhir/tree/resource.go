package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode"
)

// Resource is a resource with its id: an Object that begins with resourceType and id.
type Resource struct {
	*Object
	Type string
	ID   string // lowercase UUID

	raw Raw    // the resource as it stands, in place of Object
	url string // its address, where that is not made of ID
}

// Received returns a resource that came as JSON and goes into a Bundle as it stands, under
// the address url. It must be a JSON object.
func Received(typ, url string, raw Raw) *Resource {
	return &Resource{Object: New(), Type: typ, raw: raw, url: url}
}

// NewResource returns a resource of a type with an id that NameID made.
func NewResource(typ, id string) *Resource {
	return &Resource{Object: New("resourceType", typ, "id", id), Type: typ, ID: id}
}

// FullURL is the resource's address in a Bundle (FHIR R4 §2.36.4): a URN that resolves
// inside the Bundle and nowhere else.
func (r *Resource) FullURL() string {
	if r.url != "" {
		return r.url
	}
	return "urn:uuid:" + r.ID
}

// Ref returns a Reference to the resource.
func (r *Resource) Ref() *Object {
	if r == nil {
		return nil
	}
	return New("reference", r.FullURL())
}

// NameID derives the id of a resource from names: a UUID of version 8 (RFC 9562 §5.8) over
// SHA-256 of the names, so that the same source always gives the same id.
func NameID(names ...string) string {
	h := sha256.New()
	for _, n := range names {
		_, _ = h.Write([]byte{byte(len(n) >> 24), byte(len(n) >> 16), byte(len(n) >> 8), byte(len(n))})
		_, _ = h.Write([]byte(n))
	}
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	s := hex.EncodeToString(u)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Bundle is a Bundle under construction: resources in order behind members of its own.
type Bundle struct {
	*Object
	Resources []*Resource
}

// NewBundle returns an empty Bundle of a type such as message or document.
func NewBundle(id, typ string) *Bundle {
	return &Bundle{Object: New("resourceType", "Bundle", "id", id, "identifier", nil, "type", typ)}
}

// Append adds resources to the Bundle.
func (b *Bundle) Append(r ...*Resource) { b.Resources = append(b.Resources, r...) }

// Find returns the resources of a type, in order.
func (b *Bundle) Find(typ string) []*Resource {
	var out []*Resource
	for _, r := range b.Resources {
		if r.Type == typ {
			out = append(out, r)
		}
	}
	return out
}

// MarshalJSON implements json.Marshaler.
func (b *Bundle) MarshalJSON() ([]byte, error) {
	entries := make([]any, len(b.Resources))
	for i, r := range b.Resources {
		e := New("fullUrl", r.FullURL(), "resource", r.Object)
		if len(r.raw) > 0 {
			e.Set("resource", r.raw)
		}
		entries[i] = e
	}
	return b.Set("entry", entries).AppendJSON(nil), nil
}

// Extension addresses of the FHIR specification that are used in several mappings.
const (
	AbsentReasonURL = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
	OriginalTextURL = "http://hl7.org/fhir/StructureDefinition/originalText"
	// LocalURL begins the addresses of this project's own extensions and codes.
	LocalURL = "https://github.com/emrbridge/emrbridge/fhir/"
)

// Extension returns an Extension with a value; name is that of the value[x] member, such as
// valueString.
func Extension(url, name string, value any) *Object {
	if empty(value) {
		return nil
	}
	return New("url", url, name, value)
}

// Absent returns an element that says why a required value is missing (codes of
// http://terminology.hl7.org/CodeSystem/data-absent-reason).
func Absent(reason string) *Object {
	return New("extension", []any{Extension(AbsentReasonURL, "valueCode", reason)})
}

// Code returns a Coding. What is no code in FHIR (blanks at the ends or twice within, control
// characters) is its display.
func Code(system, code, display string) *Object {
	if !validCode(code) {
		display, code = firstText(display, code), ""
	}
	return New("system", system, "code", code, "display", display)
}

// validCode reports a string that may stand as a code (FHIR R4 §2.24.0.1).
func validCode(s string) bool {
	last := ' '
	for _, r := range s {
		if r < ' ' || (unicode.IsSpace(r) && (r != ' ' || last == ' ')) {
			return false
		}
		last = r
	}
	return s == "" || last != ' '
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Concept returns a CodeableConcept with one Coding.
func Concept(system, code, display string) *Object {
	return New("coding", []any{Code(system, code, display)})
}
