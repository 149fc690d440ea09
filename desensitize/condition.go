package desensitize

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Condition is a condition of a rule, in the language that HL7 v2 and CDA rules use (FHIR
// rules use FHIRPath):
//
//	a = 'x'   a != 'x'   a in ('x', 'y')   startsWith(a, 'x')   contains(a, 'x')   exists(a)
//	not c     c and c    c or c            (c)
//
// where a names a value near the one that is selected, in the way of the format. A name may
// have several values: a comparison holds if it holds for one of them; != if it holds for all.
type Condition struct {
	op   string // and, or, not, =, !=, in, startsWith, contains, exists
	name string
	list []string
	of   []*Condition
}

// maxConditionDepth bounds parentheses and nots in a condition.
const maxConditionDepth = 16

// ParseCondition reads a condition. names reports the names that a format knows; nil allows
// all. The empty condition always holds and is nil.
func ParseCondition(s string, names func(string) bool) (*Condition, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	p := &conditionParser{rest: s, names: names}
	p.next()
	c, err := p.either(0)
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		return nil, p.fail("unexpected " + p.shown())
	}
	return c, nil
}

// Holds evaluates the condition. get returns the values of a name. A nil condition holds.
func (c *Condition) Holds(get func(name string) []string) bool {
	if c == nil {
		return true
	}
	switch c.op {
	case "and":
		return c.of[0].Holds(get) && c.of[1].Holds(get)
	case "or":
		return c.of[0].Holds(get) || c.of[1].Holds(get)
	case "not":
		return !c.of[0].Holds(get)
	}
	for _, v := range get(c.name) {
		if c.compare(v) {
			return c.op != "!="
		}
	}
	return c.op == "!="
}

// compare of != tells whether the value is the one that must not be.
func (c *Condition) compare(v string) bool {
	switch c.op {
	case "exists":
		return v != ""
	case "startsWith":
		return strings.HasPrefix(v, c.list[0])
	case "contains":
		return strings.Contains(v, c.list[0])
	}
	for _, want := range c.list {
		if v == want {
			return true
		}
	}
	return false
}

type conditionParser struct {
	rest  string
	token string // a name, an operator, or a literal with its quote in front; "" at the end
	names func(string) bool
}

func (p *conditionParser) fail(problem string) error {
	return fmt.Errorf("where: %s", problem)
}

func (p *conditionParser) shown() string {
	if p.token == "" {
		return "end"
	}
	return "“" + strings.TrimPrefix(p.token, "'") + "”"
}

// next reads a token.
func (p *conditionParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	s := p.rest
	if s == "" {
		p.token = ""
		return
	}
	n := 1
	switch {
	case s[0] == '\'':
		end := strings.IndexByte(s[1:], '\'')
		if end < 0 {
			p.token, p.rest = "?", "" // a literal without an end
			return
		}
		p.token, p.rest = s[:end+1], s[end+2:]
		return
	case strings.HasPrefix(s, "!="):
		n = 2
	case strings.ContainsRune("()=,", rune(s[0])):
	default:
		for n = 0; n < len(s) && !strings.ContainsRune(" \t\n()=!,'", rune(s[n])); n++ {
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(s)
		}
	}
	p.token, p.rest = s[:n], s[n:]
}

func (p *conditionParser) either(depth int) (*Condition, error) {
	c, err := p.both(depth)
	for err == nil && p.token == "or" {
		p.next()
		var right *Condition
		right, err = p.both(depth)
		c = &Condition{op: "or", of: []*Condition{c, right}}
	}
	return c, err
}

func (p *conditionParser) both(depth int) (*Condition, error) {
	c, err := p.one(depth)
	for err == nil && p.token == "and" {
		p.next()
		var right *Condition
		right, err = p.one(depth)
		c = &Condition{op: "and", of: []*Condition{c, right}}
	}
	return c, err
}

func (p *conditionParser) one(depth int) (*Condition, error) {
	if depth > maxConditionDepth {
		return nil, p.fail("nested too deeply")
	}
	switch t := p.token; t {
	case "not":
		p.next()
		c, err := p.one(depth + 1)
		return &Condition{op: "not", of: []*Condition{c}}, err
	case "(":
		p.next()
		c, err := p.either(depth + 1)
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	case "exists", "startsWith", "contains":
		if strings.HasPrefix(strings.TrimLeft(p.rest, " "), "(") {
			p.next()
			return p.call(t)
		}
	}
	return p.comparison()
}

func (p *conditionParser) expect(token string) error {
	if p.token != token {
		return p.fail("“" + token + "” expected before " + p.shown())
	}
	p.next()
	return nil
}

func (p *conditionParser) call(op string) (*Condition, error) {
	p.next()
	name, err := p.value()
	if err != nil {
		return nil, err
	}
	c := &Condition{op: op, name: name}
	if op != "exists" {
		if err := p.expect(","); err != nil {
			return nil, err
		}
		l, err := p.literal()
		if err != nil {
			return nil, err
		}
		c.list = []string{l}
	}
	return c, p.expect(")")
}

func (p *conditionParser) value() (string, error) {
	name := p.token
	if name == "" || strings.ContainsAny(name, "()=!,'?") {
		return "", p.fail("a name is missing before " + p.shown())
	}
	if p.names != nil && !p.names(name) {
		return "", p.fail("“" + name + "” names nothing here")
	}
	p.next()
	return name, nil
}

func (p *conditionParser) literal() (string, error) {
	if !strings.HasPrefix(p.token, "'") {
		return "", p.fail("a text in single quotes is missing before " + p.shown())
	}
	s := p.token[1:]
	p.next()
	return s, nil
}

func (p *conditionParser) comparison() (*Condition, error) {
	name, err := p.value()
	if err != nil {
		return nil, err
	}
	op := p.token
	p.next()
	c := &Condition{op: op, name: name}
	switch op {
	case "=", "!=":
		l, err := p.literal()
		c.list = []string{l}
		return c, err
	case "in":
		if err := p.expect("("); err != nil {
			return nil, err
		}
		for {
			l, err := p.literal()
			if err != nil {
				return nil, err
			}
			c.list = append(c.list, l)
			if p.token != "," {
				return c, p.expect(")")
			}
			p.next()
		}
	}
	return nil, p.fail("=, != or in is missing behind “" + name + "”")
}
