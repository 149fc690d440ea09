package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/internal/obs"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// ferryPause is the time between two looks at the folders of a channel.
const ferryPause = 200 * time.Millisecond

const (
	ferryStatusFile = "status.json" // of the running process, in the spool
	ferryResendFile = "resend.json" // what an operator wants to be sent again, for the running process
)

// ferryState is what `ferry status` shows of a channel.
type ferryState struct {
	Channel string                  `json:"channel"`
	Running bool                    `json:"running"`
	At      time.Time               `json:"at"`
	Error   string                  `json:"error,omitempty"`
	Alarms  map[ferry.EventKind]int `json:"alarms,omitempty"`
	ferry.Status
}

// ferryChannels returns the channels that are switched on, or the one that is named.
func ferryChannels(path, name string) (*config.Config, []config.FerryChannel, error) {
	c, err := config.LoadFerry(path)
	if err != nil {
		return nil, nil, err
	}
	var out []config.FerryChannel
	for _, ch := range c.Ferry.Channels {
		if ch.On() && (name == "" || ch.Name == name) {
			out = append(out, ch)
		}
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("%s has no channel %s that is switched on: see ferry.channels in emrbridge config example", path, name)
	}
	return c, out, nil
}

func newFerryRunCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run this side's end of every channel · 运行本侧各通道",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, channels, err := ferryChannels(path, "")
			if err != nil {
				return err
			}
			provider, err := smcrypto.ProviderByName(c.Crypto.Provider)
			if err != nil {
				return err
			}
			log, err := obs.NewLogger(cmd.ErrOrStderr(), c.Observe.LogLevel, c.Observe.LogFormat)
			if err != nil {
				return err
			}
			var ends []*ferryEnd
			for _, ch := range channels {
				end, err := openFerry(cmd.Context(), ch, provider, log)
				if err != nil {
					return err
				}
				defer func() { _ = end.close() }()
				ends = append(ends, end)
				fmt.Fprintf(cmd.OutOrStdout(), "channel %s runs · 通道已运行\n", ch.Name)
			}
			return runFerries(cmd.Context(), ends)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func runFerries(ctx context.Context, ends []*ferryEnd) error {
	tick := time.NewTicker(ferryPause)
	defer tick.Stop()
	for {
		for _, e := range ends {
			e.resend()
			err := e.step(ctx)
			if ctx.Err() != nil {
				return nil
			}
			e.report(err, true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// report writes how the channel stands, for `ferry status`, and whether this process goes on
// running it. It is news, not state: it needs no sync.
func (e *ferryEnd) report(err error, running bool) {
	s := ferryState{Channel: e.cfg.Name, Running: running, At: time.Now(), Alarms: e.alarms, Status: e.port.Status()}
	if err != nil {
		s.Error = err.Error()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return
	}
	part := filepath.Join(e.cfg.Spool, "."+ferryStatusFile)
	if os.WriteFile(part, text, 0o600) == nil {
		_ = os.Rename(part, filepath.Join(e.cfg.Spool, ferryStatusFile))
	}
}

// resendList is what one side lacks, carried to the other by an operator.
type resendList struct {
	Channel string                       `json:"channel"` // of the direction
	Missing map[ferry.Lane][]ferry.Range `json:"missing"`
}

// resend does what `ferry resend` left for this process.
func (e *ferryEnd) resend() {
	path := filepath.Join(e.cfg.Spool, ferryResendFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	var list resendList
	if json.Unmarshal(text, &list) == nil {
		for lane, ranges := range list.Missing {
			e.port.Resend(lane, ranges)
		}
	}
	_ = os.Remove(path)
}

func readFerryState(c config.FerryChannel) (ferryState, error) {
	s := ferryState{Channel: c.Name}
	text, err := os.ReadFile(filepath.Join(c.Spool, ferryStatusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	// The running process writes several times a second.
	s.Running = s.Running && time.Since(s.At) < 10*time.Second
	return s, err
}

func newFerryStatusCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how each channel stands; exit status 1 if one is not well · 查看通道状态",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, channels, err := ferryChannels(path, "")
			if err != nil {
				return err
			}
			well := true
			var states []ferryState
			var rows [][]any
			for _, c := range channels {
				s, err := readFerryState(c)
				if err != nil {
					return err
				}
				well = well && s.Running && s.Alive && s.Error == ""
				states = append(states, s)
				for _, l := range ferry.Lanes {
					ls := s.Lanes[l]
					rows = append(rows, []any{c.Name, l, s.word(), ls.Sent, ls.Confirmed, ls.Announced, ls.Delivered, rangesText(ls.Missing), s.alarmText()})
				}
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), states)
			} else {
				err = table.Write(cmd.OutOrStdout(), []string{"channel · 通道", "lane", "state · 状态", "sent · 已发", "confirmed · 已确认", "announced · 对侧已发", "delivered · 已收", "missing · 缺", "alarms · 告警"}, rows)
			}
			if err == nil && !well {
				err = errors.New("not every channel is well · 有通道异常")
			}
			return err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (s ferryState) word() string {
	switch {
	case !s.Running:
		return "not running · 未运行"
	case s.Error != "":
		return s.Error
	case !s.Alive:
		return "silent · 对侧无响应"
	default:
		return "well · 正常"
	}
}

func (s ferryState) alarmText() string {
	var out []string
	for kind, n := range s.Alarms {
		out = append(out, fmt.Sprintf("%s %d", kind, n))
	}
	return strings.Join(out, ", ")
}

func rangesText(ranges []ferry.Range) string {
	var out []string
	for _, r := range ranges {
		if r.From == r.To {
			out = append(out, fmt.Sprint(r.From))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", r.From, r.To))
		}
	}
	return strings.Join(out, " ")
}

func newFerryGapsCommand() *cobra.Command {
	var path, channel string
	cmd := &cobra.Command{
		Use:   "gaps",
		Short: "List what this side lacks, for the other side's resend · 列出缺失数据包，供对侧补发",
		Long:  "Prints JSON. On a one-way channel an operator carries it to the sending side, for `emrbridge ferry resend`.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, channels, err := ferryChannels(path, channel)
			if err != nil {
				return err
			}
			for _, c := range channels {
				s, err := readFerryState(c)
				if err != nil {
					return err
				}
				list := resendList{Channel: c.In, Missing: map[ferry.Lane][]ferry.Range{}}
				for l, ls := range s.Lanes {
					if len(ls.Missing) > 0 {
						list.Missing[l] = ls.Missing
					}
				}
				if err := printJSON(cmd.OutOrStdout(), list); err != nil {
					return err
				}
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&channel, "channel", "", "one channel alone · 仅此通道")
	cmd.Flags().Bool("json", true, "print JSON, the only form · 输出 JSON")
	return cmd
}

func newFerryResendCommand() *cobra.Command {
	var path, channel, from string
	cmd := &cobra.Command{
		Use:     "resend",
		Short:   "Send again what the other side lacks · 按缺失清单补发",
		Example: "  emrbridge ferry resend --channel reports --list gaps.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, channels, err := ferryChannels(path, channel)
			if err != nil {
				return err
			}
			if len(channels) != 1 {
				return errors.New("there are several channels: name one with --channel · 请用 --channel 指定通道")
			}
			text, err := ferry.OS{}.Read(from, 1<<20)
			if err != nil {
				return err
			}
			var list resendList
			if err := json.Unmarshal(text, &list); err != nil || list.Channel != channels[0].Out {
				return fmt.Errorf("%s is no list of gaps of %s: make it with emrbridge ferry gaps on the other side", from, channels[0].Out)
			}
			if err := fsatomic.WriteFile(filepath.Join(channels[0].Spool, ferryResendFile), text, 0o600); err != nil {
				return err
			}
			for l, r := range list.Missing {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", list.Channel, l, rangesText(r))
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&channel, "channel", "", "the channel · 通道")
	cmd.Flags().StringVar(&from, "list", "", "list of gaps from the other side · 缺失清单")
	_ = cmd.MarkFlagRequired("list")
	return cmd
}

func newFerryExportCommand() *cobra.Command {
	var path, channel string
	var urgent bool
	cmd := &cobra.Command{
		Use:   "export FILE…",
		Short: "Send files over a channel · 发送文件",
		Long:  "Puts copies of files into the channel's folder, from which `ferry run` sends them; without one running, it sends them itself.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withFerry(cmd, path, channel, func(c config.FerryChannel) error {
				dir := c.Send
				if urgent {
					dir = c.SendUrgent
				}
				if dir == "" {
					return errors.New("the channel has no folder for that: set send, or send_urgent")
				}
				for _, f := range args {
					if err := copyInto(dir, f, int64(c.BundleBytes)); err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", f)
				}
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&channel, "channel", "", "the channel · 通道")
	cmd.Flags().BoolVar(&urgent, "urgent", false, "overtake the others · 加急")
	return cmd
}

// copyInto copies a file into a folder, visible only when it is whole.
func copyInto(dir, path string, limit int64) error {
	data, err := ferry.OS{}.Read(path, limit)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, filepath.Base(path))
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s waits to be sent already", to)
	}
	if err := fsatomic.WriteFile(to, data, 0o600); err != nil {
		return err
	}
	old := time.Now().Add(-time.Minute) // it is whole: nobody need wait for it to settle
	return os.Chtimes(to, old, old)
}

func newFerryImportCommand() *cobra.Command {
	var path, channel string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take once what the gatekeeper brought · 接收一次网闸送达的文件",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withFerry(cmd, path, channel, func(config.FerryChannel) error { return nil })
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&channel, "channel", "", "the channel · 通道")
	return cmd
}

// withFerry does something for one channel, and then one step of it, unless another process
// runs it.
func withFerry(cmd *cobra.Command, path, channel string, do func(config.FerryChannel) error) error {
	c, channels, err := ferryChannels(path, channel)
	if err != nil {
		return err
	}
	if len(channels) != 1 {
		return errors.New("there are several channels: name one with --channel · 请用 --channel 指定通道")
	}
	if err := do(channels[0]); err != nil {
		return err
	}
	provider, err := smcrypto.ProviderByName(c.Crypto.Provider)
	if err != nil {
		return err
	}
	log, err := obs.NewLogger(io.Discard, c.Observe.LogLevel, c.Observe.LogFormat)
	if err != nil {
		return err
	}
	end, err := openFerry(cmd.Context(), channels[0], provider, log)
	if errors.Is(err, errFerryRuns) {
		return nil
	}
	if err != nil {
		return err
	}
	before := end.port.Status()
	err = end.step(cmd.Context())
	end.report(err, false)
	after := end.port.Status()
	for _, l := range ferry.Lanes {
		if n := after.Lanes[l].Delivered - before.Lanes[l].Delivered; n > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bundles delivered · 已接收\n", l, n)
		}
	}
	return errors.Join(err, end.close())
}
