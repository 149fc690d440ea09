package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
	"github.com/emrbridge/emrbridge/desensitize/fhir"
	"github.com/emrbridge/emrbridge/desensitize/msfhir"
	"github.com/emrbridge/emrbridge/desensitize/v2"
)

// newDeidPolicyCommand is the parent of the commands that show and check policies.
func newDeidPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "List, show and check policies · 查看和检查策略"}
	cmd.AddCommand(newDeidPolicyListCommand(), newDeidPolicyShowCommand(), newDeidPolicyCheckCommand())
	return cmd
}

// policyLine is one policy for `deid policy list --json`.
type policyLine struct {
	Name    string                `json:"name"`
	Version string                `json:"version"`
	Title   desensitize.Bilingual `json:"title"`
	Basis   []string              `json:"basis,omitempty"`
	Formats []desensitize.Format  `json:"formats"`
	Digest  string                `json:"digest"`
}

func policyLineOf(p *desensitize.Policy) policyLine {
	l := policyLine{Name: p.Name, Version: p.Version, Title: p.Title, Basis: p.Basis, Digest: p.DigestText()}
	for _, f := range []desensitize.Format{desensitize.HL7v2, desensitize.FHIR, desensitize.CDA, desensitize.FreeText, desensitize.Attached} {
		if _, ok := p.Rules(f); ok {
			l.Formats = append(l.Formats, f)
		}
	}
	return l
}

func newDeidPolicyListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the policies that come with the program · 列出内置策略", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			for _, name := range desensitize.Shipped() {
				p, err := desensitize.ShippedPolicy(name)
				if err != nil {
					return err
				}
				l := policyLineOf(p)
				if asJSON {
					if err := printJSON(out, l); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(out, "%-20s %-3s %s · %s\n", l.Name, l.Version, l.Title.EN, l.Title.ZH)
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newDeidPolicyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Print a policy that comes with the program, as a start for one's own · 输出内置策略全文", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, ok := desensitize.ShippedSource(args[0])
			if !ok {
				return failed{fmt.Errorf("there is no policy %q; shipped are %s · 没有该内置策略", args[0], strings.Join(desensitize.Shipped(), ", "))}
			}
			_, err := cmd.OutOrStdout().Write(data)
			return err
		},
	}
}

func newDeidPolicyCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check FILE…", Short: "Check policies and list every fault · 检查策略文件并列出全部错误",
		Long: `Checks policy files, with the selectors of every format in them, and lists all faults at once. Configurations
of Microsoft's FHIR anonymizer (JSON with fhirPathRules) are checked too.

检查策略文件及其中各格式的选择器，一次列出全部错误；也可检查微软 FHIR 去标识化工具的配置。`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return inspect(cmd, args, asJSON, checkPolicy) },
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func checkPolicy(_ context.Context, _ string, data []byte, emit func(v verdict, note string)) {
	if bytes.Contains(data, []byte("fhirPathRules")) {
		c, err := msfhir.Parse(data)
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			emit(verdict{Error: err.Error()}, "")
			return
		}
		emit(verdict{OK: true, Detail: map[string]string{"language": "fhirPathRules"}}, "      configuration of Microsoft's FHIR anonymizer · 微软 FHIR 去标识化工具配置")
		return
	}
	p, err := desensitize.ParsePolicy(data)
	var faults []string
	var known *desensitize.PolicyError
	switch {
	case errors.As(err, &known):
		faults = known.Faults
	case err != nil:
		faults = []string{err.Error()}
	default:
		faults = selectorFaults(p)
	}
	if len(faults) > 0 {
		emit(verdict{Error: fmt.Sprintf("%d faults · %d 处错误", len(faults), len(faults)), Detail: map[string][]string{"faults": faults}},
			"      "+strings.Join(faults, "\n      "))
		return
	}
	l := policyLineOf(p)
	emit(verdict{OK: true, Detail: l}, fmt.Sprintf("      %s %s, %s", l.Name, l.Version, l.Digest))
}

// selectorFaults checks the selectors of every format that a policy has rules for.
func selectorFaults(p *desensitize.Policy) []string {
	var out []string
	for _, c := range []struct {
		format desensitize.Format
		check  func(*desensitize.RuleSet) []string
	}{{desensitize.HL7v2, v2.Check}, {desensitize.FHIR, fhir.Check}, {desensitize.CDA, cda.Check}} {
		if set, ok := p.Rules(c.format); ok {
			out = append(out, c.check(set)...)
		}
	}
	return out
}
