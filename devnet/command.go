package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// ErrUnhealthy is returned by "devnet status" when a process of the network is not healthy.
var ErrUnhealthy = errors.New("the network is not healthy")

// NewCommand is "devnet" with its subcommands up, down, status and logs.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run a real Fabric consortium on this machine, without Docker",
		Long: `Runs a real Hyperledger Fabric consortium as local processes: four to ten hospitals with a peer
and a contract process each, four to seven BFT orderers, TLS between all of them. For development,
tests and demonstrations: keys lie as plain files in the network's folder.`,
	}
	dir := cmd.PersistentFlags().String("dir", DefaultDir, "folder of the network")
	cmd.AddCommand(upCommand(dir), downCommand(dir), statusCommand(dir), logsCommand(dir))
	return cmd
}

func upCommand(dir *string) *cobra.Command {
	var o Options
	var foreground, asJSON bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the network, or start the one that lies in the folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Dir, o.Detached, o.Progress = *dir, !foreground, cmd.ErrOrStderr()
			n, err := Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := printStatus(cmd.Context(), cmd.OutOrStdout(), n, asJSON); err != nil || !foreground {
				return err
			}
			<-cmd.Context().Done()
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "stopping")
			return n.Down(context.WithoutCancel(cmd.Context()), false)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Hospitals, "hospitals", 0, fmt.Sprintf("number of hospitals, 4 to %d (default %d, or as the network was made)", MaxHospitals, DefaultHospitals))
	f.IntVar(&o.Orderers, "orderers", 0, fmt.Sprintf("number of orderers, 4 to %d (default %d, or as the network was made)", MaxOrderers, DefaultOrderers))
	f.StringVar(&o.Endorsement, "endorsement", "", fmt.Sprintf("who must endorse: %s or %s (default %s, or as the network was made)", EndorseMajority, EndorseAny, EndorseMajority))
	f.DurationVar(&o.BlockInterval, "block-interval", 0, fmt.Sprintf("longest wait before a block is cut (default %v, or as the network was made)", DefaultBlockInterval))
	f.IntVar(&o.BlockMessages, "block-messages", 0, fmt.Sprintf("most transactions in a block (default %d, or as the network was made)", DefaultBlockMessages))
	f.StringVar(&o.LogSpec, "log", "", "Fabric's logging specification (default warn)")
	f.StringVar(&o.FabricBin, "fabric-bin", "", "folder with ready Fabric programs, instead of building them")
	f.StringVar(&o.ContractBin, "contract", "", "ready contract program, instead of building it")
	f.BoolVar(&foreground, "foreground", false, "stay, and stop the network when interrupted")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func downCommand(dir *string) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the network; its state stays for the next up, unless purged",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := Load(cmd.Context(), *dir)
			if err != nil && purge {
				// Unreadable or half-made state must not keep a purge from working.
				return purgeUnreadable(cmd, *dir, err)
			}
			if err != nil {
				return err
			}
			wasRunning := n.Running()
			if err := n.Down(cmd.Context(), purge); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), downMessage(wasRunning, purge))
			return err
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove all keys, ledgers and logs of the network too")
	return cmd
}

func downMessage(wasRunning, purge bool) string {
	switch {
	case purge:
		return "the network is removed"
	case wasRunning:
		return "the network is stopped; its state is kept"
	}
	return "the network was not running"
}

// purgeUnreadable removes a network whose state cannot be read. Nothing to remove is an error still.
func purgeUnreadable(cmd *cobra.Command, dir string, cause error) error {
	if errors.Is(cause, ErrNoNetwork) {
		return cause
	}
	if err := shutdownUnknown(cmd.Context(), dir); err != nil {
		return err
	}
	if err := purgeDir(dir); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "the network is removed (its state was unreadable: %v)\n", cause)
	return err
}

func statusCommand(dir *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every process: alive, healthy, ledger height; exit status 1 if one is not healthy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := Load(cmd.Context(), *dir)
			if err != nil {
				return err
			}
			return printStatus(cmd.Context(), cmd.OutOrStdout(), n, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func logsCommand(dir *string) *cobra.Command {
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the log of one process (orderer1, peer2, contract3 …)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := Load(cmd.Context(), *dir)
			if err != nil {
				return err
			}
			return n.Logs(cmd.Context(), cmd.OutOrStdout(), args[0], lines, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added, until interrupted")
	cmd.Flags().IntVarP(&lines, "lines", "n", 50, "number of last lines to show")
	return cmd
}

func printStatus(ctx context.Context, w io.Writer, n *Network, asJSON bool) error {
	st, err := n.Status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(st)
	} else {
		err = writeTable(w, st)
	}
	switch {
	case err != nil:
		return err
	case !st.Running:
		return ErrNotRunning
	case !st.OK():
		return ErrUnhealthy
	}
	return nil
}

func writeTable(w io.Writer, st Status) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "NAME\tROLE\tMEMBER\tPID\tPORT\tSTATE\tHEIGHT\tNOTE")
	for _, p := range st.Processes {
		note := p.Detail
		if p.Name == st.Leader {
			note = "leader"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			p.Name, p.Role, p.MSPID, numberOrDash(p.PID), p.Port, p.stateWord(), numberOrDash(p.Height), note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "channel %s, contract %s, endorsed by %s, folder %s%s\n", st.Channel, st.Contract, st.Endorsement, st.Dir, runningNote(st))
	return err
}

func (p ProcessStatus) stateWord() string {
	switch {
	case p.Healthy:
		return "healthy"
	case p.Alive:
		return "unhealthy"
	}
	return "down"
}

func runningNote(st Status) string {
	if st.Running {
		return fmt.Sprintf(", supervisor %d", st.Supervisor)
	}
	return "; the network is down"
}

func numberOrDash[T int | uint64](v T) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprint(v)
}
