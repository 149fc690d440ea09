package fhir

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// ErrRefused reports a resource that cannot be de-identified: not FHIR R4, or of nothing is
// left. It holds no content.
var ErrRefused = errors.New("fhir: the resource cannot be de-identified")

// walk is the de-identification of one input.
type walk struct {
	ctx     context.Context //nolint:containedctx // lives for one call
	m       *machine
	mode    mode
	session *desensitize.Session
	src     []byte
	out     []byte
	trail   []string          // names down to the value
	base    int               // where in trail the resource at hand begins
	paths   map[string]string // paths that were written before
	buf     []byte
	inside  []*resource
	people  people
	steps   int
	// replacing is the rule whose replacement is being written; its own parts are not replaced
	// once more.
	replacing int32
	guard     guard.People
	call      Call              // used again for every value
	links     map[string]string // references that were rewritten before
	ids       map[string]string // pseudonyms of ids
	free      []*object         // objects that are done with
	cleaned   map[string]bool   // whether recognisers find nothing in a text
}

// mode is what the rules of a job have in common.
type mode struct {
	def    Action // what no rule selects
	strict bool   // output must be valid: repair it, drop what FHIR does not know
	labels []label
}

// methods is a set of methods.
type methods uint16

// bitOf returns the bit of a method that changes values, 0 for others.
func bitOf(m desensitize.Method) methods {
	switch m {
	case desensitize.Redact:
		return 1
	case desensitize.Scrub:
		return 2
	case desensitize.Pseudonymise:
		return 4
	case desensitize.Substitute:
		return 8
	case desensitize.Generalise:
		return 16
	case desensitize.Perturb:
		return 32
	case desensitize.DateShift:
		return 64
	case desensitize.Mask:
		return 128
	case desensitize.Encrypt:
		return 256
	case desensitize.CryptoHash:
		return 512
	}
	return 0
}

// resource is a resource that is being walked.
type resource struct {
	item      path.Item
	contained bool
	done      methods
	locals    map[string]bool // "#id" that anything in it refers to
}

// action returns what happens to a value that rule index eff selects.
func (w *walk) action(eff int32) Action {
	if eff == none {
		return w.mode.def
	}
	return w.m.rules[eff].action
}

func (w *walk) alive() error {
	if w.steps++; w.steps%256 == 0 {
		return w.ctx.Err()
	}
	return nil
}

// path returns the path of the value at hand.
func (w *walk) path() string {
	w.buf = w.buf[:0]
	for i, name := range w.trail[w.base:] {
		if i > 0 {
			w.buf = append(w.buf, '.')
		}
		w.buf = append(w.buf, name...)
	}
	if s, ok := w.paths[string(w.buf)]; ok {
		return s
	}
	s := string(w.buf)
	w.paths[s] = s
	return s
}

func (w *walk) here() *resource { return w.inside[len(w.inside)-1] }

// did notes that a method was used in the resource at hand and in those around it.
func (w *walk) did(m desensitize.Method) {
	if bit := bitOf(m); bit != 0 {
		for _, r := range w.inside {
			r.done |= bit
		}
	}
}

// choose returns the rule that decides about a value behind an edge and the conditions that
// hold, if eff decides about what holds it.
func (w *walk) choose(e *edge, n *fhir.Node, eff int32) (int32, uint64, error) {
	var mask uint64
	eff = min(eff, e.match)
	for i := range e.conds {
		c := &e.conds[i]
		if c.after.rule >= eff {
			break // sorted: neither this nor any further one can decide anything
		}
		ok, err := w.holds(c, e, n)
		if err != nil {
			return eff, 0, err
		}
		if !ok {
			continue
		}
		mask |= 1 << i
		if c.match {
			eff = c.after.rule
		}
	}
	return eff, mask, nil
}

func (w *walk) holds(c *cond, e *edge, n *fhir.Node) (bool, error) {
	item := path.Item{Node: n, Primitive: e.elem.Primitive, Type: e.elem.Type}
	if e.elem.Kind == schema.Resource {
		item = path.ResourceItem(n)
	}
	for _, test := range c.test {
		ok, err := test.Holds(item, w.here().item)
		if err != nil {
			return false, fmt.Errorf("%s: %w", w.path(), err)
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// raw copies a value as it stands in the source.
func (w *walk) raw(n *fhir.Node) { w.out = append(w.out, w.src[n.Start:n.End]...) }

// object writes what remains of a complex value; it reports whether anything does. Rule eff
// decides about all that no earlier rule selects.
func (w *walk) object(n *fhir.Node, p *plan, eff int32) (bool, error) {
	if n.Kind != fhir.Object {
		w.redacted(eff, desensitize.Other)
		return false, nil // no object where one must be
	}
	start := len(w.out)
	w.out = append(w.out, '{')
	o := newObject(w, n, p, eff)
	if len(n.Names) > 0 && p.typ.Resource && n.Get("resourceType") != nil {
		w.out = append(append(append(w.out, `"resourceType":"`...), p.typ.Name...), '"')
		o.any = true
	}
	defer func() { w.free = append(w.free, o) }()
	own := o.any
	for i := range n.Names {
		if err := w.alive(); err != nil {
			return false, err
		}
		if err := o.member(i); err != nil {
			return false, err
		}
		if o.lost {
			w.out = w.out[:start]
			return false, nil
		}
	}
	if err := o.finish(own); err != nil {
		return false, err
	}
	if !o.any || o.lost {
		w.out = w.out[:start]
		return false, nil
	}
	w.out = append(w.out, '}')
	return true, nil
}

// object is a complex value that is being written.
type object struct {
	w         *walk
	node      *fhir.Node
	plan      *plan
	eff       int32
	any       bool // a member was written
	lost      bool // it must go as a whole
	shadows   bool // there are members with an underscore before their name
	written   []string
	contained *fhir.Node // written last
	meta      *fhir.Node // written last
}

func newObject(w *walk, n *fhir.Node, p *plan, eff int32) *object {
	var o *object
	if last := len(w.free) - 1; last >= 0 {
		o, w.free = w.free[last], w.free[:last]
		*o = object{written: o.written[:0]}
	} else {
		o = &object{}
	}
	o.w, o.node, o.plan, o.eff = w, n, p, eff
	for _, name := range n.Names {
		o.shadows = o.shadows || name != "" && name[0] == '_'
	}
	return o
}

// key writes what stands before a member's value.
func (o *object) key(key []byte) {
	if o.any {
		o.w.out = append(o.w.out, ',')
	}
	o.w.out = append(o.w.out, key...)
}

// member writes one member.
func (o *object) member(i int) error {
	w, name, v := o.w, o.node.Names[i], o.node.Items[i]
	base := strings.TrimPrefix(name, "_")
	e := o.plan.edges[base]
	switch {
	case o.later(name, v) || len(base) != len(name) && o.node.Get(base) != nil:
		return nil // what stands beside a value goes with it
	case e == nil || len(base) != len(name) && e.elem.Kind != schema.Primitive:
		return o.unknown(name, v)
	}
	w.trail = append(w.trail, base)
	mark, was := len(w.out), o.any
	ok, err := o.write(e, base, v, len(base) != len(name))
	w.trail = w.trail[:len(w.trail)-1]
	if !ok || err != nil {
		w.out, o.any = w.out[:mark], was
		if w.mode.strict && (base == "modifierExtension" || base == "resource" && o.plan.typ.Name == "Bundle.Entry") {
			o.lost = true
		}
		return err
	}
	o.any = true
	if o.plan.required {
		o.written = append(o.written, base)
	}
	return nil
}

// later keeps members of a resource for the end, when it is known what is referred to and what
// was done.
func (o *object) later(name string, v *fhir.Node) bool {
	if !o.plan.typ.Resource {
		return false
	}
	switch name {
	case "resourceType":
	case "contained":
		o.contained = v
	case "meta":
		o.meta = v
	default:
		return false
	}
	return true
}

func (o *object) write(e *edge, base string, v *fhir.Node, beside bool) (bool, error) {
	switch {
	case e.elem.Kind == schema.Primitive:
		return o.primitive(e, base, v, beside)
	case v.Kind == fhir.Array:
		o.key(e.key)
		return o.list(e, v)
	}
	o.key(e.key)
	return o.value(e, v)
}

// unknown handles a member that FHIR does not know.
func (o *object) unknown(name string, v *fhir.Node) error {
	w := o.w
	if w.mode.strict {
		w.trail = append(w.trail, "?")
		w.redacted(none, desensitize.Other)
		w.trail = w.trail[:len(w.trail)-1]
		return nil
	}
	if w.action(o.eff).Effect() != Keeps {
		w.did(desensitize.Redact)
		return nil
	}
	o.key(append(appendString(nil, name), ':'))
	w.raw(v)
	o.any = true
	return nil
}

// redacted counts a value that goes.
func (w *walk) redacted(eff int32, t desensitize.Type) {
	w.did(desensitize.Redact)
	label := desensitize.DefaultRule
	if r, ok := w.action(eff).(interface{ Label() string }); ok && eff != none {
		label = r.Label()
	}
	w.session.Count(desensitize.Change{Path: w.path(), Rule: label, Method: desensitize.Redact, Type: t})
}

// list writes what remains of a list of complex values.
func (o *object) list(e *edge, v *fhir.Node) (bool, error) {
	w := o.w
	w.out = append(w.out, '[')
	any := false
	for _, item := range v.Items {
		mark := len(w.out)
		if any {
			w.out = append(w.out, ',')
		}
		ok, err := o.value(e, item)
		if err != nil {
			return false, err
		}
		if !ok {
			w.out = w.out[:mark]
			continue
		}
		any = true
	}
	w.out = append(w.out, ']')
	return any, nil
}

// value writes what remains of one complex value or resource.
func (o *object) value(e *edge, n *fhir.Node) (bool, error) {
	w := o.w
	eff, mask, err := w.choose(e, n, o.eff)
	if err != nil {
		return false, err
	}
	if e.elem.Kind == schema.Resource {
		return w.inner(e, mask, n, eff, false)
	}
	action := w.action(eff)
	if x, ok := action.(wholer); ok && n.Kind == fhir.Object {
		handled, wrote, err := x.whole(w, e, n, eff)
		if handled || err != nil {
			return wrote, err
		}
	}
	if action.Effect() == Replaces && n.Kind == fhir.Object && w.replacing != eff {
		return o.replaced(w.m.planOf(e, mask), n, eff, action)
	}
	return w.object(n, w.m.planOf(e, mask), eff)
}

// wholer is an action that handles some complex values itself.
type wholer interface {
	whole(w *walk, e *edge, n *fhir.Node, eff int32) (handled, wrote bool, err error)
}

// replaced writes a fixed value in the place of a complex one; what earlier rules select in it
// stands beside.
func (o *object) replaced(p *plan, n *fhir.Node, eff int32, action Action) (bool, error) {
	w := o.w
	w.did(desensitize.Substitute)
	start, outer := len(w.out), w.replacing
	w.replacing = eff
	defer func() { w.replacing = outer }()
	w.out = append(w.out, '{')
	inner := newObject(w, n, p, eff)
	for i := range n.Names {
		if err := inner.member(i); err != nil {
			return false, err
		}
	}
	written := map[string]bool{}
	if kept, err := fhir.Parse(append(append([]byte(nil), w.out[start:]...), '}'), fhir.Limits{}); err == nil {
		for _, name := range kept.Names {
			written[name] = true
		}
	}
	with := action.Replacement()
	for i, name := range with.Names {
		if !written[name] {
			inner.key(append(appendString(nil, name), ':'))
			w.out = appendNode(w.out, with.Items[i])
			inner.any = true
		}
	}
	w.out = append(w.out, '}')
	return inner.any, nil
}
