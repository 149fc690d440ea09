package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

func newFHIRCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "fhir", Short: "FHIR R4 resources · FHIR R4 资源"}
	cmd.AddCommand(newFHIRValidateCommand())
	return cmd
}

// fhirFound is the detail of `fhir validate --json`.
type fhirFound struct {
	Type   string      `json:"type,omitempty"`
	ID     string      `json:"id,omitempty"`
	Issues []fhirIssue `json:"issues"`
}

type fhirIssue struct {
	Severity    fhir.Severity `json:"severity"`
	Code        fhir.Code     `json:"code"`
	Expression  string        `json:"expression,omitempty"`
	Rule        string        `json:"rule,omitempty"`
	Diagnostics string        `json:"diagnostics"`
}

func newFHIRValidateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Judge FHIR R4 resources as the server would · 校验 FHIR R4 资源",
		Long: `Judges every resource of the files: JSON with one resource or Bundle, or NDJSON with one on each
line; "-" reads standard input. Each fault is shown with its FHIRPath. The exit status is 0 only
if all are valid.`,
		Example: "  emrbridge fhir validate patient.json bundle.json\n  emrbridge fhir validate --json export.ndjson",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			v := fhir.NewValidator(fhir.ValidatorConfig{Engine: fhirEngine(), Limits: fhir.Limits{MaxBytes: maxInput, MaxValues: 50_000_000}})
			return inspect(cmd, files, asJSON, func(ctx context.Context, file string, data []byte, emit func(verdict, string)) {
				items := resourcesOf(file, data)
				for i, item := range items {
					r, issues := v.Validate(ctx, item)
					answer, note := fhirVerdict(r, issues)
					if len(items) > 1 {
						answer.Item = i + 1
					}
					emit(answer, note)
				}
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// resourcesOf splits NDJSON; any other file is one resource.
func resourcesOf(file string, data []byte) [][]byte {
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	ndjson := strings.EqualFold(filepath.Ext(file), ".ndjson") || len(lines) > 1
	var items [][]byte
	for _, line := range lines {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		// A resource spread over lines has lines that are no object.
		if !strings.EqualFold(filepath.Ext(file), ".ndjson") && (line[0] != '{' || line[len(line)-1] != '}') {
			ndjson = false
		}
		items = append(items, line)
	}
	if !ndjson || len(items) == 0 {
		return [][]byte{data}
	}
	return items
}

func fhirVerdict(r *fhir.Resource, issues fhir.Issues) (verdict, string) {
	found := fhirFound{Issues: []fhirIssue{}}
	if r != nil {
		found.Type, found.ID = r.Type(), r.ID()
	}
	answer, note, errors := verdict{OK: !issues.Failed()}, []string{}, 0
	for _, i := range issues {
		found.Issues = append(found.Issues, fhirIssue{i.Severity, i.Code, i.Expression, i.Rule, i.Diagnostics})
		note = append(note, "      "+string(i.Severity)+" "+i.String())
		if i.Severity == fhir.Error || i.Severity == fhir.Fatal {
			if errors++; errors == 1 {
				answer.Error = i.String()
			}
		}
	}
	if errors > 1 {
		answer.Error += " (and " + strconv.Itoa(errors-1) + " more)"
	}
	answer.Detail = found
	return answer, strings.Join(note, "\n")
}
