// Command emrbridge is the adapter between a hospital's enterprise service bus and a
// consortium ledger. This package is the composition root: it reads the configuration,
// builds what a command needs, and wires it together. Nothing imports it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/devnet"
)

// Exit codes.
const (
	exitFailed = 1 // the command ran and the answer is no: not accepted, not genuine, denied
	exitUsage  = 2 // the command could not run: flags, configuration, a missing neighbour
)

// failed marks an error as the answer of a command that ran: exit code 1.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var no failed
	if errors.As(err, &no) {
		if text := no.Error(); text != "" {
			fmt.Fprintln(stderr, text)
		}
		return exitFailed
	}
	fmt.Fprintln(stderr, "emrbridge:", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "emrbridge",
		Short: "Seal medical records, anchor them on a consortium ledger, share them under consent",
		Long: `emrbridge takes clinical messages from a hospital's bus, seals each record with SM2, SM3 and
SM4, keeps the ciphertext in the hospital's store, anchors its evidence on Hyperledger Fabric
and lets other hospitals retrieve it under the patient's consent.

医院前置机适配器：接收 HIS 消息，以国密算法封装病历，密文留在本院，证据上联盟链，经患者授权后跨院调阅。`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newServeCommand(), newConfigCommand(), newInitCommand(), newKeysCommand(), newMemberCommand(),
		newHL7Command(), newFHIRCommand(), newCDACommand(), newRetrieveCommand(), newConsentCommand(), newEmergencyCommand(), newResearchCommand(),
		newVerifyCommand(), newTraceCommand(), newDeidCommand(), newPatientsCommand(), newStoreCommand(), newQuarantineCommand(), newMessagesCommand(), newParkedCommand(),
		devnet.NewCommand(), newFerryCommand(), newDemoCommand(), newBenchCommand(),
	)
	return root
}

// printJSON writes v as one line of JSON: the stable form for machines.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// configFlag adds --config, which most commands need.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "emrbridge.yaml", "configuration file · 配置文件")
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "json", false, "print JSON for machines · 输出 JSON")
}
