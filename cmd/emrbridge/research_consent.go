package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
)

// maxConsentList bounds the numbers of one list, parallelConsents those on their way.
const (
	maxConsentList   = 100_000
	parallelConsents = 16
)

// researchConsentOptions are the flags of `research consent`.
type researchConsentOptions struct {
	path, form string
	to, kinds  []string
	days       int
	asJSON     bool
}

// consentCount is the answer of `research consent --json`.
type consentCount struct {
	Recorded int64 `json:"recorded"`
	Of       int   `json:"of"`
}

func newResearchConsentCommand() *cobra.Command {
	var o researchConsentOptions
	cmd := &cobra.Command{
		Use:   "consent FILE",
		Short: "Hospital: record research consents of many patients · 医院：批量登记科研授权",
		Long: `Records on the ledger that patients let their records of this hospital be released for research, to an
institute or to one project. FILE has one resident number on each line; "-" reads standard input.
A single consent, and its end, is done with consent grant --purpose research and consent revoke.

FILE 每行一个身份证号；单个患者的授权与撤销使用 consent grant --purpose research 与 consent revoke。`,
		Example: "  emrbridge research consent H1.ids --to INST1.2026-001 --days 365 --config h1/emrbridge.yaml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchConsent(cmd, o, args[0]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().StringSliceVar(&o.to, "to", nil, `institutes or projects by id, or "*" · 被授权机构或项目`)
	cmd.Flags().StringSliceVar(&o.kinds, "kind", nil, "only records of these kinds · 限定类型")
	cmd.Flags().IntVar(&o.days, "days", 365, "how long it holds · 有效天数")
	cmd.Flags().StringVar(&o.form, "form", "", "SM3 digest of the signed forms, 64 hexadecimal digits · 知情同意书摘要")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func researchConsent(cmd *cobra.Command, o researchConsentOptions, file string) error {
	if o.days < 1 || o.days > 3650 {
		return fmt.Errorf("--days %d: allowed are 1 to 3650", o.days)
	}
	data, err := readInput(cmd, file)
	if err != nil {
		return err
	}
	req := local.ConsentRequest{Grantees: o.to, Purposes: []evidence.Purpose{evidence.Research}, Kinds: o.kinds, NotAfter: time.Now().Add(time.Duration(o.days) * 24 * time.Hour)}
	if o.form != "" {
		if err := req.Form.UnmarshalText([]byte(o.form)); err != nil {
			return fmt.Errorf("--form: %w", err)
		}
	}
	numbers, err := consentList(data)
	if err != nil {
		return err
	}
	own, err := ownProcess(o.path)
	if err != nil {
		return err
	}
	defer own.Close()
	n, err := grantAll(cmd.Context(), own, numbers, req)
	out := consentCount{n, len(numbers)}
	if o.asJSON {
		err = errors.Join(printJSON(cmd.OutOrStdout(), out), err)
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "%d of %d consents are on the ledger · 已登记 %d/%d 份授权\n", out.Recorded, out.Of, out.Recorded, out.Of)
	}
	if err != nil {
		return answered(err)
	}
	return nil
}

// consentList reads numbers, one a line. The error names a line and no number.
func consentList(data []byte) (out []string, err error) {
	in := bufio.NewScanner(bytes.NewReader(data))
	for in.Scan() {
		if s := strings.TrimSpace(in.Text()); s != "" {
			out = append(out, s)
		}
		if len(out) > maxConsentList {
			return nil, fmt.Errorf("more than %d numbers: split the list", maxConsentList)
		}
	}
	if in.Err() != nil || len(out) == 0 {
		return nil, errors.New("the list holds no numbers, one on each line")
	}
	return out, nil
}

// grantAll records a consent for each number and counts those that are on the ledger.
func grantAll(ctx context.Context, own *local.Client, numbers []string, req local.ConsentRequest) (int64, error) {
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelConsents)
	for i, number := range numbers {
		group.Go(func() error {
			one := req
			one.Patient = local.Patient{ResidentID: number}
			if _, err := own.Grant(ctx, one); err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
			done.Add(1)
			return nil
		})
	}
	err := group.Wait()
	return done.Load(), err
}
