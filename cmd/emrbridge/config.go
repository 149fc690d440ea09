package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check the configuration · 配置"}
	cmd.AddCommand(newConfigExampleCommand(), newConfigCheckCommand())
	return cmd
}

func newConfigExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration with every key documented · 输出带说明的示例配置",
		Example: "  emrbridge config example > emrbridge.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Example())
			return err
		},
	}
}

// configReport is the answer of `config check --json`.
type configReport struct {
	File   string        `json:"file"`
	OK     bool          `json:"ok"`
	Faults config.Faults `json:"faults"`
}

func newConfigCheckCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Short:   "Report all faults of a configuration at once · 一次列出全部配置错误",
		Example: "  emrbridge config check --config emrbridge.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				path = args[0]
			}
			c, err := config.Load(path)
			var faults config.Faults
			if err != nil && !errors.As(err, &faults) {
				return err
			}
			faults = append(faults, mappingFaults(c)...)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), configReport{File: path, OK: len(faults) == 0, Faults: append(config.Faults{}, faults...)}); err != nil {
					return err
				}
				if len(faults) > 0 {
					return failed{errors.New("")}
				}
				return nil
			}
			for _, f := range faults {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", f.Key, f.Problem)
			}
			if len(faults) > 0 {
				return failed{fmt.Errorf("%s: %d faults · 共 %d 处错误", path, len(faults), len(faults))}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok · 配置正确\n", path)
			return nil
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// loadConfig reads the configuration for a command that needs a faultless one.
func loadConfig(path string) (*config.Config, error) {
	c, err := config.Load(path)
	var faults config.Faults
	if errors.As(err, &faults) {
		return nil, fmt.Errorf("%s has %d faults:\n%w", path, len(faults), err)
	}
	return c, err
}
