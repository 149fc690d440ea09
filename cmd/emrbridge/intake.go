package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/record"
)

// mediaHL7 is the media type of HL7 v2 in ER7 encoding.
const mediaHL7 = "x-application/hl7-v2+er7"

// hl7Parser reads messages back from the bus for the normalize stage.
func (s *site) hl7Parser() normalize.Parser {
	c := s.config
	return func(_ context.Context, in normalize.Input) (*record.Record, error) {
		return s.rules.Map(mapping.Source{
			Raw: in.Raw, Charset: in.Charset, HospitalNumber: c.Hospital.Number, HospitalMSP: c.Hospital.MSP, ReceivedAt: in.ReceivedAt,
		})
	}
}

// endpoint is a place where HL7 v2 messages come in.
type endpoint struct {
	name    string   // of the listener or folder
	stage   string   // by which the quarantine names it
	charset string   // where MSH-18 is empty
	force   bool     // the charset counts whatever MSH-18 says
	acks    *ackDesk // for deferred application acknowledgements; nil for none
	replay  bool     // of messages that were taken before
}

// receiver joins the HL7 adapter to the intake and to the quarantine.
func (s *site) receiver(in *intake.Intake, e endpoint) (*hl7.Receiver, error) {
	charset, ok := hl7.CharsetByName(e.charset)
	if !ok {
		return nil, fmt.Errorf("hl7 %s: charset %q is not known", e.stage, e.charset)
	}
	return &hl7.Receiver{
		Charset:       hl7.CharsetPolicy{Default: charset, Force: e.force},
		Ack:           hl7.Ack{Application: "EMRBRIDGE", Facility: s.config.Hospital.MSP},
		Mapper:        s.rules,
		RejectUnknown: !s.config.HL7.AcceptUnknown, DeferApplicationAck: e.acks != nil,
		Submit: func(ctx context.Context, m hl7.Submission) error {
			sub, done, err := s.submission(ctx, in, m)
			if err != nil {
				return err
			}
			defer done()
			sub.Replay = e.replay
			r, err := in.Submit(ctx, sub)
			if errors.Is(err, intake.ErrTooLarge) {
				return tooLarge(record.MaxPayload)
			}
			if err == nil && m.Later != nil && e.acks != nil {
				return e.acks.owe(r.Record, m.Later)
			}
			return err
		},
		Quarantine: func(ctx context.Context, raw []byte, why hl7.Reason) error {
			_, err := s.quarantine.Put(ctx, intake.Refused{
				Raw: raw, Code: strconv.Itoa(int(why.Fault.Code)), Reason: why.Fault.Diagnostics, Stage: e.stage,
				Sender: why.Sender, ControlID: why.ControlID, Kind: why.Kind, Peer: why.Peer,
				ReceivedAt: why.ReceivedAt, Truncated: why.Truncated, Size: why.Size,
			})
			return err
		},
		QuarantineFailed: func(why hl7.Reason, err error) {
			s.log.Error("refused input could not be kept; the sender still has it", "endpoint", e.name, "why", why, "err", err)
		},
	}, nil
}

// tooLarge refuses a message for good: sent again, it would be too large again.
func tooLarge(limit int) error {
	return &hl7.Refusal{Ack: hl7.AppReject, Fault: hl7.Fault{
		Code: hl7.CodeInternal, Diagnostics: fmt.Sprintf("the message is larger than %d bytes", limit),
	}}
}

// listen opens an MLLP endpoint, whose events are counted.
func (s *site) listen(ctx context.Context, in *intake.Intake, l config.Listener, acks *ackDesk, events *prometheus.CounterVec) (*mllp.Server, net.Listener, error) {
	r, err := s.receiver(in, endpoint{name: l.Name, stage: "hl7/" + l.Name, charset: l.Charset, force: l.ForceCharset, acks: acks})
	if err != nil {
		return nil, nil, err
	}
	cfg := mllp.Config{
		Handler: mllp.ForReceiver(r), MaxFrame: int(l.MaxFrame), MaxConns: l.MaxConnections,
		Spool: s.spool, SpoolFrom: int(s.config.Intake.ClaimsFrom),
		IdleTimeout: l.IdleTimeout.D(), ReadTimeout: l.FrameTimeout.D(), FrameTimeout: l.FrameTimeout.D(), WriteTimeout: l.WriteTimeout.D(),
		Observe: func(e mllp.Event) {
			events.WithLabelValues(l.Name, e.Kind.String()).Inc()
			s.log.Log(ctx, mllpLevel(e.Kind), "mllp", "listener", l.Name, "event", e.Kind.String(), "peer", e.Peer, "bytes", e.Bytes, "err", e.Err)
		},
	}
	if l.TLS.Enabled() {
		if cfg.TLS, err = serverTLS(l.TLS); err != nil {
			return nil, nil, fmt.Errorf("hl7 listener %s: %w", l.Name, err)
		}
	}
	srv, err := mllp.New(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("hl7 listener %s: %w", l.Name, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("hl7 listener %s: %w (is the address taken? change hl7.listeners[].addr)", l.Name, err)
	}
	return srv, listener, nil
}

// mllpLevel is the level at which an event is logged: what a sender does wrong is for the
// operator to see.
func mllpLevel(k mllp.EventKind) slog.Level {
	switch k {
	case mllp.Opened, mllp.Closed, mllp.Received, mllp.Answered:
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func serverTLS(t config.TLS) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if t.ClientCA == "" {
		return cfg, nil
	}
	if cfg.ClientCAs, err = certPool(t.ClientCA); err != nil {
		return nil, err
	}
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	return cfg, nil
}

// addresses lists where messages are taken, for the start message.
func addresses(ls []config.Listener) string {
	out := make([]string, len(ls))
	for i, l := range ls {
		out[i] = l.Name + " " + l.Addr
	}
	return strings.Join(out, ", ")
}
