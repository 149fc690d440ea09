package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

func newHL7Command() *cobra.Command {
	cmd := &cobra.Command{Use: "hl7", Short: "HL7 v2 messages · HL7 v2 消息"}
	cmd.AddCommand(newHL7ToFHIRCommand(), newHL7SendCommand(), newHL7DayCommand(),
		newHL7RoundTripCommand(), newHL7ParseCommand(), newHL7ValidateCommand())
	cmd.AddCommand(newHL7MappingCommands()...)
	return cmd
}

// sent is one line of `hl7 send --json`.
type sent struct {
	File      string  `json:"file"`
	Line      int     `json:"line"` // where the message begins in the file
	ControlID string  `json:"control_id"`
	Code      string  `json:"code"` // AA, AE, AR, …; empty where no answer came
	OK        bool    `json:"ok"`
	Text      string  `json:"text,omitempty"`
	Error     string  `json:"error,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

// maxInput bounds a file of messages that is read whole.
const maxInput = 1 << 30

type sendOptions struct {
	addr, caFile, charset string
	timeout               time.Duration
	asJSON                bool
}

func newHL7SendCommand() *cobra.Command {
	var o sendOptions
	cmd := &cobra.Command{
		Use:   "send --addr HOST:PORT FILE…",
		Short: "Send messages over MLLP, one line with the answer for each · 发送消息并逐条显示应答",
		Long: `Sends every message of the files, in order, over one connection, and prints one line for each
with its acknowledgement. A file may hold many messages, with or without MLLP framing or batch
wrappers; "-" reads standard input. The exit status is 0 only if all were accepted.`,
		Example: "  emrbridge hl7 send --addr 127.0.0.1:2575 adt.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, files []string) error { return hl7Send(cmd, o, files) },
	}
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:2575", "MLLP endpoint · 接收端地址")
	cmd.Flags().StringVar(&o.caFile, "ca", "", "speak TLS and trust this authority, PEM · 使用 TLS 并信任此根证书")
	cmd.Flags().StringVar(&o.charset, "charset", "UTF-8", "charset of messages whose MSH-18 is empty · 缺省字符集")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "longest wait for an answer · 应答超时")
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

func hl7Send(cmd *cobra.Command, o sendOptions, files []string) error {
	client, err := dialMLLP(cmd.Context(), o)
	if err != nil {
		return err
	}
	defer client.Close()
	total, accepted := 0, 0
	for _, file := range files {
		stream, err := readStream(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		for _, p := range stream.Problems {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", file, p.Error())
		}
		for _, item := range stream.Items {
			if item.Kind != hl7.ItemMessage {
				continue
			}
			total++
			line, alive := sendOne(cmd.Context(), client, file, item)
			if line.OK {
				accepted++
			}
			if err := printSent(cmd.OutOrStdout(), line, o.asJSON); err != nil {
				return err
			}
			if !alive {
				return failed{fmt.Errorf("connection lost after %d messages, %d accepted · 连接中断", total, accepted)}
			}
		}
	}
	if total == 0 {
		return errors.New("no message in the input; a message begins with MSH")
	}
	if accepted < total {
		return failed{fmt.Errorf("%d of %d messages accepted · 有消息未被接受", accepted, total)}
	}
	return nil
}

func dialMLLP(ctx context.Context, o sendOptions) (*mllp.Client, error) {
	charset, ok := hl7.CharsetByName(o.charset)
	if !ok {
		return nil, fmt.Errorf("charset %q is not known; use for example UTF-8 or GB18030", o.charset)
	}
	cfg := mllp.ClientConfig{AnswerTimeout: o.timeout, Charset: hl7.CharsetPolicy{Default: charset}}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.caFile)
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	client, err := mllp.Dial(ctx, o.addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w (is emrbridge serving there?)", err)
	}
	return client, nil
}

func readStream(stdin io.Reader, file string) (*hl7.Stream, error) {
	if file == "-" {
		return hl7.ReadMessages(stdin, maxInput)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return hl7.ReadMessages(f, maxInput)
}

// sendOne sends a message and reports whether the connection can still be used.
func sendOne(ctx context.Context, c *mllp.Client, file string, item hl7.Item) (sent, bool) {
	start := time.Now()
	reply, err := c.Send(ctx, item.Raw)
	line := sent{File: file, Line: item.Line, ElapsedMS: float64(time.Since(start).Microseconds()) / 1000}
	if err != nil {
		line.Error = err.Error()
		return line, false
	}
	line.ControlID, line.Code, line.Text = reply.ControlID, string(reply.Code), reply.Text
	line.OK = reply.Code.Accepted() || reply.Raw == nil // it asked for no answer, or for refusals only
	return line, true
}

func printSent(w io.Writer, s sent, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	mark := "✓"
	if !s.OK {
		mark = "✗"
	}
	_, err := fmt.Fprintf(w, "%s %s:%d %s %s %.1f ms %s%s\n", mark, s.File, s.Line, s.ControlID, s.Code, s.ElapsedMS, s.Text, s.Error)
	return err
}

func newHL7DayCommand() *cobra.Command {
	var patients int
	var seed uint64
	var date string
	cmd := &cobra.Command{
		Use:   "day",
		Short: "Write a synthetic day of a small hospital · 生成一家小型医院一天的合成消息",
		Long: `Writes the messages of an invented day: registrations, admissions, orders, results and documents
of invented patients, in GB18030 and UTF-8. Nobody in it exists: the area codes of the identity
numbers are not assigned.`,
		Example: "  emrbridge hl7 day --patients 50 > day.hl7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := time.ParseInLocation("2006-01-02", date, hl7.ChinaStandardTime)
			if err != nil {
				return fmt.Errorf("--date %q: write it as 2026-03-01", date)
			}
			generated := hospitalday.Generate(seed, patients, day)
			for _, m := range generated.Messages {
				if _, err := cmd.OutOrStdout().Write(append(m.Raw, '\n')); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&patients, "patients", 50, "number of patients · 患者数")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the same seed gives the same day · 随机种子")
	cmd.Flags().StringVar(&date, "date", "2026-03-02", "the day · 日期")
	return cmd
}
