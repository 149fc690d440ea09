package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/emrbridge/emrbridge/audit"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// ledgerBlocks gives the verifier the write sets of the ledger.
type ledgerBlocks struct{ *chainclient.Client }

// WriteSet implements audit.Blocks.
func (l ledgerBlocks) WriteSet(ctx context.Context, block uint64) ([]audit.Tx, error) {
	txs, err := l.Client.WriteSet(ctx, block)
	if err != nil {
		return nil, err
	}
	out := make([]audit.Tx, len(txs))
	for i, tx := range txs {
		out[i] = audit.Tx{ID: tx.ID, Valid: tx.Valid, Payload: tx.Result, Writes: make([]audit.Write, len(tx.Writes))}
		for j, w := range tx.Writes {
			out[i].Writes[j] = audit.Write{Key: w.Key, Value: w.Value, Delete: w.Delete}
		}
	}
	return out, nil
}

type verifyOptions struct {
	path           string
	asJSON, noKeys bool
}

func newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [FILE…]",
		Short: "Prove sealed records, or the whole store, against the ledger · 对照账本核验",
		Long: `Without arguments every record of the store is verified; otherwise the sealed records in the
files. For each record: the ciphertext has the anchored hash, the anchor is the hospital's own and
there once, the ledger points to where the store has it, the batch has its signature and Merkle
root, and, with keys, the hospital's signature and the SM3 digest hold. Everything is computed
with both crypto libraries, which must agree. The bridge may be running.

Exit status: 0 all agree, 1 something does not, 2 something could not be checked.`,
		Example: "  emrbridge verify --config emrbridge.yaml --json",
		RunE:    func(cmd *cobra.Command, files []string) error { return verify(cmd, o, files) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().BoolVar(&o.noKeys, "no-keys", false, "do not open the records: what anyone can check · 不解密，仅公开核验")
	return cmd
}

func verify(cmd *cobra.Command, o verifyOptions, files []string) error {
	ctx := cmd.Context()
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return err
	}
	defer chain.Close()
	cfg, done, err := auditConfig(ctx, c, chain, o.noKeys)
	if err != nil {
		return err
	}
	defer done()
	if !o.asJSON && term.IsTerminal(int(os.Stderr.Fd())) {
		cfg.Progress = func(p audit.Progress) {
			fmt.Fprintf(cmd.ErrOrStderr(), "\rblock %d of %d, %d records, %d failed ", p.Block, p.Blocks, p.Records, p.Failed)
		}
		defer fmt.Fprintln(cmd.ErrOrStderr())
	}
	if len(files) > 0 {
		return verifyFiles(ctx, cmd.OutOrStdout(), cfg, files, o.asJSON)
	}
	v, err := audit.New(cfg)
	if err != nil {
		return err
	}
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true, SkipReadCheck: true})
	if err != nil {
		return err
	}
	defer store.Close()
	report, err := v.Store(ctx, store, nil)
	if err != nil {
		return err
	}
	return printReport(cmd.OutOrStdout(), report, o.asJSON)
}

// auditConfig gives the verifier ledger, root and, unless told otherwise, keys.
func auditConfig(ctx context.Context, c *config.Config, chain *chainclient.Client, noKeys bool) (audit.Config, func(), error) {
	none := func() {}
	text, err := os.ReadFile(c.Chain.Authority)
	if err != nil {
		return audit.Config{}, none, err
	}
	roots, err := smcrypto.ParseCertificates(text)
	if err != nil {
		return audit.Config{}, none, err
	}
	cfg := audit.Config{Ledger: chain, Roots: roots, Blocks: ledgerBlocks{chain}, Hospital: c.Hospital.Number}
	if noKeys {
		return cfg, none, nil
	}
	ks, err := openKeyReader(ctx, c)
	if err != nil {
		return cfg, none, fmt.Errorf("%w (--no-keys verifies without)", err)
	}
	cfg.Custody = ks
	return cfg, func() { _ = ks.Close() }, nil
}

func verifyFiles(ctx context.Context, w io.Writer, cfg audit.Config, files []string, asJSON bool) error {
	cfg.Blocks = nil
	v, err := audit.New(cfg)
	if err != nil {
		return err
	}
	worst := audit.AllOK
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		report, err := v.Single(ctx, f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !asJSON {
			fmt.Fprintln(w, name)
		}
		if err := printReport(w, report, asJSON); err != nil {
			worst = worse(worst, report.Outcome)
		}
	}
	return outcomeError(worst)
}

func printReport(w io.Writer, r audit.Report, asJSON bool) error {
	write := r.WriteTable
	if asJSON {
		write = r.WriteJSON
	}
	if err := write(w); err != nil {
		return err
	}
	return outcomeError(r.Outcome)
}

func worse(a, b audit.Outcome) audit.Outcome {
	if a == audit.AnyFailed || b == audit.AnyFailed {
		return audit.AnyFailed
	}
	if a == audit.Incomplete {
		return a
	}
	return b
}

// outcomeError is the error whose exit code says the outcome.
func outcomeError(o audit.Outcome) error {
	switch o {
	case audit.AllOK:
		return nil
	case audit.AnyFailed:
		return failed{errors.New("not everything agrees · 核验未通过")}
	}
	return errors.New("some records could not be checked · 部分记录无法核验")
}
