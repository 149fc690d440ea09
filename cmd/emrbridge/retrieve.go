package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/internal/table"
)

// patientFlags name a patient. A number on the command line can be seen in the process
// list, so a file, or "-" for standard input, is the better way.
type patientFlags struct{ number, file string }

func (p *patientFlags) add(cmd *cobra.Command) {
	p.flags(cmd)
	cmd.MarkFlagsOneRequired("id-file", "id-number")
}

// flags adds the flags without asking for one of them.
func (p *patientFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "id-file", "", `file with the patient's resident number, "-" for standard input · 身份证号文件`)
	cmd.Flags().StringVar(&p.number, "id-number", "", "the number itself; others on this machine can see it · 身份证号（进程列表可见）")
	cmd.MarkFlagsMutuallyExclusive("id-file", "id-number")
}

func (p *patientFlags) patient(stdin io.Reader) (local.Patient, error) {
	if p.number != "" {
		return local.Patient{ResidentID: p.number}, nil
	}
	in := stdin
	if p.file != "-" {
		f, err := os.Open(p.file)
		if err != nil {
			return local.Patient{}, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 256))
	if err != nil {
		return local.Patient{}, err
	}
	return local.Patient{ResidentID: strings.TrimSpace(string(b))}, nil
}

// ownProcess reaches this hospital's running bridge.
func ownProcess(path string) (*local.Client, error) {
	c, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.Gateway.Socket); err != nil {
		return nil, fmt.Errorf("the bridge does not run: %w (start it with: emrbridge serve --config %s)", err, path)
	}
	return local.Dial(c.Gateway.Socket, ""), nil
}

type retrieveOptions struct {
	path      string
	patient   patientFlags
	from      []string
	kinds     []string
	records   []string
	purpose   string
	emergency bool
	reason    string
	staff     []string
	out       string
	as        string
	asJSON    bool
}

func newRetrieveCommand() *cobra.Command {
	var o retrieveOptions
	cmd := &cobra.Command{
		Use:   "retrieve",
		Short: "Retrieve a patient's records from other hospitals and prove them · 跨院调阅并验证病历",
		Long: `Asks the ledger where the patient has records, requests access, and for each record checks the
ciphertext against the ledger, opens it with this hospital's key, verifies the owner's signature
and digest, and confirms on the ledger. Calls this hospital's own running bridge.

Exit status: 0 all records genuine, 1 denied or something not genuine, 2 the command could not run.`,
		Example: `  emrbridge retrieve --id-file patient.id --out records
  emrbridge retrieve --id-file patient.id --as fhir --out documents
  emrbridge retrieve --id-file patient.id --emergency --reason unconscious --staff D-017 --staff N-201`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return retrieveRecords(cmd, o) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	o.patient.add(cmd)
	cmd.Flags().StringSliceVar(&o.from, "from", nil, "only from these members, by MSP id · 限定医院")
	cmd.Flags().StringSliceVar(&o.kinds, "kind", nil, "only records of these kinds, as ORU^R01 · 限定类型")
	cmd.Flags().StringSliceVar(&o.records, "record", nil, "only these records · 限定病历号")
	cmd.Flags().StringVar(&o.purpose, "purpose", "treatment", "treatment or research · 用途")
	cmd.Flags().BoolVar(&o.emergency, "emergency", false, "without consent; needs --reason and two --staff · 紧急调阅")
	cmd.Flags().StringVar(&o.reason, "reason", "", "reason code of an emergency, public: lowercase letters, digits, hyphens · 紧急原因代码")
	cmd.Flags().StringSliceVar(&o.staff, "staff", nil, "staff identity, twice and different · 工作人员标识（两人）")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "folder for the opened records, in the clear · 明文输出目录")
	cmd.Flags().StringVar(&o.as, "as", asOriginal, "original, or fhir: a FHIR document with its proof for each record; without --out to standard output, one a line · 输出形式")
	return cmd
}

// retrieveReport is the answer of `retrieve --json`.
type retrieveReport struct {
	Genuine int `json:"genuine"` // records proved genuine
	Total   int `json:"total"`
	local.RetrieveResponse
}

func (o retrieveOptions) request(stdin io.Reader) (local.RetrieveRequest, error) {
	patient, err := o.patient.patient(stdin)
	if err != nil {
		return local.RetrieveRequest{}, err
	}
	req := local.RetrieveRequest{
		Patient: patient, Owners: o.from, Kinds: o.kinds, Purpose: evidence.Purpose(o.purpose),
		Payloads: o.out != "" && o.as == asOriginal, Proofs: o.as == asFHIR,
	}
	for _, id := range o.records {
		r, err := evidence.ParseRecordID(id)
		if err != nil {
			return req, err
		}
		req.Records = append(req.Records, r)
	}
	if o.emergency {
		req.Emergency = &local.Emergency{Reason: o.reason, Staff: o.staff}
	} else if o.reason != "" || len(o.staff) > 0 {
		return req, errors.New("--reason and --staff go with --emergency")
	}
	return req, nil
}

func retrieveRecords(cmd *cobra.Command, o retrieveOptions) error {
	if err := checkForm(o.as, asOriginal, asFHIR); err != nil {
		return err
	}
	req, err := o.request(cmd.InOrStdin())
	if err != nil {
		return err
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	answer, err := own.Retrieve(cmd.Context(), req)
	var status *local.StatusError
	if err != nil && (!errors.As(err, &status) || len(answer.Deliveries) == 0) {
		return answered(err)
	}
	report := retrieveReport{RetrieveResponse: answer}
	for _, d := range answer.Deliveries {
		for _, r := range d.Records {
			report.Total++
			if r.Verdict == evidence.Genuine {
				report.Genuine++
			}
		}
	}
	if err := o.write(cmd, &report); err != nil {
		return err
	}
	if status != nil {
		return failed{status}
	}
	if report.Genuine < report.Total || report.Total == 0 {
		return failed{fmt.Errorf("%d of %d records are genuine · 部分病历未通过验证", report.Genuine, report.Total)}
	}
	return nil
}

// write writes the records and prints the report; the report goes to standard error where
// standard output holds the documents.
func (o retrieveOptions) write(cmd *cobra.Command, report *retrieveReport) error {
	to := cmd.OutOrStdout()
	if o.as == asFHIR {
		c, err := loadConfig(o.path)
		if err != nil {
			return err
		}
		if err := documents(cmd.Context(), c, to, o.out, report); err != nil {
			return err
		}
		if o.out == "" {
			to = cmd.ErrOrStderr()
		}
	} else if err := writePayloads(o.out, report); err != nil {
		return err
	}
	return printRetrieval(to, *report, o.asJSON)
}

// answered marks a refusal of the running bridge as an answer: exit code 1.
func answered(err error) error {
	var status *local.StatusError
	if errors.As(err, &status) {
		return failed{err}
	}
	return err
}

// writePayloads puts the contents of genuine records into files of mode 0600, named by
// record id, and takes them out of the report.
func writePayloads(dir string, report *retrieveReport) error {
	if dir == "" {
		return nil
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return err
	}
	for i := range report.Deliveries {
		for j := range report.Deliveries[i].Records {
			r := &report.Deliveries[i].Records[j]
			if len(r.Payload) == 0 {
				continue
			}
			if err := fsatomic.WriteFile(filepath.Join(dir, r.ID+extension(r.MediaType)), r.Payload, 0o600); err != nil {
				return err
			}
			r.Payload = nil
		}
	}
	return nil
}

func printRetrieval(w io.Writer, report retrieveReport, asJSON bool) error {
	if asJSON {
		return printJSON(w, report)
	}
	var rows [][]any
	for _, d := range report.Deliveries {
		if len(d.Records) == 0 {
			rows = append(rows, []any{d.Owner, "", "", "", "none", strings.Join(nonEmpty(d.Error, d.Reason), ": ")})
		}
		for _, r := range d.Records {
			rows = append(rows, []any{r.Owner, r.ID, r.Kind, r.EventTime, string(r.Verdict), strings.Join(nonEmpty(string(r.Check), r.Absent), ": ")})
		}
	}
	if err := table.Write(w, []string{"owner · 医院", "record · 病历", "kind", "time · 时间", "verdict · 结论", "why"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d genuine, %.0f ms, of which consensus %.0f ms\n", report.Genuine, report.Total, report.Timings.Total, report.Timings.Consensus)
	return err
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func newEmergencyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "emergency", Short: "Emergency accesses to this hospital's records · 紧急调阅审查"}
	cmd.AddCommand(newEmergencyListCommand(), newEmergencyReviewCommand())
	return cmd
}

func newEmergencyListCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List those not reviewed · 列出待审查的紧急调阅",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			own, err := ownProcess(path)
			if err != nil {
				return err
			}
			defer own.Close()
			all := []evidence.Access{}
			for mark := ""; ; {
				page, err := own.Emergencies(cmd.Context(), evidence.MaxPageSize, mark)
				if err != nil {
					return answered(err)
				}
				all = append(all, page.Items...)
				if mark = page.Bookmark; mark == "" {
					break
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			rows := make([][]any, len(all))
			for i, a := range all {
				rows[i] = []any{a.ID.String(), time.UnixMilli(a.RequestedAt).Format(time.RFC3339), a.Requester, a.Request.Reason, string(a.State)}
			}
			return table.Write(cmd.OutOrStdout(), []string{"request", "time · 时间", "by · 请求方", "reason · 原因", "state"}, rows)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newEmergencyReviewCommand() *cobra.Command {
	var path, reviewer string
	var justified, unjustified bool
	cmd := &cobra.Command{
		Use:   "review REQUEST",
		Short: "Close the review of one, on the ledger · 完成审查并上链",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := evidence.ParseNonce(args[0])
			if err != nil {
				return err
			}
			own, err := ownProcess(path)
			if err != nil {
				return err
			}
			defer own.Close()
			if err := own.Review(cmd.Context(), id, local.ReviewRequest{Justified: justified, Reviewer: reviewer}); err != nil {
				return answered(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "reviewed · 已审查")
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&reviewer, "reviewer", "", "staff identity · 审查人")
	cmd.Flags().BoolVar(&justified, "justified", false, "the access was justified · 正当")
	cmd.Flags().BoolVar(&unjustified, "unjustified", false, "the access was not justified · 不正当")
	cmd.MarkFlagsMutuallyExclusive("justified", "unjustified")
	cmd.MarkFlagsOneRequired("justified", "unjustified")
	_ = cmd.MarkFlagRequired("reviewer")
	return cmd
}
