package mapping

import (
	"errors"
	"strings"
)

// timeForm is a way of writing times that is not HL7's, such as YYYY-MM-DD hh:mm:ss. Letters
// stand for digits, all else for itself.
type timeForm string

// timeParts are the letters of a form in the order of HL7, with how many of each it has.
var timeParts = []struct {
	letter byte
	digits int
}{{'Y', 4}, {'M', 2}, {'D', 2}, {'h', 2}, {'m', 2}, {'s', 2}}

// maxTimeForm is the longest form, in bytes.
const maxTimeForm = 32

var errTimeForm = errors.New("a form of time has YYYY, then MM, DD, hh, mm and ss without a gap, each once; write it as in YYYY-MM-DD hh:mm")

// parseTimeForm checks a form: the year, and smaller units without a gap, each once.
func parseTimeForm(s string) (timeForm, error) {
	if len(s) > maxTimeForm {
		return "", errTimeForm
	}
	ended, rest := false, s
	for _, p := range timeParts {
		unit := strings.Repeat(string(p.letter), p.digits)
		switch n := strings.Count(s, string(p.letter)); {
		case n == 0:
			ended = true
		case ended || n != p.digits || !strings.Contains(s, unit):
			return "", errTimeForm
		}
		rest = strings.Replace(rest, unit, "", 1)
	}
	if !strings.Contains(s, "YYYY") || strings.ContainsAny(rest, "0123456789") {
		return "", errTimeForm
	}
	return timeForm(s), nil
}

// digits returns the value as HL7 would write it; ok is false if it does not have the form.
func (f timeForm) digits(value string) (text string, ok bool) {
	if len(value) != len(f) {
		return "", false
	}
	var units [len("YMDhms")][]byte
	for i := range len(f) {
		part := strings.IndexByte("YMDhms", f[i])
		if part < 0 {
			if value[i] != f[i] {
				return "", false
			}
			continue
		}
		if value[i] < '0' || value[i] > '9' {
			return "", false
		}
		units[part] = append(units[part], value[i])
	}
	for _, u := range units {
		text += string(u)
	}
	return text, true
}

// inHL7 returns a value in one of the document's forms as HL7 would write it, any other
// value as it is.
func (p *program) inHL7(value string) string {
	for _, f := range p.forms {
		if text, ok := f.digits(value); ok {
			return text
		}
	}
	return value
}
