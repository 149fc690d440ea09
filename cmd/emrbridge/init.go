package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/devsite"
)

func newInitCommand() *cobra.Command {
	var netDir, dir string
	var number int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a ready installation for a hospital of the development network · 为开发网络中的医院生成安装",
		Long: `Writes a folder with configuration, keystore and passphrase for one hospital of a running
development network, and registers the hospital on the ledger. Then: emrbridge serve --config …`,
		Example: "  emrbridge devnet up\n  emrbridge init --hospital 1 --dir site1\n  emrbridge serve --config site1/emrbridge.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			n, err := devnet.Load(ctx, netDir)
			if err != nil {
				return fmt.Errorf("%w (start one with: emrbridge devnet up)", err)
			}
			hospitals := n.Hospitals()
			if number < 1 || number > len(hospitals) {
				return fmt.Errorf("--hospital %d: the network has hospitals 1 to %d", number, len(hospitals))
			}
			path, err := devsite.Write(ctx, n, hospitals[number-1], devsite.Options{Dir: dir})
			if err != nil {
				return err
			}
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			ks, err := openKeystore(ctx, c)
			if err != nil {
				return err
			}
			_, err = register(ctx, c, ks)
			if err := errors.Join(err, ks.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is ready · 已就绪\n  emrbridge serve --config %s\n  MLLP %s\n", c.Hospital.MSP, path, c.HL7.Listeners[0].Addr)
			return nil
		},
	}
	cmd.Flags().StringVar(&netDir, "devnet", devnet.DefaultDir, "folder of the development network · 开发网络目录")
	cmd.Flags().IntVar(&number, "hospital", 1, "number of the hospital · 医院编号")
	cmd.Flags().StringVar(&dir, "dir", "site1", "folder to make · 安装目录")
	return cmd
}
