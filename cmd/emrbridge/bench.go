package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bench"
	"github.com/emrbridge/emrbridge/internal/table"
)

func newBenchCommand() *cobra.Command {
	var out, only string
	var o bench.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what is claimed, side by side in one run · 性能测试",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Self, o.Dir, o.Progress = self, filepath.Join(out, "work"), os.Stderr
			results := bench.NewResults()
			if err := results.Run(cmd.Context(), o, only); err != nil {
				return err
			}
			if err := results.Write(out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), results)
			}
			return table.Write(cmd.OutOrStdout(), []string{"group", "figure", "value", "unit", "anchor"}, results.Rows())
		},
	}
	cmd.Flags().StringVar(&out, "out", "out/bench", "folder for figures and plots · 输出目录")
	cmd.Flags().StringVar(&only, "only", "", "one part alone, such as hl7, mllp, large or chain · 仅测一项")
	cmd.Flags().DurationVar(&o.Span, "span", 20*time.Second, "how long each load runs · 每项时长")
	cmd.Flags().IntVar(&o.Retrievals, "retrievals", 60, "how often one record is retrieved · 调阅次数")
	cmd.Flags().DurationVar(&o.BlockInterval, "block-interval", 0, "longest wait before a block is cut; 0: that of devnet · 出块间隔")
	jsonFlag(cmd, &asJSON)
	return cmd
}
