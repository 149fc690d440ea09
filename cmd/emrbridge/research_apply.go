package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/institute"
)

func newResearchApplyCommand() *cobra.Command {
	var o statementFlags
	var example bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Apply for data of hospitals · 提交数据申请",
		Long: `Signs an application and brings it to the ledger through the proxy hospital; with --out it writes
the signed application into a file that the proxy hospital submits. --example prints a documented
application to start from. All faults of a file are told at once.

Exit status: 0 on the ledger or written, 1 refused, 2 the command could not run.`,
		Example: "  emrbridge research apply --example > application.yaml\n  emrbridge research apply --dir inst application.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if example {
				_, err := cmd.OutOrStdout().Write(institute.Example())
				return err
			}
			if len(args) != 1 {
				return errors.New("name the file of the application; --example prints one")
			}
			return researchApply(cmd, o, args[0])
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&example, "example", false, "print a documented application · 输出示例")
	return cmd
}

func researchApply(cmd *cobra.Command, o statementFlags, path string) error {
	f, err := institute.Open(o.dir)
	if err != nil {
		return err
	}
	text, err := readLimited(path, institute.MaxApplication)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	body, err := institute.ParseApplication(text, institute.Sources{Dir: dir, Policy: policyOf(dir)})
	if err != nil {
		return failed{fmt.Errorf("%s: %w", path, err)}
	}
	if evidence.InstituteOf(body.ID) != f.ID {
		return failed{fmt.Errorf("%s: id: the projects of this institute begin with %q", path, f.ID+".")}
	}
	return o.say(cmd, f, body, body.ID)
}

// readLimited reads a file that must not be longer than limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}

func newResearchCloseCommand() *cobra.Command {
	var o statementFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "close PROJECT",
		Short: "End a project: nothing is released to it any more · 结束项目",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := institute.Open(o.dir)
			if err != nil {
				return err
			}
			return o.say(cmd, f, evidence.CloseProject{Project: args[0], Reason: reason}, args[0])
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "completed", "code of the reason, public · 原因代码")
	return cmd
}

// deletionOptions are the flags of `research confirm-deletion`.
type deletionOptions struct {
	statementFlags
	hospital   string
	notice     uint32
	pseudonyms string
	method     string
}

func newResearchConfirmDeletionCommand() *cobra.Command {
	var o deletionOptions
	cmd := &cobra.Command{
		Use:   "confirm-deletion PROJECT",
		Short: "State that withdrawn subjects were deleted from all copies · 确认已删除撤回数据",
		Long: `Signs, for each notice of withdrawal that is open, that the institute deleted the persons that it
names from all its copies. --hospital and --notice choose one notice. With --pseudonyms the list of
what was deleted is compared with the notice; then --hospital, --notice and --out need no proxy.

Exit status: 0 confirmed, 1 refused or nothing to confirm, 2 the command could not run.`,
		Example: "  emrbridge research confirm-deletion INST1.2026-001 --dir inst\n  emrbridge research confirm-deletion INST1.2026-001 --hospital H2MSP --notice 1 --pseudonyms deleted.txt",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchConfirmDeletion(cmd, o, args[0]) },
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.hospital, "hospital", "", "only the notices of this member · 发出通知的医院")
	cmd.Flags().Uint32Var(&o.notice, "notice", 0, "only the notice of this number · 通知序号")
	cmd.Flags().StringVar(&o.pseudonyms, "pseudonyms", "", "file with the pseudonyms deleted, one a line · 已删除的假名清单")
	cmd.Flags().StringVar(&o.method, "method", "erased", "code of the way, public: erased, key-destroyed … · 删除方式代码")
	return cmd
}

func researchConfirmDeletion(cmd *cobra.Command, o deletionOptions, id string) error {
	f, err := institute.Open(o.dir)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	list, err := o.pseudonymList()
	if err != nil {
		return err
	}
	if o.out != "" {
		return o.say(cmd, f, o.confirmation(id, o.hospital, o.notice, evidence.SubjectsDigest(list), uint32(len(list))), id)
	}
	open, err := o.openNotices(cmd.Context(), f, id)
	if err != nil {
		return refusedByProxy(err)
	}
	if len(open) == 0 {
		return failed{errors.New("no notice is open · 没有待确认的撤回通知")}
	}
	for _, n := range open {
		if o.pseudonyms != "" && evidence.SubjectsDigest(list) != n.Terms.Subjects {
			return failed{fmt.Errorf("the list does not name the persons of notice %d of %s · 清单与通知不符", n.Terms.Sequence, n.Hospital)}
		}
		if err := o.say(cmd, f, o.confirmation(id, n.Hospital, n.Terms.Sequence, n.Terms.Subjects, n.Terms.Count), id); err != nil {
			return err
		}
	}
	return nil
}

// check looks at which flags go together.
func (o *deletionOptions) check() error {
	one := o.hospital != "" && o.notice != 0
	switch {
	case o.pseudonyms != "" && !one:
		return errors.New("--pseudonyms goes with --hospital and --notice: the list is that of one notice")
	case o.out != "" && (!one || o.pseudonyms == ""):
		return errors.New("--out needs --hospital, --notice and --pseudonyms: without the proxy hospital the notice cannot be read")
	}
	return nil
}

func (o *deletionOptions) confirmation(id, hospital string, notice uint32, subjects evidence.Digest, count uint32) evidence.ConfirmDeletion {
	return evidence.ConfirmDeletion{Project: id, Hospital: hospital, Sequence: notice, Subjects: subjects, Count: count, Method: o.method}
}

// openNotices reads the verified notices that the flags choose and that are not confirmed.
func (o *deletionOptions) openNotices(ctx context.Context, f *institute.Folder, id string) ([]evidence.Withdrawal, error) {
	client, done, err := instituteClient(f, o.proxy)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := instituteReader(f, client)
	if err != nil {
		return nil, err
	}
	all, err := r.Withdrawals(ctx, id)
	if err != nil {
		return nil, err
	}
	var open []evidence.Withdrawal
	for _, n := range all {
		if n.Confirmed == nil && (o.hospital == "" || n.Hospital == o.hospital) && (o.notice == 0 || n.Terms.Sequence == o.notice) {
			open = append(open, n)
		}
	}
	return open, nil
}

// pseudonymList reads --pseudonyms, each once.
func (o *deletionOptions) pseudonymList() ([]string, error) {
	if o.pseudonyms == "" {
		return nil, nil
	}
	f, err := os.Open(o.pseudonyms)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seen := map[string]bool{}
	var list []string
	lines := bufio.NewScanner(io.LimitReader(f, 64<<20))
	for lines.Scan() {
		if p := strings.TrimSpace(lines.Text()); p != "" && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list, lines.Err()
}
