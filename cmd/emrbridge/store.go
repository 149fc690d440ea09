package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func newStoreCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "The hospital's store of sealed records · 密文病历库"}
	cmd.AddCommand(newStoreListCommand(), newStoreGetCommand())
	return cmd
}

// withStore opens the store for reading, beside the running bridge.
func withStore(ctx context.Context, path string, fn func(*embedded.Store) error) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer store.Close()
	return fn(store)
}

// storedRecord is one line of `store list --json`.
type storedRecord struct {
	ID         string `json:"id"`
	Tag        string `json:"tag"`
	Kind       string `json:"kind"`
	SealedAt   string `json:"sealed_at"`
	Bytes      int64  `json:"bytes"`
	CipherHash string `json:"cipher_hash"`
	Pointer    string `json:"pointer"`
	Tx         string `json:"tx,omitempty"`
	Block      uint64 `json:"block,omitempty"`
}

func newStoreListCommand() *cobra.Command {
	var path string
	var limit int
	var after uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sealed records in store order · 列出密文病历",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), path, func(s *embedded.Store) error {
				items, err := s.List(cmd.Context(), after, limit)
				if err != nil {
					return err
				}
				var rows [][]any
				for _, it := range items {
					r := storedRecordOf(it)
					if asJSON {
						if err := printJSON(cmd.OutOrStdout(), r); err != nil {
							return err
						}
						continue
					}
					rows = append(rows, []any{it.Sequence(), r.ID, r.Tag, r.Kind, r.SealedAt, r.Bytes, r.Block})
				}
				if asJSON {
					return nil
				}
				return table.Write(cmd.OutOrStdout(), []string{"no", "record", "patient token", "kind", "sealed", "bytes", "block"}, rows)
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().Uint64Var(&after, "after", 0, "begin after this number · 起始序号")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many · 条数上限")
	return cmd
}

func storedRecordOf(it recordstore.Item) storedRecord {
	r := storedRecord{
		ID: it.ID.String(), Tag: it.Tag.String(), Kind: it.Kind, SealedAt: time.UnixMilli(it.SealedAt).Format(time.RFC3339),
		Bytes: it.Size, CipherHash: it.CipherHash.String(), Pointer: hex.EncodeToString(it.Pointer),
	}
	if it.Anchor != nil {
		r.Tx, r.Block = it.Anchor.TxID, it.Anchor.Block
	}
	return r
}

func newStoreGetCommand() *cobra.Command {
	var path, as string
	cmd := &cobra.Command{
		Use:   "get RECORD",
		Short: "Write a record, still sealed unless told otherwise, to standard output · 输出一份病历（缺省为密文）",
		Long: `Writes a record of this hospital's store. --as original opens it with the hospital's keys and
writes the message or document as it was received; --as fhir writes a FHIR R4 document with the
content, the original and the proof. Opening proves the record first: hash on the ledger, signature, digest.`,
		Example: "  emrbridge store get 0001… > one.sealed\n  emrbridge verify one.sealed\n  emrbridge store get 0001… --as fhir > one.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := record.ParseID(args[0])
			if err != nil {
				return err
			}
			if err := checkForm(as, asSealed, asOriginal, asFHIR); err != nil {
				return err
			}
			if as != asSealed {
				return writeOwn(cmd.Context(), cmd.OutOrStdout(), path, id, as)
			}
			return withStore(cmd.Context(), path, func(s *embedded.Store) error {
				_, r, err := s.Open(cmd.Context(), id)
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				defer r.Close()
				_, err = io.Copy(cmd.OutOrStdout(), r)
				return err
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&as, "as", asSealed, "sealed, original or fhir · 输出形式：密文、原文或 FHIR 文档")
	return cmd
}
