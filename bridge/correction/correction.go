// Package correction lets an operator say who is who: merge two persons, or undo what a
// message joined. The operator's word takes the way of every message: durable on the bus,
// alone in the stage that files records, sealed and anchored as evidence, and found again
// when the patient index is rebuilt from the store.
package correction

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// MediaType is that of a correction.
const MediaType = "application/vnd.emrbridge.correction+json"

// Kinds of the records.
const (
	KindMerge   = "CORRECTION^MERGE"
	KindUnmerge = "CORRECTION^UNMERGE"
)

// sender names this program in records that it makes itself.
const sender = "emrbridge|operator"

// version is that of the JSON form.
const version = 1

// Bounds, in bytes.
const (
	maxText    = 512 // reason and operator
	maxPayload = 64 << 10
)

// ErrInvalid reports a correction that cannot be carried out. It quotes no number.
var ErrInvalid = errors.New("correction: invalid")

// Correction is what an operator says. It holds numbers of patients and redacts itself.
type Correction struct {
	// Of is the record whose joins or merges are undone. It stands alone.
	Of record.ID
	// Survivor and Prior are merged, if Of is zero.
	Survivor, Prior []record.Identifier
	// Reason says why, and Operator who; both are sealed with the record.
	Reason, Operator string
}

// LogValue implements slog.LogValuer.
func (c Correction) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("undo", !c.Of.IsZero()), slog.String("of", c.Of.String()))
}

func (c Correction) validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrInvalid, what) }
	merges := len(c.Survivor) > 0 || len(c.Prior) > 0
	switch {
	case c.Reason == "" || c.Operator == "":
		return bad("reason and operator are needed")
	case len(c.Reason) > maxText || len(c.Operator) > maxText:
		return bad(fmt.Sprintf("reason and operator have at most %d bytes", maxText))
	case c.Of.IsZero() != merges:
		return bad("give either the record whose joins are undone, or survivor and prior")
	case merges && (len(c.Survivor) == 0 || len(c.Prior) == 0):
		return bad("survivor or prior is missing")
	}
	return nil
}

// payload is the JSON form: what is sealed.
type payload struct {
	Version  int                `json:"version"`
	Merge    patientindex.Merge `json:"-"`
	Raw      json.RawMessage    `json:"merge"`
	Reason   string             `json:"reason"`
	Operator string             `json:"operator"`
	At       int64              `json:"at"` // Unix milliseconds
}

// Submission is the correction as a message, said at a time.
func (c Correction) Submission(now time.Time) (intake.Submission, error) {
	if err := c.validate(); err != nil {
		return intake.Submission{}, err
	}
	kind := KindMerge
	m := patientindex.Merge{Event: KindMerge, Survivor: c.Survivor, Prior: c.Prior}
	if !c.Of.IsZero() {
		kind = KindUnmerge
		m = patientindex.Merge{Event: KindUnmerge, Undo: true, Of: c.Of}
	}
	text, err := m.MarshalJSON()
	if err != nil {
		return intake.Submission{}, fmt.Errorf("correction: %w", err)
	}
	raw, err := json.Marshal(payload{Version: version, Raw: text, Reason: c.Reason, Operator: c.Operator, At: now.UnixMilli()})
	if err != nil {
		return intake.Submission{}, fmt.Errorf("correction: %w", err)
	}
	if len(raw) > maxPayload {
		return intake.Submission{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(raw), maxPayload)
	}
	return intake.Submission{Raw: raw, Sender: sender, ControlID: now.UTC().Format("20060102T150405.000000000Z"), Kind: kind,
		MediaType: MediaType, Charset: "UTF-8", ReceivedAt: now}, nil
}

// Parser reads corrections back from the bus.
func Parser(hospitalNumber uint16, hospitalMSP string) normalize.Parser {
	return func(_ context.Context, in normalize.Input) (*record.Record, error) {
		p, err := parse(in.Raw)
		if err != nil {
			return nil, err
		}
		kind := KindMerge
		if p.Merge.Undo {
			kind = KindUnmerge
		}
		r := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: hospitalMSP, Sender: in.Sender, ControlID: in.ControlID,
			Kind: kind, Author: p.Operator, EventTime: record.NewTime(time.UnixMilli(p.At).UTC(), record.Second, true),
			ReceivedAt: in.ReceivedAt.UnixMilli(), MediaType: in.MediaType, Charset: in.Charset, Confidentiality: record.Restricted,
			MappingVersion: "correction/1", Payload: in.Raw,
			Patient:  record.Patient{Identifiers: p.Merge.Survivor},
			Metadata: map[string]string{patientindex.MetadataKey: string(p.Raw), "reason": p.Reason}}
		r.ID = record.NewID(record.Origin{HospitalNumber: hospitalNumber, HospitalMSP: hospitalMSP, Sender: in.Sender, ControlID: in.ControlID, Payload: in.Raw})
		return r, nil
	}
}

func parse(raw []byte) (payload, error) {
	var p payload
	if len(raw) > maxPayload {
		return p, fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(raw), maxPayload)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || dec.More() {
		return p, fmt.Errorf("%w: not the JSON object that is expected", ErrInvalid)
	}
	if p.Version != version {
		return p, fmt.Errorf("%w: version %d, %d is known", ErrInvalid, p.Version, version)
	}
	list, err := patientindex.MergesOf(&record.Record{Metadata: map[string]string{patientindex.MetadataKey: string(p.Raw)}})
	if err != nil || len(list) != 1 {
		return p, fmt.Errorf("%w: its merge cannot be read", ErrInvalid)
	}
	p.Merge = list[0]
	return p, nil
}
