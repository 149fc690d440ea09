// Package anchor is the last hop: T_M of each stored record onto the ledger.
//
//	emr.stored (T_M, T_R) ─▶ register the patient ─▶ anchor in batches ─▶ mark in the store ─▶ emr.anchored
//
// The steps, for each record; thousands are on their way at once, and the anchorer gathers
// those that arrive together into batches:
//
//  1. T_R of the patient is put on the ledger unless it is known to be there. Records of
//     other patients do not wait for it.
//  2. The ledger is told which tags belong together, if the record says so (see package
//     patientindex): before the record is found, it is found under the right tag.
//  3. The entry is handed to the anchorer and its receipt awaited. Anchoring an entry that
//     is there already is a quiet duplicate: the contract compares.
//  4. The store is told where the record is anchored, all records of a batch in one write.
//  5. The receipt goes on emr.anchored, then the input is acknowledged.
//
// A crash between any two steps repeats the steps before it, each of which does nothing the
// second time. The order of records does not matter here: a batch is a set, and what happened
// first is in the records themselves.
//
// A ledger that is away makes the whole stage wait; entries stay on emr.stored. An entry that
// the ledger refuses for its own sake (the id is taken by other content) is parked: it means
// two different sealed records under one id, which only tampering or a defect produces.
package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// Name is the name of the stage.
const Name = "anchor"

// Neighbours of the stage, as readiness names them.
const (
	NeighbourLedger = "ledger"
	NeighbourStore  = "record store"
)

// Reason codes. A refusal of the contract has its own code.
const (
	CodeMalformed  = "MALFORMED_BODY"
	CodeIDMismatch = "ID_MISMATCH"
	CodeAnchor     = "ANCHOR_FAILED"
	CodeNotInStore = "NOT_IN_STORE"
	// CodeRegistration marks a trail event: the ledger holds another T_R digest for the patient.
	CodeRegistration = "REGISTRATION_DIFFERS"
)

// anchorer puts entries on the ledger in batches; chainclient.Anchorer is one.
type anchorer interface {
	Anchor(ctx context.Context, e evidence.Entry) (chainclient.Receipt, error)
}

// registrar puts T_R and links of tags on the ledger; chainclient.Client is one. The same
// T_R again is no error.
type registrar interface {
	Submit(ctx context.Context, body evidence.Body) (chainclient.Commit, error)
}

// store is the part of the record store that anchoring uses.
type store interface {
	MarkAnchored(ctx context.Context, ids []record.ID, ref recordstore.AnchorRef) error
	Stats(ctx context.Context) (recordstore.Stats, error)
}

// Deps is what the stage needs.
type Deps struct {
	Anchorer  anchorer
	Registrar registrar
	Store     store
	Now       func() time.Time // nil: time.Now
}

// New returns the handler of the stage.
func New(d Deps) stage.Handler {
	if d.Now == nil {
		d.Now = time.Now
	}
	return &handler{d: d, patients: newPatients(d.Registrar), marks: newMarks(d.Store)}
}

type handler struct {
	d        Deps
	patients *patients
	marks    *marks
}

// Handle implements stage.Handler.
func (h *handler) Handle(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	body, err := seal.ParseStored(m.Body)
	if err != nil {
		return nil, stage.Park(CodeMalformed, err)
	}
	if record.ID(body.Entry.ID) != m.Meta.Record {
		return nil, stage.Park(CodeIDMismatch, fmt.Errorf("entry of %s travels as %s", body.Entry.ID, m.Meta.Record))
	}
	differs, err := h.patients.ensure(ctx, body.Entry.Tag, body.Registration)
	if err != nil {
		return nil, ledgerError(ctx, err)
	}
	unlinked, err := h.link(ctx, body.Links)
	if err != nil {
		return nil, err
	}
	receipt, err := h.d.Anchorer.Anchor(ctx, body.Entry)
	if err != nil {
		return nil, ledgerError(ctx, err)
	}
	now := h.d.Now().Truncate(time.Millisecond)
	ref := recordstore.AnchorRef{TxID: receipt.TxID, Block: receipt.Block, Batch: receipt.Batch, At: now.UnixMilli()}
	if err := h.marks.mark(ctx, m.Meta.Record, ref); err != nil {
		return nil, h.storeError(ctx, err)
	}
	meta := m.Meta
	meta.Stage, meta.Code, meta.At = stage.Anchored, "", now
	meta.Tag, meta.Batch, meta.Tx, meta.Block = body.Entry.Tag.String(), receipt.Batch.String(), receipt.TxID, receipt.Block
	out := []bus.Message{{Subject: topology.Anchored, Meta: meta}}
	for code, happened := range map[string]bool{CodeRegistration: differs, CodeLinkRefused: unlinked} {
		if happened {
			meta.Stage, meta.Code = stage.Incident, code
			out = append(out, bus.Message{Subject: topology.Trail, Meta: meta})
		}
	}
	return out, nil
}

// ledgerError sorts errors of the ledger: an entry that is refused for its own sake apart
// from a ledger that cannot be reached or does not accept us at present.
func ledgerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if chainclient.IsPoison(err) {
		code := CodeAnchor
		if r, ok := chainclient.RefusalOf(err); ok {
			code = string(r.Code)
		}
		return stage.Park(code, err)
	}
	if r, ok := chainclient.RefusalOf(err); ok && !waits(r.Code) {
		return stage.Retry(string(r.Code), err)
	}
	return stage.Unavailable(NeighbourLedger, err)
}

// waits lists refusals that concern this hospital and pass without the entry changing: a
// member not yet registered or suspended, a clock that is off.
func waits(c evidence.Code) bool {
	return c == evidence.CodeNotMember || c == evidence.CodeStale || c == evidence.CodeBadSignature
}

func (h *handler) storeError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, recordstore.ErrNotFound):
		return stage.Park(CodeNotInStore, err)
	case errors.Is(err, recordstore.ErrInvalid):
		return stage.Park(CodeAnchor, err)
	}
	return stage.Unavailable(NeighbourStore, err)
}
