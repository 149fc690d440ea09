package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/record"
)

func newMessagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "messages",
		Short: "Browse messages, show one, send some again · 消息浏览与重发",
		Long: `Lists what came in and how far it has come, opens a sealed message with the hospital's keys, and
sends messages again to one destination. Works beside the running bridge. Whatever shows or
sends a message is noted in operations.jsonl below the data folder.`,
	}
	cmd.AddCommand(newMessagesListCommand(), newMessagesShowCommand(), newMessagesReplayCommand(), newMessagesLogCommand())
	return cmd
}

// stateRefused is the state of input that an endpoint refused. It is in the quarantine,
// and has no record.
const stateRefused = "refused"

// listedMessage is one line of `messages list --json`.
type listedMessage struct {
	trail.Message
	// Quarantine is the id of refused bytes, as `quarantine show` takes it.
	Quarantine string `json:"quarantine,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// messageFilter is what the flags of list and replay choose.
type messageFilter struct {
	since, until, kind, sender, control, record, state string
	limit                                              int
}

func (f *messageFilter) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.since, "since", "", "received from then on: 2026-03-02, 2026-03-02T15:04, or 90m ago as 90m · 起始时间")
	cmd.Flags().StringVar(&f.until, "until", "", "received before then · 截止时间")
	cmd.Flags().StringVar(&f.kind, "kind", "", "as ADT^A01, or ADT* for all that begin so · 类型")
	cmd.Flags().StringVar(&f.sender, "sender", "", "as MSH-3|MSH-4 · 发送方")
	cmd.Flags().StringVar(&f.control, "control-id", "", "as MSH-10 · 消息控制号")
	cmd.Flags().StringVar(&f.record, "record", "", "record id · 病历号")
	cmd.Flags().StringVar(&f.state, "state", "", "received, normalized, stored, anchored, parked, rejected or refused · 状态")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "at most so many, the latest · 条数上限")
}

// none reports that no filter but the limit is set.
func (f *messageFilter) none() bool {
	return f.since+f.until+f.kind+f.sender+f.control+f.record+f.state == ""
}

func (f *messageFilter) filter(zone *time.Location, now time.Time) (trail.Filter, error) {
	out := trail.Filter{Kind: f.kind, Sender: f.sender, ControlID: f.control, Record: f.record, State: f.state, Limit: f.limit}
	states := []string{"", stage.Received, stage.Normalized, stage.Stored, stage.Anchored, stage.Parked, stage.Rejected, stateRefused}
	if !slices.Contains(states, f.state) {
		return out, fmt.Errorf("--state %q is not one of %s", f.state, strings.Join(states[1:], ", "))
	}
	if f.limit < 1 || f.limit > 10_000 {
		return out, errors.New("--limit is 1 to 10000")
	}
	for text, to := range map[string]*time.Time{f.since: &out.Since, f.until: &out.Until} {
		at, err := pointInTime(text, zone, now)
		if err != nil {
			return out, err
		}
		*to = at
	}
	if f.since == f.until && f.since != "" {
		return out, errors.New("--since and --until are the same: nothing lies between")
	}
	return out, nil
}

// pointInTime reads a day, a time, or a span before now.
func pointInTime(text string, zone *time.Location, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-03-02, 2026-03-02T15:04, or a span as 90m", text)
}

func newMessagesListCommand() *cobra.Command {
	var path string
	var f messageFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List messages with how far they have come · 列出消息及其状态",
		Example: `  emrbridge messages list --since 2h --kind 'ORU*'
  emrbridge messages list --state parked --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			list, err := listMessages(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			return printMessages(cmd.OutOrStdout(), list, c.Location(), asJSON)
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	f.add(cmd)
	return cmd
}

// withTrail opens the trail beside the running bridge.
func withTrail(ctx context.Context, c *config.Config, fn func(*trail.Index) error) error {
	index, err := trail.OpenReader(ctx, c.Dir("trail"))
	if err != nil {
		return fmt.Errorf("%w (has the bridge ever run with this configuration?)", err)
	}
	return errors.Join(fn(index), index.Close())
}

// listMessages joins what the trail knows with what endpoints refused, the latest first.
func listMessages(ctx context.Context, c *config.Config, f messageFilter) (out []listedMessage, err error) {
	filter, err := f.filter(c.Location(), time.Now())
	if err != nil {
		return nil, err
	}
	if f.state != stateRefused {
		err := withTrail(ctx, c, func(x *trail.Index) error {
			list, err := x.List(ctx, filter)
			for _, m := range list {
				out = append(out, listedMessage{Message: m})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	refused, err := listRefused(ctx, c, filter)
	if err != nil {
		return nil, err
	}
	out = append(out, refused...)
	slices.SortStableFunc(out, func(a, b listedMessage) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	return out[:min(len(out), f.limit)], nil
}

// listRefused lists what endpoints refused. What a stage refused later has a record, and
// is on the trail.
func listRefused(ctx context.Context, c *config.Config, f trail.Filter) ([]listedMessage, error) {
	if f.State != "" && f.State != stateRefused || f.Record != "" {
		return nil, nil
	}
	q, err := intake.OpenQuarantine(c.Dir("quarantine"), nil, intake.QuarantineLimits{})
	if err != nil {
		return nil, err
	}
	labels, err := q.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []listedMessage
	for _, l := range labels {
		m := listedMessage{Quarantine: l.ID, Reason: l.Reason, Message: trail.Message{ReceivedAt: l.ReceivedAt, At: l.At,
			Sender: l.Sender, ControlID: l.ControlID, Kind: l.Kind, State: stateRefused, Code: l.Code}}
		if m.ReceivedAt.IsZero() {
			m.ReceivedAt = l.At
		}
		if l.Record == "" && chosen(f, m.Message) {
			out = append(out, m)
		}
	}
	return out, nil
}

// chosen is what the trail does in SQL.
func chosen(f trail.Filter, m trail.Message) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	kind := is(f.Kind, m.Kind)
	if prefix, all := strings.CutSuffix(f.Kind, "*"); all {
		kind = strings.HasPrefix(m.Kind, prefix)
	}
	return kind && is(f.Sender, m.Sender) && is(f.ControlID, m.ControlID) &&
		(f.Since.IsZero() || !m.ReceivedAt.Before(f.Since)) && (f.Until.IsZero() || m.ReceivedAt.Before(f.Until))
}

func printMessages(w io.Writer, list []listedMessage, zone *time.Location, asJSON bool) error {
	rows := make([][]any, 0, len(list))
	for _, m := range list {
		if asJSON {
			if err := printJSON(w, m); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []any{m.ReceivedAt.In(zone).Format(clockLayout), m.State, plain(m.Kind), plain(m.Sender),
			plain(m.ControlID), cmp.Or(m.Record, m.Quarantine), plain(strings.Join(nonEmpty(m.Code, m.Reason), " "))})
	}
	if asJSON {
		return nil
	}
	return table.Write(w, []string{"received · 接收", "state · 状态", "kind", "sender · 发送方", "control id", "record / quarantine", "why · 原因"}, rows)
}

// plain makes text that came from outside safe for a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// findRecord returns the record that an id names: its own, or a control id.
func findRecord(ctx context.Context, c *config.Config, id, sender string) (found record.ID, err error) {
	if found, err := record.ParseID(id); err == nil {
		return found, nil
	}
	records := map[string]bool{}
	err = withTrail(ctx, c, func(x *trail.Index) error {
		events, err := x.Find(ctx, trail.Query{ControlID: id, Sender: sender})
		for _, e := range events {
			if e.Record != "" {
				records[e.Record] = true
				found, _ = record.ParseID(e.Record)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return found, err
	case len(records) == 0:
		return found, failed{fmt.Errorf("no record is known under %q · 未找到", plain(id))}
	case len(records) > 1:
		return found, failed{fmt.Errorf("%d records have the control id %q: give the record id, or --sender (emrbridge messages list --control-id …)", len(records), plain(id))}
	}
	return found, nil
}
