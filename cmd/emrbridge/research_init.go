package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/institute"
)

func newResearchInitCommand() *cobra.Command {
	var dir string
	var about institute.About
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an institute's folder with keys and certificate requests · 生成机构密钥目录与证书申请",
		Long: `Makes a folder with SM2 pairs for signing and for encryption, a pair for calls to the proxy
hospital, and one certificate request for each. Give the three *.csr files to the consortium's
authority; take its answer in with "emrbridge research import". The keys never leave the folder.`,
		Example: "  emrbridge research init --dir inst --id INST1 --name 第一研究所 --proxy https://gateway.h1.example:8443",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := institute.Create(dir, about)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "institute %s made in %s; give %s, encrypt.csr and tls.csr to the consortium's authority · 机构目录已生成\n",
				f.ID, dir, filepath.Join(dir, "sign.csr"))
			return nil
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&about.ID, "id", "", "id of the institute: letters, digits, '-' and '_' · 机构编号")
	cmd.Flags().StringVar(&about.Name, "name", "", "name, public · 机构名称")
	cmd.Flags().StringVar(&about.Proxy, "proxy", "", "https address of the proxy hospital's gateway · 代理医院网关地址")
	_ = cmd.MarkFlagRequired("id")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

// admitOptions are the flags of `research admit`.
type admitOptions struct {
	requests, out, id, name          string
	sm2Cert, sm2Key, tlsCert, tlsKey string
	days                             int
	status, reason                   string
}

func newResearchAdmitCommand() *cobra.Command {
	var o admitOptions
	cmd := &cobra.Command{
		Use:   "admit",
		Short: "The consortium's authority admits an institute, or suspends it · 联盟机构准入",
		Long: `For the consortium's authority. Certifies the keys of an institute and signs its registration: the
answer is a folder that the institute takes in, with registration.statement, which any hospital
brings to the ledger ("emrbridge research submit") within 7 days.

With --status suspended or active it writes OUT/status.statement instead, which a hospital must
submit within 10 minutes.`,
		Example: `  emrbridge research admit --id INST1 --name 第一研究所 --requests inst --out admission \
    --authority-cert sm2-ca.crt --authority-key sm2-ca.key --gateway-ca-cert tls-ca.crt --gateway-ca-key tls-ca.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return researchAdmit(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.requests, "requests", "", "folder with sign.csr, encrypt.csr and tls.csr · 证书申请目录")
	f.StringVar(&o.out, "out", "admission", "folder for the answer · 输出目录")
	f.StringVar(&o.id, "id", "", "id of the institute · 机构编号")
	f.StringVar(&o.name, "name", "", "name of the institute · 机构名称")
	f.StringVar(&o.sm2Cert, "authority-cert", "", "certificate of the consortium's SM2 authority · 联盟 SM2 CA 证书")
	f.StringVar(&o.sm2Key, "authority-key", "", "its key · 其私钥")
	f.StringVar(&o.tlsCert, "gateway-ca-cert", "", "certificate of the gateways' authority · 网关 CA 证书")
	f.StringVar(&o.tlsKey, "gateway-ca-key", "", "its key · 其私钥")
	f.IntVar(&o.days, "days", 3*365, "validity of the certificates · 证书有效天数")
	f.StringVar(&o.status, "status", "", "suspended or active: change the standing of an institute · 暂停或恢复")
	f.StringVar(&o.reason, "reason", "", "code of the reason, public, with --status · 原因代码")
	for _, name := range []string{"id", "authority-cert", "authority-key", "gateway-ca-cert", "gateway-ca-key"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsOneRequired("requests", "status")
	cmd.MarkFlagsMutuallyExclusive("requests", "status")
	cmd.MarkFlagsRequiredTogether("status", "reason")
	return cmd
}

func researchAdmit(cmd *cobra.Command, o admitOptions) error {
	if o.days < 1 || o.days > 3650 {
		return fmt.Errorf("--days %d: allowed are 1 to 3650", o.days)
	}
	a, err := institute.LoadAuthority(o.sm2Cert, o.sm2Key, o.tlsCert, o.tlsKey)
	if err != nil {
		return err
	}
	a.Days = o.days
	if o.status != "" {
		return setStanding(cmd, o, a)
	}
	requests, err := institute.ReadRequests(o.requests)
	if err != nil {
		return err
	}
	admission, err := a.Admit(o.id, o.name, requests, time.Now())
	if err != nil {
		return err
	}
	if err := admission.Write(o.out); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "admitted: give %s to %s, and %s to a hospital · 已签发\n", o.out, o.id, filepath.Join(o.out, institute.RegistrationName))
	return nil
}

func setStanding(cmd *cobra.Command, o admitOptions, a *institute.Authority) error {
	signed, err := a.Sign(evidence.SetInstituteStatus{Institute: o.id, Status: evidence.MemberStatus(o.status), Reason: o.reason}, time.Now())
	if err != nil {
		return err
	}
	raw, err := signed.Encode()
	if err != nil {
		return err
	}
	if err := fsatomic.MkdirPrivate(o.out); err != nil {
		return err
	}
	path := filepath.Join(o.out, "status.statement")
	if err := fsatomic.WriteFile(path, raw, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "signed: a hospital submits %s within 10 minutes · 已签名\n", path)
	return nil
}

func newResearchImportCommand() *cobra.Command {
	var dir, from string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take in the authority's answer · 导入准入证书",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := institute.Open(dir)
			if err != nil {
				return err
			}
			if err := f.Import(from, time.Now()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "imported · 已导入")
			return nil
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&from, "from", "admission", "folder of the authority's answer · 准入目录")
	return cmd
}
