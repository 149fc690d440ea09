package cda

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
)

// selector is a parsed selector. Empty parts select all.
type selector struct {
	steps   []string // names of elements, * for any
	whole   bool     // the steps are the whole path
	typ     string
	meaning desensitize.Type
}

var errSelector = errors.New("write it as in recordTarget/patientRole/addr, //assignedPerson/name, birthTime, *.II, *[name] or *")

// parseSelector reads a selector (see the package comment).
func parseSelector(s string) (selector, error) {
	var out selector
	if rest, ok := strings.CutSuffix(s, "]"); ok {
		head, meaning, found := strings.Cut(rest, "[")
		if !found || meaning == "" || head == "" {
			return out, errSelector
		}
		out.meaning, s = desensitize.Type(meaning), head
	}
	if head, typ, ok := strings.Cut(s, "."); ok {
		if !slices.Contains(selectable, typ) {
			return out, fmt.Errorf("%q is no data type of CDA", typ)
		}
		out.typ, s = typ, head
	}
	if s == "*" {
		return out, nil
	}
	s, anywhere := strings.CutPrefix(s, "//")
	out.steps = strings.Split(s, "/")
	out.whole = !anywhere && len(out.steps) > 1
	for _, step := range out.steps {
		if step == "" || step != "*" && strings.Trim(step, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			return out, errSelector
		}
	}
	return out, nil
}

// selectable are the names of data types.
var selectable = strings.Fields("II CD TS TEL AD PN ON EN ST ED NARRATIVE PQ BL AGE OID INT ANY")

// selects reports whether the selector names an element with the path, type and meaning.
func (s *selector) selects(path []string, typ string, meaning desensitize.Type) bool {
	if s.meaning != "" && s.meaning != meaning || s.typ != "" && s.typ != typ {
		return false
	}
	if len(s.steps) == 0 {
		return typ != "" // elements that only hold others have no value
	}
	if s.typ != "" || s.meaning != "" { // the steps stand for an element around the value
		for end := len(path); end >= len(s.steps); end-- {
			if s.ends(path[:end]) {
				return true
			}
		}
		return false
	}
	return s.ends(path)
}

func (s *selector) ends(path []string) bool {
	if len(path) < len(s.steps) || s.whole && len(path) != len(s.steps) {
		return false
	}
	path = path[len(path)-len(s.steps):]
	for i, step := range s.steps {
		if step != "*" && step != path[i] {
			return false
		}
	}
	return true
}

// compiled is a rule with its selector and condition.
type compiled struct {
	index    int
	rule     *desensitize.Rule
	selector selector
	where    *desensitize.Condition
}

// Check returns what is wrong with the selectors and conditions of rules for CDA, each with
// its place; nothing if all is well.
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
			faults = append(faults, fmt.Sprintf("formats.%s.rules[%d]: %s: %v", desensitize.CDA, i, r.Select, err))
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

// conditionName reports whether a name of a condition is @root, ../@classCode and the like.
func conditionName(s string) bool {
	for strings.HasPrefix(s, "../") {
		s = s[3:]
	}
	name, ok := strings.CutPrefix(s, "@")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
