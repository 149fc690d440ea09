package path

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

type valueKind uint8

const (
	vNode valueKind = iota
	vText
	vNumber
	vBool
	vDate
)

// value is one item of a collection.
type value struct {
	kind valueKind
	text string
	num  *big.Rat
	b    bool
	item Item
}

// Item is a value in a resource, with what the schema says of it.
type Item struct {
	Node *fhir.Node
	// Type is the type of a complex value or resource, nil for primitives and unknown things.
	Type *schema.Type
	// Primitive is the name of a primitive type.
	Primitive string
}

// ResourceItem returns the item of a resource.
func ResourceItem(n *fhir.Node) Item {
	t, _ := schema.FindResource(n.Get("resourceType").Str())
	return Item{Node: n, Type: t}
}

// ErrEvaluate reports an expression that has no value for an item: of the wrong type, or too
// much work. It holds no content.
var ErrEvaluate = errors.New("the expression cannot be evaluated here")

// maxSteps bounds the work of one evaluation.
const maxSteps = 20_000

type machine struct {
	root  Item
	steps int
}

// Holds reports whether the expression is true for an item. $this and relative paths start
// there. An empty result is false; a single value that is not a boolean is true (FHIRPath N1
// §4.5).
func (e *Expression) Holds(at, resource Item) (bool, error) {
	if len(e.quick) > 0 {
		if holds, known := e.tryQuick(at); known {
			return holds, nil
		}
	}
	m := &machine{root: resource}
	out, err := m.eval(e.root, []value{{item: at}})
	if err != nil {
		return false, err
	}
	return truth(out)
}

// Text evaluates the expression to one string; ok is false where the result is empty.
func (e *Expression) Text(at, resource Item) (s string, ok bool, err error) {
	m := &machine{root: resource}
	out, err := m.eval(e.root, []value{{item: at}})
	if err != nil || len(out) == 0 {
		return "", false, err
	}
	if len(out) > 1 {
		return "", false, fmt.Errorf("%w: several values where one is needed", ErrEvaluate)
	}
	s, ok = out[0].string()
	return s, ok, nil
}

func truth(c []value) (bool, error) {
	switch {
	case len(c) == 0:
		return false, nil
	case len(c) > 1:
		return false, fmt.Errorf("%w: several values where a condition is needed", ErrEvaluate)
	}
	if v := c[0].plain(); v.kind == vBool {
		return v.b, nil
	}
	return true, nil
}

// plain turns the item of a primitive into its value.
func (v value) plain() value {
	n := v.item.Node
	if v.kind != vNode || n == nil {
		return v
	}
	switch n.Kind {
	case fhir.String:
		if p := v.item.Primitive; p == "date" || p == "dateTime" || p == "instant" {
			return value{kind: vDate, text: n.Text}
		}
		return value{kind: vText, text: n.Text}
	case fhir.Number:
		if w, ok := numberOf(n.Text); ok {
			return w
		}
	case fhir.Bool:
		return value{kind: vBool, b: n.Text == "true"}
	}
	return v
}

// maxNumber is the length of a number's digits, and so bounds the work of arithmetic.
const maxNumber = 64

func numberOf(s string) (value, bool) {
	if len(s) > maxNumber || strings.ContainsAny(s, "eE/") {
		return value{}, false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return value{}, false
	}
	return value{kind: vNumber, num: r, text: s}, true
}

func (v value) string() (string, bool) {
	switch w := v.plain(); w.kind {
	case vText, vDate:
		return w.text, true
	case vNumber:
		if w.text != "" {
			return w.text, true
		}
		if w.num.IsInt() {
			return w.num.Num().String(), true
		}
		return strings.TrimRight(w.num.FloatString(10), "0"), true
	case vBool:
		return fmt.Sprint(w.b), true
	}
	return "", false
}

func (m *machine) eval(n *node, this []value) ([]value, error) {
	if m.steps++; m.steps > maxSteps {
		return nil, fmt.Errorf("%w: more than %d steps", ErrEvaluate, maxSteps)
	}
	switch n.op {
	case "literal":
		return []value{n.value}, nil
	case "this":
		return this, nil
	case "root":
		return []value{{item: m.root}}, nil
	case "child":
		of, err := m.eval(n.args[0], this)
		if err != nil {
			return nil, err
		}
		return m.child(of, n.name, n.args[0].op == "this"), nil
	case "type":
		return nil, fmt.Errorf("%w: a type is no value", ErrEvaluate)
	}
	if strings.HasSuffix(n.op, "()") {
		return m.call(n, this)
	}
	return m.binary(n, this)
}

// child follows a name from every item. At the start of a path a name may be the type of the
// item itself: Patient.name.
func (m *machine) child(of []value, name string, start bool) []value {
	var out []value
	for _, v := range of {
		if v.kind != vNode || v.item.Node == nil {
			continue
		}
		if start && v.item.Type != nil && (v.item.Type.Name == name || v.item.Type.Resource && (name == "Resource" || name == "DomainResource")) {
			out = append(out, v)
			continue
		}
		for _, c := range Children(v.item, name) {
			m.steps++
			out = append(out, value{item: c})
		}
	}
	return out
}

// Children returns the items of a member; of a choice by its name without the type (value for
// valueQuantity).
func Children(of Item, name string) []Item {
	if of.Node == nil || of.Node.Kind != fhir.Object {
		return nil
	}
	if of.Type == nil {
		return itemsOf(of.Node.Get(name), nil)
	}
	if e, ok := of.Type.Element(name); ok {
		return itemsOf(of.Node.Get(name), e)
	}
	for i, member := range of.Node.Names {
		if e, ok := of.Type.Element(member); ok && e.Choice == name {
			return itemsOf(of.Node.Items[i], e)
		}
	}
	return nil
}

func itemsOf(n *fhir.Node, e *schema.Element) []Item {
	var out []Item
	for _, v := range n.List() {
		it := Item{Node: v}
		switch {
		case e == nil:
		case e.Kind == schema.Primitive:
			it.Primitive = e.Primitive
		case e.Kind == schema.Resource:
			it = ResourceItem(v)
		default:
			it.Type = e.Type
		}
		out = append(out, it)
	}
	return out
}

func (m *machine) binary(n *node, this []value) ([]value, error) {
	left, err := m.eval(n.args[0], this)
	if err != nil {
		return nil, err
	}
	switch n.op {
	case "is", "as":
		return typed(n.op, left, n.args[1].name), nil
	case "and", "or":
		l, err := truth(left)
		if err != nil || l == (n.op == "or") {
			return boolean(l), err
		}
	}
	right, err := m.eval(n.args[1], this)
	if err != nil {
		return nil, err
	}
	switch n.op {
	case "and", "or", "xor", "implies":
		return logic(n.op, left, right)
	case "in":
		return member(left, right)
	case "contains":
		return member(right, left)
	case "|":
		return distinct(append(slices.Clone(left), right...)), nil
	case "[]":
		return index(left, right)
	}
	return compute(n.op, left, right)
}

// compute evaluates comparisons and arithmetic.
func compute(op string, left, right []value) ([]value, error) {
	if len(left) == 0 || len(right) == 0 {
		if op == "&" && len(left)+len(right) > 0 {
			return slices.Concat(left, right), nil
		}
		return nil, nil
	}
	if op == "=" || op == "!=" {
		return boolean(sameAll(left, right) == (op == "=")), nil
	}
	if len(left) > 1 || len(right) > 1 {
		return nil, fmt.Errorf("%w: %s needs single values", ErrEvaluate, op)
	}
	return arithmetic(op, left[0].plain(), right[0].plain())
}

func boolean(b bool) []value { return []value{{kind: vBool, b: b}} }

func logic(op string, left, right []value) ([]value, error) {
	l, err := truth(left)
	if err != nil {
		return nil, err
	}
	r, err := truth(right)
	if err != nil {
		return nil, err
	}
	switch op {
	case "and":
		return boolean(l && r), nil
	case "or":
		return boolean(l || r), nil
	case "xor":
		return boolean(l != r), nil
	}
	return boolean(!l || r), nil
}

// sameAll compares collections. A single value equals one of several: strict FHIRPath would
// call them different, but rules are written as where(type.coding.code = 'MR') for elements
// that repeat, and the engines in use take them so.
func sameAll(left, right []value) bool {
	if len(right) == 1 || len(left) == 1 {
		for _, l := range left {
			for _, r := range right {
				if same(l, r) {
					return true
				}
			}
		}
		return false
	}
	return slices.EqualFunc(left, right, same)
}

func same(a, b value) bool {
	a, b = a.plain(), b.plain()
	if a.kind == vNumber && b.kind == vNumber {
		return a.num.Cmp(b.num) == 0
	}
	if a.kind == vNode || b.kind == vNode {
		return a.kind == b.kind && a.item.Node == b.item.Node
	}
	s, ok := a.string()
	t, ok2 := b.string()
	return ok && ok2 && s == t
}

func member(one, list []value) ([]value, error) {
	if len(one) == 0 {
		return nil, nil
	}
	if len(one) > 1 {
		return nil, fmt.Errorf("%w: in needs a single value", ErrEvaluate)
	}
	return boolean(slices.ContainsFunc(list, func(v value) bool { return same(v, one[0]) })), nil
}

func distinct(list []value) []value {
	var out []value
	for _, v := range list[:min(len(list), 1000)] {
		if !slices.ContainsFunc(out, func(w value) bool { return same(v, w) }) {
			out = append(out, v)
		}
	}
	return out
}

func index(of, at []value) ([]value, error) {
	if len(at) != 1 {
		return nil, fmt.Errorf("%w: an index is one number", ErrEvaluate)
	}
	i, ok := at[0].integer()
	if !ok {
		return nil, fmt.Errorf("%w: an index is a whole number", ErrEvaluate)
	}
	if i < 0 || i >= len(of) {
		return nil, nil
	}
	return of[i : i+1], nil
}

func (v value) integer() (int, bool) {
	w := v.plain()
	if w.kind != vNumber || !w.num.IsInt() || !w.num.Num().IsInt64() {
		return 0, false
	}
	n := w.num.Num().Int64()
	return int(n), n >= -1<<31 && n < 1<<31
}

func typed(op string, of []value, name string) []value {
	if op == "is" {
		if len(of) == 0 {
			return nil
		}
		return boolean(len(of) == 1 && of[0].isA(name))
	}
	var out []value
	for _, v := range of {
		if v.isA(name) {
			out = append(out, v)
		}
	}
	return out
}

func (v value) isA(name string) bool {
	switch v.kind {
	case vText:
		return strings.EqualFold(name, "string")
	case vNumber:
		return strings.EqualFold(name, "decimal") || strings.EqualFold(name, "integer") && v.num.IsInt()
	case vBool:
		return strings.EqualFold(name, "boolean")
	case vDate:
		return strings.EqualFold(name, "date") || strings.EqualFold(name, "dateTime")
	}
	if v.item.Type != nil {
		return v.item.Type.Name == name || v.item.Type.Resource && (name == "Resource" || name == "DomainResource")
	}
	return v.item.Primitive != "" && strings.EqualFold(v.item.Primitive, name)
}

func arithmetic(op string, l, r value) ([]value, error) {
	if l.kind == vNumber && r.kind == vNumber {
		return numeric(op, l.num, r.num)
	}
	a, ok := l.string()
	b, ok2 := r.string()
	// A number in a text and a text in a number are different things (FHIRPath N1 §6.2).
	if !ok || !ok2 || (l.kind == vNumber) != (r.kind == vNumber) && op != "&" || l.kind == vBool || r.kind == vBool {
		return nil, fmt.Errorf("%w: %s does not fit the types of its values", ErrEvaluate, op)
	}
	if op == "+" || op == "&" {
		if len(a)+len(b) > 1<<20 {
			return nil, fmt.Errorf("%w: a text of more than 1 MiB", ErrEvaluate)
		}
		return []value{{kind: vText, text: a + b}}, nil
	}
	c := strings.Compare(a, b)
	if l.kind == vDate || r.kind == vDate {
		var known bool
		if c, known = compareDates(a, b); !known {
			return nil, nil
		}
	}
	return compared(op, c)
}

func compared(op string, c int) ([]value, error) {
	switch op {
	case "<":
		return boolean(c < 0), nil
	case "<=":
		return boolean(c <= 0), nil
	case ">":
		return boolean(c > 0), nil
	case ">=":
		return boolean(c >= 0), nil
	}
	return nil, fmt.Errorf("%w: %s does not fit the types of its values", ErrEvaluate, op)
}

func numeric(op string, l, r *big.Rat) ([]value, error) {
	out := new(big.Rat)
	switch op {
	case "+":
		out.Add(l, r)
	case "-":
		out.Sub(l, r)
	case "*":
		out.Mul(l, r)
	case "/", "div", "mod":
		if r.Sign() == 0 {
			return nil, nil
		}
		q := new(big.Rat).Quo(l, r)
		whole := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom()))
		switch op {
		case "/":
			out = q
		case "div":
			out = whole
		default:
			out.Sub(l, whole.Mul(whole, r))
		}
	case "&":
		return nil, fmt.Errorf("%w: & joins texts", ErrEvaluate)
	default:
		return compared(op, l.Cmp(r))
	}
	if out.Num().BitLen() > 4096 || out.Denom().BitLen() > 4096 {
		return nil, fmt.Errorf("%w: a number with too many digits", ErrEvaluate)
	}
	return []value{{kind: vNumber, num: out}}, nil
}

// compareDates compares dates and times. Of different precision without a decision in what
// both have, the order is unknown (FHIRPath N1 §6.2).
func compareDates(a, b string) (int, bool) {
	fa, ta, oka := fhir.DateRange(a)
	fb, tb, okb := fhir.DateRange(b)
	switch {
	case !oka || !okb:
		return 0, false
	case fa.Equal(fb) && ta.Equal(tb):
		return 0, true
	case !ta.After(fb):
		return -1, true
	case !fa.Before(tb):
		return 1, true
	}
	return 0, false
}
