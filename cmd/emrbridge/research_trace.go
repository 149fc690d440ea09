package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/research/fingerprint"
)

// traceOptions are the flags of `research trace`.
type traceOptions struct {
	path     string
	projects []string
	asJSON   bool
}

func newResearchTraceCommand() *cobra.Command {
	var o traceOptions
	cmd := &cobra.Command{
		Use:   "trace FILE",
		Short: "Hospital: name the recipient of a part that turned up · 医院：追溯泄露数据的接收方",
		Long: `Reads rows of one file of a dataset, in the order in which they were found, and weighs the copy of
every project that this hospital released to: marks within the surrogates, and the order of rows. One
surrogate suffices; without any, twelve rows in their order. A part without surrogates and in
another order bears no mark.

依据替代标识中的标记与行序，判断泄露数据来自哪一份拷贝。

Exit status: 0 a recipient is named, 1 none.`,
		Example: "  emrbridge research trace leaked.csv --config h1/emrbridge.yaml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchTrace(cmd, o, args[0]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringSliceVar(&o.projects, "project", nil, "projects to weigh; default all that were released to · 待比对的项目")
	return cmd
}

func researchTrace(cmd *cobra.Command, o traceOptions, file string) error {
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	list, err := traceCandidates(cmd.Context(), c, o.projects)
	if err != nil {
		return err
	}
	data, err := readInput(cmd, file)
	if err != nil {
		return err
	}
	found, err := fingerprint.Trace(bytes.NewReader(data), list)
	if err != nil {
		return failed{err}
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), found)
	} else {
		rows := make([][]any, len(found))
		for i, f := range found {
			rows[i] = []any{f.Recipient, fmt.Sprintf("%d/%d", f.Marked, f.Surrogates), f.Rows, f.Inversions, fmt.Sprintf("%.2g", min(f.ByMarks, f.ByOrder)), f.Named}
		}
		err = table.Write(cmd.OutOrStdout(), []string{"project · 项目", "marks · 标记", "rows · 行", "inversions · 逆序", "by chance · 偶然概率", "named · 判定"}, rows)
	}
	if err == nil && !slices.ContainsFunc(found, func(f fingerprint.Finding) bool { return f.Named }) {
		err = failed{errors.New("no copy is named · 无法判定")}
	}
	return err
}

// traceCandidates are the copies of the projects, with the keys that the vault derives.
func traceCandidates(ctx context.Context, c *config.Config, projects []string) ([]fingerprint.Candidate, error) {
	if len(projects) == 0 {
		entries, err := os.ReadDir(c.Dir("releases"))
		if err != nil {
			return nil, fmt.Errorf("%w (nothing was released here; name projects with --project)", err)
		}
		for _, e := range entries {
			projects = append(projects, e.Name())
		}
	}
	keys, err := openKeyReader(ctx, c)
	if err != nil {
		return nil, err
	}
	defer keys.Close()
	var out []fingerprint.Candidate
	for _, p := range projects {
		if !evidence.ValidProject(p) {
			continue
		}
		key, err := keys.ProjectKey(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, fingerprint.Candidate{Recipient: p, Key: fingerprint.NewKey(key, evidence.InstituteOf(p))})
	}
	if len(out) == 0 {
		return nil, errors.New("no project to weigh: name projects with --project")
	}
	return out, nil
}
