package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
)

// submitReport is one line of `research submit --json`.
type submitReport struct {
	File   string        `json:"file"`
	OK     bool          `json:"ok"`
	Kind   evidence.Kind `json:"kind,omitempty"`
	Actor  string        `json:"actor,omitempty"`
	Issued string        `json:"issued,omitempty"`
	TxID   string        `json:"tx,omitempty"`
	Block  uint64        `json:"block,omitempty"`
	Code   evidence.Code `json:"code,omitempty"` // of a refusal
	Error  string        `json:"error,omitempty"`
	// Said is what the statement says, with --show.
	Said evidence.Body `json:"said,omitempty"`
}

func newResearchSubmitCommand() *cobra.Command {
	var path string
	var show, asJSON bool
	cmd := &cobra.Command{
		Use:   "submit FILE...",
		Short: "Carry signed statements of institutes or of the authority to the ledger · 代为提交签名声明",
		Long: `For a hospital. Brings files that an institute or the consortium's authority signed to the ledger.
The hospital vouches for nothing but an application that names it as proxy; the contract checks the
rest. --show prints what a file says and submits nothing.

Exit status: 0 all on the ledger, 1 one was refused, 2 the command could not run.`,
		Example: "  emrbridge research submit --config h1/emrbridge.yaml admission/registration.statement",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return researchSubmit(cmd, path, args, show, asJSON)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&show, "show", false, "print what the files say; submit nothing · 仅查看")
	return cmd
}

func researchSubmit(cmd *cobra.Command, path string, files []string, show, asJSON bool) error {
	var chain *chainclient.Client
	if !show {
		c, err := loadConfig(path)
		if err != nil {
			return err
		}
		if chain, err = openChain(cmd.Context(), c, noSigner{}); err != nil {
			return err
		}
		defer chain.Close()
	}
	bad := false
	for _, file := range files {
		report, err := submitFile(cmd, chain, file)
		if err != nil {
			return err
		}
		bad = bad || !report.OK
		if asJSON || show {
			if err := printJSON(cmd.OutOrStdout(), report); err != nil {
				return err
			}
			continue
		}
		if report.OK {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s of %s is on the ledger, block %d, transaction %s · 已上链\n", file, report.Kind, report.Actor, report.Block, report.TxID)
		} else {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: refused · 被拒: %s\n", file, report.Error)
		}
	}
	if bad {
		return failed{errors.New("")}
	}
	return nil
}

// submitFile reads one file and, where there is a chain, submits it. The error is one that
// ends the command; a statement that is no good is told in the report.
func submitFile(cmd *cobra.Command, chain *chainclient.Client, file string) (submitReport, error) {
	report := submitReport{File: file}
	raw, err := readLimited(file, evidence.MaxStatement)
	if err != nil {
		return report, err
	}
	signed, st, err := evidence.ParseSigned(raw)
	if err != nil {
		report.Error = err.Error()
		return report, nil
	}
	report.Kind, report.Actor, report.Issued = st.Kind, st.Actor, time.UnixMilli(st.IssuedAt).Format(time.RFC3339)
	body := carriedBody(st.Kind)
	if body == nil {
		report.Error = fmt.Sprintf("statements of kind %q are not carried for others", st.Kind)
		return report, nil
	}
	if err := st.DecodeBody(body); err != nil {
		report.Error = err.Error()
		return report, nil
	}
	if chain == nil {
		report.OK, report.Said = true, body
		return report, nil
	}
	commit, err := chain.SubmitSigned(cmd.Context(), signed)
	if refusal, ok := chainclient.RefusalOf(err); ok {
		report.Code, report.Error = refusal.Code, fmt.Sprintf("%s: %s", refusal.Code, refusal.Message)
		if refusal.Code == evidence.CodeReplayed { // nonces are its signer's: nobody else can have spent it
			report.Error = "REPLAYED: this statement is on the ledger already · 该声明已上链"
		}
		return report, nil
	}
	if err != nil {
		return report, err
	}
	report.OK, report.TxID, report.Block = true, commit.TxID, commit.Block
	return report, nil
}

// carriedBody returns an empty body for what institutes and the authority say, else nil.
func carriedBody(kind evidence.Kind) evidence.Body {
	switch kind {
	case evidence.KindRegisterInstitute:
		return &evidence.RegisterInstitute{}
	case evidence.KindSetInstituteStatus:
		return &evidence.SetInstituteStatus{}
	case evidence.KindSetMemberStatus:
		return &evidence.SetMemberStatus{}
	case evidence.KindApplyProject:
		return &evidence.ApplyProject{}
	case evidence.KindCloseProject:
		return &evidence.CloseProject{}
	case evidence.KindConfirmDeletion:
		return &evidence.ConfirmDeletion{}
	}
	return nil
}
