package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/oplog"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/record"
)

type replayOptions struct {
	path, to, reason                 string
	ca, cert, key                    string
	filter                           messageFilter
	dryRun, again, keepGoing, asJSON bool
	timeout                          time.Duration
	tries                            int
}

// replayed is one line of `messages replay --json`.
type replayed struct {
	Record     string  `json:"record"`
	ControlID  string  `json:"control_id,omitempty"`
	Kind       string  `json:"kind,omitempty"`
	To         string  `json:"to"`
	OK         bool    `json:"ok"`
	Code       string  `json:"code,omitempty"` // AA, AE, AR …
	Suppressed bool    `json:"suppressed,omitempty"`
	DryRun     bool    `json:"dry_run,omitempty"`
	Tries      int     `json:"tries,omitempty"`
	Text       string  `json:"text,omitempty"` // the destination's own words
	Error      string  `json:"error,omitempty"`
	ElapsedMS  float64 `json:"elapsed_ms,omitempty"`
}

func newMessagesReplayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay [ID…] --to mllp://HOST:PORT --reason TEXT",
		Short: "Send stored messages again to one destination · 向一个目的端重发消息",
		Long: `Opens sealed messages and sends their original bytes to one destination over MLLP, the oldest
first, each until it is acknowledged. Messages are named by record id or control id, or chosen by
filters as in "messages list". AE and CE are tried again, AR and CR are not; what is not taken
ends the command, unless --keep-going is given.

Who sent what to whom, when and why is noted in the log of operations. A message that a
destination has taken before, or may have, is not sent there twice unless --again is given.
--dry-run shows what would be sent and sends nothing.`,
		Example: `  emrbridge messages replay MY-0001 --to mllp://10.0.0.7:6661 --reason "archive was down"
  emrbridge messages replay --since 2h --kind 'ORU*' --to mllps://archive:6661 --ca ca.pem --reason "INC-17" --dry-run`,
		RunE: func(cmd *cobra.Command, ids []string) error { return replayMessages(cmd, o, ids) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	o.filter.add(cmd)
	cmd.Flags().StringVar(&o.to, "to", "", "destination, mllp://HOST:PORT or mllps://HOST:PORT · 目的端")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; it is recorded · 原因（记录在案）")
	cmd.Flags().StringVar(&o.ca, "ca", "", "authority of the destination's certificate, PEM · 根证书")
	cmd.Flags().StringVar(&o.cert, "cert", "", "own certificate for mutual TLS, PEM · 客户端证书")
	cmd.Flags().StringVar(&o.key, "key", "", "its private key, PEM · 客户端私钥")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be sent, send nothing · 试运行")
	cmd.Flags().BoolVar(&o.again, "again", false, "send also what the destination has already · 允许重复发送")
	cmd.Flags().BoolVar(&o.keepGoing, "keep-going", false, "go on behind a message that is not taken · 遇拒继续")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "longest wait for an answer · 应答超时")
	cmd.Flags().IntVar(&o.tries, "tries", 3, "how often in all · 尝试次数")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// replayRun is one replay.
type replayRun struct {
	o      replayOptions
	c      *config.Config
	reader *recordReader
	to     *forward.Sender
	before map[string]bool // records that the destination has, or may have
}

func replayMessages(cmd *cobra.Command, o replayOptions, ids []string) error {
	if err := o.check(ids); err != nil {
		return err
	}
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	chosen, err := o.choose(ctx, c, ids)
	if err != nil {
		return err
	}
	run := &replayRun{o: o, c: c}
	if run.before, err = sentBefore(c, o.to); err != nil {
		return err
	}
	if err := run.open(ctx); err != nil {
		return err
	}
	defer run.close()
	lines := run.all(ctx, chosen)
	if err := printReplayed(cmd, lines, o.asJSON); err != nil {
		return err
	}
	bad := len(chosen) - len(lines)
	for _, l := range lines {
		if !l.OK {
			bad++
		}
	}
	if bad > 0 {
		return failed{fmt.Errorf("%d of %d messages were not taken · %d 条消息中有 %d 条未送达", bad, len(chosen), len(chosen), bad)}
	}
	return nil
}

func (o *replayOptions) check(ids []string) error {
	if err := oplog.CheckReason(o.reason); err != nil {
		return err
	}
	if (o.cert == "") != (o.key == "") {
		return errors.New("--cert and --key go together")
	}
	if len(ids) == 0 && o.filter.none() {
		return errors.New("name messages, or choose them with --since, --kind, --state …")
	}
	if len(ids) > 0 && !o.filter.none() && o.filter.since+o.filter.until+o.filter.kind+o.filter.control+o.filter.record+o.filter.state != "" {
		return errors.New("name messages or choose them by filters, not both")
	}
	if o.tries < 1 || o.tries > 1000 {
		return errors.New("--tries is 1 to 1000")
	}
	_, _, err := mllpTarget(o.to, o.ca, o.cert, o.key)
	return err
}

// choose returns the records to send, the oldest first.
func (o *replayOptions) choose(ctx context.Context, c *config.Config, ids []string) ([]record.ID, error) {
	var out []record.ID
	for _, id := range ids {
		found, err := findRecord(ctx, c, id, o.filter.sender)
		if err != nil {
			return nil, err
		}
		out = append(out, found)
	}
	if len(ids) > 0 {
		return out, nil
	}
	list, err := listMessages(ctx, c, o.filter)
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Backward(list) {
		if m.Record == "" {
			continue // refused input has no record; quarantine replay takes it in
		}
		id, err := record.ParseID(m.Record)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, failed{errors.New("no message is chosen · 没有符合条件的消息")}
	}
	return out, nil
}

// sentBefore lists the records that a destination has taken by earlier replays, or may
// have: those whose outcome was never noted.
func sentBefore(c *config.Config, to string) (map[string]bool, error) {
	log, err := operationLog(c)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	err = log.Each(func(e oplog.Entry) error {
		if e.Action == actionReplay && e.To == to {
			out[e.Subject] = e.Result == resultSending || e.Result == resultSent || hl7.AckCode(e.Result).Accepted()
		}
		return nil
	})
	return out, err
}

// Words of the log of operations.
const (
	actionReplay  = "replay"
	resultSending = "sending"
	resultSent    = "sent" // and no answer was asked for
)

func (r *replayRun) open(ctx context.Context) error {
	addr, tlsConfig, err := mllpTarget(r.o.to, r.o.ca, r.o.cert, r.o.key)
	if err != nil {
		return err
	}
	r.to, err = forward.NewSender(forward.SenderConfig{Addr: addr,
		Client: mllp.ClientConfig{TLS: tlsConfig, AnswerTimeout: r.o.timeout},
		Policy: forward.Policy{ErrorTries: r.o.tries, AwayTries: r.o.tries, RetryMin: 200 * time.Millisecond, RetryMax: 5 * time.Second}})
	if err != nil {
		return err
	}
	r.reader, err = newRecordReader(ctx, r.c)
	return err
}

func (r *replayRun) close() {
	_ = r.to.Close() // the messages were acknowledged, or not
	_ = r.reader.close()
}

// all sends the records in order. It ends where one is not taken, unless told to go on.
func (r *replayRun) all(ctx context.Context, ids []record.ID) (lines []replayed) {
	for _, id := range ids {
		line := r.one(ctx, id)
		lines = append(lines, line)
		if ctx.Err() != nil || !line.OK && !r.o.keepGoing {
			break
		}
	}
	return lines
}

func (r *replayRun) one(ctx context.Context, id record.ID) replayed {
	line := replayed{Record: id.String(), To: r.o.to, DryRun: r.o.dryRun}
	m, err := r.reader.open(ctx, id)
	switch {
	case err != nil:
		line.Error = err.Error()
		return line
	case m.MediaType != mediaHL7:
		line.Error = fmt.Sprintf("the record is %s, not an HL7 v2 message: MLLP cannot carry it", m.MediaType)
		return line
	}
	line.ControlID, line.Kind = m.ControlID, m.Kind
	if r.before[line.Record] && !r.o.again {
		line.OK, line.Suppressed = true, true
		return line
	}
	if r.o.dryRun {
		line.OK = true
		return line
	}
	if err := r.note(line.Record, resultSending); err != nil {
		line.Error = err.Error()
		return line
	}
	r.before[line.Record] = true // the same record twice on one command line
	receipt, err := r.to.Deliver(ctx, forward.Message{ID: line.Record, Raw: m.raw})
	return r.noted(line, receipt, err)
}

// noted fills in and notes the outcome.
func (r *replayRun) noted(line replayed, receipt forward.Receipt, err error) replayed {
	var held *forward.HeldError
	result := "not sent"
	switch {
	case err == nil:
		line.OK, line.Code, line.Tries = true, string(receipt.Code), receipt.Tries
		line.ElapsedMS = float64(receipt.Elapsed.Microseconds()) / 1000
		if result = line.Code; result == "" {
			result = resultSent
		}
	case errors.As(err, &held):
		line.Code, line.Tries, line.Text, line.Error = string(held.Code), held.Tries, held.Text, held.Error()
		result = line.Code
	case errors.Is(err, forward.ErrDoubt):
		line.Error, result = err.Error(), resultSending
	default:
		line.Error = err.Error()
	}
	if err := r.note(line.Record, result); err != nil {
		line.OK, line.Error = false, err.Error()
	}
	return line
}

func (r *replayRun) note(id, result string) error {
	return logOperation(r.c, oplog.Entry{Action: actionReplay, Subject: id, To: r.o.to, Reason: r.o.reason, Result: result})
}

func printReplayed(cmd *cobra.Command, lines []replayed, asJSON bool) error {
	rows := make([][]any, len(lines))
	for i, l := range lines {
		if asJSON {
			if err := printJSON(cmd.OutOrStdout(), l); err != nil {
				return err
			}
			continue
		}
		what := l.Code
		switch {
		case l.Suppressed:
			what = "has it already · 已有"
		case l.DryRun && l.OK:
			what = "would be sent · 将发送"
		case what == "" && l.OK:
			what = resultSent
		}
		rows[i] = []any{l.Record, plain(l.ControlID), plain(l.Kind), what, l.Tries, plain(l.Error)}
	}
	if asJSON {
		return nil
	}
	return table.Write(cmd.OutOrStdout(), []string{"record", "control id", "kind", "answer · 应答", "tries", "error"}, rows)
}

func newMessagesLogCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what was done by hand, and that the log is whole · 人工操作记录",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			log, err := operationLog(c)
			if err != nil {
				return err
			}
			var rows [][]any
			err = log.Each(func(e oplog.Entry) error {
				if asJSON {
					return printJSON(cmd.OutOrStdout(), e)
				}
				rows = append(rows, []any{e.At.In(c.Location()).Format(clockLayout), e.By, e.Action, e.Subject, e.To, e.Result, plain(e.Reason)})
				return nil
			})
			if errors.Is(err, oplog.ErrBroken) {
				err = failed{err}
			}
			if asJSON || err != nil {
				return err
			}
			return table.Write(cmd.OutOrStdout(), []string{"time · 时间", "by", "action", "subject", "to", "result", "reason · 原因"}, rows)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}
