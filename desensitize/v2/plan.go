package v2

import (
	"strconv"
	"sync"

	"github.com/emrbridge/emrbridge/desensitize"
)

// place says where a node stands: a segment and the numbers of field, component and
// subcomponent.
type place struct {
	segment string
	numbers []int
}

func (p place) below(n int) place {
	return place{p.segment, append(p.numbers[:len(p.numbers):len(p.numbers)], n)}
}

func (p place) String() string {
	s := p.segment
	for i, n := range p.numbers {
		if i == 0 {
			s += "-"
		} else {
			s += "."
		}
		s += strconv.Itoa(n)
	}
	return s
}

// node is a field, component or subcomponent of a segment with all that the policy says of
// it. Nodes are read-only once made and shared by goroutines.
type node struct {
	place   place
	path    string // place, as reports have it
	parent  *node
	typ     string // data type; "" for unknown ones
	leaf    leaf
	meaning desensitize.Type
	whose   whose
	fixed   bool // structural: kept whatever the policy says
	rules   []compiled
	// together are the rules for the unit that the part belongs to: those that select it by
	// what it means.
	together []compiled
	parts    []*node
	units    []unit
	unit     int // number of the unit of the parent that this part belongs to, 0 if to none
	depth    int // 0 field, 1 component, 2 subcomponent
	varying  bool
	extra    *node // stands for parts that the type does not have
}

// unit is one value that is spread over parts of a composite.
type unit struct {
	number int
	parts  []int // indexes in node.parts
	first  *node
}

// plan is what is known of a segment.
type plan struct {
	name   string
	known  bool
	fields []*node
	extra  *node // fields that the segment does not have

	mu      sync.Mutex
	varied  map[string]*node // OBX-5 by data type
	sources []source         // fields that name people
}

// planner makes plans as segments come up.
type planner struct {
	rules []compiled
	plans sync.Map // segment name → *plan
	count int
	mu    sync.Mutex
}

// maxForeign bounds the plans that are kept for segments the standard does not have.
const maxForeign = 256

func (p *planner) plan(name []byte) *plan {
	if v, ok := p.plans.Load([3]byte(name)); ok {
		return v.(*plan) //nolint:errcheck,forcetypeassert // only plans are stored
	}
	s := p.make(string(name))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.known {
		if p.count++; p.count > maxForeign {
			return s
		}
	}
	v, _ := p.plans.LoadOrStore([3]byte(name), s)
	return v.(*plan) //nolint:errcheck,forcetypeassert // only plans are stored
}

func (p *planner) make(name string) *plan {
	types, known := fieldTypes[name]
	s := &plan{name: name, known: known, varied: map[string]*node{}}
	for i, of := range types {
		s.fields = append(s.fields, p.field(s, i+1, of))
	}
	extra := &node{place: place{name, []int{0}}, path: name + "-*", leaf: openLeaf}
	p.finish(extra)
	s.extra = extra
	s.sources = sourcesOf(s)
	return s
}

// field makes the node of a field and all below it.
func (p *planner) field(s *plan, number int, of *spec) *node {
	n := &node{place: place{s.name, []int{number}}}
	n.path = n.place.String()
	n.meaning, n.fixed = meanings[n.path], structural[n.path]
	n.whose = people[s.name]
	if w, ok := people[n.path]; ok {
		n.whose = w
	}
	n.varying = n.path == "OBX-5"
	p.build(n, of)
	return n
}

// build gives a node its type, its rules and its parts.
func (p *planner) build(n *node, of *spec) {
	if of == nil {
		n.leaf = openLeaf
		p.finish(n)
		return
	}
	n.typ, n.leaf = of.name, of.leaf
	if n.meaning == "" {
		n.meaning = of.sem
	}
	if n.meaning == "" {
		n.meaning = leafMeaning[of.leaf]
	}
	p.finish(n)
	if n.depth == 2 && of.leaf == composite && len(of.parts) > 0 { // deeper than there are separators: its first part
		n.leaf = of.parts[0].of.leaf
		return
	}
	for i, part := range of.parts {
		c := &node{place: n.place.below(i + 1), parent: n, depth: n.depth + 1, unit: part.unit, whose: n.whose, fixed: n.fixed, meaning: part.sem}
		c.path = c.place.String()
		c.meaning = partMeaning(n, part)
		p.build(c, part.of)
		n.parts = append(n.parts, c)
	}
	n.units = unitsOf(n)
}

// leafMeaning is the type of values whose place says no more.
var leafMeaning = map[leaf]desensitize.Type{
	textLeaf: desensitize.Text, codeLeaf: desensitize.Coded, dateLeaf: desensitize.Date, numberLeaf: desensitize.Quantity,
	orderLeaf: desensitize.Other, clockLeaf: desensitize.Other,
}

// partMeaning hands the meaning of a field on to the part that is the value proper.
func partMeaning(n *node, part part) desensitize.Type {
	switch {
	case n.meaning == "" || n.depth > 0 && part.sem != n.meaning && n.typ != "DTM" && n.typ != "EIP":
		return part.sem
	case part.sem == desensitize.OtherID && n.typ != "XCN" && n.typ != "XON", part.sem == desensitize.Date && n.typ == "DTM",
		part.sem == desensitize.Hospital && n.typ == "XON", part.sem == desensitize.Coded, part.sem == desensitize.Licence,
		n.typ == "EIP", n.typ == "CQ" && part.of.leaf == numberLeaf, n.typ == "SN", n.typ == "NR":
		return n.meaning
	}
	return part.sem
}

// unitsOf collects the parts of each unit.
func unitsOf(n *node) []unit {
	var out []unit
	for i, c := range n.parts {
		if c.unit == 0 {
			continue
		}
		at := -1
		for j := range out {
			if out[j].number == c.unit {
				at = j
			}
		}
		if at < 0 {
			out = append(out, unit{number: c.unit, first: c})
			at = len(out) - 1
		}
		out[at].parts = append(out[at].parts, i)
	}
	return out
}

// finish looks the rules of a node up: those that select it, up to the first without a
// condition.
func (p *planner) finish(n *node) {
	own, together := true, n.unit > 0
	for _, c := range p.rules {
		if !c.selector.match(n) {
			continue
		}
		switch {
		case n.unit > 0 && c.selector.meaning != "":
			if together {
				n.together = append(n.together, c)
				together = c.where != nil
			}
		case own:
			n.rules = append(n.rules, c)
			own = c.where != nil
		}
	}
	if n.depth < 2 && n.extra == nil {
		n.extra = &node{place: n.place.below(0), parent: n, depth: n.depth + 1, path: n.path + ".*", leaf: openLeaf}
		p.finish(n.extra)
	}
}

// variation returns the node of a varying field for a data type.
func (p *planner) variation(s *plan, n *node, typ string) *node {
	of := specOf(typ)
	if of == nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.varied[of.name]; v != nil {
		return v
	}
	v := &node{place: n.place, path: n.path, meaning: observationMeaning(of), whose: staff}
	p.build(v, of)
	s.varied[of.name] = v
	return v
}

// observationMeaning is what an observed value of a type is.
func observationMeaning(of *spec) desensitize.Type {
	switch of.name {
	case "NM", "SN", "CQ", "NR", "NA", "MA", "MO", "CP":
		return desensitize.Quantity
	}
	return of.sem
}
