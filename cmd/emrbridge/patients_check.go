package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
)

// linkVerdict is one line of `patients check --json`: a join that stands, as the ledger has it.
type linkVerdict struct {
	patientindex.Change
	OnLedger bool `json:"on_ledger"`
	Repaired bool `json:"repaired,omitempty"`
}

func newPatientsCheckCommand() *cobra.Command {
	var path string
	var asJSON, repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Hold the joins of the index against the links on the ledger · 核对索引与链上关联",
		Long: `Lists the joins that stand and are not on the ledger: the record that brought them is still on its
way, was dropped while parked, or the index was restored. --repair states them; the bridge must be
stopped for that, since this command then signs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if repair {
				return withKeystore(cmd, path, func(ctx context.Context, c *config.Config, ks *keystore.File) error {
					index, err := patientindex.Open(ctx, c.Dir("patients"), patientindex.Options{HospitalMSP: c.Hospital.MSP, Keys: ks, ReadOnly: true})
					if err != nil {
						return err
					}
					defer index.Close()
					return checkLinks(cmd, c, index, ks, asJSON, true)
				})
			}
			return withPatients(cmd.Context(), path, func(c *config.Config, index *patientindex.Index) error {
				return checkLinks(cmd, c, index, noSigner{}, asJSON, false)
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&repair, "repair", false, "state on the ledger what is missing there · 补写链上")
	return cmd
}

// checkLinks prints the joins that the ledger lacks, and states them if it may.
func checkLinks(cmd *cobra.Command, c *config.Config, index *patientindex.Index, signer chainclient.Signer, asJSON, repair bool) error {
	chain, err := openChain(cmd.Context(), c, signer)
	if err != nil {
		return err
	}
	defer chain.Close()
	k := linkCheck{chain: chain, number: c.Hospital.Number, repair: repair}
	found, err := k.run(cmd.Context(), index)
	missing := 0
	rows := make([][]any, len(found))
	for i, v := range found {
		if asJSON {
			err = errors.Join(err, printJSON(cmd.OutOrStdout(), v))
		}
		if !v.Repaired {
			missing++
		}
		rows[i] = []any{v.Seq, v.From, v.To, v.Record, v.Repaired}
	}
	if !asJSON {
		err = errors.Join(err, table.Write(cmd.OutOrStdout(), []string{"no", "from", "to", "record", "repaired · 已补写"}, rows))
		fmt.Fprintf(cmd.OutOrStdout(), "%d joins stand, %d are not on the ledger · 共 %d 项，缺 %d 项\n", k.seen, missing, k.seen, missing)
	}
	if err != nil {
		return err
	}
	if missing > 0 {
		return failed{errors.New("the ledger lacks joins of the index; wait for what is under way, then: emrbridge patients check --repair")}
	}
	return nil
}

// linkCheck holds joins against the ledger.
type linkCheck struct {
	chain  *chainclient.Client
	number uint16
	repair bool
	seen   int
}

// run returns the joins that the ledger lacked, as far as it came.
func (k *linkCheck) run(ctx context.Context, index *patientindex.Index) (found []linkVerdict, err error) {
	for after := int64(0); ; {
		list, err := index.Changes(ctx, after, patientindex.MaxChanges, true)
		if err != nil {
			return found, err
		}
		for _, change := range list {
			after = change.Seq
			if change.From.IsZero() {
				continue
			}
			k.seen++
			v, err := k.check(ctx, change)
			if err != nil {
				return found, fmt.Errorf("link of record %s: %w", change.Record, err)
			}
			if !v.OnLedger {
				found = append(found, v)
			}
		}
		if len(list) < patientindex.MaxChanges {
			return found, nil
		}
	}
}

func (k *linkCheck) check(ctx context.Context, c patientindex.Change) (v linkVerdict, err error) {
	v = linkVerdict{Change: c}
	if v.OnLedger, err = linked(ctx, k.chain, k.number, c); err != nil || v.OnLedger || !k.repair {
		return v, err
	}
	_, err = k.chain.Submit(ctx, evidence.LinkTag{From: c.From, To: c.To, Order: c.Order})
	v.Repaired = err == nil
	return v, err
}

// linked asks whether the ledger has this hospital's link.
func linked(ctx context.Context, chain *chainclient.Client, number uint16, c patientindex.Change) (bool, error) {
	for l, err := range chainclient.All(ctx, func(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.TagLink], error) {
		return chain.TagLinks(ctx, c.To, size, bookmark)
	}) {
		if err != nil {
			return false, err
		}
		if l.HospitalNumber == number && l.From == c.From && l.To == c.To {
			return true, nil
		}
	}
	return false, nil
}
