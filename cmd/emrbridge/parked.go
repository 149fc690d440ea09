package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/internal/oplog"
	"github.com/emrbridge/emrbridge/internal/table"
)

func newParkedCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "parked", Short: "Messages that a stage set aside, to be tried again or dropped · 暂存消息"}
	cmd.AddCommand(newParkedListCommand(),
		newSetFreeCommand("release", "Try parked messages again from where they stood · 放行", (*local.Client).Release),
		newSetFreeCommand("drop", "Remove parked messages for good · 丢弃", (*local.Client).Drop))
	return cmd
}

func newParkedListCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is parked and why, the oldest first · 列出暂存消息与原因",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			own, err := ownProcess(path)
			if err != nil {
				return err
			}
			defer own.Close()
			items, err := own.Parked(cmd.Context())
			if err != nil {
				return answered(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]bridge.AsideItem{}, items...))
			}
			rows := make([][]any, len(items))
			for i, it := range items {
				rows[i] = []any{it.ID, it.At.Local().Format(clockLayout), it.Code, plain(it.Kind), plain(it.Sender), plain(it.ControlID)}
			}
			return table.Write(cmd.OutOrStdout(), []string{"id", "time · 时间", "code · 原因", "kind", "sender", "control id"}, rows)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// operated is one line of `parked release|drop --json` and `quarantine replay --json`.
type operated struct {
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	*local.ReplayResponse
}

// operation is a command of the operator on items of the running bridge.
type operation struct {
	path, reason string
	asJSON       bool
}

func (o *operation) add(cmd *cobra.Command) {
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; it is recorded · 原因（记录在案）")
	_ = cmd.MarkFlagRequired("reason")
}

// run does the operation on each item, noting before that it is begun and after it how it
// ended.
func (o *operation) run(cmd *cobra.Command, action string, ids []string, do func(*local.Client, string) operated) error {
	if err := oplog.CheckReason(o.reason); err != nil {
		return err
	}
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	bad := 0
	for _, id := range ids {
		note := oplog.Entry{Action: action, Subject: id, Reason: o.reason, Result: "begun"}
		if err := logOperation(c, note); err != nil {
			return err
		}
		line := do(own, id)
		note.Result = "done"
		if !line.OK {
			note.Result = "failed"
			bad++
		}
		if err := errors.Join(logOperation(c, note), o.print(cmd, action, line)); err != nil {
			return err
		}
	}
	if bad > 0 {
		return failed{fmt.Errorf("%d of %d: not done · 未完成", bad, len(ids))}
	}
	return nil
}

func (o *operation) print(cmd *cobra.Command, action string, line operated) error {
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), line)
	}
	mark, text := "✓", line.Error
	if !line.OK {
		mark = "✗"
	}
	if r := line.ReplayResponse; r != nil {
		text = fmt.Sprintf("%s %s %s %s", r.Code, plain(r.ControlID), plain(r.Kind), plain(r.Error))
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s\n", mark, action, line.ID, text)
	return err
}

func newSetFreeCommand(name, short string, do func(*local.Client, context.Context, string) error) *cobra.Command {
	var o operation
	cmd := &cobra.Command{
		Use:     name + " ID… --reason TEXT",
		Short:   short,
		Example: "  emrbridge parked list\n  emrbridge parked " + name + ` seal.0001… --reason "INC-17"`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return o.run(cmd, name, ids, func(own *local.Client, id string) operated {
				if err := do(own, cmd.Context(), id); err != nil {
					return operated{ID: id, Error: err.Error()}
				}
				return operated{ID: id, OK: true}
			})
		},
	}
	o.add(cmd)
	return cmd
}

func newQuarantineReplayCommand() *cobra.Command {
	var o operation
	var req local.ReplayRequest
	cmd := &cobra.Command{
		Use:   "replay ID… --reason TEXT",
		Short: "Take refused input in once more, after a cause was mended · 修复后重新接收",
		Long: `Gives quarantined bytes to the running bridge again, as the endpoint would that refused them, with
the mapping and settings of now. --charset reads them by another charset than they name. What is
taken leaves the quarantine; what is refused again stays.`,
		Example: `  emrbridge quarantine replay 0192… --reason "mapping mended"
  emrbridge quarantine replay 0192… --charset GB18030 --reason "MSH-18 is wrong, INC-17"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return o.run(cmd, "quarantine-replay", ids, func(own *local.Client, id string) operated {
				out, err := own.Replay(cmd.Context(), id, req)
				if err != nil {
					return operated{ID: id, Error: err.Error()}
				}
				return operated{ID: id, OK: out.Code == "AA", ReplayResponse: &out}
			})
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&req.Charset, "charset", "", "read the bytes by this charset, whatever they name · 指定字符集")
	cmd.Flags().BoolVar(&req.Keep, "keep", false, "leave the item in the quarantine · 保留隔离副本")
	return cmd
}
