package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/demo"
)

func newDemoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The main job on a real Fabric network, start to end · 主流程演示",
		Long: `Starts four hospitals' peers and four BFT orderers as local processes, two hospitals' bridges,
sends a day of messages, retrieves with and without consent, breaks the glass, kills the leading
orderer, verifies, tampers, and leaves report.json and report.html. Exit status 0 only if all held.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Self, o.Progress = self, cmd.OutOrStdout()
			report, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			if !report.OK() {
				return failed{errors.New("not everything held · 存在未通过的项目")}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Out, "out", "out/demo", "folder for the report and everything else · 输出目录")
	cmd.Flags().StringVar(&o.Input, "input", "", "your own HL7 files, a file or a folder, sent as well · 自备 HL7 文件")
	cmd.Flags().IntVar(&o.Patients, "patients", 60, "patients of the invented day · 合成患者数")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave everything running until Ctrl-C · 保持运行")
	return cmd
}
