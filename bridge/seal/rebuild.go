package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Rebuilder fills an empty patient index from the sealed records, in the order in which they
// were stored.
type Rebuilder struct {
	Custody  custody
	Store    recordstore.Store
	Patients patients
	Provider smcrypto.Provider // nil: the default one
	// Progress, if set, is told the number of records seen.
	Progress func(n int)
}

// Rebuilt is the outcome.
type Rebuilt struct {
	Records int // read
	Erased  int // their keys are destroyed: what they said is gone
	// Unreadable records are damaged or sealed under keys that this keystore lacks.
	Unreadable []record.ID
}

// Run reads all records. Errors are those of store, keystore, index and ctx.
func (b Rebuilder) Run(ctx context.Context) (Rebuilt, error) {
	if b.Provider == nil {
		b.Provider = smcrypto.Default()
	}
	var done Rebuilt
	seen := 0
	for it, err := range recordstore.All(ctx, b.Store) {
		if err != nil {
			return done, fmt.Errorf("seal: rebuild: %w", err)
		}
		r, err := b.read(ctx, it)
		switch {
		case ctx.Err() != nil:
			return done, ctx.Err()
		case errors.Is(err, keystore.ErrDestroyed):
			done.Erased++
		case err != nil:
			done.Unreadable = append(done.Unreadable, it.ID)
		default:
			if _, err := who(ctx, b.Custody, b.Patients, r); err != nil {
				return done, fmt.Errorf("seal: rebuild: record %s: %w", it.ID, err)
			}
			done.Records++
		}
		if seen++; b.Progress != nil {
			b.Progress(seen)
		}
	}
	return done, nil
}

// errRead ends the opening of a record once its envelope is known.
var errRead = errors.New("seal: envelope read")

// read opens a record under this hospital's own key, which authenticates it.
func (b Rebuilder) read(ctx context.Context, it recordstore.Item) (*record.Record, error) {
	key, err := b.Custody.RecordKey(ctx, it.Tag, it.Epoch, keystore.RecordID(it.ID))
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	_, sealed, err := b.Store.Open(ctx, it.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sealed.Close() }()
	var scan record.Scan
	var r *record.Record
	_, err = smcrypto.OpenStream(b.Provider, key, sealed, &scan, smcrypto.Check{
		Statement: func(h smcrypto.Header, _ [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			found, err := scan.Done()
			if err != nil {
				return nil, err
			}
			if found.Record.ID != it.ID || h.RecordID != it.ID {
				return nil, errors.New("sealed record stands under another id")
			}
			r = found.Record
			return nil, errRead
		}})
	if errors.Is(err, errRead) {
		return r, nil
	}
	return nil, errors.Join(err, errors.New("seal: the record does not open"))
}
