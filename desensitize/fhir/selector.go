package fhir

import (
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

type stepKind uint8

const (
	stepChild  stepKind = iota // a member
	stepType                   // nodesByType
	stepName                   // nodesByName
	stepFilter                 // where, as, ofType
)

type step struct {
	kind stepKind
	name string
	test []*path.Expression // of a filter: all must hold
}

// selector is a compiled selector.
type selector struct {
	root  string // a resource type, or "" for all
	steps []step
}

// maxSteps bounds the steps of a selector.
const maxSteps = 32

// parseSelector reads a selector. With strict, names that FHIR R4 does not have are errors.
func parseSelector(text, where string, strict bool) (*selector, error) {
	parts, as, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(parts) > maxSteps {
		return nil, fmt.Errorf("more than %d steps", maxSteps)
	}
	s := &selector{}
	for i, part := range parts {
		if err := s.part(i, part); err != nil {
			return nil, err
		}
	}
	for _, condition := range []string{as, where} {
		if condition != "" {
			if err := s.filter(condition); err != nil {
				return nil, err
			}
		}
	}
	if strict {
		return s, s.check()
	}
	return s, nil
}

// split cuts a selector at the dots outside parentheses and quotes, and takes a trailing
// "as Type" off, returned as a condition.
func split(text string) (parts []string, as string, err error) {
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '.' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 || quoted {
		return nil, "", fmt.Errorf("a parenthesis or a quote is not closed")
	}
	last := text[start:]
	if name, typ, ok := strings.Cut(last, " as "); ok && !strings.Contains(last, "(") {
		last, as = strings.TrimSpace(name), "$this is "+strings.TrimSpace(typ)
	}
	return append(parts, last), as, nil
}

func (s *selector) part(i int, part string) error {
	part = strings.TrimSpace(part)
	name, arg, call := strings.Cut(part, "(")
	if !call {
		if !plainName(part) {
			return fmt.Errorf("“%s” is no name of an element", part)
		}
		if i == 0 {
			return s.start(part)
		}
		s.steps = append(s.steps, step{kind: stepChild, name: part})
		return nil
	}
	arg, closed := strings.CutSuffix(arg, ")")
	if !closed {
		return fmt.Errorf("something follows the parenthesis of %s()", name)
	}
	switch name {
	case "nodesByType", "nodesByName":
		of := strings.Trim(strings.TrimSpace(arg), "'")
		if !plainName(of) {
			return fmt.Errorf("%s needs a name in quotes", name)
		}
		s.steps = append(s.steps, step{kind: map[string]stepKind{"nodesByType": stepType, "nodesByName": stepName}[name], name: of})
		return nil
	case "where":
		return s.filter(arg)
	case "ofType", "as":
		return s.filter("$this is " + arg)
	}
	return fmt.Errorf("%s() cannot stand in a selector; nodesByType, nodesByName, where and ofType can", name)
}

func (s *selector) start(name string) error {
	switch {
	case name == "Resource" || name == "DomainResource":
	case name[0] < 'A' || name[0] > 'Z':
		return fmt.Errorf("a path starts with a resource type, not with “%s”", name)
	default:
		s.root = name
	}
	return nil
}

func (s *selector) filter(condition string) error {
	e, err := path.Compile(condition)
	if err != nil {
		return err
	}
	if n := len(s.steps); n > 0 && s.steps[n-1].kind == stepFilter {
		s.steps[n-1].test = append(s.steps[n-1].test, e)
		return nil
	}
	s.steps = append(s.steps, step{kind: stepFilter, test: []*path.Expression{e}})
	return nil
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// check refuses names that do not exist, as far as the types are known.
func (s *selector) check() error {
	var at []*schema.Type
	if s.root != "" {
		t, ok := schema.FindResource(s.root)
		if !ok {
			return fmt.Errorf("FHIR R4 has no resource type %s", s.root)
		}
		at = []*schema.Type{t}
	}
	for i, st := range s.steps {
		switch st.kind {
		case stepType:
			t, ok := schema.Find(st.name)
			if !ok && !primitives[st.name] {
				return fmt.Errorf("FHIR R4 has no data type %s", st.name)
			}
			if at = nil; ok {
				at = []*schema.Type{t}
			}
		case stepName:
			at = nil
		case stepChild:
			next, known := follow(at, st.name)
			if at != nil && !known {
				return fmt.Errorf("%s has no element %s", at[0].Name, st.name)
			}
			if i == 0 && at == nil && !everywhere[st.name] {
				return fmt.Errorf("no element %s that all resource types have", st.name)
			}
			at = next
		}
	}
	return nil
}

// everywhere are the elements of all resource types.
var everywhere = map[string]bool{
	"id": true, "meta": true, "implicitRules": true, "language": true, "text": true, "contained": true, "extension": true, "modifierExtension": true,
}

// follow returns the types of a member; nil types mean that nothing more is known of it.
func follow(at []*schema.Type, name string) (next []*schema.Type, known bool) {
	for _, t := range at {
		for _, e := range t.Elements {
			if e.Name == name || e.Choice == name {
				known = true
				if e.Type != nil && e.Choice == "" {
					next = append(next, e.Type)
				}
			}
		}
	}
	return next, known
}

// primitives are the primitive data types (FHIR R4 §2.24.0.1).
var primitives = map[string]bool{
	"boolean": true, "integer": true, "string": true, "decimal": true, "uri": true, "url": true, "canonical": true, "base64Binary": true,
	"instant": true, "date": true, "dateTime": true, "time": true, "code": true, "oid": true, "id": true, "markdown": true,
	"unsignedInt": true, "positiveInt": true, "uuid": true, "xhtml": true,
}

// CheckSelector reports whether a selector of another policy language is understood.
func CheckSelector(text string) error {
	_, err := parseSelector(text, "", false)
	return err
}
