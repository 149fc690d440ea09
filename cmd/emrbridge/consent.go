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
	cmd.AddCommand(newConsentGrantCommand(), newConsentRevokeCommand(), newConsentListCommand(), newConsentShowCommand())
	return cmd
}

// grantOptions are the flags of `consent grant`.
type grantOptions struct {
	path, form, fromFHIR        string
	patient                     patientFlags
	to, owners, kinds, purposes []string
	days                        int
	asJSON                      bool
}

func newConsentGrantCommand() *cobra.Command {
	var o grantOptions
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Record a patient's consent on the ledger · 登记患者授权",
		Long: `Records what a patient allows: by flags, or as a FHIR R4 Consent says (--from-fhir). A Consent with
a limit that the ledger cannot keep is refused, so that it never becomes wider.`,
		Example: "  emrbridge consent grant --id-file patient.id --to H2MSP --days 7\n  emrbridge consent grant --from-fhir consent.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return consentGrant(cmd, o) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	o.patient.flags(cmd)
	cmd.Flags().StringSliceVar(&o.to, "to", nil, `members that may read, by MSP id, or "*"; for research also an institute or a project, by id · 被授权医院、机构或项目`)
	cmd.Flags().StringSliceVar(&o.owners, "owner", nil, `members whose records are meant, or "*"; default this hospital · 病历所在医院`)
	cmd.Flags().StringSliceVar(&o.kinds, "kind", nil, "only records of these kinds · 限定类型")
	cmd.Flags().StringSliceVar(&o.purposes, "purpose", nil, "treatment (default) or research · 用途")
	cmd.Flags().IntVar(&o.days, "days", 30, "how long it holds · 有效天数")
	cmd.Flags().StringVar(&o.form, "form", "", "SM3 digest of the signed form, 64 hexadecimal digits · 知情同意书摘要")
	cmd.Flags().StringVar(&o.fromFHIR, "from-fhir", "", `file with a FHIR R4 Consent, "-" for standard input · 由 FHIR Consent 登记`)
	cmd.MarkFlagsOneRequired("to", "from-fhir")
	cmd.MarkFlagsOneRequired("id-file", "id-number", "from-fhir")
	for _, limit := range []string{"to", "owner", "kind", "purpose", "days", "form"} {
		cmd.MarkFlagsMutuallyExclusive("from-fhir", limit)
	}
	return cmd
}

// request is what the running bridge is asked to record.
func (o *grantOptions) request(cmd *cobra.Command) (local.ConsentRequest, error) {
	var p local.Patient
	if o.patient.number != "" || o.patient.file != "" {
		var err error
		if p, err = o.patient.patient(cmd.InOrStdin()); err != nil {
			return local.ConsentRequest{}, err
		}
	}
	if o.fromFHIR != "" {
		return o.read(cmd, p)
	}
	if o.days < 1 || o.days > 3650 {
		return local.ConsentRequest{}, fmt.Errorf("--days %d: allowed are 1 to 3650", o.days)
	}
	req := local.ConsentRequest{Patient: p, Grantees: o.to, Owners: o.owners, Kinds: o.kinds, NotAfter: time.Now().Add(time.Duration(o.days) * 24 * time.Hour)}
	for _, p := range o.purposes {
		req.Purposes = append(req.Purposes, evidence.Purpose(p))
	}
	if o.form != "" {
		if err := req.Form.UnmarshalText([]byte(o.form)); err != nil {
			return req, fmt.Errorf("--form: %w", err)
		}
	}
	return req, nil
}

// read takes the terms from a FHIR Consent.
func (o *grantOptions) read(cmd *cobra.Command, p local.Patient) (local.ConsentRequest, error) {
	c, err := loadConfig(o.path)
	if err != nil {
		return local.ConsentRequest{}, err
	}
	data, err := readInput(cmd, o.fromFHIR)
	if err != nil {
		return local.ConsentRequest{}, err
	}
	req, err := consentRequest(data, p, c.Location(), time.Now())
	if err != nil {
		return req, failed{fmt.Errorf("%s: %w", o.fromFHIR, err)}
	}
	return req, nil
}

func consentGrant(cmd *cobra.Command, o grantOptions) error {
	req, err := o.request(cmd)
	if err != nil {
		return err
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	id, err := own.Grant(cmd.Context(), req)
	if err != nil {
		return answered(err)
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), local.ConsentResponse{ID: id})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "consent %s is on the ledger until %s · 授权已上链\n", id, req.NotAfter.Format(time.RFC3339))
	return nil
}

func newConsentShowCommand() *cobra.Command {
	var path, as string
	cmd := &cobra.Command{
		Use:     "show CONSENT",
		Short:   "Show a consent as the ledger has it · 查看账本上的授权",
		Example: "  emrbridge consent show 5f0c… --as fhir",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkForm(as, "json", asFHIR); err != nil {
				return err
			}
			id, err := evidence.ParseNonce(args[0])
			if err != nil {
				return err
			}
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			chain, err := openChain(cmd.Context(), c, noSigner{})
			if err != nil {
				return err
			}
			defer chain.Close()
			k, err := chain.Consent(cmd.Context(), id)
			if err != nil {
				return err
			}
			if as == asFHIR {
				return printFHIR(cmd.OutOrStdout(), consentFHIR(k, c.Location()).Resource())
			}
			return printFHIR(cmd.OutOrStdout(), k)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&as, "as", "json", "json, or fhir: a Consent resource · 输出形式")
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
