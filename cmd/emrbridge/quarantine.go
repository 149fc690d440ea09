package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func newQuarantineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "Input that was refused, kept encrypted · 隔离区"}
	cmd.AddCommand(newQuarantineListCommand(), newQuarantineShowCommand(), newQuarantineReplayCommand())
	return cmd
}

// withQuarantine opens the quarantine beside the running bridge.
func withQuarantine(ctx context.Context, path string, fn func(*intake.Quarantine) error) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	ks, err := openKeyReader(ctx, c)
	if err != nil {
		return err
	}
	keys, err := bridge.LoadKeys(ctx, ks, smcrypto.Default())
	if err != nil {
		return errors.Join(err, ks.Close())
	}
	q, err := intake.OpenQuarantine(c.Dir("quarantine"), keys.Quarantine, intake.QuarantineLimits{})
	if err == nil {
		err = fn(q)
	}
	return errors.Join(err, ks.Close())
}

func newQuarantineListCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was refused and why · 列出拒收内容与原因",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withQuarantine(cmd.Context(), path, func(q *intake.Quarantine) error {
				items, err := q.List(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), append([]intake.Label{}, items...))
				}
				rows := make([][]any, len(items))
				for i, l := range items {
					rows[i] = []any{l.ID, l.At.Local().Format(clockLayout), l.Stage, l.Code, l.Reason, l.Sender, l.ControlID, l.Size}
				}
				return table.Write(cmd.OutOrStdout(), []string{"id", "time · 时间", "where", "code", "reason · 原因", "sender", "control id", "bytes"}, rows)
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newQuarantineShowCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Write the raw bytes of an item to standard output · 输出原始字节",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withQuarantine(cmd.Context(), path, func(q *intake.Quarantine) error {
				_, raw, err := q.Show(cmd.Context(), args[0])
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				_, err = cmd.OutOrStdout().Write(raw)
				return err
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}
