package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func newKeysDestroyCommand() *cobra.Command {
	var path, tag, id, reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Erase a patient's keys, or the key of one record, for good, and state it on the ledger · 销毁密钥并上链声明",
		Long: `Crypto-shredding: the ciphertext stays, nobody can read it any more. The destruction is a signed
statement on the ledger. If the command is interrupted, run it again: it completes what is missing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return fmt.Errorf("this cannot be undone; repeat with --yes")
			}
			t, err := evidence.ParseTag(tag)
			if err != nil {
				return err
			}
			body := &evidence.DestroyKey{Tag: t, Reason: reason}
			if id != "" {
				if body.Record, err = evidence.ParseRecordID(id); err != nil {
					return err
				}
			}
			return withKeystore(cmd, path, func(ctx context.Context, c *config.Config, ks *keystore.File) error {
				if err := destroy(ctx, c, ks, body); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "destroyed and stated on the ledger · 已销毁并上链")
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&tag, "tag", "", "patient token, as trace shows it · 患者标识")
	cmd.Flags().StringVar(&id, "record", "", "only this record · 仅此病历")
	cmd.Flags().StringVar(&reason, "reason", "", "code of the reason, on the ledger · 原因代码")
	cmd.Flags().BoolVar(&yes, "yes", false, "really · 确认")
	_ = cmd.MarkFlagRequired("tag")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// destroy erases first and states it then: a statement without the deed would be false.
func destroy(ctx context.Context, c *config.Config, ks *keystore.File, body *evidence.DestroyKey) error {
	chain, err := openChain(ctx, c, ks)
	if err != nil {
		return err
	}
	defer chain.Close()
	if body.Record == (evidence.RecordID{}) {
		err = ks.DestroyPatient(ctx, keystore.Tag(body.Tag))
	} else {
		var epoch uint32
		if epoch, err = epochOf(ctx, c, body); err == nil {
			err = ks.DestroyRecord(ctx, keystore.Tag(body.Tag), epoch, keystore.RecordID(body.Record))
		}
	}
	if err != nil {
		return err
	}
	_, err = chain.Submit(ctx, body)
	return err
}

// epochOf looks up the key epoch under which a record was sealed.
func epochOf(ctx context.Context, c *config.Config, body *evidence.DestroyKey) (uint32, error) {
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	item, err := store.Stat(ctx, [16]byte(body.Record))
	if err != nil {
		return 0, err
	}
	if item.Tag != body.Tag {
		return 0, fmt.Errorf("record %s belongs to another patient", body.Record)
	}
	return item.Epoch, nil
}
