package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// sealOverhead is how much larger a sealed record may be than its payload, in bytes.
const sealOverhead = 4 << 20

// open opens a sealed record of this hospital. index.ErrNotFound: the store has not got it
// yet. index.ErrGone: its key was destroyed.
func (v *View) open(ctx context.Context, id record.ID) (*record.Record, error) {
	item, data, err := recordstore.ReadAll(ctx, v.cfg.Store, id, v.cfg.MaxPayload+sealOverhead)
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil, index.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	key, err := v.cfg.Custody.RecordKey(ctx, keystore.Tag(item.Tag), item.Epoch, keystore.RecordID(id))
	if errors.Is(err, keystore.ErrDestroyed) || errors.Is(err, keystore.ErrNoKey) {
		return nil, fmt.Errorf("%w: %w", index.ErrGone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	hospital, err := v.cfg.Custody.Hospital(ctx)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	check := smcrypto.Check{Signer: hospital.SigningKey, Statement: statement}
	if v.cfg.Former != nil {
		if check.Former, err = v.cfg.Former(ctx); err != nil {
			return nil, fmt.Errorf("view: %w", err)
		}
	}
	opened, err := smcrypto.Open(v.cfg.Provider, key, data, check)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	return record.Parse(opened.EMR)
}

// statement rebuilds what the hospital signed, from the authenticated record.
func statement(_ smcrypto.Header, digest [smcrypto.DigestSize]byte, emr []byte) ([]byte, error) {
	r, err := record.Parse(emr)
	if err != nil {
		return nil, err
	}
	return evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
		EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: digest}.SigningBytes()
}
