package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/research/project"
)

// projectReport is what `research status PROJECT --json` prints. Everything in it is verified.
type projectReport struct {
	Project   string                `json:"project"`
	Institute string                `json:"institute"`
	Name      string                `json:"institute_name"`
	State     evidence.ProjectState `json:"state"`
	Purpose   string                `json:"purpose"`
	Proxy     string                `json:"proxy"`
	Sharing   evidence.Sharing      `json:"sharing"`
	Policy    string                `json:"policy"`
	MinGroup  uint32                `json:"min_group"`
	Ethics    string                `json:"ethics"` // board and number
	Ends      string                `json:"ends"`   // of project or ethics approval, the earlier
	Terms     evidence.Digest       `json:"terms"`  // digest of the application
	Cohort    evidence.Cohort       `json:"cohort"`
	Fields    []string              `json:"fields"`
	Hospitals []partLine            `json:"hospitals"`
	Releases  []releaseLine         `json:"releases"`
	Notices   []noticeLine          `json:"notices"`
	// Lookups are the re-identifications; hospitals alone see them.
	Lookups []lookupLine `json:"lookups,omitempty"`
}

type lookupLine struct {
	Hospital string         `json:"hospital"`
	ID       evidence.Nonce `json:"id"`
	At       string         `json:"at"`
	Reason   string         `json:"reason"`
}

type releaseLine struct {
	Hospital string          `json:"hospital"`
	Sequence uint32          `json:"sequence"`
	At       string          `json:"at"`
	Root     evidence.Digest `json:"root"`
	Rows     uint64          `json:"rows"`
	Subjects uint32          `json:"subjects"`
	K        uint32          `json:"k"`
	MaxRisk  float64         `json:"max_risk"`
}

type noticeLine struct {
	Hospital  string `json:"hospital"`
	Sequence  uint32 `json:"sequence"`
	Count     uint32 `json:"count"` // 0: everything
	Reason    string `json:"reason"`
	DueBy     string `json:"due_by"`
	Confirmed string `json:"confirmed,omitempty"`
	Method    string `json:"method,omitempty"`
}

// statusOptions are the flags of `research status`.
type statusOptions struct {
	path, dir, proxy string
	asJSON           bool
}

func newResearchStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [PROJECT]",
		Short: "Show a project, or list projects, as the ledger has them · 查看项目状态",
		Long: `With --dir an institute asks through its proxy hospital; else a hospital asks the ledger. Terms,
decisions, releases and notices are shown only if the signatures of who said them verify.`,
		Example: "  emrbridge research status --dir inst\n  emrbridge research status INST1.2026-001 --config h1/emrbridge.yaml --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, strings.Join(args, ""))
		},
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringVar(&o.dir, "dir", "", "folder of the institute · 机构目录")
	cmd.Flags().StringVar(&o.proxy, "proxy", "", "with --dir: address of the proxy hospital's gateway · 代理医院网关地址")
	cmd.MarkFlagsMutuallyExclusive("config", "dir")
	return cmd
}

// listed are the queries for a list of projects.
type listed interface {
	Projects(ctx context.Context, party string, size int, bookmark string) (evidence.Page[evidence.Project], error)
}

func (o statusOptions) run(cmd *cobra.Command, id string) error {
	var r *project.Reader
	var list listed
	var party string
	var chain *chainclient.Client // of a hospital
	if o.dir != "" {
		f, err := institute.Open(o.dir)
		if err != nil {
			return err
		}
		client, done, err := instituteClient(f, o.proxy)
		if err != nil {
			return err
		}
		defer done()
		if r, err = instituteReader(f, client); err != nil {
			return err
		}
		list, party = client, f.ID
	} else {
		c, err := loadConfig(o.path)
		if err != nil {
			return err
		}
		if r, chain, err = hospitalReader(cmd.Context(), c); err != nil {
			return err
		}
		defer chain.Close()
		list, party = chain, c.Hospital.MSP
	}
	if id == "" {
		return o.list(cmd, r, list, party)
	}
	report, err := reportOf(cmd.Context(), r, id)
	if err == nil && chain != nil {
		err = report.addLookups(cmd.Context(), r, chain)
	}
	if err != nil {
		if chainclient.IsNotFound(err) {
			return failed{fmt.Errorf("there is no project %s · 没有该项目", id)}
		}
		return refusedByProxy(err)
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	return report.print(cmd.OutOrStdout())
}

func (o statusOptions) list(cmd *cobra.Command, r *project.Reader, list listed, party string) error {
	out := []projectReport{}
	for view, err := range chainclient.All(cmd.Context(), func(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Project], error) {
		return list.Projects(ctx, party, size, bookmark)
	}) {
		if err != nil {
			return refusedByProxy(err)
		}
		p, err := r.VerifyProject(cmd.Context(), view.ID, view)
		if err != nil {
			return refusedByProxy(err)
		}
		out = append(out, summary(p))
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), out)
	}
	rows := make([][]any, len(out))
	for i, p := range out {
		rows[i] = []any{p.Project, p.Name, string(p.State), string(p.Sharing), p.Ends, p.Purpose}
	}
	return table.Write(cmd.OutOrStdout(), []string{"project · 项目", "institute · 机构", "state · 状态", "sharing", "ends · 截止", "purpose · 目的"}, rows)
}

// summary is a report without releases and notices.
func summary(p project.Project) projectReport {
	now := time.Now().UnixMilli()
	t := p.Terms
	out := projectReport{
		Project: p.ID, Institute: p.Institute, Name: p.By.Name, State: p.State(now), Purpose: t.Purpose, Proxy: t.Proxy, Sharing: t.Sharing,
		Policy: t.Policy.Name, MinGroup: t.MinGroup, Ethics: t.Ethics.Board + " " + t.Ethics.Number, Ends: moment(t.Ends()), Terms: p.TermsDigest,
		Cohort: t.Cohort, Fields: t.Fields, Hospitals: []partLine{}, Releases: []releaseLine{}, Notices: []noticeLine{},
	}
	asked := t.Hospitals
	for _, msp := range append([]string{t.Proxy}, asked...) {
		if len(out.Hospitals) > 0 && msp == t.Proxy {
			continue
		}
		line := partLine{Hospital: msp, State: p.PartState(msp, now)}
		if part, ok := p.Part(msp); ok {
			line.Reason, line.Releases, line.Notices = part.Decision.Reason, part.Releases, part.Notices
			if part.Decision.Approved {
				line.Until = moment(part.Decision.NotAfter)
			}
		}
		out.Hospitals = append(out.Hospitals, line)
	}
	return out
}

func moment(ms int64) string { return time.UnixMilli(ms).Format(time.RFC3339) }

func reportOf(ctx context.Context, r *project.Reader, id string) (projectReport, error) {
	if !evidence.ValidProject(id) {
		return projectReport{}, errors.New("a project's id is that of its institute, a dot and a name, as INST1.2026-001")
	}
	p, err := r.Project(ctx, id)
	if err != nil {
		return projectReport{}, err
	}
	out := summary(p)
	releases, err := r.Releases(ctx, id)
	if err != nil {
		return out, err
	}
	for _, v := range releases {
		out.Releases = append(out.Releases, releaseLine{Hospital: v.Hospital, Sequence: v.Terms.Sequence, At: moment(v.At), Root: v.Terms.Root,
			Rows: v.Terms.Rows, Subjects: v.Terms.Subjects, K: v.Terms.Risk.K, MaxRisk: float64(v.Terms.Risk.MaxPermille) / 1000})
	}
	notices, err := r.Withdrawals(ctx, id)
	if err != nil {
		return out, err
	}
	for _, v := range notices {
		line := noticeLine{Hospital: v.Hospital, Sequence: v.Terms.Sequence, Count: v.Terms.Count, Reason: v.Terms.Reason, DueBy: moment(v.Terms.DueBy)}
		if v.Confirmed != nil {
			line.Confirmed, line.Method = moment(v.ConfirmedAt), v.Confirmed.Method
		}
		out.Notices = append(out.Notices, line)
	}
	return out, nil
}

// addLookups adds the re-identifications, verified, newest first.
func (p *projectReport) addLookups(ctx context.Context, r *project.Reader, chain *chainclient.Client) error {
	for v, err := range chainclient.All(ctx, func(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Reidentification], error) {
		return chain.Reidentifications(ctx, p.Project, size, bookmark)
	}) {
		if err != nil {
			return err
		}
		if v, err = r.Reidentification(ctx, p.Project, v); err != nil {
			return err
		}
		p.Lookups = append(p.Lookups, lookupLine{v.Hospital, v.ID, moment(v.At), v.Terms.Reason})
	}
	return nil
}

func (p projectReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s  %s\n%s\n\n", p.Project, p.State, p.Purpose)
	fmt.Fprintf(w, "institute · 机构  %s (%s)\nproxy · 代理医院  %s\nethics · 伦理    %s\nends · 截止      %s\nsharing · 共享   %s, k ≥ %d\npolicy · 策略    %s\nterms · 摘要     %s\n\n",
		p.Name, p.Institute, p.Proxy, p.Ethics, p.Ends, p.Sharing, p.MinGroup, p.Policy, p.Terms)
	rows := make([][]any, len(p.Hospitals))
	for i, h := range p.Hospitals {
		rows[i] = []any{h.Hospital, string(h.State), strings.Join(nonEmpty(h.Until, h.Reason), " "), h.Releases, h.Notices}
	}
	if err := table.Write(w, []string{"hospital · 医院", "decision · 决定", "until, why", "releases · 发布", "notices · 撤回"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, r := range p.Releases {
		rows = append(rows, []any{r.Hospital, r.Sequence, r.At, r.Rows, r.Subjects, r.K, fmt.Sprintf("%.3f", r.MaxRisk)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := table.Write(w, []string{"release of", "number", "time", "rows", "persons", "k", "highest risk"}, rows); err != nil {
			return err
		}
	}
	rows = nil
	for _, n := range p.Notices {
		rows = append(rows, []any{n.Hospital, n.Sequence, n.Count, n.Reason, n.DueBy, strings.Join(nonEmpty(n.Confirmed, n.Method), " ")})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := table.Write(w, []string{"notice of", "number", "persons (0: all)", "why", "due", "deleted · 已删除"}, rows); err != nil {
			return err
		}
	}
	rows = nil
	for _, l := range p.Lookups {
		rows = append(rows, []any{l.Hospital, l.At, l.Reason, l.ID.String()})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return table.Write(w, []string{"re-identification by · 重标识", "time", "why", "statement"}, rows)
}
