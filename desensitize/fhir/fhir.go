package fhir

import (
	"context"
	"fmt"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
)

// Walker de-identifies FHIR by one job. It is safe for concurrent use.
type Walker struct {
	job    *desensitize.Job
	m      *machine
	mode   mode
	limits fhir.Limits
}

// maxConditions bounds the rules with conditions that can select one value.
const maxConditions = 64

// New compiles the rules that the job's policy has for FHIR. The error is a
// *desensitize.PolicyError that lists all faults at once.
func New(job *desensitize.Job) (*Walker, error) {
	p := job.Policy()
	set, ok := p.Rules(desensitize.FHIR)
	if !ok {
		return nil, &desensitize.PolicyError{Policy: p.Name, Faults: []string{"formats.fhir: the policy has no rules for FHIR"}}
	}
	rules, faults := compile(set)
	if len(faults) > 0 {
		return nil, &desensitize.PolicyError{Policy: p.Name, Faults: faults}
	}
	def := newRule(&desensitize.Rule{Name: desensitize.DefaultRule, Method: set.Default})
	return &Walker{job: job, m: newMachine(rules), mode: mode{def: def, strict: true, labels: labels}}, nil
}

// Check returns what is wrong with the rules of a policy for FHIR, nil if nothing is.
func Check(set *desensitize.RuleSet) []string {
	_, faults := compile(set)
	return faults
}

func compile(set *desensitize.RuleSet) (rules []compiled, faults []string) {
	conditions := 0
	for i := range set.Rules {
		r := &set.Rules[i]
		sel, err := parseSelector(r.Select, r.Where, true)
		if err != nil {
			faults = append(faults, fmt.Sprintf("formats.fhir.rules[%d]: select %q: %v", i, r.Select, err))
			continue
		}
		for _, st := range sel.steps {
			if st.kind == stepFilter {
				conditions++
				break
			}
		}
		rules = append(rules, compiled{sel, newRule(r)})
	}
	if conditions > maxConditions {
		faults = append(faults, fmt.Sprintf("formats.fhir: more than %d rules with conditions", maxConditions))
	}
	return rules, faults
}

// Custom is a rule of another policy language.
type Custom struct {
	Select string
	Action Action
}

// CustomConfig sets a walker of another policy language up.
type CustomConfig struct {
	Rules []Custom
	// Default is what happens to what no rule selects.
	Default Action
	// Labels names the codes for meta.security in order.
	Labels []Label
}

// Label is a code of meta.security for the methods that ask for it.
type Label struct {
	System, Code, Display string
	Methods               []desensitize.Method
}

// RuleError says which rule of a CustomConfig is not understood.
type RuleError struct {
	Index int
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("rule %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// NewCustom returns a walker for the rules of another policy language. Names that FHIR does
// not have select nothing, values that the rules do not name follow the default, and the output
// is not made valid where a rule breaks it: it is what the rules say. The error joins one
// *RuleError for each bad rule.
func NewCustom(job *desensitize.Job, cfg CustomConfig) (*Walker, []*RuleError) {
	var rules []compiled
	var faults []*RuleError
	for i, r := range cfg.Rules {
		sel, err := parseSelector(r.Select, "", false)
		if err != nil {
			faults = append(faults, &RuleError{i, err})
			continue
		}
		rules = append(rules, compiled{sel, r.Action})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	m := mode{def: cfg.Default}
	for _, l := range cfg.Labels {
		m.labels = append(m.labels, newLabel(l.System, l.Code, l.Display, l.Methods...))
	}
	return &Walker{job: job, m: newMachine(rules), mode: m}, nil
}

// Record de-identifies one resource or Bundle. subject names the patient project-wide, nil
// leaves it to the record; known is what else is known of the people in it, and may be nil;
// counts go into report. The error wraps ErrRefused where the input is no FHIR R4 or nothing
// of it may stay, or is that of the context or the cipher; it holds no content.
func (w *Walker) Record(ctx context.Context, data, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	root, err := fhir.Parse(data, w.limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return w.Resource(ctx, data, root, subject, known, report)
}

// Resource is Record for a resource that was parsed from data.
func (w *Walker) Resource(ctx context.Context, data []byte, root *fhir.Node, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	typ, ok := schema.FindResource(root.Get("resourceType").Str())
	if !ok {
		return nil, fmt.Errorf("%w: it has no resource type of FHIR R4", ErrRefused)
	}
	s := w.job.Session(ctx, subject, known, report)
	if w.mode.strict {
		Harvest(root, s.Known())
	}
	run := &walk{
		ctx: ctx, m: w.m, mode: w.mode, session: s, src: data, out: make([]byte, 0, root.End-root.Start), paths: map[string]string{},
		people: findPeople(root, subject), replacing: -1,
	}
	wrote, err := run.resource(w.m.root(typ), root, false)
	if err != nil {
		return nil, err
	}
	if !wrote {
		return nil, fmt.Errorf("%w: the policy lets nothing of %s out", ErrRefused, typ.Name)
	}
	report.Records++
	return run.out, nil
}
