package fhir

import (
	"slices"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

// label is a code of meta.security for methods that were used.
type label struct {
	system, code, display string
	methods               methods
	json                  []byte
}

func newLabel(system, code, display string, of ...desensitize.Method) label {
	l := label{system: system, code: code, display: display}
	for _, m := range of {
		l.methods |= bitOf(m)
	}
	l.json = l.append(nil)
	return l
}

func (l label) append(dst []byte) []byte {
	dst = append(dst, '{')
	if l.system != "" {
		dst = append(appendString(append(dst, `"system":`...), l.system), ',')
	}
	dst = appendString(append(dst, `"code":`...), l.code)
	return append(appendString(append(dst, `,"display":`...), l.display), '}')
}

const observationValue = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"

// labels of the security alteration integrity codes (HL7 v3 ObservationValue,
// _SecurityAlterationIntegrityObservationValue).
var labels = []label{
	newLabel(observationValue, "REDACTED", "redacted", desensitize.Redact, desensitize.Scrub),
	newLabel(observationValue, "PSEUDED", "pseudonymized", desensitize.Pseudonymise, desensitize.Substitute),
	newLabel(observationValue, "ABSTRED", "abstracted", desensitize.Generalise, desensitize.Perturb, desensitize.DateShift),
	newLabel(observationValue, "MASKED", "masked", desensitize.Mask, desensitize.Encrypt),
	newLabel(observationValue, "CRYTOHASH", "cryptographic hash function", desensitize.CryptoHash),
}

// finish writes what stands last in an object. own reports that the object holds its
// resourceType and maybe no more.
func (o *object) finish(own bool) error {
	if o.plan.typ.Resource {
		if err := o.finishContained(); err != nil {
			return err
		}
		if err := o.finishMeta(); err != nil {
			return err
		}
	}
	if o.w.mode.strict && o.any && o.plan.required {
		o.repair()
	}
	if o.w.mode.strict && own && o.eff != none && len(o.written) == 0 && o.w.action(o.eff).Effect() == Removes {
		o.lost = true
	}
	return nil
}

// repair writes a data-absent-reason for every required element that was there and is not.
func (o *object) repair() {
	for _, e := range o.plan.typ.Elements {
		if !e.Required || slices.Contains(o.written, e.Name) || o.node.Get(e.Name) == nil && o.node.Get("_"+e.Name) == nil {
			continue
		}
		if o.plan.typ.Name == "Narrative" || o.plan.typ.Name == "Extension" {
			o.lost = true // nothing of it makes sense alone
			return
		}
		if e.Kind == schema.Resource {
			o.lost = true
			return
		}
		o.key(nil)
		o.w.out = appendAbsent(o.w.out, e, maxAbsent)
		o.any = true
	}
}

// maxAbsent bounds the required elements within one another that are written as absent.
const maxAbsent = 6

// appendAbsent writes a required element that has no value any more, with the required
// elements in it.
func appendAbsent(dst []byte, e *schema.Element, depth int) []byte {
	const reason = `"extension":[{"url":"` + tree.AbsentReasonURL + `","valueCode":"masked"}]`
	name := e.Name
	if e.Kind == schema.Primitive {
		name = "_" + name
	}
	dst = append(append(dst, `"`+name+`":`...), '{')
	if e.List {
		dst = append(append(dst[:len(dst)-1], '['), '{')
	}
	dst = append(dst, reason...)
	done := ""
	if e.Kind == schema.Complex && depth > 0 {
		for _, in := range e.Type.Elements {
			if in.Required && in.Kind != schema.Resource && (in.Choice == "" || in.Choice != done) {
				done = in.Choice
				dst = appendAbsent(append(dst, ','), in, depth-1)
			}
		}
	}
	dst = append(dst, '}')
	if e.List {
		dst = append(dst, ']')
	}
	return dst
}

// finishContained writes the contained resources that something refers to (dom-3).
func (o *object) finishContained() error {
	w := o.w
	if o.contained == nil || o.contained.Kind != fhir.Array {
		return nil
	}
	e := o.plan.edges["contained"]
	w.trail = append(w.trail, "contained")
	defer func() { w.trail = w.trail[:len(w.trail)-1] }()
	done := make([]bool, len(o.contained.Items))
	mark, was, any := len(w.out), o.any, false
	o.key(e.key)
	w.out = append(w.out, '[')
	for again := true; again; {
		again = false
		for i, n := range o.contained.Items {
			if done[i] || w.mode.strict && !w.here().locals[n.Get("id").Str()] {
				continue
			}
			done[i], again = true, true
			at := len(w.out)
			if any {
				w.out = append(w.out, ',')
			}
			ok, err := o.containedOne(e, n)
			if err != nil {
				return err
			}
			if !ok {
				w.out = w.out[:at]
				continue
			}
			any = true
		}
	}
	w.out = append(w.out, ']')
	if !any {
		w.out, o.any = w.out[:mark], was
	} else {
		o.any = true
	}
	if slices.Contains(done, false) {
		w.redacted(none, desensitize.Other)
	}
	return nil
}

func (o *object) containedOne(e *edge, n *fhir.Node) (bool, error) {
	eff, mask, err := o.w.choose(e, n, o.eff)
	if err != nil {
		return false, err
	}
	return o.w.inner(e, mask, n, eff, true)
}

// inner writes a resource in another one.
func (w *walk) inner(e *edge, mask uint64, n *fhir.Node, eff int32, contained bool) (bool, error) {
	typ, ok := schema.FindResource(n.Get("resourceType").Str())
	if !ok || eff != none && w.action(eff).Effect() == Removes {
		w.redacted(eff, desensitize.Other)
		return false, nil
	}
	return w.resource(w.m.nested(e, mask, typ), n, contained)
}

// resource writes a resource. Rules start afresh in it.
func (w *walk) resource(e *edge, n *fhir.Node, contained bool) (bool, error) {
	r := &resource{item: path.Item{Node: n, Type: e.elem.Type}, contained: contained}
	if contained {
		r.locals = w.here().locals
	} else if n.Get("contained") != nil {
		r.locals = map[string]bool{}
	}
	trail, replacing, base := w.trail, w.replacing, w.base
	w.base, w.replacing = len(trail), -1
	w.trail = append(w.trail, e.elem.Type.Name)
	w.inside = append(w.inside, r)
	back := w.people.enter(w.session, n)
	defer func() {
		back()
		w.trail, w.replacing, w.base = trail, replacing, base
		w.inside = w.inside[:len(w.inside)-1]
	}()
	eff, mask, err := w.choose(e, n, none)
	if err != nil {
		return false, err
	}
	if x, ok := w.action(eff).(wholer); ok {
		handled, wrote, err := x.whole(w, e, n, eff)
		if handled || err != nil {
			return wrote, err
		}
	}
	return w.object(n, w.m.planOf(e, mask), eff)
}

// finishMeta writes meta with what was done.
func (o *object) finishMeta() error {
	w := o.w
	var room [8]label
	add := room[:0]
	if r := w.here(); !r.contained && r.item.Node == o.node {
		for _, l := range w.mode.labels {
			if r.done&l.methods != 0 {
				add = append(add, l)
			}
		}
	}
	if o.meta == nil && len(add) == 0 {
		return nil
	}
	if o.meta == nil || o.meta.Kind != fhir.Object {
		o.meta = &fhir.Node{Kind: fhir.Object}
	}
	e := o.plan.edges["meta"]
	w.trail = append(w.trail, "meta")
	defer func() { w.trail = w.trail[:len(w.trail)-1] }()
	mark, was := len(w.out), o.any
	o.key(e.key)
	eff, mask, err := w.choose(e, o.meta, o.eff)
	if err != nil {
		return err
	}
	w.out = append(w.out, '{')
	meta := newObject(w, o.meta, w.m.planOf(e, mask), eff)
	for i, name := range o.meta.Names {
		if name == "security" {
			continue
		}
		if err := meta.member(i); err != nil {
			return err
		}
	}
	if err := meta.security(add); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	if !meta.any {
		w.out, o.any = w.out[:mark], was
		return nil
	}
	o.any = true
	return nil
}

// security writes the labels that stay and those that are new.
func (o *object) security(add []label) error {
	w := o.w
	e := o.plan.edges["security"]
	mark, was, any := len(w.out), o.any, false
	o.key(e.key)
	w.out = append(w.out, '[')
	var have map[string]bool
	w.trail = append(w.trail, "security")
	for _, n := range o.node.Get("security").List() {
		at := len(w.out)
		if any {
			w.out = append(w.out, ',')
		}
		ok, err := o.value(e, n)
		if err != nil {
			return err
		}
		if !ok {
			w.out = w.out[:at]
			continue
		}
		any = true
		if have == nil {
			have = map[string]bool{}
		}
		have[n.Get("code").Str()] = true
	}
	w.trail = w.trail[:len(w.trail)-1]
	for _, l := range add {
		if have[l.code] {
			continue
		}
		if any {
			w.out = append(w.out, ',')
		}
		any = true
		w.out = append(w.out, l.json...)
	}
	w.out = append(w.out, ']')
	if !any {
		w.out, o.any = w.out[:mark], was
		return nil
	}
	o.any = true
	return nil
}
