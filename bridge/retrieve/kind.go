package retrieve

import (
	"bytes"
	"context"
	"errors"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// errKindRead ends the opening of a record once its kind is known.
var errKindRead = errors.New("retrieve: kind read")

// proveKind opens a record to see that it is of the kind that the store says. The store
// keeps the kind in the clear, unsealed: whoever can write to it could otherwise make a
// consent for one kind reach another. It is needed only for consents that limit kinds.
func (d *delivery) proveKind(ctx context.Context, c *candidate) error {
	if c.absent != "" || len(d.decision.Kinds) == 0 {
		return nil
	}
	key, err := d.Custody.RecordKey(ctx, keystore.Tag(c.item.Tag), c.item.Epoch, keystore.RecordID(c.id))
	if err != nil {
		return nil // the grant asks for the same key and says what is the matter
	}
	defer clear(key[:])
	_, r, err := d.Store.Open(ctx, record.ID(c.id))
	if err != nil {
		return refuse(CodeInternal, err)
	}
	defer func() { _ = r.Close() }()
	var plain bytes.Buffer
	defer func() { clear(plain.Bytes()) }()
	kind := ""
	_, err = smcrypto.OpenStream(d.Provider, key, r, &plain, smcrypto.Check{
		// The tags of the segments prove the content under a key that only this hospital
		// has; the signature is for the requester to verify.
		Statement: func(h smcrypto.Header, _ [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			rec, err := record.Parse(plain.Bytes())
			if err != nil || h.RecordID != c.id || rec.ID != record.ID(c.id) {
				return nil, &failedCheck{CheckRecord}
			}
			kind = rec.Kind
			return nil, errKindRead
		},
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, errKindRead):
		c.absent = wire.Damaged
	case kind != c.item.Kind:
		c.absent = wire.Withheld
		if d.decision.Covers(kind) {
			c.absent = wire.Damaged // the store is wrong about it in any case
		}
	}
	return nil
}
