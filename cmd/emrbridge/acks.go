package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/outcome"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/record"
)

// ackDesk sees to the application acknowledgements that one listener owes: it waits until
// a record is sealed or anchored, or was set aside, and sends the acknowledgement over the
// connection on which the message came. Where that is gone it goes to the return address,
// from a durable queue; without one the trail says that nobody could be told.
//
// With a return address a debt is on the disk before the message is acknowledged, and is
// taken up again after a crash.
type ackDesk struct {
	until    string // stage that is waited for
	outcomes *outcome.Hub
	note     func(ctx context.Context, event topology.Meta) error
	log      *slog.Logger
	back     *forward.DirQueue // nil without a return address
	dir      string            // of debts, with a return address
	cipher   forward.Cipher

	run context.Context // ends when the process stops
	all sync.WaitGroup
}

// debt is an acknowledgement that is owed across restarts, for either outcome; nil where
// the sender asks for none.
type debt struct {
	Taken  []byte `json:"taken,omitempty"`
	Failed []byte `json:"failed,omitempty"`
}

// Reason codes of the trail for acknowledgements that could not be delivered.
const (
	codeSenderGone = "SENDER_GONE"
	codeStopped    = "STOPPED"
	codeBusy       = "BUSY"
)

// ackStages are the stages behind the words of the configuration.
var ackStages = map[string]string{config.AckSealed: stage.Stored, config.AckAnchored: stage.Anchored}

// openAckDesk builds the desk of a listener, or none if it defers nothing, and takes up
// what it still owes.
func (s *site) openAckDesk(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline, l config.Listener) (*ackDesk, error) {
	until, defers := ackStages[l.ApplicationAck]
	if !defers {
		return nil, nil
	}
	d := &ackDesk{until: until, outcomes: p.Outcomes, note: p.Note, log: s.log.With("part", "acks", "listener", l.Name),
		cipher: s.secrets.Quarantine, run: ctx}
	if l.ReturnAddress != "" {
		if err := d.openReturn(ctx, s.config.Dir(filepath.Join("acks", l.Name)), l); err != nil {
			return nil, fmt.Errorf("hl7 listener %s: %w", l.Name, err)
		}
	}
	group.Go(func() error {
		<-ctx.Done()
		d.all.Wait()
		if d.back != nil {
			return d.back.Close()
		}
		return nil
	})
	return d, nil
}

// openReturn opens the queue to the return address and takes up the debts on the disk.
func (d *ackDesk) openReturn(ctx context.Context, dir string, l config.Listener) error {
	d.dir = filepath.Join(dir, "owed")
	for _, path := range []string{dir, d.dir} {
		if err := fsatomic.MkdirPrivate(path); err != nil {
			return err
		}
	}
	to, err := returnSender(l, d.log)
	if err != nil {
		return err
	}
	if d.back, err = forward.OpenDir(forward.DirConfig{Dir: filepath.Join(dir, "queue"), Cipher: d.cipher}); err != nil {
		return err
	}
	d.all.Go(func() {
		if err := forward.New(d.back, to).Run(ctx); err != nil {
			d.log.Error("acknowledgements to the return address wait for the next start", "err", err)
		}
		_ = to.Close()
	})
	return d.resume()
}

// returnSender is the way to the return address. An acknowledgement asks for no answer, so
// it counts as delivered when it is sent.
func returnSender(l config.Listener, log *slog.Logger) (*forward.Sender, error) {
	addr, tlsConfig, err := mllpTarget(l.ReturnAddress, l.ReturnCA, "", "")
	if err != nil {
		return nil, err
	}
	return forward.NewSender(forward.SenderConfig{Addr: addr, Client: mllp.ClientConfig{TLS: tlsConfig},
		Observe: func(e forward.Event) { log.Debug("acknowledgement", "event", e.Kind.String(), "err", e.Err) }})
}

// mllpTarget reads mllp://HOST:PORT or mllps://HOST:PORT.
func mllpTarget(target, caFile, certFile, keyFile string) (string, *tls.Config, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Port() == "" || u.Scheme != "mllp" && u.Scheme != "mllps" {
		return "", nil, fmt.Errorf("%q is no MLLP address; write mllp://HOST:PORT, or mllps://HOST:PORT for TLS", target)
	}
	if u.Scheme == "mllp" {
		if caFile != "" || certFile != "" {
			return "", nil, errors.New("certificates go with mllps://, not with mllp://")
		}
		return u.Host, nil, nil
	}
	pool, err := certPool(caFile)
	if err != nil {
		return "", nil, err
	}
	cfg := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return "", nil, err
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return u.Host, cfg, nil
}

// owe takes over an acknowledgement for a record that is durable on the bus. On an error
// the sender must not be told that its message was taken: it would wait in vain.
func (d *ackDesk) owe(id record.ID, l *hl7.Later) error {
	if d.dir != "" {
		failure := hl7.Outcome{Code: hl7.AppError, Fault: &hl7.Fault{Code: hl7.CodeInternal, Diagnostics: "the record was set aside; an operator has to look"}}
		if err := d.write(id, debt{Taken: l.Ack(hl7.Outcome{Code: hl7.AppAccept}), Failed: l.Ack(failure)}); err != nil {
			return err
		}
	}
	d.all.Go(func() { d.settle(id, l.Send) })
	return nil
}

// settle waits for the outcome and sends what is owed.
func (d *ackDesk) settle(id record.ID, send func(context.Context, hl7.Outcome) ([]byte, error)) {
	outcomes, err := d.watch(id)
	if err != nil {
		d.log.Error("an application acknowledgement cannot be waited for", "record", id.String(), "err", err)
		d.unanswered(id, codeBusy)
		return
	}
	var o outcome.Outcome
	select {
	case o = <-outcomes:
	case <-d.run.Done():
		d.unanswered(id, codeStopped)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.run), drainTime/2)
	defer cancel()
	ack, err := send(ctx, applicationOutcome(o))
	if err != nil {
		err = d.sendBack(ctx, id, ack)
	}
	switch {
	case err == nil && d.dir != "":
		err = os.Remove(d.path(id))
	case errors.Is(err, hl7.ErrNoReply):
		d.unanswered(id, codeSenderGone)
		return
	}
	if err != nil {
		d.log.Error("an application acknowledgement is still owed", "record", id.String(), "err", err)
	}
}

// busyPause is how long a debt on the disk waits while too many are waited for.
const busyPause = 30 * time.Second

// watch waits for its turn where that costs nobody anything but time.
func (d *ackDesk) watch(id record.ID) (<-chan outcome.Outcome, error) {
	for {
		outcomes, err := d.outcomes.Watch(d.run, id.String(), d.until)
		if d.dir == "" || !errors.Is(err, outcome.ErrBusy) {
			return outcomes, err
		}
		select {
		case <-time.After(busyPause):
		case <-d.run.Done():
			return nil, context.Cause(d.run)
		}
	}
}

// sendBack queues an acknowledgement for the return address.
func (d *ackDesk) sendBack(ctx context.Context, id record.ID, ack []byte) error {
	if d.back == nil {
		return hl7.ErrNoReply
	}
	// The same message may come, and be acknowledged, more than once.
	err := d.back.Put(ctx, forward.Message{ID: id.String(), Raw: ack}, true)
	if errors.Is(err, forward.ErrQueued) {
		return nil
	}
	return err
}

// applicationOutcome puts an outcome into HL7's words.
func applicationOutcome(o outcome.Outcome) hl7.Outcome {
	if o.Reached {
		return hl7.Outcome{Code: hl7.AppAccept}
	}
	return hl7.Outcome{Code: hl7.AppError, Fault: &hl7.Fault{Code: hl7.CodeInternal,
		Diagnostics: fmt.Sprintf("the record was %s (%s); an operator has to look, sending it again does not help", o.Stage, o.Code)}}
}

// unanswered notes on the trail that nobody could be told. With a return address the debt
// stays on the disk and nothing is lost yet.
func (d *ackDesk) unanswered(id record.ID, code string) {
	if d.dir != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.run), drainTime/2)
	defer cancel()
	if err := d.note(ctx, topology.Meta{Record: id, Stage: stage.Unanswered, Code: code}); err != nil {
		d.log.Error("an application acknowledgement could not be delivered", "record", id.String(), "code", code, "err", err)
	}
}

func (d *ackDesk) path(id record.ID) string { return filepath.Join(d.dir, id.String()) }

func debtAAD(id record.ID) []byte { return []byte("emrbridge/ack/v1\n" + id.String()) }

func (d *ackDesk) write(id record.ID, owed debt) error {
	text, err := json.Marshal(owed)
	if err != nil {
		return err
	}
	sealed, err := d.cipher.Seal(debtAAD(id), text)
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(d.path(id), sealed, 0o600)
}

// resume takes up the debts of an earlier process. Their senders are no longer connected.
func (d *ackDesk) resume() error {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		id, err := record.ParseID(f.Name())
		if err != nil {
			if strings.HasPrefix(f.Name(), ".") {
				_ = os.Remove(filepath.Join(d.dir, f.Name())) // a write that a crash cut off
			}
			continue
		}
		owed, err := d.read(id)
		if err != nil {
			d.log.Error("an application acknowledgement cannot be read", "record", id.String(), "err", err)
			continue
		}
		d.all.Go(func() { d.settle(id, owed.send) })
	}
	return nil
}

func (d *ackDesk) read(id record.ID) (owed debt, err error) {
	sealed, err := os.ReadFile(d.path(id))
	if err != nil {
		return owed, err
	}
	text, err := d.cipher.Open(debtAAD(id), sealed)
	if err != nil {
		return owed, err
	}
	return owed, json.Unmarshal(text, &owed)
}

// send has nobody to send to: what is owed goes to the return address.
func (o debt) send(_ context.Context, out hl7.Outcome) ([]byte, error) {
	ack := o.Taken
	if out.Code != hl7.AppAccept {
		ack = o.Failed
	}
	if ack == nil {
		return nil, nil
	}
	return ack, hl7.ErrNoReply
}
