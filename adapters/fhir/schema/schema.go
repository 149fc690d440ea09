// Package schema is the shape of every FHIR R4 (4.0.1) resource and data type: elements,
// their types and cardinalities, the alternatives of choice elements, the allowed targets of
// references and the codes of required bindings.
//
// The table comes from the R4 message descriptors of github.com/google/fhir/go, which are
// made from HL7's structure definitions; gen writes it. It is read once, on first use, and
// never changes, so that everything here is safe for concurrent use.
package schema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:generate sh -c "go run ./gen/main.go | gzip -9 -n > r4.tsv.gz"

//go:embed r4.tsv.gz
var packed []byte

// Kind says what an element holds.
type Kind uint8

// Kinds of elements.
const (
	Primitive Kind = iota + 1 // one of the primitive types (FHIR R4 §2.24.0.1)
	Complex                   // a data type or backbone element
	Reference                 // a reference to a resource
	Resource                  // a whole resource: contained, Bundle.entry.resource …
)

// Element is one element of a type as JSON names it.
type Element struct {
	// Name is the JSON name; for an alternative of a choice with its type: valueQuantity.
	Name string
	// Choice is the name of the choice without its type, value for valueQuantity; "" if the
	// element is none.
	Choice string
	// Path is how FHIRPath names the element: value.ofType(Quantity) for valueQuantity.
	Path string
	Kind Kind
	// Primitive is the FHIR name of a primitive type: string, dateTime …
	Primitive string
	// Type is the type of a Complex or Reference element.
	Type *Type
	// Targets are the resource types that a Reference may name; empty means all.
	Targets []string
	// Codes are the codes of a required binding; empty means that any code will do.
	Codes []string
	List  bool
	// Required elements have a minimum of one. Of a choice one alternative is required.
	Required bool
}

// Allows reports whether a reference may name a resource of this type.
func (e *Element) Allows(resource string) bool {
	return len(e.Targets) == 0 || slices.Contains(e.Targets, resource) || slices.Contains(e.Targets, "Resource")
}

// Type is a resource or complex data type.
type Type struct {
	// Name is the FHIR name; parts of types have the type before them: Patient.Contact.
	Name     string
	Resource bool
	// Elements in the order of the specification.
	Elements []*Element
	byName   map[string]*Element
}

// Element returns the element of a JSON name (without the underscore that marks the
// extensions of a primitive).
func (t *Type) Element(name string) (*Element, bool) {
	e, ok := t.byName[name]
	return e, ok
}

var load = sync.OnceValue(func() map[string]*Type {
	types, err := read(packed)
	if err != nil {
		panic("fhir/schema: the embedded table is damaged: " + err.Error())
	}
	return types
})

// Find returns a resource or data type by its FHIR name.
func Find(name string) (*Type, bool) {
	t, ok := load()[name]
	return t, ok
}

// FindResource returns a resource type by its FHIR name.
func FindResource(name string) (*Type, bool) {
	t, ok := load()[name]
	if !ok || !t.Resource {
		return nil, false
	}
	return t, true
}

// Resources returns the names of all resource types, sorted.
func Resources() []string {
	var out []string
	for name, t := range load() {
		if t.Resource {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// read parses the table. Lines are "R\tName" and "T\tName" for a type, "\tname\ttype\tflags
// \tchoice" for its elements, and "V\tnumber\tcode…" for a set of codes.
func read(packed []byte) (map[string]*Type, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	r := reader{types: map[string]*Type{}, sets: map[string][]string{}}
	for line := range strings.Lines(string(text)) {
		if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
	// Element is what the id and the extensions of a primitive stand in; the descriptors have
	// it inside each primitive type.
	for _, line := range []string{"T\tElement", "\tid\tstring\t", "\textension\tExtension\t*"} {
		if err := r.line(line); err != nil {
			return nil, err
		}
	}
	return r.types, r.link()
}

type reader struct {
	types   map[string]*Type
	sets    map[string][]string
	current *Type
	pending []pending
}

// pending is an element whose type or codes stand further down in the table.
type pending struct {
	element *Element
	kind    string
}

func (r *reader) line(line string) error {
	f := strings.Split(line, "\t")
	switch {
	case len(f) >= 2 && (f[0] == "R" || f[0] == "T"):
		r.current = &Type{Name: f[1], Resource: f[0] == "R", byName: map[string]*Element{}}
		r.types[f[1]] = r.current
	case len(f) >= 3 && f[0] == "V":
		r.sets[f[1]] = f[2:]
	case len(f) >= 4 && f[0] == "" && r.current != nil:
		e := &Element{Name: f[1], List: strings.Contains(f[3], "*"), Required: strings.Contains(f[3], "!")}
		e.Path = e.Name
		if len(f) > 4 {
			e.Choice = f[4]
			e.Path = e.Choice + ".ofType(" + typeName(f[2], e.Name[len(e.Choice):]) + ")"
		}
		r.current.Elements = append(r.current.Elements, e)
		r.current.byName[e.Name] = e
		r.pending = append(r.pending, pending{e, f[2]})
	default:
		return fmt.Errorf("line %q", line)
	}
	return nil
}

// typeName is the FHIR name of the type of a choice's alternative, whose JSON name ends in
// suffix.
func typeName(kind, suffix string) string {
	if kind[0] >= 'a' && kind[0] <= 'z' { // primitive types are written small
		return strings.ToLower(suffix[:1]) + suffix[1:]
	}
	return suffix
}

func (r *reader) link() error {
	for _, p := range r.pending {
		name, rest, qualified := strings.Cut(p.kind, ":")
		set, isCode := strings.CutPrefix(p.kind, "code@")
		switch {
		case p.kind == "[resource]":
			p.element.Kind = Resource
		case isCode:
			if _, err := strconv.Atoi(set); err != nil {
				return err
			}
			p.element.Kind, p.element.Primitive, p.element.Codes = Primitive, "code", r.sets[set]
		case name == "Reference" && qualified:
			p.element.Kind, p.element.Type = Reference, r.types["Reference"]
			if rest != "" {
				p.element.Targets = strings.Split(rest, ",")
			}
		case r.types[p.kind] != nil:
			p.element.Kind, p.element.Type = Complex, r.types[p.kind]
		case p.kind[0] >= 'a' && p.kind[0] <= 'z':
			p.element.Kind, p.element.Primitive = Primitive, p.kind
		default:
			return fmt.Errorf("type %q is not there", p.kind)
		}
	}
	return nil
}
