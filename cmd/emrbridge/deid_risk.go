package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/desensitize/risk"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// riskOptions are the flags of `deid risk`.
type riskOptions struct {
	schema      risk.Schema
	types       []string // column=type
	hierarchies []string // column=file
	model       string
	limits      risk.Thresholds
	threshold   float64
	c           float64
	population  string
	fraction    float64
	previous    []string
	propose     bool
	suppress    float64
	metric      string
	output      string
	html        string
	asJSON      bool
}

// riskDetail is what `deid risk --json` says of a table.
type riskDetail struct {
	*risk.Assessment
	Grade    int               `json:"grade"` // GB/T 42460-2023
	Limits   risk.Thresholds   `json:"limits"`
	Breaches []risk.Breach     `json:"breaches,omitempty"`
	Models   map[string]bool   `json:"models"` // sharing model → kept
	Releases *risk.Sequence    `json:"releases,omitempty"`
	Proposal *risk.Proposal    `json:"proposal,omitempty"`
	Types    map[string]string `json:"types,omitempty"` // column → how it is generalised
}

func newDeidRiskCommand() *cobra.Command {
	var o riskOptions
	cmd := &cobra.Command{
		Use:   "risk --quasi A,B,C [--sensitive D] FILE.csv…",
		Short: "Measure the risk of re-identification of a table · 度量数据表的重标识风险",
		Long: `Measures how easily the persons of a table can be found again: k-anonymity, l-diversity, t-closeness,
prosecutor, journalist and marketer risk, what each column gives away, and the risk over successive
releases. The table is a file of separated values with a header row (UTF-8 or GB 18030; comma,
semicolon, tab or bar).

--propose searches the generalisation that keeps the limits and loses the least information; --output
writes the table so. Types of columns: ` + strings.Join(risk.Types(), ", ") + `; what is not
given by --type or --hierarchy is guessed from names and values.

Limits are given by --model (public: k ≥ 20; agreement: k ≥ 6, GB/T 39725-2020; enclave: k ≥ 3) or one by
one. Exit status: 0 measured, and the limits are kept if any were given; 1 they are not; 2 usage. With
--propose the limits are the goal: 0 if a generalisation keeps them, 1 if none does.

度量表格数据的重标识风险（k 匿名、l 多样性、t 接近性、检察官/记者/营销者风险、连续发布风险），
并可给出信息损失最小的泛化与抑制方案。未给出限值时只度量；给出限值而未达到时退出码为 1。`,
		Example: `  emrbridge deid risk cohort.csv --quasi age,sex,postcode --sensitive diagnosis --json
  emrbridge deid risk cohort.csv --quasi age,sex,postcode --model agreement --propose --output safe.csv --html risk.html`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return deidRisk(cmd, o, files) },
	}
	o.flags(cmd)
	return cmd
}

func (o *riskOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&o.schema.Quasi, "quasi", nil, "quasi-identifying columns · 准标识符列")
	f.StringSliceVar(&o.schema.Sensitive, "sensitive", nil, "sensitive columns · 敏感属性列")
	f.StringVar(&o.schema.Subject, "subject", "", "column that tells persons apart (a pseudonym); without it each row is a person · 区分个人的列")
	f.StringSliceVar(&o.types, "type", nil, "column=type, how a column is generalised · 列的泛化类型")
	f.StringSliceVar(&o.hierarchies, "hierarchy", nil, "column=FILE, a hierarchy written out: value;level 1;level 2;… · 泛化层次文件")
	f.StringVar(&o.model, "model", "", "sharing model: public, agreement, enclave · 共享类型")
	f.IntVar(&o.limits.K, "k", 0, "least size of a class · 最小等价类")
	f.Float64Var(&o.limits.MaxRisk, "max-risk", 0, "greatest risk of a person · 单人最高风险")
	f.Float64Var(&o.limits.AverageRisk, "average-risk", 0, "greatest average risk · 平均风险上限")
	f.IntVar(&o.limits.L, "l", 0, "least number of sensitive values in a class · l 多样性")
	f.Float64Var(&o.limits.T, "t", 0, "greatest distance of a class from the table · t 接近性")
	f.Float64Var(&o.threshold, "threshold", 0, "risk above which a person counts as at risk (default 1/6) · 高风险阈值")
	f.Float64Var(&o.c, "c", risk.DefaultC, "constant of recursive (c,l)-diversity · 递归 (c,l) 多样性的 c")
	f.StringVar(&o.population, "population", "", "table of the whole population, for the journalist's risk · 总体数据表")
	f.Float64Var(&o.fraction, "fraction", 0, "part of the population that the table is a sample of · 抽样比例")
	f.StringSliceVar(&o.previous, "previous", nil, "earlier releases of the same project, oldest first · 以往发布的数据")
	f.BoolVar(&o.propose, "propose", false, "search the generalisation that loses least · 给出泛化方案")
	f.Float64Var(&o.suppress, "suppress", 0.02, "share of records that a proposal may take out · 允许抑制的记录比例")
	f.StringVar(&o.metric, "metric", string(risk.Loss), "what a proposal keeps small: loss, loss-geometric, loss-rank, entropy, precision · 信息损失度量")
	f.StringVar(&o.output, "output", "", "write the table as proposed (implies --propose) · 输出泛化后的数据")
	f.StringVar(&o.html, "html", "", "write a report page · 输出 HTML 报告")
	jsonFlag(cmd, &o.asJSON)
	_ = cmd.MarkFlagRequired("quasi")
}

// limited says whether the caller set a limit: then the table is held against it.
func (o *riskOptions) limited() bool { return o.model != "" || o.limits != risk.Thresholds{} }

func deidRisk(cmd *cobra.Command, o riskOptions, files []string) error {
	gate := o.limited()
	if err := o.settle(files); err != nil {
		return err
	}
	hierarchies, err := o.readHierarchies(cmd.Context())
	if err != nil {
		return err
	}
	bad := 0
	for _, file := range files {
		detail, err := o.assess(cmd, file, hierarchies)
		if ctxErr := cmd.Context().Err(); ctxErr != nil {
			return ctxErr
		}
		v := verdict{File: file, OK: err == nil}
		switch {
		case err != nil:
			v.Error = err.Error()
		case gate && !o.propose && len(detail.Breaches) > 0:
			v.OK, v.Error = false, "the limits are not kept · 未达到要求: "+words(detail.Breaches)
		}
		if detail != nil {
			v.Detail = detail
		}
		if !v.OK {
			bad++
		}
		if o.asJSON {
			if err := printJSON(cmd.OutOrStdout(), v); err != nil {
				return err
			}
			continue
		}
		printVerdict(cmd.OutOrStdout(), v, riskText(detail))
	}
	if bad > 0 {
		return failed{fmt.Errorf("%d of %d tables are not well · %d 个数据表中有 %d 个不合格", bad, len(files), len(files), bad)}
	}
	return nil
}

// settle fills in what the flags leave open and refuses what does not go together.
func (o *riskOptions) settle(files []string) error {
	if err := o.schema.Check(); err != nil {
		return err
	}
	o.propose = o.propose || o.output != ""
	if len(files) > 1 && (o.output != "" || o.html != "") {
		return errors.New("--output and --html take one table")
	}
	if o.output != "" && slices.Contains(files, "-") {
		return errors.New("--output reads the table twice: give a file, not standard input")
	}
	model := o.model
	if model == "" && !o.limited() && o.propose {
		model = risk.Agreement
	}
	if model != "" {
		th, err := risk.ThresholdsFor(model)
		if err != nil {
			return err
		}
		o.limits.K, o.limits.MaxRisk = max(o.limits.K, th.K), stricter(o.limits.MaxRisk, th.MaxRisk)
	}
	return o.limits.Check()
}

func stricter(a, b float64) float64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// readHierarchies makes the hierarchies that --type and --hierarchy name.
func (o *riskOptions) readHierarchies(ctx context.Context) (map[string]risk.Hierarchy, error) {
	out := map[string]risk.Hierarchy{}
	for _, arg := range o.types {
		column, name, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("--type %s: write column=type", arg)
		}
		h, err := risk.Builtin(name)
		if err != nil {
			return nil, fmt.Errorf("--type %s: %w", arg, err)
		}
		out[column] = h
	}
	for _, arg := range o.hierarchies {
		column, path, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("--hierarchy %s: write column=FILE", arg)
		}
		h, err := readHierarchy(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("--hierarchy %s: %w", arg, err)
		}
		out[column] = h
	}
	for column := range out {
		if !slices.Contains(o.schema.Quasi, column) && !slices.Contains(o.schema.Sensitive, column) {
			return nil, fmt.Errorf("%q is neither a quasi-identifying nor a sensitive column", column)
		}
	}
	return out, nil
}

func readHierarchy(ctx context.Context, path string) (risk.Hierarchy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return risk.ReadListed(ctx, f)
}

// assess measures one table, and does what the flags ask besides.
func (o *riskOptions) assess(cmd *cobra.Command, file string, named map[string]risk.Hierarchy) (*riskDetail, error) {
	ctx := cmd.Context()
	t, err := readTable(cmd, file, o.schema)
	if err != nil {
		return nil, err
	}
	options := risk.Options{Threshold: o.threshold, C: o.c, Fraction: o.fraction, Hierarchies: named}
	if o.population != "" {
		if options.Population, err = readTable(cmd, o.population, risk.Schema{Quasi: o.schema.Quasi}); err != nil {
			return nil, fmt.Errorf("--population: %w", err)
		}
	}
	a, err := risk.Assess(t, options)
	if err != nil {
		return nil, err
	}
	d := &riskDetail{Assessment: a, Grade: a.Grade(o.limitsOr(risk.Agreement)), Limits: o.limits, Breaches: a.Check(o.limits), Models: map[string]bool{}}
	for _, model := range risk.Models() {
		th, _ := risk.ThresholdsFor(model) // a name from the list
		d.Models[model] = len(a.Check(th)) == 0
	}
	if err := o.releases(cmd, t, d); err != nil {
		return nil, err
	}
	if o.propose {
		if err := o.search(ctx, t, named, options, d); err != nil {
			return d, err
		}
	}
	if o.output != "" {
		if err := writeProposal(ctx, file, o.output, o.schema, d.Proposal); err != nil {
			return d, err
		}
	}
	return d, o.page(file, d)
}

// limitsOr gives the limits asked for, or those of a model if none were.
func (o *riskOptions) limitsOr(model string) risk.Thresholds {
	if (o.limits != risk.Thresholds{}) {
		return o.limits
	}
	th, _ := risk.ThresholdsFor(model) // one of the known models
	return th
}

// releases measures the table together with those released before.
func (o *riskOptions) releases(cmd *cobra.Command, t *risk.Table, d *riskDetail) error {
	if len(o.previous) == 0 {
		return nil
	}
	var all []*risk.Table
	for _, file := range o.previous {
		before, err := readTable(cmd, file, o.schema)
		if err != nil {
			return fmt.Errorf("--previous: %w", err)
		}
		all = append(all, before)
	}
	s, err := risk.AssessReleases(append(all, t), o.limitsOr(risk.Agreement).K)
	if err != nil {
		return err
	}
	d.Releases, d.Breaches = s, append(d.Breaches, s.Check()...)
	return nil
}

// search proposes a generalisation; columns without a hierarchy get the type they look like.
func (o *riskOptions) search(ctx context.Context, t *risk.Table, named map[string]risk.Hierarchy, options risk.Options, d *riskDetail) error {
	hierarchies := map[string]risk.Hierarchy{}
	d.Types = map[string]string{}
	for column, h := range named {
		hierarchies[column] = h
	}
	for _, column := range o.schema.Quasi {
		if hierarchies[column] == nil {
			d.Types[column] = t.Detect(column)
			hierarchies[column], _ = risk.Builtin(d.Types[column]) // a type of the list
		}
	}
	goal := risk.Goal{Thresholds: o.limits, Metric: risk.Metric(o.metric), Options: options}
	goal.Suppressed = o.suppress
	p, err := risk.Propose(ctx, t, hierarchies, goal)
	if err != nil {
		return err
	}
	d.Proposal = p
	return nil
}

func (o *riskOptions) page(file string, d *riskDetail) error {
	if o.html == "" {
		return nil
	}
	var b strings.Builder
	err := risk.WriteHTML(&b, risk.Report{Title: filepath.Base(file), Made: time.Now().Format("2006-01-02 15:04"), Schema: o.schema,
		Assessment: d.Assessment, Model: o.model, Limits: o.limitsOr(risk.Agreement), Proposal: d.Proposal, Sequence: d.Releases})
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(o.html, []byte(b.String()), 0o644)
}

// readTable reads a table from a file, "-" is standard input.
func readTable(cmd *cobra.Command, file string, s risk.Schema) (*risk.Table, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return risk.ReadCSV(cmd.Context(), in, s, risk.Limits{})
}

// writeProposal reads the table again and writes it generalised: in UTF-8, the cells of the
// quasi-identifying columns at their levels, those of records taken out suppressed.
func writeProposal(ctx context.Context, from, to string, s risk.Schema, p *risk.Proposal) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := risk.NewCSV(ctx, in, risk.Limits{})
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(to), ".deid-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	if err := copyGeneralised(c, out, s, p); err != nil {
		_ = out.Close()
		return err
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

func copyGeneralised(c *risk.CSV, out io.Writer, s risk.Schema, p *risk.Proposal) error {
	w := csv.NewWriter(out)
	w.Comma = c.Separator()
	at := make([]int, len(s.Quasi))
	for i, name := range s.Quasi {
		at[i] = slices.Index(c.Header, name)
	}
	if err := w.Write(c.Header); err != nil {
		return err
	}
	for row := 0; ; row++ {
		cells, err := c.Next()
		if errors.Is(err, io.EOF) {
			w.Flush()
			return w.Error()
		}
		if err != nil {
			return err
		}
		for i, column := range at {
			label, ok := p.Generalise(i, strings.TrimSpace(cells[column]))
			if !ok || p.SuppressedRow(row) {
				label = risk.Suppressed
			}
			cells[column] = label
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
}

func words(breaches []risk.Breach) string {
	out := make([]string, len(breaches))
	for i, b := range breaches {
		out[i] = b.String()
	}
	return strings.Join(out, "; ")
}
