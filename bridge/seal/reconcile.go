package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// publisher is the bus.
type publisher interface {
	Publish(ctx context.Context, m bus.Message) error
}

// keys is custody as reconciliation uses it.
type keys interface {
	custody
	Hospital(ctx context.Context) (keystore.Hospital, error)
}

// Reconciler puts records on emr.stored that the store holds without an anchor and that no
// message on the bus stands for: the bus was lost, restored or emptied.
type Reconciler struct {
	Custody  keys
	Store    recordstore.Store
	Bus      publisher
	Patients patients          // as in Deps
	Provider smcrypto.Provider // nil: the default one
	// OnBus reports whether a message for a record waits on emr.stored.
	OnBus func(record.ID) bool
}

// Reconciled is the outcome of a reconciliation.
type Reconciled struct {
	Recovered int // put back on the bus
	// Suspect records do not open under this hospital's keys and signature, so they are not
	// vouched for on the ledger. Somebody has to look.
	Suspect []record.ID
}

// Run reconciles records stored before a time; later ones are left to the stages at work.
// It is idempotent.
func (c Reconciler) Run(ctx context.Context, before time.Time) (Reconciled, error) {
	const page = 500
	var done Reconciled
	if c.Provider == nil {
		c.Provider = smcrypto.Default()
	}
	hospital, err := c.Custody.Hospital(ctx)
	if err != nil {
		return done, fmt.Errorf("seal: reconcile: %w", err)
	}
	for after := uint64(0); ; {
		items, err := c.Store.Unanchored(ctx, before, after, page)
		if err != nil {
			return done, fmt.Errorf("seal: reconcile: %w", err)
		}
		for _, it := range items {
			after = it.Sequence()
			if c.OnBus(it.ID) {
				continue
			}
			r, err := c.open(ctx, it, hospital.SigningKey)
			switch {
			case ctx.Err() != nil:
				return done, ctx.Err()
			case err != nil:
				done.Suspect = append(done.Suspect, it.ID)
				continue
			}
			if err := c.putBack(ctx, it, r); err != nil {
				return done, fmt.Errorf("seal: reconcile %s: %w", it.ID, err)
			}
			done.Recovered++
		}
		if len(items) < page {
			return done, nil
		}
	}
}

func (c Reconciler) putBack(ctx context.Context, it recordstore.Item, r *record.Record) error {
	p, err := filed(ctx, c.Custody, c.Patients, r, it.Tag)
	if err != nil {
		return err
	}
	meta := topology.Meta{Record: it.ID, Kind: it.Kind, Sender: r.Sender, ControlID: r.ControlID, MediaType: r.MediaType,
		ReceivedAt: time.UnixMilli(r.ReceivedAt)}
	m := storedMessage(meta, it, p, time.Now())
	m.Meta.Stage = stage.Recovered
	return c.Bus.Publish(ctx, m)
}

// open unseals what the store holds and checks it like a recipient would. The record comes
// without its payload, which is only read past.
func (c Reconciler) open(ctx context.Context, it recordstore.Item, signer smcrypto.PublicKey) (*record.Record, error) {
	_, sealed, err := c.Store.Open(ctx, it.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sealed.Close() }()
	key, err := c.Custody.RecordKey(ctx, it.Tag, it.Epoch, keystore.RecordID(it.ID))
	if err != nil {
		return nil, err
	}
	var scan record.Scan
	var r *record.Record
	digest := [smcrypto.DigestSize]byte(it.CipherHash)
	_, err = smcrypto.OpenStream(c.Provider, key, sealed, &scan, smcrypto.Check{Signer: signer, CipherDigest: &digest,
		Statement: func(h smcrypto.Header, emr [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			found, err := scan.Done()
			if err != nil {
				return nil, err
			}
			r = found.Record
			if r.ID != it.ID || h.RecordID != it.ID || h.Tag != it.Tag {
				return nil, errors.New("sealed record stands under another id or tag")
			}
			return statementOf(r, emr)
		}})
	return r, err
}
