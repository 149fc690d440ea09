package cda

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// Errors of a walker, for errors.Is.
var (
	// ErrPolicy reports a policy that has no rules for CDA or wrong selectors in them.
	ErrPolicy = errors.New("cda: unusable policy")
	// ErrInput reports input that is no clinical document, or more than the limits allow.
	ErrInput = errors.New("cda: unusable document")
	// ErrOutput reports a result that is not well-formed; nothing is returned then.
	ErrOutput = errors.New("cda: the result is not a document")
)

// Options of a walker. The zero value serves.
type Options struct {
	// Encoding is how documents without declaration are read; default UTF-8.
	Encoding safexml.Encoding
	// Limits bounds documents; the defaults are those of package safexml.
	Limits safexml.Limits
}

// Walker de-identifies documents under the policy of a job. It is safe for concurrent use.
type Walker struct {
	job     *desensitize.Job
	opts    Options
	rules   []compiled
	initial desensitize.Method
}

// New returns a walker with default options. The error matches ErrPolicy and lists all faults
// of the rules.
func New(job *desensitize.Job) (*Walker, error) { return NewWith(job, Options{}) }

// NewWith is New with options.
func NewWith(job *desensitize.Job, opts Options) (*Walker, error) {
	set, ok := job.Policy().Rules(desensitize.CDA)
	if !ok {
		return nil, fmt.Errorf("%w: policy %s has no rules for %s", ErrPolicy, job.Policy().Name, desensitize.CDA)
	}
	rules, faults := compile(set)
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s: %s", ErrPolicy, job.Policy().Name, strings.Join(faults, "; "))
	}
	return &Walker{job: job, opts: opts, rules: rules, initial: set.Default}, nil
}

// Record de-identifies one document. subject names the patient project-wide, nil if the
// document's first patient number is to do it; known, which may be nil, is what is known
// beside the document. What was done is counted in report. The result is UTF-8.
//
// Errors match ErrInput, ErrOutput or are those of the job's cipher and of ctx. They name
// places and never values.
func (w *Walker) Record(ctx context.Context, raw, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	doc, err := safexml.Parse(raw, w.opts.Encoding, w.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, withoutPath(err))
	}
	root := doc.Root
	if root.Name.Local != "ClinicalDocument" || root.Name.Space != hl7Space && root.Name.Space != "" {
		return nil, fmt.Errorf("%w: the root element is not ClinicalDocument of %s", ErrInput, hl7Space)
	}
	r := &run{w: w, session: w.job.Session(ctx, subject, known, report), report: report, space: root.Name.Space,
		out: make([]byte, 0, len(doc.Text)+1024), tally: map[tallied]int{}, seen: map[planKey][]compiled{}, ids: map[string]string{}}
	r.collect(root)
	r.people = guard.PeopleOf(r.session.Known())
	r.out = append(r.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"...)
	r.element(root, nil)
	if r.err != nil {
		return nil, r.err
	}
	r.out = append(r.out, '\n')
	if _, err := safexml.Parse(r.out, safexml.Encoding{}, w.opts.Limits); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, withoutPath(err))
	}
	for t, n := range r.tally {
		report.AddN(desensitize.Change{Path: t.path, Rule: t.rule.Label(), Method: t.method, Type: t.typ}, n)
	}
	report.Records++
	return r.out, nil
}

// withoutPath takes the path out of an error of the parser: names of elements in a document
// that was refused are anybody's words.
func withoutPath(err error) error {
	var e *safexml.Error
	if errors.As(err, &e) {
		plain := *e
		plain.Path = ""
		return &plain
	}
	return err
}

// run is the de-identification of one document.
type run struct {
	w       *Walker
	session *desensitize.Session
	report  *desensitize.Report
	people  guard.People
	space   string // namespace of the document, "" where it has none
	path    []string
	out     []byte
	tally   map[tallied]int
	seen    map[planKey][]compiled
	ids     map[string]string // names of elements, as the narrative refers to them
	err     error
}

// tallied counts what was done without the session.
type tallied struct {
	path   string
	rule   *desensitize.Rule
	method desensitize.Method
	typ    desensitize.Type
}

// planKey is what the rules for an element depend on.
type planKey struct {
	path    string
	typ     string
	meaning desensitize.Type
}

func (r *run) place() string { return strings.Join(r.path, "/") }

func (r *run) note(s sort, rule *desensitize.Rule, m desensitize.Method) {
	r.tally[tallied{r.place(), rule, m, s.meaning}]++
}

// rulesFor are the rules that select an element, up to the first without a condition.
func (r *run) rulesFor(s sort) []compiled {
	key := planKey{r.place(), s.typ, s.meaning}
	if out, ok := r.seen[key]; ok {
		return out
	}
	var out []compiled
	for _, c := range r.w.rules {
		if !c.selector.selects(r.path, s.typ, s.meaning) {
			continue
		}
		out = append(out, c)
		if c.where == nil {
			break
		}
	}
	r.seen[key] = out
	return out
}

// decide finds the rule for an element: its own or the one of an element around it,
// whichever comes first in the policy.
func (r *run) decide(n *safexml.Node, s sort, above *compiled) *compiled {
	for i, rules := 0, r.rulesFor(s); i < len(rules); i++ {
		c := &rules[i]
		if c.where == nil || c.where.Holds(func(name string) []string { return near(n, name) }) {
			if above == nil || c.index < above.index {
				return c
			}
			break
		}
	}
	return above
}

// near returns the values that a condition names.
func near(n *safexml.Node, name string) []string {
	for strings.HasPrefix(name, "../") {
		if n = n.Parent; n == nil {
			return nil
		}
		name = name[3:]
	}
	if v, ok := n.Lookup("", strings.TrimPrefix(name, "@")); ok {
		return []string{v}
	}
	return nil
}

// method is what a rule does; the default of the policy where there is none.
func (r *run) method(c *compiled) desensitize.Method {
	if c == nil {
		return r.w.initial
	}
	return c.rule.Method
}

func ruleOf(c *compiled) *desensitize.Rule {
	if c == nil {
		return nil
	}
	return c.rule
}

// apply does to a value what a rule says.
func (r *run) apply(rule *compiled, t desensitize.Type, text string, layout desensitize.Layout) (string, bool) {
	res, err := r.session.Apply(ruleOf(rule), desensitize.Value{Path: r.place(), Type: t, Text: text, Layout: layout})
	if r.fault(err) {
		return "", false
	}
	return res.Text, !res.Removed
}

func (r *run) fault(err error) bool {
	if err != nil && r.err == nil {
		r.err = err
	}
	return err != nil
}
