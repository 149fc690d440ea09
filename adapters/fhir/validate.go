package fhir

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// Engine is a further judge of a resource that the rules of this package let pass. It
// returns nil or warnings for a good one. It is called concurrently and must not keep data.
type Engine interface {
	Check(data []byte) Issues
}

// ValidatorConfig sets a Validator up. The zero value has the defaults and no engine.
type ValidatorConfig struct {
	Limits    Limits
	Engine    Engine // nil: the rules of this package alone
	MaxIssues int    // most issues of one resource; default 100
}

// Validator judges resources. It is safe for concurrent use.
type Validator struct{ cfg ValidatorConfig }

// NewValidator returns a validator.
func NewValidator(cfg ValidatorConfig) *Validator {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.MaxIssues <= 0 {
		cfg.MaxIssues = 100
	}
	return &Validator{cfg}
}

// Resource is a resource as it was received.
type Resource struct {
	Root *Node
	// Raw are the bytes that Root was read from.
	Raw []byte
}

// LogValue implements slog.LogValuer with what may be logged.
func (r *Resource) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", r.Type()), slog.Int("bytes", len(r.Raw)))
}

// Type is the resource type.
func (r *Resource) Type() string { return r.Root.Get("resourceType").Str() }

// ID is the logical id, "" if the resource has none.
func (r *Resource) ID() string { return r.Root.Get("id").Str() }

// Validate parses and judges data. The resource is nil where data is no JSON. It is good if
// the issues have not Failed.
func (v *Validator) Validate(ctx context.Context, data []byte) (*Resource, Issues) {
	root, err := Parse(data, v.cfg.Limits)
	if err != nil {
		return nil, Issues{IssueOf(err)}
	}
	r := &Resource{Root: root, Raw: data}
	return r, v.Judge(ctx, r)
}

// Limits are the bounds of what the validator reads.
func (v *Validator) Limits() Limits { return v.cfg.Limits }

// Judge judges a parsed resource by the rules of this package and by the engine.
func (v *Validator) Judge(ctx context.Context, r *Resource) Issues {
	issues := v.Check(ctx, r)
	if !issues.Failed() && v.cfg.Engine != nil && ctx.Err() == nil {
		issues = append(issues, v.cfg.Engine.Check(r.Raw)...)
	}
	return issues
}

// Check judges a parsed resource by the rules of this package.
func (v *Validator) Check(ctx context.Context, r *Resource) Issues {
	c := &checker{ctx: ctx, max: v.cfg.MaxIssues}
	c.push(r.Type())
	if r.Type() == "" || !isName(r.Type()) {
		c.trail = c.trail[:0]
	}
	c.resource(r.Root, nil)
	return c.issues
}

// checker walks one resource.
type checker struct {
	ctx    context.Context //nolint:containedctx // lives for one call
	issues Issues
	max    int
	steps  int
	trail  []step
	inside []*container
}

// container is a resource with what it contains, while it is walked.
type container struct {
	node *Node
	// ids of contained resources.
	ids map[string]bool
	// named are the local names ("#x") that anything in the container uses.
	named map[string]bool
}

func (c *checker) push(name string)  { c.trail = append(c.trail, step{name: name}) }
func (c *checker) pushIndex(i int)   { c.trail = append(c.trail, step{index: i}) }
func (c *checker) pop()              { c.trail = c.trail[:len(c.trail)-1] }
func (c *checker) outer() *container { return c.inside[len(c.inside)-1] }

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (c *checker) path() string {
	var b strings.Builder
	for _, s := range c.trail {
		switch {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

func (c *checker) full() bool { return len(c.issues) >= c.max }

func (c *checker) add(i Issue) {
	if c.full() {
		return
	}
	if i.Expression == "" {
		i.Expression = c.path()
	}
	if c.issues = append(c.issues, i); c.full() {
		c.issues = append(c.issues, Issue{Severity: Error, Code: CodeTooCostly, Diagnostics: "there are more issues; these are the first " + strconv.Itoa(c.max)})
	}
}

func (c *checker) fail(code Code, diagnostics string) {
	c.add(Issue{Severity: Error, Code: code, Diagnostics: diagnostics})
}

func (c *checker) failAt(child string, code Code, diagnostics string) {
	c.add(Issue{Severity: Error, Code: code, Diagnostics: diagnostics, Expression: c.path() + "." + child})
}

func (c *checker) breaks(rule, diagnostics string) {
	c.add(Issue{Severity: Error, Code: CodeInvariant, Diagnostics: diagnostics, Rule: rule})
}

// alive reports whether walking goes on. The deadline is looked at now and then.
func (c *checker) alive() bool {
	if c.steps++; c.steps%512 == 0 && c.ctx.Err() != nil && !c.full() {
		c.max = len(c.issues)
		c.issues = append(c.issues, Issue{Severity: Fatal, Code: CodeTimeout, Diagnostics: "validation took too long"})
	}
	return !c.full()
}

// resource judges a whole resource: the root, one in a Bundle, or a contained one, which
// has a holder.
func (c *checker) resource(n *Node, holder *container) {
	if n.Kind != Object {
		c.fail(CodeStructure, "a resource must be an object, not "+n.Kind.String())
		return
	}
	kind := n.Get("resourceType").Str()
	if kind == "" {
		c.fail(CodeRequired, "resourceType is missing")
		return
	}
	if i, is := foreign(n, c.path()); is {
		c.add(i)
		return
	}
	t, ok := schema.FindResource(kind)
	if !ok {
		c.fail(CodeStructure, "unknown resource type; FHIR R4 has no resource of this name")
		return
	}
	if holder == nil {
		holder = &container{node: n, ids: map[string]bool{}, named: map[string]bool{}}
		for _, inner := range n.Get("contained").List() {
			holder.ids[inner.Get("id").Str()] = true
		}
	} else {
		c.containedRules(n)
	}
	c.inside = append(c.inside, holder)
	c.complex(t, n)
	c.inside = c.inside[:len(c.inside)-1]
	if holder.node == n {
		c.unnamedContained(holder)
	}
}

// complex judges the members of an object.
func (c *checker) complex(t *schema.Type, n *Node) {
	if n.Kind != Object {
		c.fail(CodeStructure, "must be an object, not "+n.Kind.String())
		return
	}
	if len(n.Names) == 0 {
		c.breaks("ele-1", "an empty object; leave the element out")
		return
	}
	var choices map[string]string
	for i, name := range n.Names {
		if !c.alive() {
			return
		}
		if name == "resourceType" && t.Resource {
			continue
		}
		base := strings.TrimPrefix(name, "_")
		e, ok := t.Element(base)
		if !ok || len(base) != len(name) && e.Kind != schema.Primitive {
			c.unknown(t, name)
			continue
		}
		if e.Choice != "" {
			if choices == nil {
				choices = map[string]string{}
			}
			if was, ok := choices[e.Choice]; ok && was != e.Name {
				c.failAt(e.Choice, CodeStructure, "only one type of a choice may be given, here are "+was+" and "+e.Name)
			}
			choices[e.Choice] = e.Name
		}
		c.push(e.Path)
		if len(base) == len(name) {
			c.element(e, n.Items[i], n.Get("_"+name))
		} else {
			c.shadow(e, n.Items[i], n.Get(base))
		}
		c.pop()
	}
	c.required(t, n)
	c.rules(t, n)
}

func (c *checker) unknown(t *schema.Type, name string) {
	shown := "a property that this server does not show"
	if isName(name) {
		shown = "property '" + name + "'"
	}
	if hint, ok := otherElements[t.Name+"."+name]; ok {
		c.fail(CodeNotSupported, "unknown "+shown+": it is of FHIR "+hint+"; this server takes FHIR R4 (4.0.1) only")
		return
	}
	hint := ""
	for _, e := range t.Elements {
		if e.Choice == name {
			hint = "; a choice is written with its type, for example " + e.Name
			break
		}
	}
	c.fail(CodeStructure, "unknown "+shown+hint)
}

func (c *checker) required(t *schema.Type, n *Node) {
	done := ""
	for _, e := range t.Elements {
		if !e.Required || e.Choice != "" && e.Choice == done {
			continue
		}
		if e.Choice == "" {
			if n.Get(e.Name) == nil && n.Get("_"+e.Name) == nil {
				c.add(Issue{Severity: Error, Code: CodeRequired, Expression: c.path() + "." + e.Name, Diagnostics: "the element is required"})
			}
			continue
		}
		done = e.Choice
		given := slices.ContainsFunc(n.Names, func(name string) bool {
			alt, ok := t.Element(strings.TrimPrefix(name, "_"))
			return ok && alt.Choice == e.Choice
		})
		if !given {
			c.add(Issue{Severity: Error, Code: CodeRequired, Expression: c.path() + "." + e.Choice, Diagnostics: "one of the types of " + e.Choice + "[x] is required"})
		}
	}
}

// element judges the value of a member; shadow is the member with an underscore before it.
func (c *checker) element(e *schema.Element, v, shadow *Node) {
	if e.List {
		c.list(e, v, shadow)
		return
	}
	switch v.Kind {
	case Array:
		c.fail(CodeStructure, "must not be an array: the element occurs once")
	case Null:
		c.fail(CodeStructure, "null is no value; leave the element out")
	default:
		c.single(e, v)
	}
}

func (c *checker) list(e *schema.Element, v, shadow *Node) {
	if !c.isList(v) {
		return
	}
	if shadow != nil && shadow.Kind == Array && len(shadow.Items) != len(v.Items) {
		c.fail(CodeStructure, "values and their extensions differ in number")
	}
	for i, item := range v.Items {
		c.pushIndex(i)
		if item.Kind != Null {
			c.single(e, item)
		} else if e.Kind != schema.Primitive || shadow == nil || shadow.Kind != Array || i >= len(shadow.Items) || shadow.Items[i].Kind == Null {
			c.fail(CodeStructure, "null without an extension in its place")
		}
		c.pop()
	}
}

func (c *checker) isList(v *Node) bool {
	if v.Kind != Array {
		c.fail(CodeStructure, "must be an array, not "+v.Kind.String())
		return false
	}
	if len(v.Items) == 0 {
		c.breaks("ele-1", "an empty array; leave the element out")
	}
	return true
}

// shadow judges the id and extensions of a primitive.
func (c *checker) shadow(e *schema.Element, v, value *Node) {
	base, _ := schema.Find("Element")
	if !e.List {
		c.shadowOf(base, v)
		return
	}
	if !c.isList(v) {
		return
	}
	for i, item := range v.Items {
		c.pushIndex(i)
		switch {
		case item.Kind != Null:
			c.shadowOf(base, item)
		case value == nil:
			c.fail(CodeStructure, "null without a value in its place")
		}
		c.pop()
	}
}

func (c *checker) shadowOf(base *schema.Type, v *Node) {
	if v.Kind != Object {
		c.fail(CodeStructure, "the extensions of a primitive must be an object, not "+v.Kind.String())
		return
	}
	c.complex(base, v)
}

// single judges one value of an element.
func (c *checker) single(e *schema.Element, v *Node) {
	switch e.Kind {
	case schema.Primitive:
		c.primitive(e, v)
	case schema.Reference:
		c.complex(e.Type, v)
		c.reference(e, v)
	case schema.Resource:
		if e.Name == "contained" {
			c.resource(v, c.outer())
		} else {
			c.resource(v, nil)
		}
	case schema.Complex:
		c.complex(e.Type, v)
	}
}

func (c *checker) primitive(e *schema.Element, v *Node) {
	if problem := checkPrimitive(e.Primitive, v); problem != "" {
		c.fail(CodeValue, problem)
		return
	}
	if v.Kind == String && len(v.Text) > 1 && v.Text[0] == '#' {
		c.outer().named[v.Text[1:]] = true
	}
	if len(e.Codes) > 0 && !slices.Contains(e.Codes, v.Text) {
		c.add(Issue{Severity: Error, Code: CodeCodeInvalid, Diagnostics: "not one of the allowed codes: " + someCodes(e.Codes)})
		return
	}
	if e.Primitive == "xhtml" {
		c.narrative(v.Text)
	}
}

func someCodes(codes []string) string {
	const most = 12
	if len(codes) > most {
		return strings.Join(codes[:most], ", ") + ", …"
	}
	return strings.Join(codes, ", ")
}
