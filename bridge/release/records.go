package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// sealOverhead is how much larger a sealed record may be than its payload, in bytes.
const sealOverhead = 4 << 20

// errGone says that a record cannot be opened any more, because its key was destroyed.
var errGone = errors.New("release: the record's key was destroyed")

// opener opens the hospital's own records with every check.
type opener struct {
	c      *Config
	check  smcrypto.Check
	number uint16
}

func (r *Releaser) opener(ctx context.Context) (*opener, error) {
	h, err := r.Vault.Hospital(ctx)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	o := &opener{c: &r.Config, check: smcrypto.Check{Signer: h.SigningKey, Statement: sealStatement}, number: h.Number}
	if r.Former != nil {
		if o.check.Former, err = r.Former(ctx); err != nil {
			return nil, fmt.Errorf("release: %w", err)
		}
	}
	return o, nil
}

func (o *opener) open(ctx context.Context, id record.ID) (*record.Record, error) {
	item, data, err := recordstore.ReadAll(ctx, o.c.Store, id, record.MaxPayload+sealOverhead)
	if err != nil {
		return nil, fmt.Errorf("release: record %s: %w", id, err)
	}
	key, err := o.c.Vault.RecordKey(ctx, keystore.Tag(item.Tag), item.Epoch, keystore.RecordID(id))
	if errors.Is(err, keystore.ErrDestroyed) || errors.Is(err, keystore.ErrNoKey) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("release: record %s: %w", id, err)
	}
	defer smcrypto.Zero(key[:])
	opened, err := smcrypto.Open(o.c.Provider, key, data, o.check)
	if err != nil {
		return nil, fmt.Errorf("release: record %s: %w", id, err)
	}
	return record.Parse(opened.EMR)
}

// sealStatement rebuilds what the hospital signed, from the authenticated record.
func sealStatement(_ smcrypto.Header, digest [smcrypto.DigestSize]byte, emr []byte) ([]byte, error) {
	r, err := record.Parse(emr)
	if err != nil {
		return nil, err
	}
	return evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
		EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: digest}.SigningBytes()
}
