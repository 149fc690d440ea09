package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/internal/table"
)

func newTraceCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show the whole trail of a message or record · 查询全程轨迹",
		Long: `ID is a control id (MSH-10), a record id, a patient token, a batch or a transaction id. The
trail can be read while the bridge runs.`,
		Example: "  emrbridge trace MY-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			index, err := trail.OpenReader(cmd.Context(), c.Dir("trail"))
			if err != nil {
				return fmt.Errorf("%w (has the bridge ever run with this configuration?)", err)
			}
			defer index.Close()
			events, err := index.Lookup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(events) == 0 {
				return failed{errors.New("nothing is known under this id · 未找到")}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), events)
			}
			return table.Write(cmd.OutOrStdout(), trailHeader, trailRows(events, c.Location()))
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

var trailHeader = []string{"time · 时间", "stage · 环节", "control id", "record", "patient token", "batch", "transaction", "block", "code"}

func trailRows(events []trail.Event, zone *time.Location) [][]any {
	rows := make([][]any, len(events))
	for i, e := range events {
		rows[i] = []any{e.At.In(zone).Format("2006-01-02 15:04:05.000 -07:00"), e.Stage, e.ControlID, e.Record, e.Tag, e.Batch, short(e.Tx), e.Block, e.Code}
	}
	return rows
}

// short cuts a transaction id for the table; --json has all of it.
func short(s string) string { return s[:min(len(s), 16)] }
