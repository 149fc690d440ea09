package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Severity of an issue, after the FHIR value set issue-severity.
type Severity string

// Severities.
const (
	Fatal       Severity = "fatal"
	Error       Severity = "error"
	Warning     Severity = "warning"
	Information Severity = "information"
)

// Code is the kind of an issue, after the FHIR value set issue-type.
type Code string

// Codes that this package and the REST surface use.
const (
	CodeInvalid      Code = "invalid"
	CodeStructure    Code = "structure"
	CodeRequired     Code = "required"
	CodeValue        Code = "value"
	CodeInvariant    Code = "invariant"
	CodeCodeInvalid  Code = "code-invalid"
	CodeNotFound     Code = "not-found"
	CodeDeleted      Code = "deleted"
	CodeNotSupported Code = "not-supported"
	CodeTooLong      Code = "too-long"
	CodeTooCostly    Code = "too-costly"
	CodeConflict     Code = "conflict"
	CodeDuplicate    Code = "duplicate"
	CodeMultiple     Code = "multiple-matches"
	CodeSecurity     Code = "security"
	CodeLogin        Code = "login"
	CodeForbidden    Code = "forbidden"
	CodeThrottled    Code = "throttled"
	CodeTransient    Code = "transient"
	CodeTimeout      Code = "timeout"
	CodeException    Code = "exception"
	CodeInformation  Code = "informational"
)

// Issue is one finding. Diagnostics name rules and positions and quote no content.
type Issue struct {
	Severity    Severity
	Code        Code
	Diagnostics string
	// Expression is the FHIRPath of the element: Patient.name[0].given[1].
	Expression string
	// Rule is the key of the invariant that failed, "" if none has a key.
	Rule string
	// Line and Column count from 1; 0 is unknown.
	Line, Column int
}

// String shows the issue for people.
func (i Issue) String() string {
	var b strings.Builder
	if i.Expression != "" {
		b.WriteString(i.Expression + ": ")
	}
	b.WriteString(i.Diagnostics)
	if i.Rule != "" {
		b.WriteString(" (" + i.Rule + ")")
	}
	return b.String()
}

// Issues are findings in the order in which they were found.
type Issues []Issue

// Failed reports whether any issue is an error.
func (is Issues) Failed() bool {
	for _, i := range is {
		if i.Severity == Error || i.Severity == Fatal {
			return true
		}
	}
	return false
}

// Error implements error, for issues that are returned as one.
func (is Issues) Error() string {
	lines := make([]string, 0, len(is))
	for _, i := range is {
		if i.Severity == Error || i.Severity == Fatal {
			lines = append(lines, i.String())
		}
	}
	return "fhir: " + strings.Join(lines, "; ")
}

// IssueOf turns an error of Parse into an issue.
func IssueOf(err error) Issue {
	var s *SyntaxError
	if !errors.As(err, &s) {
		return Issue{Severity: Fatal, Code: CodeException, Diagnostics: "the resource could not be read"}
	}
	code := CodeStructure
	if s.Limit {
		code = CodeTooLong
	}
	return Issue{Severity: Fatal, Code: code, Expression: s.Path, Line: s.Line, Column: s.Column,
		Diagnostics: fmt.Sprintf("%s (line %d, column %d)", s.Problem, s.Line, s.Column)}
}

type outcome struct {
	ResourceType string         `json:"resourceType"`
	Issue        []outcomeIssue `json:"issue"`
}

type outcomeIssue struct {
	Severity    Severity        `json:"severity"`
	Code        Code            `json:"code"`
	Details     *outcomeDetails `json:"details,omitempty"`
	Diagnostics string          `json:"diagnostics,omitempty"`
	Expression  []string        `json:"expression,omitempty"`
}

type outcomeDetails struct {
	Text string `json:"text"`
}

// Outcome writes issues as an OperationOutcome. No issue at all becomes one of severity
// information, since the resource may not be empty.
func Outcome(issues ...Issue) []byte {
	o := outcome{ResourceType: "OperationOutcome"}
	if len(issues) == 0 {
		issues = []Issue{{Severity: Information, Code: CodeInformation, Diagnostics: "no fault found"}}
	}
	for _, i := range issues {
		one := outcomeIssue{Severity: i.Severity, Code: i.Code, Diagnostics: i.Diagnostics}
		if i.Rule != "" {
			one.Details = &outcomeDetails{Text: i.Rule}
		}
		if i.Expression != "" {
			one.Expression = []string{i.Expression}
		}
		o.Issue = append(o.Issue, one)
	}
	b, err := json.Marshal(o)
	if err != nil { // text and constants always marshal
		return []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception"}]}`)
	}
	return b
}
