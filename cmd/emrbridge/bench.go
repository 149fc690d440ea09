package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bench"
	"github.com/emrbridge/emrbridge/internal/table"
)

func newBenchCommand() *cobra.Command {
	var out string
	var span time.Duration
	var only string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what is claimed, side by side in one run · 性能测试",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, results := cmd.Context(), bench.NewResults()
			if only == "" || only == "crypto" {
				fmt.Fprintln(os.Stderr, "sealing with both providers and OpenSSL")
				if err := bench.Crypto(ctx, results, span/5); err != nil {
					return err
				}
			}
			if only == "" || only == "chain" {
				if err := bench.Chain(ctx, results, filepath.Join(out, "net"), os.Stderr, span); err != nil {
					return err
				}
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
	cmd.Flags().DurationVar(&span, "span", 20*time.Second, "how long each load runs · 每项时长")
	cmd.Flags().StringVar(&only, "only", "", "crypto, chain or retrieval alone · 仅测一项")
	jsonFlag(cmd, &asJSON)
	return cmd
}
