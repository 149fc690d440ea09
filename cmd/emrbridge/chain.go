package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/keystore"
)

// noSigner serves commands that only ask the ledger.
type noSigner struct{}

// Sign implements chainclient.Signer.
func (noSigner) Sign(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("this command does not sign")
}

// openChain connects to the ledger that a configuration names, and waits until a peer
// answers.
func openChain(ctx context.Context, c *config.Config, signer chainclient.Signer) (*chainclient.Client, error) {
	return chainclient.Open(ctx, chainConfig(c, nil), signer)
}

// chainConfig is the chain client's part of a configuration.
func chainConfig(c *config.Config, log *slog.Logger) chainclient.Config {
	cfg := chainclient.Config{
		Channel: c.Chain.Channel, Contract: c.Chain.Contract,
		MSPID: c.Hospital.MSP, CertPath: c.Chain.Cert, KeyPath: c.Chain.Key,
		Endorsers: c.Chain.Endorsers, EndorsersNeeded: c.Chain.EndorsersNeeded,
		BatchMax: c.Chain.Batch.MaxEntries, BatchWait: c.Chain.Batch.MaxWait.D(), InFlight: c.Chain.Batch.InFlight,
		Logger: log,
	}
	for _, p := range c.Chain.Peers {
		cfg.Peers = append(cfg.Peers, chainclient.Peer{Address: p.Addr, TLSCACertPath: p.TLSCA, ServerName: p.ServerName, MSPID: p.MSP})
	}
	return cfg
}

// pemDER returns the first certificate of a PEM file as DER.
func pemDER(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return block.Bytes, nil
}

// registration is the statement with which the hospital of a configuration registers.
func registration(ctx context.Context, c *config.Config, ks keystore.Custody) (*evidence.RegisterMember, error) {
	h, err := ks.Hospital(ctx)
	if err != nil {
		return nil, err
	}
	if h.SigningCert == nil || h.EncryptionCert == nil {
		return nil, errors.New("the keystore holds no certificates; take them in with: emrbridge keys import")
	}
	body := &evidence.RegisterMember{
		Number: c.Hospital.Number, Name: c.Hospital.Name, Endpoint: c.Gateway.Endpoint,
		SignCert: h.SigningCert.DER(), EncryptCert: h.EncryptionCert.DER(),
	}
	if c.Gateway.Addr == "" {
		return body, nil
	}
	der, err := pemDER(c.Gateway.Cert)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Gateway.Cert, err)
	}
	body.GatewayKey = sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return body, nil
}

// register puts the consortium's authority on the ledger, if it is not there, and then
// the hospital.
func register(ctx context.Context, c *config.Config, ks keystore.Custody) (chainclient.Commit, error) {
	chain, err := openChain(ctx, c, ks)
	if err != nil {
		return chainclient.Commit{}, err
	}
	defer chain.Close()
	authority, err := pemDER(c.Chain.Authority)
	if err != nil {
		return chainclient.Commit{}, err
	}
	if _, err := chain.Bootstrap(ctx, authority); err != nil {
		return chainclient.Commit{}, fmt.Errorf("authority: %w", err)
	}
	body, err := registration(ctx, c, ks)
	if err != nil {
		return chainclient.Commit{}, err
	}
	return chain.Submit(ctx, body)
}

func newMemberCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "Members of the consortium on the ledger · 联盟成员"}
	cmd.AddCommand(newMemberRegisterCommand(), newMemberListCommand())
	return cmd
}

func newMemberRegisterCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Register this hospital, or renew its certificates and endpoint · 登记本院或更新证书",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeystore(cmd, path, func(ctx context.Context, c *config.Config, ks *keystore.File) error {
				commit, err := register(ctx, c, ks)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s registered in block %d, transaction %s · 已登记\n", c.Hospital.MSP, commit.Block, commit.TxID)
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func newMemberListCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members · 列出成员",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			chain, err := openChain(cmd.Context(), c, noSigner{})
			if err != nil {
				return err
			}
			defer chain.Close()
			members, err := chain.Members(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), members)
			}
			rows := make([][]any, len(members))
			for i, m := range members {
				rows[i] = []any{m.Info.Number, m.MSP, m.Info.Name, string(m.Status), m.Info.Endpoint}
			}
			return table.Write(cmd.OutOrStdout(), []string{"number", "member", "name", "status", "endpoint"}, rows)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}
