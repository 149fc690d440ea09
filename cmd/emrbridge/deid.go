package main

import "github.com/spf13/cobra"

// newDeidCommand is the parent of the commands that de-identify, check and measure.
func newDeidCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deid", Short: "De-identification: policies, leaks, risk · 去标识化：策略、泄露检查、风险度量"}
	cmd.AddCommand(newDeidRunCommand(), newDeidScanCommand(), newDeidBenchCommand(), newDeidPolicyCommand(), newDeidRiskCommand(), newDeidCountsCommand())
	return cmd
}
