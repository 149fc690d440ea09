package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/gateway/local"
)

// serveOwn opens the socket for the hospital's own commands; r is nil where this process
// serves no other hospitals.
func (s *site) serveOwn(ctx context.Context, group *errgroup.Group, p *bridge.Pipeline, r *retrieval) error {
	cfg := local.Config{Parked: p.Aside, Replayer: &replayer{site: s, intake: p.Intake}, Corrector: corrector{p.Intake}, Logger: s.log.With("part", "local")}
	if r != nil {
		cfg.Retriever, cfg.Desk, cfg.Releases, cfg.Projects = r.requester, r.desk, r.research, r.projects
	}
	own, err := local.NewServer(cfg)
	if err != nil {
		return err
	}
	socket, err := local.Listen(ctx, s.config.Gateway.Socket)
	if err != nil {
		return err
	}
	group.Go(func() error { return own.Serve(ctx, socket) })
	return nil
}

// replayer takes quarantined items in once more, as the endpoint would that refused them.
type replayer struct {
	site   *site
	intake *intake.Intake
}

// Replay implements local.Replayer. What is refused again stays where it is, once.
func (r *replayer) Replay(ctx context.Context, id string, req local.ReplayRequest) (local.ReplayResponse, error) {
	label, raw, err := r.site.quarantine.Show(ctx, id)
	if err != nil {
		return local.ReplayResponse{}, err
	}
	if label.Truncated {
		return local.ReplayResponse{}, local.ErrNotWhole
	}
	var out local.ReplayResponse
	switch label.Stage {
	case hipStage:
		out = r.site.replayPlatform(ctx, raw, label)
	case fhirStage:
		out = r.site.replayFHIR(ctx, raw, label)
	default:
		to, err := r.receiver(label, req.Charset)
		if err != nil {
			return local.ReplayResponse{}, err
		}
		out = replayAll(ctx, to, raw, label)
	}
	if out.Code == string(hl7.AppAccept) && !req.Keep {
		if err := r.site.quarantine.Remove(ctx, id); err != nil && !errors.Is(err, intake.ErrNotQuarantined) {
			r.site.log.Warn("an item was taken but stays in the quarantine", "id", id, "err", err)
		}
	}
	return out, nil
}

// receiver is that of the endpoint which refused the item, with what the operator changes.
// Its quarantine is left out: the item is there already.
func (r *replayer) receiver(label intake.Label, charset string) (*hl7.Receiver, error) {
	e := endpoint{name: "replay", stage: label.Stage, replay: true}
	e.charset, e.force = r.charset(label.Stage)
	if charset != "" {
		e.charset, e.force = charset, true
	}
	to, err := r.site.receiver(r.intake, e)
	if err != nil {
		return nil, err
	}
	to.Quarantine = nil
	return to, nil
}

// charset returns the charset of the endpoint that a stage of the quarantine names, and
// whether it counts whatever MSH-18 says.
func (r *replayer) charset(stageName string) (name string, force bool) {
	kind, endpoint, _ := strings.Cut(stageName, "/")
	for _, l := range r.site.config.HL7.Listeners {
		if kind == "hl7" && l.Name == endpoint {
			return l.Charset, l.ForceCharset
		}
	}
	for _, f := range r.site.config.HL7.Folders {
		if kind == "folder" && f.Name == endpoint {
			return f.Charset, f.ForceCharset
		}
	}
	if ls := r.site.config.HL7.Listeners; len(ls) > 0 {
		return ls[0].Charset, ls[0].ForceCharset
	}
	return "UTF-8", false
}

// replayAll takes one message, or all of a batch. The answer is that of the first message
// that was not taken.
func replayAll(ctx context.Context, to *hl7.Receiver, raw []byte, label intake.Label) local.ReplayResponse {
	messages := [][]byte{raw}
	if hl7.IsBatch(raw) {
		s := hl7.SplitMessages(raw)
		if err := s.CheckBatch(to.MaxBatch); err != nil {
			return local.ReplayResponse{Code: string(hl7.AppReject), ErrorCode: int(hl7.CodeSegmentSequence), Error: err.Error()}
		}
		messages = s.Messages()
	}
	var out local.ReplayResponse
	for _, m := range messages {
		v := to.Take(ctx, hl7.Incoming{Raw: m, Peer: "replay:" + label.Peer, ReceivedAt: receivedAt(label), Size: int64(len(m))})
		out = local.ReplayResponse{Code: string(v.Code), ControlID: v.Header.ControlID, Kind: v.Header.Kind()}
		if v.Fault != nil {
			out.ErrorCode, out.Error = int(v.Fault.Code), v.Fault.Diagnostics
		}
		if v.Code != hl7.AppAccept {
			return out
		}
	}
	return out
}

// receivedAt keeps the time at which an item first came.
func receivedAt(l intake.Label) time.Time {
	if l.ReceivedAt.IsZero() {
		return time.Now()
	}
	return l.ReceivedAt
}
