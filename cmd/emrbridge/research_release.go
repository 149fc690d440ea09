package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/internal/table"
)

// releaseOptions are the flags of `research release`.
type releaseOptions struct {
	path                          string
	sequence                      uint32
	next, notices, asJSON, noWait bool
}

func newResearchReleaseCommand() *cobra.Command {
	var o releaseOptions
	cmd := &cobra.Command{
		Use:   "release PROJECT",
		Short: "Release this hospital's records to a project · 向科研项目发布数据",
		Long: `Asks the running bridge to release: patients whose research consent stands, records that fit the
project's criteria, de-identified, through leak gate and risk gate, sealed to the institute,
anchored on the ledger, and delivered through the proxy hospital. Before that the institute is
told of subjects whose consent was withdrawn.

Without a number it goes on with an unfinished release, shows the last one if it is done, or makes
the first one; so asking again releases nothing twice. --next makes the one after the last.

由运行中的适配器完成：核对患者科研授权、按项目条件筛选、去标识化、泄露检查与风险检查、按机构公钥封装、上链、经代理医院交付。
重复执行不会产生第二次发布；--next 发布下一期。

Exit status: 0 delivered, 1 not.`,
		Example: "  emrbridge research release INST1.2026-001 --config h1/emrbridge.yaml\n  emrbridge research release INST1.2026-001 --next",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchRelease(cmd, o, args[0]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().Uint32Var(&o.sequence, "sequence", 0, "number of the release · 发布序号")
	cmd.Flags().BoolVar(&o.next, "next", false, "make the release after the last one · 发布下一期")
	cmd.Flags().BoolVar(&o.notices, "notices-only", false, "only tell of withdrawals · 仅通知撤回")
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "return at once · 不等待完成")
	cmd.MarkFlagsMutuallyExclusive("sequence", "next", "notices-only")
	return cmd
}

func researchRelease(cmd *cobra.Command, o releaseOptions, project string) error {
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	ctx := cmd.Context()
	err = own.StartRelease(ctx, local.ReleaseRequest{Project: project, Sequence: o.sequence, Next: o.next, NoticesOnly: o.notices})
	if err != nil {
		return answered(err)
	}
	status, err := own.Releases(ctx, project)
	for err == nil && status.Running && !o.noWait {
		showProgress(cmd.ErrOrStderr(), status.Progress)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
		status, err = own.Releases(ctx, project)
	}
	if err != nil {
		return answered(err)
	}
	if err := printReleases(cmd.OutOrStdout(), status, o.asJSON); err != nil {
		return err
	}
	return outcomeOf(status, o)
}

// showProgress keeps one line on a terminal up to date.
func showProgress(w io.Writer, p release.Progress) {
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) || p.Step == "" {
		return
	}
	fmt.Fprintf(w, "\r%-12s %d/%d   ", p.Step, p.Done, p.Of)
}

func printReleases(w io.Writer, s local.ReleaseStatus, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	var rows [][]any
	for _, list := range [][]*release.State{s.Releases, s.Notices} {
		for _, r := range list {
			rows = append(rows, []any{fmt.Sprintf("%s %d", r.Kind, r.Sequence), string(r.Stage), r.Subjects, r.Suppressed, r.Rows, r.Risk.K, r.TxID})
		}
	}
	if err := table.Write(w, []string{"release · 发布", "stage · 阶段", "subjects · 对象", "held back · 抑制", "rows · 行", "k", "transaction · 交易"}, rows); err != nil {
		return err
	}
	for _, r := range s.Releases {
		for why, n := range r.Held {
			fmt.Fprintf(w, "release %d: %d records not released (%s) · 未发布病历\n", r.Sequence, n, why)
		}
	}
	return nil
}

// outcomeOf is the error of a release that did not come to its end.
func outcomeOf(s local.ReleaseStatus, o releaseOptions) error {
	switch {
	case s.Error != "":
		return failed{errors.New(s.Error)}
	case o.noWait || o.notices:
		return nil
	case len(s.Releases) == 0 || s.Releases[len(s.Releases)-1].Stage != release.Delivered:
		return failed{errors.New("nothing was delivered · 未交付")}
	}
	return nil
}
