package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/research/institute"
)

// approveOptions are the flags of `research approve`.
type approveOptions struct {
	path, reason, until, terms string
	committee                  []string
	refuse, asJSON             bool
}

func newResearchApproveCommand() *cobra.Command {
	var o approveOptions
	cmd := &cobra.Command{
		Use:   "approve PROJECT",
		Short: "Record the decision of this hospital's committee on a project · 委员会审批",
		Long: `Two or more persons of the committee approve a project, or refuse it (--refuse). On the ledger they
stand as keyed digests. A later decision takes the place of an earlier one: --refuse --reason withdrawn
withdraws an approval, and nothing is released any more. Look at the application first, with
"emrbridge research status PROJECT --config …"; --terms takes the digest shown there, so that the
decision is on what the committee saw. Calls this hospital's own running bridge.

Exit status: 0 on the ledger, 1 refused, 2 the command could not run.`,
		Example: `  emrbridge research approve INST1.2026-001 --committee E-01 --committee E-07 --until 2027-06-30
  emrbridge research approve INST1.2026-001 --committee E-01 --committee E-07 --refuse --reason withdrawn`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return researchApprove(cmd, o, args[0]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringSliceVar(&o.committee, "committee", nil, "staff identity, twice or more and different · 委员标识（两人以上）")
	cmd.Flags().StringVar(&o.until, "until", "", "last day of the approval, as 2027-06-30; default: as long as the project · 批准截止日")
	cmd.Flags().BoolVar(&o.refuse, "refuse", false, "refuse, or withdraw an approval · 拒绝或撤回批准")
	cmd.Flags().StringVar(&o.reason, "reason", "", "code of the reason, public; needed with --refuse · 原因代码")
	cmd.Flags().StringVar(&o.terms, "terms", "", "digest of the application that the committee saw · 申请摘要")
	cmd.MarkFlagsMutuallyExclusive("refuse", "until")
	_ = cmd.MarkFlagRequired("committee")
	return cmd
}

func researchApprove(cmd *cobra.Command, o approveOptions, id string) error {
	req := local.DecisionRequest{Approved: !o.refuse, Reason: o.reason, Committee: o.committee}
	if o.refuse && o.reason == "" {
		return errors.New("--refuse needs --reason")
	}
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	if o.until != "" {
		day, err := time.ParseInLocation(time.DateOnly, o.until, c.Location())
		if err != nil {
			return fmt.Errorf("--until %q: a day is wanted, as 2027-06-30", o.until)
		}
		req.NotAfter = day.AddDate(0, 0, 1).Add(-time.Millisecond)
	}
	if o.terms != "" {
		if err := req.Terms.UnmarshalText([]byte(o.terms)); err != nil {
			return fmt.Errorf("--terms: %w", err)
		}
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	statement, err := own.Decide(cmd.Context(), id, req)
	if err != nil {
		return answered(err)
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), local.StatementResponse{ID: statement})
	}
	word := "approved · 已批准"
	if o.refuse {
		word = "refused · 已拒绝"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, statement %s\n", id, word, statement)
	return nil
}

// reidentifyOptions are the flags of `research reidentify`.
type reidentifyOptions struct {
	path, reason, finding string
	staff                 []string
	asJSON                bool
}

func newResearchReidentifyCommand() *cobra.Command {
	var o reidentifyOptions
	cmd := &cobra.Command{
		Use:   "reidentify PROJECT PSEUDONYM",
		Short: "Find out who a subject is, for a finding that matters to the patient · 重标识（两人）",
		Long: `Two persons of this hospital look up who a subject of a project is. The purpose is on the ledger
before they are told; who it is stays in the hospital, and the institute never learns it. Only
subjects that this hospital released can be looked up. Calls this hospital's own running bridge.

Exit status: 0 found, 1 refused or nobody of this hospital, 2 the command could not run.`,
		Example: "  emrbridge research reidentify INST1.2026-001 S-7Q2M… --reason urgent-finding --staff D-017 --staff N-201 --finding report.pdf",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchReidentify(cmd, o, args[0], args[1]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringVar(&o.reason, "reason", "", "code of the purpose, public · 目的代码")
	cmd.Flags().StringVar(&o.finding, "finding", "", "the institute's report: a file, or sm3: and its digest · 研究机构报告")
	cmd.Flags().StringSliceVar(&o.staff, "staff", nil, "staff identity, twice or more and different · 工作人员标识（两人以上）")
	_ = cmd.MarkFlagRequired("reason")
	_ = cmd.MarkFlagRequired("staff")
	return cmd
}

func researchReidentify(cmd *cobra.Command, o reidentifyOptions, id, subject string) error {
	req := local.LookupRequest{Subject: subject, Reason: o.reason, Staff: o.staff}
	if o.finding != "" {
		var err error
		if req.Finding, err = institute.DigestOf(".", o.finding); err != nil {
			return fmt.Errorf("--finding: %w", err)
		}
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	answer, err := own.Reidentify(cmd.Context(), id, req)
	if err != nil {
		return answered(err)
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "statement %s\n%s %s %s\n", answer.ID, answer.Patient.Name, answer.Patient.Gender, answer.Patient.BirthDate)
	for _, i := range answer.Patient.Identifiers {
		fmt.Fprintf(out, "  %s %s %s\n", i.Type, i.Value, i.Authority)
	}
	return nil
}

// partLine is what `research status` says of one hospital.
type partLine struct {
	Hospital string                `json:"hospital"`
	State    evidence.ProjectState `json:"state"`
	Until    string                `json:"until,omitempty"`
	Reason   string                `json:"reason,omitempty"`
	Releases uint32                `json:"releases"`
	Notices  uint32                `json:"notices"`
}
