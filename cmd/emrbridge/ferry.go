package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/ferry/files"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func newFerryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ferry",
		Short: "Carry files across a gatekeeper that passes only files · 网闸摆渡",
		Long: `Carries files across a gatekeeper (网闸) that passes nothing but files: signed, numbered and
chained bundles over two folders, each file delivered exactly once whatever the gatekeeper
drops, doubles, reorders, delays or alters. One end runs on each side.

跨网闸传送文件：以签名、编号、链式的数据包经两个目录传送；无论网闸丢失、重复、乱序、延迟或篡改，
每个文件恰好送达一次。两侧各运行一端。`,
		Example: `  emrbridge ferry keys --dir keys                 # once on each side; exchange keys/public.txt
  emrbridge ferry run --config emrbridge.yaml
  emrbridge ferry export --channel reports report.pdf
  emrbridge ferry status`,
	}
	cmd.AddCommand(newFerryKeysCommand(), newFerryRunCommand(), newFerryExportCommand(), newFerryImportCommand(),
		newFerryStatusCommand(), newFerryGapsCommand(), newFerryResendCommand())
	return cmd
}

// ferryKeys are one side's key pairs, in a folder of their own.
type ferryKeys struct{ sign, open *smcrypto.PrivateKey }

const (
	ferrySignFile   = "sign.key"
	ferryOpenFile   = "open.key"
	ferryPublicFile = "public.txt"
)

func newFerryKeysCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make this side's keys · 生成本侧密钥",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := makeFerryKeys(dir); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: bring this file to the other side · 请将此文件带到对侧\n", filepath.Join(dir, ferryPublicFile))
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "ferry-keys", "folder to make · 密钥目录")
	return cmd
}

func makeFerryKeys(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ferrySignFile)); err == nil {
		return fmt.Errorf("%s holds keys already: name another folder, and list this one under former_keys", dir)
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return err
	}
	var public strings.Builder
	for _, k := range []struct{ use, file string }{{"sign", ferrySignFile}, {"open", ferryOpenFile}} {
		key, err := smcrypto.Default().GenerateKey()
		if err != nil {
			return err
		}
		text, err := smcrypto.MarshalPrivateKeyPEM(key)
		if err != nil {
			return err
		}
		if err := fsatomic.WriteFile(filepath.Join(dir, k.file), text, 0o600); err != nil {
			return err
		}
		point, err := key.Public().MarshalText()
		if err != nil {
			return err
		}
		fmt.Fprintf(&public, "%s %s\n", k.use, point)
		key.Destroy()
	}
	return fsatomic.WriteFile(filepath.Join(dir, ferryPublicFile), []byte(public.String()), 0o644)
}

func loadFerryKeys(dir string) (k ferryKeys, err error) {
	for name, at := range map[string]**smcrypto.PrivateKey{ferrySignFile: &k.sign, ferryOpenFile: &k.open} {
		path := filepath.Join(dir, name)
		if err := fsatomic.CheckPrivate(path); err != nil {
			return k, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return k, err
		}
		if *at, err = smcrypto.ParsePrivateKeyPEM(text); err != nil {
			return k, fmt.Errorf("%s: %w", path, err)
		}
	}
	return k, nil
}

// ferryPublic reads a file public.txt.
func ferryPublic(path string) (sign, open smcrypto.PublicKey, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return sign, open, err
	}
	for line := range strings.Lines(string(text)) {
		use, point, _ := strings.Cut(strings.TrimSpace(line), " ")
		to := map[string]*smcrypto.PublicKey{"sign": &sign, "open": &open}[use]
		if to == nil {
			return sign, open, fmt.Errorf("%s: a line that begins with %q; use the file %s that emrbridge ferry keys wrote", path, use, ferryPublicFile)
		}
		if err := to.UnmarshalText([]byte(point)); err != nil {
			return sign, open, fmt.Errorf("%s: %w", path, err)
		}
	}
	if sign.IsZero() || open.IsZero() {
		return sign, open, fmt.Errorf("%s lacks a key: it has one line \"sign\" and one \"open\"", path)
	}
	return sign, open, nil
}

// ferryEnd is this side's end of one channel, held by this process.
type ferryEnd struct {
	cfg     config.FerryChannel
	port    *ferry.Port
	sources []*files.Source
	lock    *os.File
	alarms  map[ferry.EventKind]int
}

// errFerryRuns says that another process holds the channel.
var errFerryRuns = errors.New("another process runs this channel")

func openFerry(ctx context.Context, c config.FerryChannel, p smcrypto.Provider, log *slog.Logger) (_ *ferryEnd, err error) {
	end := &ferryEnd{cfg: c, alarms: map[ferry.EventKind]int{}}
	quarantine := filepath.Join(c.Spool, "quarantine")
	for _, dir := range []string{c.Spool, quarantine} {
		if err := fsatomic.MkdirPrivate(dir); err != nil {
			return nil, err
		}
	}
	if end.lock, err = os.OpenFile(filepath.Join(c.Spool, ".lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end.close())
		}
	}()
	if err := syscall.Flock(int(end.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("channel %s: %w", c.Name, errFerryRuns)
	}
	cfg := ferry.Config{Out: c.Out, In: c.In, Outbox: c.Outbox, Inbox: c.Inbox, Spool: c.Spool, Quarantine: quarantine,
		Extension: c.Extension, Content: ferry.Content(c.Content), OneWay: c.OneWay, Provider: p, Inlet: &files.Sink{Dir: c.Receive},
		Limits: ferry.Limits{BundleBytes: int64(c.BundleBytes), OutboxBytes: int64(c.OutboxBytes), BytesInSecond: int64(c.BytesInSecond),
			SpoolBytes: int64(c.SpoolBytes), Settle: c.Settle.D(), Heartbeat: c.Heartbeat.D(), DeadAfter: c.DeadAfter.D(), Repeat: c.Repeat}}
	if err := ferryKeysInto(&cfg, c); err != nil {
		return nil, err
	}
	cfg.Observe = func(e ferry.Event) { end.note(log, e) }
	if end.port, err = ferry.Open(ctx, cfg); err != nil {
		return nil, err
	}
	for dir, lane := range map[string]ferry.Lane{c.Send: ferry.Bulk, c.SendUrgent: ferry.Urgent} {
		if dir != "" {
			end.sources = append(end.sources, &files.Source{Dir: dir, Lane: lane, Max: int64(c.BundleBytes), Settle: time.Second, Now: time.Now})
		}
	}
	return end, nil
}

func ferryKeysInto(cfg *ferry.Config, c config.FerryChannel) error {
	for i, dir := range append([]string{c.Keys}, c.FormerKeys...) {
		k, err := loadFerryKeys(dir)
		if err != nil {
			return err
		}
		if i == 0 {
			cfg.Signing = k.sign
		}
		cfg.Opening = append(cfg.Opening, k.open)
	}
	for i, path := range c.Peers {
		sign, open, err := ferryPublic(path)
		if err != nil {
			return err
		}
		if i == 0 {
			cfg.Recipient = open
		}
		cfg.Peer = append(cfg.Peer, sign)
	}
	return nil
}

func (e *ferryEnd) close() error { return e.lock.Close() }

// note logs what wants a person, and what shows that the channel works.
func (e *ferryEnd) note(log *slog.Logger, ev ferry.Event) {
	level := slog.LevelDebug
	switch ev.Kind {
	case ferry.Altered, ferry.Unsigned, ferry.Foreign, ferry.Fork, ferry.Unopened, ferry.Malware, ferry.Silent, ferry.FolderGone, ferry.ClockSkewed:
		level = slog.LevelWarn
		e.alarms[ev.Kind]++
	case ferry.Alive, ferry.FolderBack, ferry.Gap, ferry.Resent:
		level = slog.LevelInfo
	}
	log.Log(context.Background(), level, "ferry", "channel", e.cfg.Name, "event", string(ev.Kind), "lane", string(ev.Lane), "seq", ev.Seq, "bytes", ev.Bytes, "err", ev.Err)
}

// step sends what lies in the folders and takes what arrived.
func (e *ferryEnd) step(ctx context.Context) error {
	var errs []error
	for _, s := range e.sources {
		_, err := s.Send(ctx, e.port)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, e.port.Step(ctx))...)
}
