package v2

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
)

// selector is a parsed selector. Zero numbers and empty names select all.
type selector struct {
	segment string // "" for all; may end in * for a beginning
	numbers []int  // field, component, subcomponent
	typ     string // data type; numbers are then parts of it
	meaning desensitize.Type
}

var errSelector = errors.New("write it as in PID-5, PID-5.1, PID-*, Z*, *.XPN, *.XCN.1, *[ssn] or *")

// parseSelector reads a selector (see the package comment).
func parseSelector(s string) (selector, error) {
	var out selector
	s, ok := out.readMeaning(s)
	if !ok {
		return out, errSelector
	}
	head, numbers, hasNumbers := strings.Cut(s, "-")
	seg, typ, hasType := strings.Cut(head, ".")
	if hasType && (hasNumbers || out.meaning != "") || seg == "*" && hasNumbers {
		return out, errSelector
	}
	if seg != "*" {
		if out.segment = seg; !plainSegment(seg) {
			return out, errSelector
		}
	}
	if hasType {
		typ, numbers, hasNumbers = strings.Cut(typ, ".")
		of := specOf(typ)
		if of == nil {
			return out, fmt.Errorf("%q is no data type of HL7 v2", typ)
		}
		out.typ = of.name
	}
	if !hasNumbers || numbers == "*" && !hasType {
		return out, nil
	}
	return out, out.readNumbers(numbers)
}

// readMeaning takes the type of an identifier in brackets off a selector.
func (s *selector) readMeaning(text string) (rest string, ok bool) {
	head, closed := strings.CutSuffix(text, "]")
	if !closed {
		return text, true
	}
	rest, meaning, found := strings.Cut(head, "[")
	s.meaning = desensitize.Type(meaning)
	return rest, found && meaning != "" && !strings.ContainsAny(rest, "-.")
}

func (s *selector) readNumbers(text string) error {
	for _, n := range strings.Split(text, ".") {
		v, err := strconv.Atoi(n)
		if err != nil || v < 1 || v > 999 {
			return errSelector
		}
		s.numbers = append(s.numbers, v)
	}
	if len(s.numbers) > 3 || s.typ != "" && len(s.numbers) > 2 {
		return errSelector
	}
	return nil
}

func plainSegment(s string) bool {
	s = strings.TrimSuffix(s, "*")
	return len(s) > 0 && len(s) <= 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func (s *selector) selectsSegment(name string) bool {
	if begin, ok := strings.CutSuffix(s.segment, "*"); ok {
		return strings.HasPrefix(name, begin)
	}
	return s.segment == "" || s.segment == name
}

// selects reports whether the selector names the node itself.
func (s *selector) selects(n *node) bool {
	switch {
	case !s.selectsSegment(n.place.segment):
		return false
	case s.meaning != "":
		return n.meaning == s.meaning
	case s.typ == "":
		if len(s.numbers) == 0 {
			return len(n.place.numbers) == 1
		}
		return slices.Equal(s.numbers, n.place.numbers)
	}
	// The node, or something above it by as many levels as there are numbers, is of the type.
	for range s.numbers {
		if n.parent == nil {
			return false
		}
		n = n.parent
	}
	return n.typ == s.typ
}

// match reports whether the numbers of a type's part lead to the node.
func (s *selector) match(n *node) bool {
	if !s.selects(n) {
		return false
	}
	if s.typ == "" || len(s.numbers) == 0 {
		return true
	}
	own := n.place.numbers
	return len(own) > len(s.numbers) && slices.Equal(own[len(own)-len(s.numbers):], s.numbers)
}

// compiled is a rule with its selector and condition.
type compiled struct {
	index    int
	rule     *desensitize.Rule
	selector selector
	where    *desensitize.Condition
	// proper is set where a rule was handed down to a part that is the value proper.
	proper bool
}

// Check returns what is wrong with the selectors and conditions of rules for HL7 v2, each
// with its place; nothing if all is well.
func Check(set *desensitize.RuleSet) []string {
	_, faults := compile(set)
	return faults
}

func compile(set *desensitize.RuleSet) ([]compiled, []string) {
	var out []compiled
	var faults []string
	for i := range set.Rules {
		r := &set.Rules[i]
		bad := func(err error) {
			faults = append(faults, fmt.Sprintf("formats.%s.rules[%d]: %s: %v", desensitize.HL7v2, i, r.Select, err))
		}
		sel, err := parseSelector(r.Select)
		if err != nil {
			bad(err)
			continue
		}
		where, err := desensitize.ParseCondition(r.Where, conditionName)
		if err != nil {
			bad(err)
			continue
		}
		out = append(out, compiled{index: i, rule: r, selector: sel, where: where})
	}
	return out, faults
}

// conditionName reports whether a name of a condition is .5, .4.2, OBX-2 or OBX-3.1.
func conditionName(s string) bool {
	if strings.HasPrefix(s, ".") {
		_, ok := numbersOf(s[1:])
		return ok
	}
	seg, rest, ok := strings.Cut(s, "-")
	_, numbers := numbersOf(rest)
	return ok && len(seg) == 3 && plainSegment(seg) && !strings.HasSuffix(seg, "*") && numbers
}

// numbersOf reads up to three numbers with dots between.
func numbersOf(s string) ([]int, bool) {
	var x selector
	if x.readNumbers(s) != nil {
		return nil, false
	}
	return x.numbers, true
}
