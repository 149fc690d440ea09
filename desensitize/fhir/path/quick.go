package path

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// quick is one alternative of a condition that is nothing but comparisons of a member, or of
// the value itself, with texts, joined by or: most conditions are, and they are tried on every
// coding of a record.
type quick struct {
	name   string // "" is the value itself
	prefix bool   // starts with text
	text   string
}

// maxQuick bounds the alternatives.
const maxQuick = 32

// quick returns the alternatives; ok is false where the condition is anything else.
func (n *node) quick(list []quick) (out []quick, ok bool) {
	switch n.op {
	case "or":
		if list, ok = n.args[0].quick(list); !ok {
			return nil, false
		}
		return n.args[1].quick(list)
	case "=", "startsWith()":
		of, with := n.args[0], n.args[1]
		name, simple := "", of.op == "this"
		if of.op == "child" && of.args[0].op == "this" {
			name, simple = of.name, true
		}
		if !simple || with.op != "literal" || with.value.kind != vText || len(list) >= maxQuick {
			return nil, false
		}
		return append(list, quick{name, n.op != "=", with.value.text}), true
	}
	return nil, false
}

// tryQuick evaluates the alternatives; known is false where a member is no single text and the
// long way must be gone.
func (e *Expression) tryQuick(at Item) (holds, known bool) {
	for i := range e.quick {
		q := &e.quick[i]
		n := at.Node
		if q.name != "" {
			if n == nil || n.Kind != fhir.Object || at.Type == nil {
				return false, false
			}
			if _, ok := at.Type.Element(q.name); !ok {
				return false, false // the name of a choice, or of the type
			}
			if n = n.Get(q.name); n == nil {
				continue
			}
		}
		if n == nil || n.Kind != fhir.String {
			return false, false
		}
		if n.Text == q.text || q.prefix && strings.HasPrefix(n.Text, q.text) {
			return true, true
		}
	}
	return false, true
}
