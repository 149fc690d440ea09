package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/projects"
	"github.com/emrbridge/emrbridge/gateway/research"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/research/project"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func newResearchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "research",
		Short: "Research projects: apply, approve, release, withdraw, delete · 科研数据项目",
		Long: `A research institute asks hospitals for data; their committees decide; what leaves is de-identified,
sealed to the institute and on the ledger; withdrawn patients are deleted and the institute says so.

The institute works with a folder of its own (--dir) and needs no right in any hospital. Hospitals
work with their configuration (--config).

科研机构用自己的目录（--dir），不需要医院权限；医院用其配置文件（--config）。`,
	}
	cmd.AddCommand(
		newResearchInitCommand(), newResearchAdmitCommand(), newResearchImportCommand(),
		newResearchApplyCommand(), newResearchSubmitCommand(), newResearchApproveCommand(), newResearchStatusCommand(),
		newResearchConfirmDeletionCommand(), newResearchCloseCommand(), newResearchReidentifyCommand(),
		newResearchReleaseCommand(), newResearchFetchCommand(), newResearchOpenCommand(), newResearchProveCommand(), newResearchCheckProofCommand(),
		newResearchTraceCommand(), newResearchConsentCommand(), newResearchCohortCommand(),
	)
	return cmd
}

// dirFlag adds --dir, the institute's folder.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "institute", "folder of the institute · 机构目录")
}

// instituteClient calls the proxy hospital in the name of an institute. The caller closes
// its connections.
func instituteClient(f *institute.Folder, base string) (*projects.Client, func(), error) {
	if base == "" {
		base = f.Proxy
	}
	if base == "" {
		return nil, nil, errors.New("no proxy hospital: name the https address of its gateway with --proxy")
	}
	pair, pool, err := f.TLS()
	if err != nil {
		return nil, nil, err
	}
	c, err := research.NewInstituteClient(base, pair, pool)
	if err != nil {
		return nil, nil, err
	}
	return &projects.Client{HTTP: c.HTTP, Base: base}, c.Close, nil
}

// instituteReader reads the ledger through the proxy hospital, and believes signatures alone.
func instituteReader(f *institute.Folder, c *projects.Client) (*project.Reader, error) {
	roots, err := f.Authority()
	if err != nil {
		return nil, err
	}
	return project.NewReader(c, roots, nil, nil)
}

// hospitalReader reads the ledger beside the running bridge. The caller closes the client.
func hospitalReader(ctx context.Context, c *config.Config) (*project.Reader, *chainclient.Client, error) {
	text, err := os.ReadFile(c.Chain.Authority)
	if err != nil {
		return nil, nil, err
	}
	roots, err := smcrypto.ParseCertificates(text)
	if err != nil {
		return nil, nil, err
	}
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return nil, nil, err
	}
	r, err := project.NewReader(chain, roots, nil, nil)
	if err != nil {
		return nil, nil, errors.Join(err, chain.Close())
	}
	return r, chain, nil
}

// refusedByProxy marks a refusal as the answer of a command that ran.
func refusedByProxy(err error) error {
	var refused *projects.RefusedError
	var contract *evidence.Refusal
	if errors.As(err, &refused) || errors.As(err, &contract) || errors.Is(err, project.ErrUntrusted) {
		return failed{err}
	}
	return err
}

// statementFlags say what becomes of a statement of the institute.
type statementFlags struct {
	dir, proxy, out string
	asJSON          bool
}

func (o *statementFlags) add(cmd *cobra.Command) {
	dirFlag(cmd, &o.dir)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringVar(&o.proxy, "proxy", "", "https address of the proxy hospital's gateway; default: that of the folder · 代理医院网关地址")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write the signed statement into a file, for a hospital to submit, and call nobody · 仅写出签名文件")
}

// statementReport is the answer of commands that make a statement, with --json.
type statementReport struct {
	Kind  evidence.Kind  `json:"kind"`
	Ref   string         `json:"project"`
	Nonce evidence.Nonce `json:"nonce"`
	File  string         `json:"file,omitempty"`
	TxID  string         `json:"tx,omitempty"`
	Block uint64         `json:"block,omitempty"`
}

// say signs a statement of the institute and brings it to the ledger, or into a file.
func (o *statementFlags) say(cmd *cobra.Command, f *institute.Folder, body evidence.Body, ref string) error {
	signed, err := f.Sign(body, time.Now())
	if err != nil {
		return err
	}
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return err
	}
	report := statementReport{Kind: st.Kind, Ref: ref, Nonce: st.Nonce, File: o.out}
	if o.out != "" {
		raw, err := signed.Encode()
		if err != nil {
			return err
		}
		if err := fsatomic.WriteFile(o.out, raw, 0o644); err != nil {
			return err
		}
		if o.asJSON {
			return printJSON(cmd.OutOrStdout(), report)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "signed; a hospital submits it within 7 days: emrbridge research submit %s · 已签名，请医院在 7 天内提交\n", o.out)
		return nil
	}
	client, done, err := instituteClient(f, o.proxy)
	if err != nil {
		return err
	}
	defer done()
	receipt, err := client.Submit(cmd.Context(), signed)
	if err != nil {
		return refusedByProxy(err)
	}
	report.TxID, report.Block = receipt.TxID, receipt.Block
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s of %s is on the ledger, block %d, transaction %s · 已上链\n", st.Kind, ref, receipt.Block, receipt.TxID)
	return nil
}

// policyOf finds a de-identification policy of the program by name, or in a file.
func policyOf(dir string) func(string) (evidence.DeidPolicy, error) {
	return func(name string) (evidence.DeidPolicy, error) {
		p, err := desensitize.ShippedPolicy(name)
		if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
			var f *os.File
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			if f, err = os.Open(name); err != nil {
				return evidence.DeidPolicy{}, err
			}
			defer f.Close()
			p, err = desensitize.ReadPolicy(f)
		}
		if err != nil {
			return evidence.DeidPolicy{}, err
		}
		return evidence.DeidPolicy{Name: p.Name + "@" + p.Version, Digest: p.Digest()}, nil
	}
}
