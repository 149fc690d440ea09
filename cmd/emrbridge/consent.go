package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/keystore"
)

func newConsentCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "consent", Short: "What patients allow · 患者授权"}
	cmd.AddCommand(newConsentGrantCommand(), newConsentRevokeCommand(), newConsentListCommand())
	return cmd
}

func newConsentGrantCommand() *cobra.Command {
	var path, form string
	var patient patientFlags
	var to, owners, kinds, purposes []string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "grant",
		Short:   "Record a patient's consent on the ledger · 登记患者授权",
		Example: "  emrbridge consent grant --id-file patient.id --to H2MSP --days 7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := patient.patient(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if days < 1 || days > 3650 {
				return fmt.Errorf("--days %d: allowed are 1 to 3650", days)
			}
			req := local.ConsentRequest{Patient: p, Grantees: to, Owners: owners, Kinds: kinds, NotAfter: time.Now().Add(time.Duration(days) * 24 * time.Hour)}
			for _, p := range purposes {
				req.Purposes = append(req.Purposes, evidence.Purpose(p))
			}
			if form != "" {
				if err := req.Form.UnmarshalText([]byte(form)); err != nil {
					return fmt.Errorf("--form: %w", err)
				}
			}
			own, err := ownProcess(path)
			if err != nil {
				return err
			}
			defer own.Close()
			id, err := own.Grant(cmd.Context(), req)
			if err != nil {
				return answered(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), local.ConsentResponse{ID: id})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "consent %s is on the ledger until %s · 授权已上链\n", id, req.NotAfter.Format(time.RFC3339))
			return nil
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	patient.add(cmd)
	cmd.Flags().StringSliceVar(&to, "to", nil, `members that may read, by MSP id, or "*" · 被授权医院`)
	cmd.Flags().StringSliceVar(&owners, "owner", nil, `members whose records are meant, or "*"; default this hospital · 病历所在医院`)
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "only records of these kinds · 限定类型")
	cmd.Flags().StringSliceVar(&purposes, "purpose", nil, "treatment (default) or research · 用途")
	cmd.Flags().IntVar(&days, "days", 30, "how long it holds · 有效天数")
	cmd.Flags().StringVar(&form, "form", "", "SM3 digest of the signed form, 64 hexadecimal digits · 知情同意书摘要")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func newConsentRevokeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "revoke CONSENT",
		Short: "End a consent · 撤销授权",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := evidence.ParseNonce(args[0])
			if err != nil {
				return err
			}
			own, err := ownProcess(path)
			if err != nil {
				return err
			}
			defer own.Close()
			if err := own.Revoke(cmd.Context(), id); err != nil {
				return answered(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "revoked · 已撤销")
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func newConsentListCommand() *cobra.Command {
	var path string
	var patient patientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the consents of a patient · 列出患者授权",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := patient.patient(cmd.InOrStdin())
			if err != nil {
				return err
			}
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			list, err := consents(cmd.Context(), c, p)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			rows := make([][]any, len(list))
			for i, k := range list {
				state := "valid until " + time.UnixMilli(k.Terms.NotAfter).Format(time.RFC3339)
				if k.Revoked {
					state = "revoked"
				}
				rows[i] = []any{k.ID.String(), k.Hospital, fmt.Sprint(k.Terms.Grantees), fmt.Sprint(k.Terms.Owners), fmt.Sprint(k.Terms.Purposes), state}
			}
			return table.Write(cmd.OutOrStdout(), []string{"consent", "recorded by", "to", "owners", "purposes", "state"}, rows)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	patient.add(cmd)
	return cmd
}

// consents reads a patient's consents from the ledger, beside the running bridge.
func consents(ctx context.Context, c *config.Config, p local.Patient) ([]evidence.Consent, error) {
	tag, err := tagBeside(ctx, c, p)
	if err != nil {
		return nil, err
	}
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	list := []evidence.Consent{}
	for mark := ""; ; {
		page, err := chain.Consents(ctx, tag, evidence.MaxPageSize, mark)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Items...)
		if mark = page.Bookmark; mark == "" {
			return list, nil
		}
	}
}

// tagBeside computes a patient's tag with the keystore, which the bridge may have open.
func tagBeside(ctx context.Context, c *config.Config, p local.Patient) (evidence.Tag, error) {
	ks, err := openKeyReader(ctx, c)
	if err != nil {
		return evidence.Tag{}, err
	}
	token, err := ks.PatientToken(ctx, keystore.Identity{ResidentID: p.ResidentID})
	if err != nil {
		return evidence.Tag{}, errors.Join(err, ks.Close())
	}
	tag, err := ks.Tag(ctx, token)
	return evidence.Tag(tag), errors.Join(err, ks.Close())
}
