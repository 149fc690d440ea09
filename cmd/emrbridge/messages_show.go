package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/oplog"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// shownMessage is a message in the clear.
type shownMessage struct {
	Record     string    `json:"record,omitempty"`
	Quarantine string    `json:"quarantine,omitempty"`
	Sender     string    `json:"sender,omitempty"`
	ControlID  string    `json:"control_id,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	MediaType  string    `json:"media_type,omitempty"`
	Charset    string    `json:"charset,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
	Bytes      int       `json:"bytes"`
	Text       string    `json:"text,omitempty"`     // decoded to UTF-8
	Segments   any       `json:"segments,omitempty"` // of HL7 v2
	Error      string    `json:"error,omitempty"`    // why it could not be decoded or read

	raw []byte
}

type showOptions struct {
	path, sender, reason string
	raw, decoded, asJSON bool
}

func newMessagesShowCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Open one message: its parts, its text, or its bytes · 查看一条消息",
		Long: `ID is a record id, a control id, or the id of a quarantined item. The sealed record is opened with
the hospital's keys. It is shown as a tree of segments, fields and components; --decoded prints
the text in UTF-8, --raw the bytes exactly as they came. What is shown is patient data.`,
		Example: "  emrbridge messages show MY-0001\n  emrbridge messages show MY-0001 --raw > one.hl7",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return showMessage(cmd, o, args[0]) },
	}
	configFlag(cmd, &o.path)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().BoolVar(&o.raw, "raw", false, "the bytes as they came · 原始字节")
	cmd.Flags().BoolVar(&o.decoded, "decoded", false, "the text in UTF-8, a line for each segment · 解码文本")
	cmd.Flags().StringVar(&o.sender, "sender", "", "of a control id that several senders use, as MSH-3|MSH-4 · 发送方")
	cmd.Flags().StringVar(&o.reason, "reason", "not given", "why, for the log of operations · 原因")
	cmd.MarkFlagsMutuallyExclusive("raw", "decoded", "json")
	return cmd
}

func showMessage(cmd *cobra.Command, o showOptions, id string) error {
	if err := oplog.CheckReason(o.reason); err != nil {
		return err
	}
	c, err := loadConfig(o.path)
	if err != nil {
		return err
	}
	m, err := openAny(cmd.Context(), c, id, o.sender)
	if err != nil {
		return err
	}
	subject := m.Record + m.Quarantine
	if err := logOperation(c, oplog.Entry{Action: "show", Subject: subject, Reason: o.reason, Result: "shown"}); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if o.raw {
		_, err := w.Write(m.raw)
		return err
	}
	parsed := m.read()
	switch {
	case o.asJSON:
		return printJSON(w, m)
	case o.decoded || parsed == nil:
		return m.printText(w)
	}
	m.printHead(w, c.Location())
	_, err = fmt.Fprintln(w, pathsOf(parsed))
	return err
}

// logOperation notes what an operator did.
func logOperation(c *config.Config, e oplog.Entry) error {
	l, err := operationLog(c)
	if err != nil {
		return err
	}
	e.At, e.By = time.Now(), operator()
	return l.Append(e)
}

func operationLog(c *config.Config) (*oplog.Log, error) {
	return oplog.Open(filepath.Join(c.DataDir, "operations.jsonl"))
}

// operator is the user of the operating system who runs the command.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// openAny opens what an id names, whatever kind of id it is.
func openAny(ctx context.Context, c *config.Config, id, sender string) (*shownMessage, error) {
	if len(id) == 26 && strings.Contains(id, "-") {
		m, err := openRefused(ctx, c, id)
		if !errors.Is(err, intake.ErrNotQuarantined) {
			return m, err
		}
	}
	found, err := findRecord(ctx, c, id, sender)
	if err != nil {
		return nil, err
	}
	r, err := newRecordReader(ctx, c)
	if err != nil {
		return nil, err
	}
	m, err := r.open(ctx, found)
	return m, errors.Join(err, r.close())
}

func openRefused(ctx context.Context, c *config.Config, id string) (*shownMessage, error) {
	ks, err := openKeyReader(ctx, c)
	if err != nil {
		return nil, err
	}
	defer ks.Close()
	keys, err := bridge.LoadKeys(ctx, ks, smcrypto.Default())
	if err != nil {
		return nil, err
	}
	q, err := intake.OpenQuarantine(c.Dir("quarantine"), keys.Quarantine, intake.QuarantineLimits{})
	if err != nil {
		return nil, err
	}
	l, raw, err := q.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	return &shownMessage{Quarantine: id, Sender: l.Sender, ControlID: l.ControlID, Kind: l.Kind, MediaType: mediaHL7,
		ReceivedAt: l.ReceivedAt, Bytes: len(raw), raw: raw}, nil
}

// recordReader opens sealed records beside the running bridge.
type recordReader struct {
	keys  *keystore.Reader
	store *embedded.Store
}

func newRecordReader(ctx context.Context, c *config.Config) (*recordReader, error) {
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	keys, err := openKeyReader(ctx, c)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &recordReader{keys: keys, store: store}, nil
}

func (r *recordReader) close() error { return errors.Join(r.keys.Close(), r.store.Close()) }

// errRead ends the opening of a record once it is read.
var errRead = errors.New("read")

// open opens one record. The tags of its segments prove the content under a key that only
// this hospital has; its signature is for `emrbridge verify`.
func (r *recordReader) open(ctx context.Context, id record.ID) (*shownMessage, error) {
	item, sealed, err := r.store.Open(ctx, id)
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil, failed{fmt.Errorf("%s is not in the store: see how far it has come with: emrbridge trace %s", id, id)}
	}
	if err != nil {
		return nil, err
	}
	defer sealed.Close()
	key, err := r.keys.RecordKey(ctx, keystore.Tag(item.Tag), item.Epoch, keystore.RecordID(id))
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", id, err)
	}
	defer clear(key[:])
	var plain bytes.Buffer
	var rec *record.Record
	_, err = smcrypto.OpenStream(smcrypto.Default(), key, sealed, &plain, smcrypto.Check{
		Statement: func(h smcrypto.Header, _ [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			parsed, err := record.Parse(plain.Bytes())
			if err != nil || h.RecordID != [len(id)]byte(id) || parsed.ID != id {
				return nil, errors.New("the content is not that of this record")
			}
			rec = parsed
			return nil, errRead
		},
	})
	if !errors.Is(err, errRead) {
		return nil, fmt.Errorf("%s does not open: %w", id, err)
	}
	return &shownMessage{Record: id.String(), Sender: rec.Sender, ControlID: rec.ControlID, Kind: rec.Kind, MediaType: rec.MediaType,
		Charset: rec.Charset, ReceivedAt: time.UnixMilli(rec.ReceivedAt), Bytes: len(rec.Payload), raw: rec.Payload}, nil
}

// read decodes the bytes, and parses them where they are HL7 v2.
func (m *shownMessage) read() *hl7.Message {
	if m.MediaType != mediaHL7 {
		m.Text = strings.ToValidUTF8(string(m.raw), "\uFFFD")
		return nil
	}
	policy := hl7.CharsetPolicy{}
	if cs, ok := hl7.CharsetByName(m.Charset); ok {
		policy = hl7.CharsetPolicy{Default: cs, Force: true}
	}
	text, cs, err := policy.Decode(m.raw)
	if err != nil {
		m.Error = err.Error()
		return nil
	}
	m.Text, m.Charset = string(text), cs.String()
	parsed, err := hl7.Parse(text)
	if err != nil {
		m.Error = err.Error()
		return nil
	}
	m.Segments = treeOf(parsed)
	return parsed
}

// printText prints the text, a line for each segment.
func (m *shownMessage) printText(w io.Writer) error {
	if m.Text == "" {
		return failed{fmt.Errorf("the bytes cannot be read as text: %s (--raw prints them)", m.Error)}
	}
	text := strings.ReplaceAll(strings.ReplaceAll(m.Text, "\r\n", "\n"), "\r", "\n")
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, plain(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func (m *shownMessage) printHead(w io.Writer, zone *time.Location) {
	fmt.Fprintf(w, "%s%s  %s  %s  %s  %s  %s  %d bytes\n\n", m.Record, m.Quarantine, plain(m.Kind), plain(m.Sender), plain(m.ControlID),
		m.ReceivedAt.In(zone).Format(clockLayout), m.Charset, m.Bytes)
}
