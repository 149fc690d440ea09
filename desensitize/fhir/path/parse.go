package path

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
)

// Limits of expressions.
const (
	MaxLength = 4096 // bytes
	maxDepth  = 32
)

// Expression is a compiled expression.
type Expression struct {
	source string
	root   *node
	quick  []quick // the whole of it, where it is so simple
}

// String returns the source.
func (e *Expression) String() string { return e.source }

// node is one operation. Its operands are in args.
type node struct {
	op    string // operator, or function name with "()", or literal, this, child, type
	name  string // child, type names
	value value  // literal
	args  []*node
	re    *regexp.Regexp // matches and replaceMatches with a literal pattern
}

type parser struct {
	lexer
	tok   token
	depth int
}

// Compile reads an expression. The error is an *Error.
func Compile(src string) (*Expression, error) {
	p := &parser{lexer: lexer{src: src}}
	if len(src) > MaxLength {
		return nil, p.fail(0, "the expression has more than %d bytes", MaxLength)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != end {
		return nil, p.fail(p.tok.at, "something follows the end of the expression")
	}
	e := &Expression{source: src, root: n}
	e.quick, _ = n.quick(nil)
	return e, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

// precedence of binary operators (FHIRPath N1 §6.8), loosest first.
var precedence = [][]string{
	{"implies"}, {"or", "xor"}, {"and"}, {"in", "contains"}, {"=", "!="}, {"<", "<=", ">", ">="}, {"|"}, {"is", "as"}, {"+", "-", "&"},
	{"*", "/", "div", "mod"},
}

func (p *parser) expression(level int) (*node, error) {
	if level == len(precedence) {
		return p.postfix()
	}
	if level == 0 {
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(p.tok.at, "nested deeper than %d levels", maxDepth)
		}
		defer func() { p.depth-- }()
	}
	left, err := p.expression(level + 1)
	for err == nil && p.isOperator(precedence[level]) {
		op := p.tok.text
		if err = p.advance(); err != nil {
			return nil, err
		}
		if op == "is" || op == "as" {
			var t *node
			t, err = p.typeName()
			left = &node{op: op, args: []*node{left, t}}
			continue
		}
		var right *node
		right, err = p.expression(level + 1)
		left = &node{op: op, args: []*node{left, right}}
	}
	return left, err
}

func (p *parser) isOperator(ops []string) bool {
	return (p.tok.kind == symbol || p.tok.kind == ident) && slices.Contains(ops, p.tok.text)
}

func (p *parser) is(s string) bool { return p.tok.kind == symbol && p.tok.text == s }

func (p *parser) expect(s string) error {
	if !p.is(s) {
		return p.fail(p.tok.at, "“%s” expected", s)
	}
	return p.advance()
}

// typeName reads Age, FHIR.Age or System.String.
func (p *parser) typeName() (*node, error) {
	if p.tok.kind != ident {
		return nil, p.fail(p.tok.at, "the name of a type is missing")
	}
	name := p.tok.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	if (name == "FHIR" || name == "System") && p.is(".") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.typeName()
	}
	return &node{op: "type", name: name}, nil
}

func (p *parser) postfix() (*node, error) {
	n, err := p.term()
	for err == nil {
		switch {
		case p.is("."):
			if err = p.advance(); err != nil {
				return nil, err
			}
			n, err = p.step(n)
		case p.is("["):
			if err = p.advance(); err != nil {
				return nil, err
			}
			var index *node
			if index, err = p.expression(0); err != nil {
				return nil, err
			}
			n, err = &node{op: "[]", args: []*node{n, index}}, p.expect("]")
		default:
			return n, nil
		}
	}
	return n, err
}

func (p *parser) term() (*node, error) {
	t := p.tok
	switch {
	case t.kind == text:
		return &node{op: "literal", value: value{kind: vText, text: t.text}}, p.advance()
	case t.kind == number:
		v, ok := numberOf(t.text)
		if !ok {
			return nil, p.fail(t.at, "a number that is too long")
		}
		return &node{op: "literal", value: v}, p.advance()
	case t.kind == date:
		return &node{op: "literal", value: value{kind: vDate, text: t.text}}, p.advance()
	case p.is("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case p.is("-") || p.is("+"):
		return p.sign()
	case t.kind == ident:
		return p.name()
	}
	return nil, p.fail(t.at, "a value is missing")
}

func (p *parser) sign() (*node, error) {
	minus := p.is("-")
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok.at, "nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	n, err := p.postfix()
	if err != nil || !minus {
		return n, err
	}
	zero := value{kind: vNumber, num: new(big.Rat)}
	return &node{op: "-", args: []*node{{op: "literal", value: zero}, n}}, nil
}

func (p *parser) name() (*node, error) {
	switch p.tok.text {
	case "true", "false":
		yes := p.tok.text == "true"
		return &node{op: "literal", value: value{kind: vBool, b: yes}}, p.advance()
	case "$this":
		return &node{op: "this"}, p.advance()
	case "%resource", "%context", "%rootResource":
		return &node{op: "root"}, p.advance()
	}
	if p.tok.text[0] == '$' || p.tok.text[0] == '%' {
		return nil, p.fail(p.tok.at, "“%s” is unknown", p.tok.text)
	}
	return p.step(&node{op: "this"})
}

// step reads a member or a function of what stands before it.
func (p *parser) step(of *node) (*node, error) {
	if p.tok.kind != ident {
		return nil, p.fail(p.tok.at, "a name is missing")
	}
	name, at := p.tok.text, p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.is("(") {
		return &node{op: "child", name: name, args: []*node{of}}, nil
	}
	f, ok := functions[name]
	if !ok {
		return nil, p.fail(at, "the function %s is not supported", name)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n := &node{op: name + "()", args: []*node{of}}
	if err := p.arguments(n, name == "ofType" || name == "is" || name == "as"); err != nil {
		return nil, err
	}
	if got := len(n.args) - 1; got < f.min || got > f.max {
		return nil, p.fail(at, "%s has %s, not %d", name, f.takes(), got)
	}
	if err := n.pattern(); err != nil {
		return nil, p.fail(at, "%s: the regular expression is not understood", name)
	}
	return n, p.expect(")")
}

// arguments reads what stands in the parentheses of a function.
func (p *parser) arguments(n *node, types bool) error {
	for !p.is(")") {
		read := p.typeName
		if !types {
			read = func() (*node, error) { return p.expression(0) }
		}
		arg, err := read()
		if err != nil {
			return err
		}
		n.args = append(n.args, arg)
		if !p.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// pattern compiles a literal regular expression once.
func (n *node) pattern() (err error) {
	if (n.op == "matches()" || n.op == "replaceMatches()") && n.args[1].op == "literal" {
		n.re, err = regexp.Compile(n.args[1].value.text)
	}
	return err
}

type function struct{ min, max int }

func (f function) takes() string {
	if f.min == f.max {
		return fmt.Sprintf("%d arguments", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

var functions = map[string]function{
	"exists": {0, 1}, "empty": {0, 0}, "not": {0, 0}, "where": {1, 1}, "all": {1, 1}, "count": {0, 0}, "first": {0, 0}, "last": {0, 0},
	"startsWith": {1, 1}, "endsWith": {1, 1}, "contains": {1, 1}, "matches": {1, 1}, "indexOf": {1, 1}, "substring": {1, 2}, "length": {0, 0},
	"replace": {2, 2}, "replaceMatches": {2, 2}, "lower": {0, 0}, "upper": {0, 0}, "toString": {0, 0}, "toInteger": {0, 0}, "toDecimal": {0, 0},
	"ofType": {1, 1}, "is": {1, 1}, "as": {1, 1}, "iif": {2, 3}, "hasValue": {0, 0}, "trim": {0, 0}, "distinct": {0, 0}, "children": {0, 0},
}
