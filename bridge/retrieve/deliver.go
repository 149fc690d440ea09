package retrieve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// recheckAfter is how old a decision may be when keys leave, before the consents are read
// once more.
const recheckAfter = time.Second

// candidate is a record that was asked for, with what keeps it from being delivered.
type candidate struct {
	id     evidence.RecordID
	anchor evidence.Anchor
	item   recordstore.Item
	absent wire.AbsentCode // "" for a record that can be delivered
}

func (c candidate) covered() bool { return c.absent != wire.Withheld }

// choose finds the records that were asked for. Only records count that this hospital
// anchored under the tag of the request, or under a tag that the ledger shows as linked to it
// by this hospital, so that a consent of one patient never brings records of another.
func (d *delivery) choose(ctx context.Context) error {
	asked := d.terms.Records
	if len(d.req.Records) > 0 {
		for _, id := range d.req.Records {
			if len(asked) > 0 && !slices.Contains(asked, id) {
				return refuse(CodeForeign, errors.New("a record that the request on the ledger does not name"))
			}
		}
		asked = d.req.Records
	}
	anchors, err := d.anchors(ctx, asked)
	if err != nil {
		return err
	}
	if len(asked) == 0 {
		for id := range anchors {
			asked = append(asked, id)
		}
		slices.SortFunc(asked, compareIDs)
	}
	if len(asked) > wire.MaxItems {
		return refuse(CodeTooMany, nil)
	}
	d.wanted = d.wanted[:0]
	for _, id := range asked {
		c, err := d.candidate(ctx, id, anchors)
		if err == nil {
			err = d.proveKind(ctx, &c)
		}
		if err != nil {
			return err
		}
		if c.absent != "" || len(d.req.Kinds) == 0 || slices.Contains(d.req.Kinds, c.item.Kind) {
			d.wanted = append(d.wanted, c)
		}
	}
	return nil
}

// anchors returns this hospital's anchors under the tag and under those that it has linked to
// the tag: those asked for, or all.
func (d *delivery) anchors(ctx context.Context, asked []evidence.RecordID) (map[evidence.RecordID]evidence.Anchor, error) {
	wanted := make(map[evidence.RecordID]bool, len(asked))
	for _, id := range asked {
		wanted[id] = true
	}
	out := map[evidence.RecordID]evidence.Anchor{}
	err := d.Trust.anchors(ctx, d.terms.Tag, func(a evidence.Anchor) error {
		if a.ID.HospitalNumber() == d.Number && (len(asked) == 0 || wanted[a.ID]) {
			out[a.ID] = a
		}
		if len(out) > wire.MaxItems {
			return refuse(CodeTooMany, nil)
		}
		return nil
	})
	var refused *RefusedError
	if err != nil && !errors.As(err, &refused) {
		return nil, refuse(CodeLedger, err)
	}
	return out, err
}

func (d *delivery) candidate(ctx context.Context, id evidence.RecordID, anchors map[evidence.RecordID]evidence.Anchor) (candidate, error) {
	c := candidate{id: id}
	var ok bool
	if c.anchor, ok = anchors[id]; !ok {
		c.absent = wire.Foreign
		return c, nil
	}
	item, err := d.Store.Stat(ctx, record.ID(id))
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		c.absent = wire.NotStored
		return c, nil
	case errors.Is(err, recordstore.ErrCorrupt):
		c.absent = wire.Damaged
		return c, nil
	case err != nil:
		return c, refuse(CodeInternal, err)
	}
	c.item = item
	switch {
	case !d.decision.Covers(item.Kind):
		c.absent = wire.Withheld
	case item.Tag != c.anchor.Tag, !item.CipherHash.Equal(c.anchor.CipherHash), item.Size <= 0:
		c.absent = wire.Damaged
	}
	return c, nil
}

// deliver streams the records, has the delivery recorded and hands out the key grants.
func (d *delivery) deliver(ctx context.Context, flush func() error) error {
	book, err := d.issue(ctx)
	if err != nil {
		return err
	}
	both, cancel := context.WithCancel(ctx)
	recorded := make(chan error, 1)
	go func() { recorded <- d.record(both, book) }()
	sent, err := d.stream(both)
	if err == nil && flush != nil {
		err = flush()
	}
	if err != nil {
		cancel() // the requester is gone; the commit may stop where it is
	}
	commitErr := <-recorded
	cancel()
	if err != nil {
		return err
	}
	if code, _ := refusal(commitErr); code == evidence.CodeNoConsent || code == evidence.CodeNotMember {
		return &RefusedError{Code: CodeWithdrawn, Reason: string(code), Err: commitErr}
	} else if commitErr != nil {
		return refuse(CodeLedger, fmt.Errorf("commit the delivery: %w", commitErr))
	}
	return d.handOut(ctx, book, sent)
}

// handOut sends the key grants of the records that were sent. The consents are looked at
// again if the transfer took its time.
func (d *delivery) handOut(ctx context.Context, book *issued, sent []evidence.RecordID) error {
	if d.Now().Sub(d.decidedAt) > recheckAfter {
		if err := d.stillHolds(ctx); err != nil {
			return err
		}
	}
	for _, id := range sent {
		if err := d.out.Grant(wire.Grant{ID: id, Bytes: book.grants[id]}); err != nil {
			return err
		}
	}
	d.outcome.Delivered = len(sent)
	return d.out.End(len(sent) != len(book.grants))
}

// issue makes the key grants of the delivery, or finds those that the ledger knows.
func (d *delivery) issue(ctx context.Context) (*issued, error) {
	book, ok := d.kept.get(d.access.ID, d.Now().UnixMilli())
	if !ok && d.access.State == evidence.AccessDelivered {
		return nil, refuse(CodeGone, nil)
	}
	if !ok {
		book = &issued{grants: map[evidence.RecordID][]byte{}, notAfter: d.notAfter}
		for i := range d.wanted {
			if err := d.grant(ctx, &d.wanted[i], book); err != nil {
				return nil, err
			}
		}
		d.kept.put(d.access.ID, book)
		return book, nil
	}
	for i := range d.wanted {
		if c := &d.wanted[i]; c.absent == "" && book.grants[c.id] == nil {
			c.absent = wire.Withheld // not in the delivery that the ledger knows
		}
	}
	return book, nil
}

// grant wraps the key of one record to the requester.
func (d *delivery) grant(ctx context.Context, c *candidate, book *issued) error {
	if c.absent != "" {
		return nil
	}
	key, err := d.Custody.RecordKey(ctx, keystore.Tag(c.item.Tag), c.item.Epoch, keystore.RecordID(c.id))
	switch {
	case errors.Is(err, keystore.ErrDestroyed):
		c.absent = wire.Erased
		return nil
	case errors.Is(err, keystore.ErrNoKey):
		c.absent = wire.NoKey
		return nil
	case err != nil:
		return refuse(CodeInternal, fmt.Errorf("record key: %w", err))
	}
	defer clear(key[:])
	terms := grantTerms(d.access.ID, d.terms, d.requester, d.MSP, c.anchor)
	terms.Expiry = time.UnixMilli(d.notAfter)
	sign := func(msg []byte) ([]byte, error) { return d.Custody.Sign(ctx, msg) }
	encoded, err := smcrypto.NewGrant(d.Provider, terms, key, d.requester.Encrypt, sign)
	if err != nil {
		return refuse(CodeInternal, fmt.Errorf("key grant: %w", err))
	}
	book.grants[c.id] = encoded
	return nil
}

// grantTerms are what both sides hold a key grant against.
func grantTerms(access evidence.Nonce, r evidence.RequestAccess, requester Party, owner string, a evidence.Anchor) smcrypto.GrantTerms {
	return smcrypto.GrantTerms{
		RequestID: access, RecordID: a.ID, OwnerMSP: owner, RecipientMSP: requester.MSP,
		RecipientKey: requester.Encrypt.Fingerprint(), Purpose: string(r.Purpose), CipherDigest: a.CipherHash,
	}
}

// record puts the delivery on the ledger, once.
func (d *delivery) record(ctx context.Context, book *issued) error {
	if d.access.State == evidence.AccessDelivered {
		return nil
	}
	body := evidence.Deliver{Request: d.access.ID, Count: uint32(len(book.grants)), Grants: book.digest()}
	// The state of the request may lag behind on a peer that endorses.
	err := commit(ctx, d.Ledger, d.LedgerWait, body, evidence.CodeNotFound, evidence.CodeBadState)
	if err == nil {
		return nil
	}
	// A delivery whose outcome was not heard of may stand on the ledger all the same.
	if a, qerr := d.Ledger.Access(ctx, d.access.ID); qerr == nil && a.Delivery != nil && a.Delivery.Grants == body.Grants {
		return nil
	}
	return err
}

// stream sends the sealed records and returns the ids of those that went out whole.
func (d *delivery) stream(ctx context.Context) ([]evidence.RecordID, error) {
	var sent []evidence.RecordID
	for _, c := range d.wanted {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.absent != "" {
			d.outcome.Absent[c.absent]++
			if err := d.out.Absent(wire.Absent{ID: c.id, Code: c.absent}); err != nil {
				return nil, err
			}
			continue
		}
		err := d.send(ctx, c)
		var dropped *wire.DroppedError
		switch {
		case errors.As(err, &dropped):
			d.outcome.Absent[wire.Damaged]++
		case err != nil:
			return nil, err
		default:
			sent = append(sent, c.id)
		}
	}
	return sent, nil
}

func (d *delivery) send(ctx context.Context, c candidate) error {
	item, r, err := d.Store.Open(ctx, record.ID(c.id))
	if err != nil {
		// Stat found it a moment ago: to the requester it is a copy that fails.
		return errors.Join(&wire.DroppedError{Err: err}, d.out.Absent(wire.Absent{ID: c.id, Code: wire.Damaged}))
	}
	defer func() { _ = r.Close() }()
	return d.out.Record(wire.RecordHead{ID: c.id, Length: uint64(item.Size)}, io.Reader(r))
}
