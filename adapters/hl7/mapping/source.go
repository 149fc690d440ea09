package mapping

import (
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// source is one place where a fact may stand, read from a text such as
//
//	PV1-19.1
//	PV1-50.1 if PV1-2.1 = O|E
//	TXA-13.1 if TXA-13 != ""
//	=cancelled if TXA-17 = CA
type source struct {
	path    hl7.Path
	name    string // of the path, for reports
	literal string
	fixed   bool // the value is literal
	segment int  // index of the path's segment in the program, set when it is compiled
	when    *condition
}

// condition is what a source may depend on.
type condition struct {
	path    hl7.Path
	segment int
	values  []string // none: the path has any value
	not     bool
}

// parseSource reads the text of a source. countOnly allows a segment without a field.
func parseSource(s string, countOnly bool) (source, error) {
	var out source
	text, when, conditional := strings.Cut(s, " if ")
	text = strings.TrimSpace(text)
	if conditional {
		c, err := parseCondition(when)
		if err != nil {
			return out, err
		}
		out.when = &c
	}
	if literal, ok := strings.CutPrefix(text, "="); ok {
		out.fixed, out.literal = true, strings.TrimSpace(literal)
		if out.literal == "" || len(out.literal) > maxValue {
			return out, fmt.Errorf("the text after = has no or more than %d bytes", maxValue)
		}
		return out, nil
	}
	if countOnly {
		text += "-1" // any field: only the segment counts
	}
	p, err := hl7.ParsePath(text)
	if err != nil {
		return out, fmt.Errorf("%q is no path; write it as in PID-3[2].4.2", text)
	}
	out.path, out.name = p, p.String()
	return out, nil
}

// parseCondition reads PATH, PATH = A|B or PATH != A|B.
func parseCondition(s string) (condition, error) {
	var c condition
	path, values, compared := strings.Cut(s, "=")
	if before, ok := strings.CutSuffix(path, "!"); ok && compared {
		path, c.not = before, true
	}
	path = strings.TrimSpace(path)
	p, err := hl7.ParsePath(path)
	if err != nil {
		return c, fmt.Errorf("%q after if is no path; write the condition as in PV1-2.1 = I|E", path)
	}
	c.path = p
	if !compared {
		return c, nil
	}
	for _, v := range strings.Split(values, "|") {
		v = strings.TrimSpace(v)
		if v == `""` {
			v = ""
		}
		c.values = append(c.values, v)
	}
	return c, nil
}
