package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/desensitize/risk"
	"github.com/emrbridge/emrbridge/desensitize/risk/dpcount"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// countOptions are the flags of `deid counts`.
type countOptions struct {
	by                       []string
	subject, known           string
	count                    dpcount.Options
	budget                   string
	epsilonLimit, deltaLimit float64
	asJSON                   bool
}

// countAnswer is what `deid counts --json` prints.
type countAnswer struct {
	File string   `json:"file"`
	By   []string `json:"by"`
	*dpcount.Result
	Budget *budgetState `json:"budget,omitempty"`
}

type budgetState struct {
	EpsilonSpent float64 `json:"epsilon_spent"`
	DeltaSpent   float64 `json:"delta_spent"`
	EpsilonLeft  float64 `json:"epsilon_left"`
	DeltaLeft    float64 `json:"delta_left"`
}

func newDeidCountsCommand() *cobra.Command {
	var o countOptions
	cmd := &cobra.Command{
		Use:   "counts FILE.csv --by A,B --epsilon 1 --delta 1e-6",
		Short: "Count persons by groups under differential privacy · 差分隐私计数",
		Long: `Counts the persons of a table by the values of columns, with noise that hides whether any one person is
in it: differential privacy with the budget ε and δ. Groups so small that they might name a person are
left out, unless --known lists all groups that are counted, whatever the table holds.

Answers add up. --budget keeps a ledger of what was spent on a table and refuses what goes over its
limits, which are set when the ledger is made.

按列的取值对人数计数并加入噪声（差分隐私，预算 ε、δ）；人数过少的组不输出。--budget 记录并限制累计预算。`,
		Example: `  emrbridge deid counts cohort.csv --by sex,diagnosis --epsilon 1 --delta 1e-6
  emrbridge deid counts cohort.csv --by sex --epsilon 0.5 --delta 1e-6 --budget cohort.budget --budget-epsilon 3 --budget-delta 1e-5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return deidCounts(cmd, o, args[0]) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.by, "by", nil, "columns to count by · 分组列")
	f.StringVar(&o.subject, "subject", "", "column that tells persons apart; without it each row is a person · 区分个人的列")
	f.StringVar(&o.known, "known", "", "file with a header row that lists all groups to count · 列出全部分组的文件")
	f.Float64Var(&o.count.Epsilon, "epsilon", 0, "privacy budget ε of this count · 隐私预算 ε")
	f.Float64Var(&o.count.Delta, "delta", 0, "privacy budget δ of this count · 隐私预算 δ")
	f.IntVar(&o.count.Groups, "groups", 1, "groups that one person may count in · 每人最多计入的组数")
	f.StringVar(&o.count.Noise, "noise", dpcount.Laplace, "laplace or gaussian · 噪声")
	f.StringVar(&o.budget, "budget", "", "ledger of the budget spent on this table · 预算台账文件")
	f.Float64Var(&o.epsilonLimit, "budget-epsilon", 0, "limit of ε, for a ledger that is made · 新台账的 ε 上限")
	f.Float64Var(&o.deltaLimit, "budget-delta", 0, "limit of δ, for a ledger that is made · 新台账的 δ 上限")
	jsonFlag(cmd, &o.asJSON)
	_, _ = cmd.MarkFlagRequired("by"), cmd.MarkFlagRequired("epsilon")
	return cmd
}

func deidCounts(cmd *cobra.Command, o countOptions, file string) error {
	if o.known != "" {
		var err error
		if o.count.Known, err = knownGroups(cmd.Context(), o.known, o.by); err != nil {
			return fmt.Errorf("--known: %w", err)
		}
	}
	counter, err := dpcount.New(len(o.by), o.count)
	if err != nil {
		return err
	}
	digest, err := countRows(cmd, file, o, counter)
	if err != nil {
		return err
	}
	answer := countAnswer{File: file, By: o.by}
	if o.budget != "" { // spent before anything is shown
		if answer.Budget, err = o.spend(digest); err != nil {
			return failed{err}
		}
	}
	if answer.Result, err = counter.Result(); err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	printCounts(cmd.OutOrStdout(), answer)
	return nil
}

// countRows counts the rows of a table, and gives the digest of its bytes.
func countRows(cmd *cobra.Command, file string, o countOptions, counter *dpcount.Counter) (string, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	h := sha256.New()
	c, err := risk.NewCSV(cmd.Context(), io.TeeReader(in, h), risk.Limits{})
	if err != nil {
		return "", err
	}
	at, err := columnsOf(c.Header, o.by)
	if err != nil {
		return "", err
	}
	subject := -1
	if o.subject != "" {
		found, err := columnsOf(c.Header, []string{o.subject})
		if err != nil {
			return "", err
		}
		subject = found[0]
	}
	group := make([]string, len(at))
	for {
		row, err := c.Next()
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		for i, column := range at {
			group[i] = strings.TrimSpace(row[column])
		}
		person := ""
		if subject >= 0 {
			// A row that names nobody is a person of its own.
			person = strings.TrimSpace(row[subject])
		}
		if err := counter.Add(group, person); err != nil {
			return "", err
		}
	}
}

func columnsOf(header, names []string) ([]int, error) {
	at := make([]int, len(names))
	for i, name := range names {
		if at[i] = slices.Index(header, name); at[i] < 0 {
			return nil, fmt.Errorf("%w: no column %q in the header", risk.ErrSchema, name)
		}
	}
	return at, nil
}

// knownGroups reads the groups to count from a file with the columns counted by.
func knownGroups(ctx context.Context, file string, by []string) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := risk.NewCSV(ctx, f, risk.Limits{})
	if err != nil {
		return nil, err
	}
	at, err := columnsOf(c.Header, by)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for {
		row, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		group := make([]string, len(at))
		for i, column := range at {
			group[i] = strings.TrimSpace(strings.Clone(row[column]))
		}
		out = append(out, group)
	}
}

// spend takes the count from the ledger, which is safe on disk when spend returns.
func (o *countOptions) spend(digest string) (*budgetState, error) {
	unlock, err := lockLedger(o.budget + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b := dpcount.Budget{Table: digest, EpsilonLimit: o.epsilonLimit, DeltaLimit: o.deltaLimit}
	data, err := os.ReadFile(o.budget)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if o.epsilonLimit <= 0 {
			return nil, errors.New("the ledger does not exist: give its limits with --budget-epsilon and --budget-delta")
		}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, &b); err != nil {
			return nil, fmt.Errorf("the ledger cannot be read: %w", err)
		}
		if o.epsilonLimit != 0 || o.deltaLimit != 0 {
			return nil, errors.New("the ledger has its limits; leave out --budget-epsilon and --budget-delta")
		}
		if b.Table != digest {
			return nil, errors.New("the ledger belongs to another table")
		}
	}
	if err := b.Spend(dpcount.Spent{At: time.Now().UTC().Format(time.RFC3339), By: o.by, Epsilon: o.count.Epsilon, Delta: o.count.Delta}); err != nil {
		return nil, err
	}
	if data, err = json.MarshalIndent(b, "", "  "); err != nil {
		return nil, err
	}
	if err := fsatomic.WriteFile(o.budget, append(data, '\n'), 0o600); err != nil {
		return nil, err
	}
	s := &budgetState{}
	s.EpsilonSpent, s.DeltaSpent = b.Total()
	s.EpsilonLeft, s.DeltaLeft = b.Left()
	return s, nil
}

// lockLedger keeps two counts at once from spending the same budget.
func lockLedger(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

func printCounts(out io.Writer, a countAnswer) {
	w := tabwriter.NewWriter(out, 2, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tcount\t95 %%\n", strings.Join(a.By, "\t"))
	for _, c := range a.Cells {
		fmt.Fprintf(w, "%s\t%d\t%d–%d\n", strings.Join(c.Group, "\t"), c.Count, c.Low, c.High)
	}
	w.Flush()
	fmt.Fprintf(out, "ε = %g, δ = %g, %s noise · 噪声", a.Epsilon, a.Delta, a.Noise)
	if a.Threshold > 0 {
		fmt.Fprintf(out, "; groups under %d are left out · 少于该数的组不输出", a.Threshold)
	}
	fmt.Fprintln(out)
	if b := a.Budget; b != nil {
		fmt.Fprintf(out, "budget · 预算: spent ε = %g, δ = %g; left ε = %g, δ = %g\n", b.EpsilonSpent, b.DeltaSpent, b.EpsilonLeft, b.DeltaLeft)
	}
}
