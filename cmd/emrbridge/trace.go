package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
)

func newTraceCommand() *cobra.Command {
	var path, as string
	var asJSON, accesses bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show the whole trail of a message or record · 查询全程轨迹",
		Long: `ID is a control id (MSH-10), a record id, a patient token, a batch or a transaction id. The
trail can be read while the bridge runs.`,
		Example: "  emrbridge trace MY-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkForm(as, "table", asFHIR); err != nil {
				return err
			}
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
			if as == asFHIR {
				return traceFHIR(cmd, c, args[0], events, accesses)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), events)
			}
			return table.Write(cmd.OutOrStdout(), trailHeader, trailRows(events, c.Location()))
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&as, "as", "table", "table, or fhir: a Bundle of AuditEvents · 输出形式")
	cmd.Flags().BoolVar(&accesses, "accesses", false, "with --as fhir: also who asked for the patient's records, from the ledger · 同时列出账本上的调阅")
	return cmd
}

// traceFHIR prints a trail as AuditEvents, with the accesses on the ledger if asked for.
func traceFHIR(cmd *cobra.Command, c *config.Config, name string, events []trail.Event, accesses bool) error {
	all := trailFHIR(events, c.Hospital.MSP, c.Location())
	if accesses {
		more, err := accessEvents(cmd.Context(), c, events)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	return printFHIR(cmd.OutOrStdout(), ledger.Bundle("trace/"+name, all...))
}

// asksFor reports whether an access asks for a record of the trail.
func asksFor(a evidence.Access, events []trail.Event) bool {
	if len(a.Request.Records) == 0 {
		return true
	}
	for _, id := range a.Request.Records {
		for _, e := range events {
			if e.Record == id.String() {
				return true
			}
		}
	}
	return false
}

// accessEvents are the accesses to the records of a trail.
func accessEvents(ctx context.Context, c *config.Config, events []trail.Event) ([]*tree.Resource, error) {
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	var out []*tree.Resource
	seen := map[string]bool{"": true}
	for _, e := range events {
		if seen[e.Tag] {
			continue
		}
		seen[e.Tag] = true
		var tag evidence.Tag
		if err := tag.UnmarshalText([]byte(e.Tag)); err != nil {
			return nil, err
		}
		for mark := ""; ; {
			page, err := chain.AccessesByTag(ctx, tag, evidence.MaxPageSize, mark)
			if err != nil {
				return nil, err
			}
			for _, a := range page.Items {
				if !asksFor(a, events) {
					continue
				}
				out = append(out, accessFHIR(a, c.Location()).Events()...)
			}
			if mark = page.Bookmark; mark == "" {
				break
			}
		}
	}
	return out, nil
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
