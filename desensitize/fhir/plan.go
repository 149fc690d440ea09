package fhir

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

// none is the rule index of what no rule selects.
const none = math.MaxInt32

// state says that the first steps of a rule's selector lead to the value at hand.
type state struct{ rule, step int32 }

// plan is what the rules say of a value of a type that was reached in a certain way. Plans are
// made when they are first needed, and then kept: the rules are matched once per way, not
// once per value.
type plan struct {
	typ   *schema.Type
	edges map[string]*edge
	// required reports a type with elements that must be there.
	required bool
}

// edge leads from a value to a member.
type edge struct {
	elem *schema.Element
	key  []byte // the member's name as JSON writes it, with the colon
	// match is the first rule that selects the member whatever it holds, none if there is none.
	match  int32
	states []state // of the member
	conds  []cond  // rules that select it under conditions
	what   desensitize.Type

	plain atomic.Pointer[plan] // where no condition holds
}

// cond advances a rule if its tests hold for the value.
type cond struct {
	after state
	match bool // the selector ends here
	test  []*path.Expression
}

// machine holds the rules and the plans made of them. It is safe for concurrent use.
type machine struct {
	rules []compiled
	mu    sync.RWMutex
	plans map[string]*plan
	roots map[string]*edge
}

// compiled is a rule ready for use.
type compiled struct {
	sel    *selector
	action Action
}

func newMachine(rules []compiled) *machine {
	return &machine{rules: rules, plans: map[string]*plan{}, roots: map[string]*edge{}}
}

// root returns the edge that leads to a resource of a type, on its own.
func (m *machine) root(t *schema.Type) *edge {
	m.mu.RLock()
	e, ok := m.roots[t.Name]
	m.mu.RUnlock()
	if ok {
		return e
	}
	e = &edge{elem: &schema.Element{Name: t.Name, Kind: schema.Complex, Type: t}, match: none}
	m.settle(e, m.start(t))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roots[t.Name] = e
	return e
}

// start returns the states of a resource before any of its steps.
func (m *machine) start(t *schema.Type) []state {
	var out []state
	for i, r := range m.rules {
		if r.sel.root == "" || r.sel.root == t.Name {
			out = append(out, state{int32(i), 0})
		}
	}
	return out
}

// settle divides the states in which a value was reached: ends of selectors, filters that
// stand next, and steps that lead on.
func (m *machine) settle(e *edge, reached []state) {
	for _, s := range reached {
		steps := m.rules[s.rule].sel.steps
		switch {
		case int(s.step) == len(steps):
			e.match = min(e.match, s.rule)
		case steps[s.step].kind == stepFilter:
			next := state{s.rule, s.step + 1}
			e.conds = append(e.conds, cond{after: next, match: int(next.step) == len(steps), test: steps[s.step].test})
		default:
			e.states = append(e.states, s)
		}
	}
	sortStates(e.states)
	slices.SortFunc(e.conds, func(a, b cond) int { return int(a.after.rule - b.after.rule) })
	if len(e.conds) > 64 {
		// More conditions at one place than a mask has bits; the first 64 rules decide, and
		// New refuses such policies.
		e.conds = e.conds[:64]
	}
}

// planOf returns the plan of the value that an edge leads to, if the conditions in mask hold.
// Of a primitive it is the plan of its id and extensions.
func (m *machine) planOf(e *edge, mask uint64) *plan {
	if mask == 0 {
		if p := e.plain.Load(); p != nil {
			return p
		}
	}
	typ := e.elem.Type
	if e.elem.Kind == schema.Primitive {
		typ = elementType
	}
	p := m.plan(typ, m.statesOf(e, mask))
	if mask == 0 {
		e.plain.Store(p)
	}
	return p
}

// statesOf returns the states of a value behind an edge, if the conditions in mask hold.
func (m *machine) statesOf(e *edge, mask uint64) []state {
	if mask == 0 {
		return e.states
	}
	states := slices.Clone(e.states)
	for i, c := range e.conds {
		if mask&(1<<i) != 0 && !c.match {
			states = append(states, c.after)
		}
	}
	sortStates(states)
	return states
}

// nested returns the edge to a resource of a type in another one. It starts afresh, beside the
// paths that come from outside.
func (m *machine) nested(e *edge, mask uint64, typ *schema.Type) *edge {
	outside := m.statesOf(e, mask)
	if len(outside) == 0 {
		return m.root(typ)
	}
	key := planKey(typ, outside)
	m.mu.RLock()
	in, ok := m.roots[key]
	m.mu.RUnlock()
	if ok {
		return in
	}
	in = &edge{elem: &schema.Element{Name: typ.Name, Kind: schema.Complex, Type: typ}, match: none}
	m.settle(in, append(m.start(typ), outside...))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roots[key] = in
	return in
}

func sortStates(states []state) {
	slices.SortFunc(states, func(a, b state) int {
		if a.rule != b.rule {
			return int(a.rule - b.rule)
		}
		return int(a.step - b.step)
	})
}

// plan returns the plan of a type in states.
func (m *machine) plan(typ *schema.Type, states []state) *plan {
	key := planKey(typ, states)
	m.mu.RLock()
	p, ok := m.plans[key]
	m.mu.RUnlock()
	if ok {
		return p
	}
	p = &plan{typ: typ, edges: make(map[string]*edge, len(typ.Elements))}
	for _, elem := range typ.Elements {
		p.edges[elem.Name] = m.edge(typ, elem, states)
		p.required = p.required || elem.Required
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have, ok := m.plans[key]; ok {
		return have
	}
	m.plans[key] = p
	return p
}

func planKey(typ *schema.Type, states []state) string {
	var b strings.Builder
	b.WriteString(typ.Name)
	b.WriteByte(0)
	var n [8]byte
	for _, s := range states {
		binary.BigEndian.PutUint32(n[:4], uint32(s.rule))
		binary.BigEndian.PutUint32(n[4:], uint32(s.step))
		b.Write(n[:])
	}
	return b.String()
}

// edge makes the edge from a type to one of its elements.
func (m *machine) edge(typ *schema.Type, elem *schema.Element, states []state) *edge {
	e := &edge{elem: elem, key: []byte(`"` + elem.Name + `":`), match: none, what: classify(typ, elem)}
	var reached []state
	for _, s := range states {
		st := m.rules[s.rule].sel.steps[s.step]
		hit := false
		switch st.kind {
		case stepChild:
			hit = elem.Name == st.name || elem.Choice == st.name
		case stepType:
			hit = typeIs(elem, st.name)
			reached = append(reached, s)
		case stepName:
			hit = elem.Name == st.name || elem.Choice == st.name
			reached = append(reached, s)
		}
		if hit {
			reached = append(reached, state{s.rule, s.step + 1})
		}
	}
	m.settle(e, reached)
	if elem.Kind == schema.Resource {
		e.states = slices.DeleteFunc(e.states, func(s state) bool { return m.rules[s.rule].sel.steps[s.step].kind != stepChild })
	}
	return e
}

// elementType is the type of what stands beside a primitive: its id and extensions.
var elementType = func() *schema.Type {
	t, _ := schema.Find("Element")
	return t
}()

// typeIs reports whether the values of an element are of a type.
func typeIs(e *schema.Element, name string) bool {
	switch e.Kind {
	case schema.Primitive:
		return e.Primitive == name
	case schema.Reference:
		return name == "Reference"
	case schema.Resource:
		return name == "Resource"
	}
	return e.Type != nil && (e.Type.Name == name || e.Type.Name == "SimpleQuantity" && name == "Quantity")
}
