package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/gateway/local"
)

// correctionFlags are what both corrections need.
type correctionFlags struct {
	path, reason, operator string
	asJSON                 bool
}

func (f *correctionFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	jsonFlag(cmd, &f.asJSON)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why; sealed with the correction · 原因")
	cmd.Flags().StringVar(&f.operator, "operator", "", "who; sealed with the correction · 操作人")
	_ = cmd.MarkFlagRequired("reason")
	_ = cmd.MarkFlagRequired("operator")
}

// correct hands an operator's word to the running bridge.
func (f *correctionFlags) correct(cmd *cobra.Command, r local.CorrectionRequest) error {
	r.Reason, r.Operator = f.reason, f.operator
	own, err := ownProcess(f.path)
	if err != nil {
		return err
	}
	defer own.Close()
	answer, err := own.Correct(cmd.Context(), r)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "taken as record %s; what came of it: emrbridge trace %s · 已受理\n", answer.Record, answer.Record)
	return nil
}

func newPatientsUnmergeCommand() *cobra.Command {
	var f correctionFlags
	cmd := &cobra.Command{
		Use:   "unmerge RECORD",
		Short: "Undo the joins and merges that a record made · 撤销合并",
		Long: `RECORD is the record of the merge message, or of the message whose numbers joined two persons, as
"patients merges" shows it. The correction is a record itself: sealed, anchored, and it stands in the
trail. Calls this hospital's own running bridge.`,
		Example: `  emrbridge patients unmerge 0001… --reason "wrong patient" --operator D-017`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.correct(cmd, local.CorrectionRequest{Of: args[0]})
		},
	}
	f.add(cmd)
	return cmd
}

// maxCorrection bounds the file of a merge, in bytes.
const maxCorrection = 64 << 10

func newPatientsMergeCommand() *cobra.Command {
	var f correctionFlags
	var file string
	cmd := &cobra.Command{
		Use:   "merge",
		Short: "Merge two persons, as A40 would · 人工合并",
		Long: `Also settles a number that is in doubt: merge it into the person whom it names. The file holds JSON:

  {"survivor": [{"authority": "HIS", "type": "local-patient", "value": "…"}],
   "prior":    [{"authority": "HIS", "type": "local-patient", "value": "…"}]}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := readMerge(cmd, file)
			if err != nil {
				return err
			}
			return f.correct(cmd, r)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&file, "file", "", `file with the numbers, "-" for standard input · 号码文件`)
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func readMerge(cmd *cobra.Command, file string) (local.CorrectionRequest, error) {
	var r local.CorrectionRequest
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return r, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxCorrection+1))
	if err != nil {
		return r, err
	}
	var numbers struct {
		Survivor []local.Number `json:"survivor"`
		Prior    []local.Number `json:"prior"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&numbers); err != nil || len(b) > maxCorrection {
		return r, fmt.Errorf("%s does not hold the JSON object that --help shows", file)
	}
	r.Survivor, r.Prior = numbers.Survivor, numbers.Prior
	return r, nil
}
