package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func newKeysDestroyCommand() *cobra.Command {
	var path, tag, id, reason string
	var yes, all, only bool
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Erase a patient's keys, or the key of one record, for good, and state it on the ledger · 销毁密钥并上链声明",
		Long: `Crypto-shredding: the ciphertext stays, nobody can read it any more. The destruction is a signed
statement on the ledger. If the command is interrupted, run it again: it completes what is missing.

A patient may have several tokens, of numbers that turned out to be one person's: see "patients show".
--all-tags takes all of them.`,
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
				tags, err := tagsToDestroy(ctx, c, ks, body, all, only)
				if err != nil {
					return err
				}
				for _, tag := range tags {
					if err := destroy(ctx, c, ks, &evidence.DestroyKey{Tag: tag, Record: body.Record, Reason: reason}); err != nil {
						return err
					}
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
	cmd.Flags().BoolVar(&all, "all-tags", false, "all tokens of the person · 该患者的全部标识")
	cmd.Flags().BoolVar(&only, "this-tag-only", false, "this token alone · 仅此标识")
	cmd.MarkFlagsMutuallyExclusive("all-tags", "this-tag-only", "record")
	cmd.Flags().BoolVar(&yes, "yes", false, "really · 确认")
	_ = cmd.MarkFlagRequired("tag")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// tagsToDestroy lists the tags whose keys go. A person with several must not be erased in
// part by mistake, nor as a whole if a join was wrong: the operator says which.
func tagsToDestroy(ctx context.Context, c *config.Config, ks *keystore.File, body *evidence.DestroyKey, all, only bool) ([]evidence.Tag, error) {
	one := []evidence.Tag{body.Tag}
	if body.Record != (evidence.RecordID{}) || only {
		return one, nil
	}
	index, err := patientindex.Open(ctx, c.Dir("patients"), patientindex.Options{HospitalMSP: c.Hospital.MSP, Keys: ks, ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return one, nil
	}
	if err != nil {
		return nil, err
	}
	defer index.Close()
	p, err := index.ByTag(ctx, body.Tag)
	if errors.Is(err, patientindex.ErrUnknown) {
		return one, nil
	}
	if err != nil || len(p.Tags) == 1 {
		return one, err
	}
	var tags []evidence.Tag
	for _, t := range p.Tags {
		tags = append(tags, t.Tag)
	}
	if !all {
		return nil, fmt.Errorf("the person has %d patient tokens: %v; repeat with --all-tags or --this-tag-only", len(tags), tags)
	}
	return tags, nil
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
