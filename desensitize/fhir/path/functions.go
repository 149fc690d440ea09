package path

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// call evaluates a function of a collection.
func (m *machine) call(n *node, this []value) ([]value, error) {
	of, err := m.eval(n.args[0], this)
	if err != nil {
		return nil, err
	}
	args := n.args[1:]
	switch n.op {
	case "exists()":
		if len(args) == 1 {
			of, err = m.where(of, args[0])
		}
		return boolean(len(of) > 0), err
	case "where()":
		return m.where(of, args[0])
	case "all()":
		hit, err := m.where(of, args[0])
		return boolean(len(hit) == len(of)), err
	case "ofType()", "as()":
		return typed("as", of, args[0].name), nil
	case "is()":
		return typed("is", of, args[0].name), nil
	case "iif()":
		return m.choose(args, of)
	}
	if out, ok := m.collection(n.op, of); ok {
		return out, nil
	}
	if len(of) == 0 {
		if n.op == "hasValue()" {
			return boolean(false), nil
		}
		return nil, nil
	}
	if len(of) > 1 {
		return nil, fmt.Errorf("%w: %s needs a single value", ErrEvaluate, n.op)
	}
	return m.single(n, of[0], this)
}

// collection evaluates functions of a whole collection that take nothing else.
func (m *machine) collection(op string, of []value) ([]value, bool) {
	switch op {
	case "empty()":
		return boolean(len(of) == 0), true
	case "count()":
		v, _ := numberOf(fmt.Sprint(len(of)))
		return []value{v}, true
	case "first()":
		return of[:min(1, len(of))], true
	case "last()":
		return of[max(0, len(of)-1):], true
	case "distinct()":
		return distinct(of), true
	case "children()":
		return m.children(of), true
	}
	return nil, false
}

func (m *machine) where(of []value, condition *node) ([]value, error) {
	var out []value
	for _, v := range of {
		c, err := m.eval(condition, []value{v})
		if err != nil {
			return nil, err
		}
		ok, err := truth(c)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, v)
		}
	}
	return out, nil
}

func (m *machine) children(of []value) []value {
	var out []value
	for _, v := range of {
		if v.kind == vNode && v.item.Node != nil {
			for _, name := range v.item.Node.Names {
				m.steps++
				for _, c := range Children(v.item, name) {
					out = append(out, value{item: c})
				}
			}
		}
	}
	return out
}

func (m *machine) choose(args []*node, this []value) ([]value, error) {
	c, err := m.eval(args[0], this)
	if err != nil {
		return nil, err
	}
	ok, err := truth(c)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return m.eval(args[1], this)
	case len(args) == 3:
		return m.eval(args[2], this)
	}
	return nil, nil
}

// single evaluates a function of one value.
func (m *machine) single(n *node, v value, this []value) ([]value, error) {
	v = v.plain()
	switch n.op {
	case "not()":
		t, err := truth([]value{v})
		return boolean(!t), err
	case "hasValue()":
		return boolean(v.kind != vNode), nil
	}
	s, ok := v.string()
	if !ok {
		return nil, fmt.Errorf("%w: %s needs a text", ErrEvaluate, n.op)
	}
	switch n.op {
	case "toString()":
		return texts(s)
	case "toInteger()", "toDecimal()":
		w, ok := numberOf(s)
		if !ok || n.op == "toInteger()" && !w.num.IsInt() {
			return nil, nil
		}
		return []value{w}, nil
	case "lower()":
		return texts(strings.ToLower(s))
	case "upper()":
		return texts(strings.ToUpper(s))
	case "trim()":
		return texts(strings.TrimSpace(s))
	case "length()":
		w, _ := numberOf(fmt.Sprint(utf8.RuneCountInString(s)))
		return []value{w}, nil
	}
	args, ok, err := m.texts(n.args[1:], this)
	if err != nil || !ok {
		return nil, err
	}
	return m.string(n, s, args)
}

func texts(s string) ([]value, error) { return []value{{kind: vText, text: s}}, nil }

// texts evaluates arguments to single texts; ok is false if one is empty.
func (m *machine) texts(args []*node, this []value) ([]string, bool, error) {
	var out []string
	for _, a := range args {
		c, err := m.eval(a, this)
		if err != nil || len(c) == 0 {
			return nil, false, err
		}
		s, ok := c[0].string()
		if len(c) > 1 || !ok {
			return nil, false, fmt.Errorf("%w: an argument is no single text", ErrEvaluate)
		}
		out = append(out, s)
	}
	return out, true, nil
}

func (m *machine) string(n *node, s string, args []string) ([]value, error) {
	switch n.op {
	case "startsWith()":
		return boolean(strings.HasPrefix(s, args[0])), nil
	case "endsWith()":
		return boolean(strings.HasSuffix(s, args[0])), nil
	case "contains()":
		return boolean(strings.Contains(s, args[0])), nil
	case "indexOf()":
		w, _ := numberOf(fmt.Sprint(max(-1, strings.Index(s, args[0]))))
		return []value{w}, nil
	case "replace()":
		if len(s)*(1+len(args[1])) > 1<<20 {
			return nil, fmt.Errorf("%w: a text of more than 1 MiB", ErrEvaluate)
		}
		return texts(strings.ReplaceAll(s, args[0], args[1]))
	case "substring()":
		return substring(s, args)
	}
	re := n.re
	if re == nil {
		var err error
		if re, err = regexp.Compile(args[0]); err != nil {
			return nil, fmt.Errorf("%w: the regular expression is not understood", ErrEvaluate)
		}
	}
	if n.op == "matches()" {
		return boolean(re.MatchString(s)), nil
	}
	if len(s)*(1+len(args[1])) > 1<<20 {
		return nil, fmt.Errorf("%w: a text of more than 1 MiB", ErrEvaluate)
	}
	return texts(re.ReplaceAllString(s, args[1]))
}

// substring counts characters from 0.
func substring(s string, args []string) ([]value, error) {
	runes := []rune(s)
	bounds := []int{0, len(runes)}
	for i, a := range args {
		w, ok := numberOf(a)
		n, whole := w.integer()
		if !ok || !whole {
			return nil, fmt.Errorf("%w: substring counts in whole numbers", ErrEvaluate)
		}
		bounds[i] = n
	}
	from, n := bounds[0], bounds[1]
	if from < 0 || from >= len(runes) || n < 0 {
		return nil, nil
	}
	return texts(string(slices.Clone(runes[from:min(len(runes), from+n)])))
}
