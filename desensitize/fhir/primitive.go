package fhir

import (
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

// primitive writes a member that holds primitive values, with the ids and extensions that
// stand beside them. v is the value, or what stands beside if there is no value.
func (o *object) primitive(e *edge, base string, v *fhir.Node, shadowOnly bool) (bool, error) {
	var shadow *fhir.Node
	switch {
	case shadowOnly:
		v, shadow = nil, v
	case o.shadows:
		shadow = o.node.Get("_" + base)
	}
	if v != nil && v.Kind == fhir.Array || shadow != nil && shadow.Kind == fhir.Array {
		return o.primitives(e, v, shadow)
	}
	w, wrote := o.w, false
	if v != nil {
		mark, was := len(w.out), o.any
		o.key(e.key)
		ok, err := o.one(e, v)
		if err != nil {
			return false, err
		}
		if ok {
			wrote, o.any = true, true
		} else {
			w.out, o.any = w.out[:mark], was
		}
	}
	if shadow != nil {
		mark, was := len(w.out), o.any
		o.key(shadowKey(e))
		ok, err := o.beside(e, v, shadow)
		if err != nil {
			return false, err
		}
		if ok {
			wrote = true
		} else {
			w.out, o.any = w.out[:mark], was
		}
	}
	return wrote, nil
}

func shadowKey(e *edge) []byte { return append([]byte(`"_`), e.key[1:]...) }

// beside writes what stands beside a primitive.
func (o *object) beside(e *edge, v, shadow *fhir.Node) (bool, error) {
	if v == nil {
		v = shadow
	}
	eff, mask, err := o.w.choose(e, v, o.eff)
	if err != nil {
		return false, err
	}
	return o.w.object(shadow, o.w.m.planOf(e, mask), eff)
}

// primitives writes a list of primitive values. Values and what stands beside them keep their
// places.
func (o *object) primitives(e *edge, v, shadow *fhir.Node) (bool, error) {
	w := o.w
	if shadow == nil {
		o.key(e.key)
		return o.plainList(e, v)
	}
	var values, shadows [][]byte
	n := max(len(v.List()), len(shadow.List()))
	anyValue, anyShadow := false, false
	for i := range n {
		value, err := o.part(func() (bool, error) { return o.oneOf(e, v.List(), i) })
		if err != nil {
			return false, err
		}
		beside, err := o.part(func() (bool, error) { return o.besideOf(e, at(v.List(), i), at(shadow.List(), i)) })
		if err != nil {
			return false, err
		}
		if value == nil && beside == nil {
			continue
		}
		anyValue, anyShadow = anyValue || value != nil, anyShadow || beside != nil
		values, shadows = append(values, value), append(shadows, beside)
	}
	if anyValue {
		o.key(e.key)
		w.out = appendParts(w.out, values)
		o.any = true
	}
	if anyShadow {
		o.key(shadowKey(e))
		w.out = appendParts(w.out, shadows)
	}
	return anyValue || anyShadow, nil
}

// plainList writes a list of primitive values that nothing stands beside.
func (o *object) plainList(e *edge, v *fhir.Node) (bool, error) {
	w := o.w
	w.out = append(w.out, '[')
	any := false
	for _, n := range v.Items {
		mark := len(w.out)
		if any {
			w.out = append(w.out, ',')
		}
		ok := false
		if n.Kind != fhir.Null {
			var err error
			if ok, err = o.one(e, n); err != nil {
				return false, err
			}
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

func at(list []*fhir.Node, i int) *fhir.Node {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// part returns what write appends to the output, nil if nothing, and takes it off again.
func (o *object) part(write func() (bool, error)) ([]byte, error) {
	mark := len(o.w.out)
	ok, err := write()
	part := slices.Clone(o.w.out[mark:])
	o.w.out = o.w.out[:mark]
	if err != nil || !ok {
		return nil, err
	}
	return part, nil
}

func appendParts(dst []byte, parts [][]byte) []byte {
	dst = append(dst, '[')
	for i, p := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if p == nil {
			p = []byte("null")
		}
		dst = append(dst, p...)
	}
	return append(dst, ']')
}

func (o *object) besideOf(e *edge, v, shadow *fhir.Node) (bool, error) {
	if shadow == nil || shadow.Kind == fhir.Null {
		return false, nil
	}
	return o.beside(e, v, shadow)
}

func (o *object) oneOf(e *edge, list []*fhir.Node, i int) (bool, error) {
	n := at(list, i)
	if n == nil || n.Kind == fhir.Null {
		return false, nil
	}
	return o.one(e, n)
}

// one writes what becomes of one primitive value.
func (o *object) one(e *edge, n *fhir.Node) (bool, error) {
	w := o.w
	eff, _, err := w.choose(e, n, o.eff)
	if err != nil {
		return false, err
	}
	action := w.action(eff)
	if w.mode.strict && n.Kind != kindOfPrimitive(e.elem.Primitive) {
		w.redacted(eff, e.what)
		return false, nil // a value of another kind could be anything
	}
	switch action.Effect() {
	case Keeps:
		ok, err := true, error(nil)
		if w.mode.strict {
			ok, err = o.harmless(e, n)
		}
		if err != nil {
			return false, err
		}
		if !ok {
			w.redacted(eff, e.what)
			return false, nil
		}
		w.refers(e, n.Text)
		w.raw(n)
		return true, nil
	case Removes:
		w.redacted(eff, e.what)
		return false, nil
	}
	c := &w.call
	*c = Call{
		Session: w.session, Element: e.elem, Type: e.what, Text: n.Text, Owner: o.node, OwnerType: o.plan.typ,
		Item: path.Item{Node: n, Primitive: e.elem.Primitive}, Resource: w.here().item, w: w,
	}
	out, err := action.Change(c)
	if err != nil {
		return false, err
	}
	w.did(out.Method)
	if out.Removed {
		return false, nil
	}
	w.refers(e, n.Text)
	return w.put(e, n, out.Text), nil
}

// refers notes a reference to a contained resource.
func (w *walk) refers(e *edge, text string) {
	if e.what == desensitize.Reference && strings.HasPrefix(text, "#") && e.elem.Name == "reference" && w.here().locals != nil {
		w.here().locals[text[1:]] = true
	}
}

func kindOfPrimitive(name string) fhir.NodeKind {
	switch name {
	case "boolean":
		return fhir.Bool
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return fhir.Number
	}
	return fhir.String
}

// put writes a changed value if it fits the type of its element.
func (w *walk) put(e *edge, n *fhir.Node, text string) bool {
	if text == n.Text {
		w.raw(n)
		return true
	}
	switch kindOfPrimitive(e.elem.Primitive) {
	case fhir.Number:
		if !isNumber(text) || e.elem.Primitive != "decimal" && strings.ContainsAny(text, ".eE") {
			return false
		}
		if strings.HasPrefix(text, "-") && (e.elem.Primitive == "positiveInt" || e.elem.Primitive == "unsignedInt") {
			return false
		}
		w.out = append(w.out, text...)
		return true
	case fhir.Bool:
		if text != "true" && text != "false" {
			return false
		}
		w.out = append(w.out, text...)
		return true
	}
	if text = fitted(e.elem, text); text == "" {
		return false
	}
	w.out = appendString(w.out, text)
	return true
}

func isNumber(s string) bool {
	n, err := fhir.Parse([]byte(s), fhir.Limits{MaxBytes: 128})
	return err == nil && n.Kind == fhir.Number
}

// fitted makes a text fit a primitive type, "" if it does not.
func fitted(e *schema.Element, text string) string {
	switch e.Primitive {
	case "instant":
		if len(text) < len("2024-01-01T00:00:00Z") {
			if _, _, ok := fhir.DateRange(text); !ok {
				return ""
			}
			const start = "0001-01-01T00:00:00Z"
			return text + start[len(text):] // an instant has no less than seconds
		}
	case "code":
		if len(e.Codes) > 0 && !slices.Contains(e.Codes, text) {
			return ""
		}
	case "id":
		if len(text) > 64 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != "" {
			return ""
		}
	case "date", "dateTime":
		if _, _, ok := fhir.DateRange(text); !ok {
			return ""
		}
	}
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return text
}
