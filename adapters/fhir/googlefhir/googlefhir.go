// Package googlefhir judges resources with github.com/google/fhir: required fields,
// cardinalities, primitive formats, codes and reference types of FHIR R4 after HL7's
// structure definitions. It is the second, independent judge behind the rules of package
// fhir; it is slow (a few MB/s), so it runs once per resource.
package googlefhir

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"
	"github.com/google/fhir/go/jsonformat/errorreporter"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// Engine implements fhir.Engine. It is safe for concurrent use.
type Engine struct{ u *jsonformat.Unmarshaller }

// maxNesting bounds the elements within one another; the parser before it has a bound too.
const maxNesting = 64

// New returns an engine. Dates without a zone are read in zone.
func New(zone *time.Location) (*Engine, error) {
	u, err := jsonformat.NewUnmarshaller(zone.String(), fhirversion.R4)
	if err != nil {
		return nil, fmt.Errorf("googlefhir: %w", err)
	}
	u.MaxNestingDepth = maxNesting
	return &Engine{u}, nil
}

// Check implements fhir.Engine. What the library says about content (its diagnostics) is
// left out, since it quotes the resource.
func (e *Engine) Check(data []byte) (issues fhir.Issues) {
	defer func() {
		if recover() != nil { // a fault of the library must not end the process
			issues = fhir.Issues{{Severity: fhir.Error, Code: fhir.CodeException, Diagnostics: "the resource cannot be judged"}}
		}
	}()
	reporter := &collector{}
	if _, err := e.u.UnmarshalWithErrorReporter(data, reporter); err != nil {
		reporter.text(err.Error())
	}
	return reporter.issues
}

// collector implements errorreporter.ErrorReporter.
type collector struct{ issues fhir.Issues }

var _ errorreporter.ErrorReporter = (*collector)(nil)

// ReportValidationError implements errorreporter.ErrorReporter.
func (c *collector) ReportValidationError(path string, err error) error {
	c.add(fhir.Error, path, err)
	return nil
}

// ReportValidationWarning implements errorreporter.ErrorReporter.
func (c *collector) ReportValidationWarning(path string, err error) error {
	c.add(fhir.Warning, path, err)
	return nil
}

func (c *collector) add(s fhir.Severity, path string, err error) {
	what := err.Error()
	if _, rest, ok := strings.Cut(what, `": `); ok && strings.HasPrefix(what, `error at "`) {
		what = rest
	}
	c.push(s, path, what)
}

func (c *collector) push(s fhir.Severity, path, what string) {
	at := expression(path)
	if unread(at, what) {
		return
	}
	c.issues = append(c.issues, fhir.Issue{Severity: s, Code: codeOf(what), Expression: at, Diagnostics: what})
}

// unread tells what the library cannot read though FHIR R4 has it: resources in Parameters.
func unread(at, what string) bool {
	return what == "unknown field" && strings.Contains(at, "arameters.") && strings.HasSuffix(at, ".resource")
}

// text takes apart what the library says without its reporter: one fault a line, each
// `error at "PATH": DETAILS`.
func (c *collector) text(all string) {
	for line := range strings.Lines(all) {
		line = strings.TrimSpace(line)
		path := ""
		if rest, ok := strings.CutPrefix(line, `error at "`); ok {
			path, line, _ = strings.Cut(rest, `": `)
		}
		c.push(fhir.Error, path, line)
	}
}

func codeOf(what string) fhir.Code {
	switch {
	case strings.Contains(what, "missing required"):
		return fhir.CodeRequired
	case strings.Contains(what, "unknown field"), strings.Contains(what, "unknown resource"), strings.Contains(what, "array"):
		return fhir.CodeStructure
	case strings.Contains(what, "code"):
		return fhir.CodeCodeInvalid
	}
	return fhir.CodeValue
}

// expression turns a path of the library into FHIRPath: behind the place of a nested
// resource the library names its type, Bundle.entry[0].resource.encounter.class.
func expression(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "ContainedResource."), ".")
	if _, is := schema.FindResource(parts[0]); !is {
		return "" // a name that is no type could be content
	}
	out := parts[:0]
	nested := false
	for _, p := range parts {
		if nested && p != "" {
			if _, is := schema.FindResource(strings.ToUpper(p[:1]) + p[1:]); is {
				nested = false
				continue
			}
		}
		nested = p == "resource" || strings.HasPrefix(p, "contained[")
		out = append(out, p)
	}
	return strings.Join(out, ".")
}
