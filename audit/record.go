package audit

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// maxEMR bounds a record that is opened, in bytes.
const maxEMR = record.MaxPayload + 1<<20

// sealed makes all checks of one sealed record except batch. item is what the store says
// about it, nil for a single record. Errors are those of ctx.
func (v *Verifier) sealed(ctx context.Context, open source, item *recordstore.Item, rep *RecordReport) error {
	c := &rep.Checks
	if item != nil {
		rep.ID = item.ID.String()
	}
	h, sums, fault := v.scan(open, item)
	if err := ctx.Err(); err != nil {
		return err
	}
	if fault != passed {
		c.Ciphertext = fault
		c.Signature, c.Digest = skipped(Before), skipped(Before)
		if item == nil {
			c.Anchor = skipped(Before)
			return nil
		}
		// What the store says of it can still be held against the ledger.
		_, c.Anchor, c.Pointer = v.anchor(ctx, item.Tag, evidence.RecordID(item.ID), item)
		return ctx.Err()
	}
	rep.ID = evidence.RecordID(h.RecordID).String()
	entry, anchor, pointer := v.anchor(ctx, h.Tag, h.RecordID, item)
	if item != nil {
		c.Pointer = pointer
	}
	c.Anchor = anchor
	c.Ciphertext = compare(entry, sums, anchor)
	m := v.members.get(ctx, h.MSPID)
	if m.fault == passed && m.number != h.HospitalNumber {
		c.Anchor = failed(OtherHospital)
	}
	c.Signature, c.Digest = v.contents(ctx, open, h, m, c.Ciphertext)
	return ctx.Err()
}

// scan reads a sealed record once: header, length, and its digest by every provider.
func (v *Verifier) scan(open source, item *recordstore.Item) (smcrypto.Header, []evidence.Digest, Check) {
	r, err := open()
	if err != nil {
		return smcrypto.Header{}, nil, readFault(err)
	}
	defer func() { _ = r.Close() }()
	sums := make([]hash.Hash, len(v.Providers))
	sinks := make([]io.Writer, len(v.Providers))
	for i, p := range v.Providers {
		sums[i] = p.NewSM3()
		sinks[i] = sums[i]
	}
	in := &remember{r: io.TeeReader(r, io.MultiWriter(sinks...))}
	h, raw, err := smcrypto.ReadHeader(in)
	if err != nil {
		if in.err != nil {
			return h, nil, readFault(in.err)
		}
		return h, nil, failed(HeaderMalformed)
	}
	n, err := io.Copy(io.Discard, in)
	if err != nil {
		return h, nil, readFault(err)
	}
	if uint64(n)+uint64(len(raw)) != h.SealedLength() {
		return h, nil, failed(LengthDiffers)
	}
	if item != nil && (record.ID(h.RecordID) != item.ID || evidence.Tag(h.Tag) != item.Tag) {
		return h, nil, failed(HeaderDiffers)
	}
	out := make([]evidence.Digest, len(sums))
	for i, s := range sums {
		s.Sum(out[i][:0])
	}
	return h, out, passed
}

// remember keeps the error of a source apart from errors of what was read.
type remember struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (r *remember) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func readFault(err error) Check {
	switch {
	case errors.Is(err, recordstore.ErrCorrupt):
		return failed(CiphertextDiffers)
	case errors.Is(err, recordstore.ErrNotFound):
		return failed(NotInStore)
	}
	return skipped(StoreUnavailable)
}

// anchor looks a record up on the ledger and compares the pointer.
func (v *Verifier) anchor(ctx context.Context, tag evidence.Tag, id evidence.RecordID, item *recordstore.Item) (*evidence.Entry, Check, Check) {
	a, err := v.Ledger.Anchor(ctx, tag, id)
	var refusal *evidence.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Code == evidence.CodeNotFound:
		if item != nil && item.Anchor == nil && v.Now().UnixMilli()-item.StoredAt < v.PendingFor.Milliseconds() {
			return nil, skipped(Pending), skipped(Pending)
		}
		return nil, failed(NotAnchored), skipped(Before)
	case err != nil:
		return nil, skipped(LedgerUnavailable), skipped(LedgerUnavailable)
	}
	if a.ID != id || a.Tag != tag || a.HospitalNumber != id.HospitalNumber() {
		return nil, failed(NotAnchored), skipped(Before) // the answer to another question
	}
	pointer := skipped(NoStore)
	if item != nil {
		pointer = passed
		if !bytes.Equal(item.Pointer, a.Pointer) {
			pointer = failed(PointerDiffers)
		}
	}
	return &a.Entry, passed, pointer
}

// compare holds the digests of the bytes against the anchor.
func compare(entry *evidence.Entry, sums []evidence.Digest, anchor Check) Check {
	for _, s := range sums[1:] {
		if !s.Equal(sums[0]) {
			return failed(ProvidersDisagree)
		}
	}
	switch {
	case entry == nil && anchor.Status == NotChecked:
		return skipped(anchor.Reason)
	case entry == nil:
		return skipped(Before)
	case !entry.CipherHash.Equal(sums[0]):
		return failed(CiphertextDiffers)
	}
	return passed
}

// contents opens the record with every provider and verifies what is inside.
func (v *Verifier) contents(ctx context.Context, open source, h smcrypto.Header, m member, ciphertext Check) (signature, digest Check) {
	both := func(c Check) (Check, Check) { return c, c }
	switch {
	case v.Custody == nil:
		return both(skipped(NoKeys))
	case m.fault != passed:
		return m.fault, skipped(Before)
	case h.EMRLength > maxEMR:
		return both(failed(RecordMalformed))
	}
	key, err := v.Custody.RecordKey(ctx, h.Tag, h.Epoch, h.RecordID)
	switch {
	case errors.Is(err, keystore.ErrDestroyed):
		return both(skipped(Erased))
	case err != nil:
		return both(skipped(NoKey))
	}
	defer clear(key[:])
	first := openWith(v.Providers[0], open, key, h, m)
	for _, p := range v.Providers[1:] {
		other := openWith(p, open, key, h, m)
		if other != first {
			return both(failed(ProvidersDisagree))
		}
	}
	if first.signature.Status == Failed && ciphertext.Status == Failed {
		// Altered bytes cannot open; that is one fault, told once.
		return both(skipped(Before))
	}
	return first.signature, first.digest
}

// opened is what one provider found inside a record.
type opened struct {
	signature, digest Check
	sum               evidence.Digest // h(EMR)
}

// openWith opens the record with one provider, under any of the hospital's keys. The content
// is looked at as it passes: a record of any length needs little memory.
func openWith(p smcrypto.Provider, open source, key smcrypto.Key, h smcrypto.Header, m member) opened {
	out := opened{digest: skipped(Before)}
	r, err := open()
	if err != nil {
		out.signature = readFault(err)
		return out
	}
	defer func() { _ = r.Close() }()
	plain := &looker{}
	_, err = smcrypto.OpenStream(p, key, r, plain, smcrypto.Check{
		Signer: m.keys[0], Former: m.keys[1:],
		Statement: func(_ smcrypto.Header, sum [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			out.sum = sum
			rec, fault := content(&plain.scan, h)
			if out.digest = fault; rec == nil {
				return nil, errContent
			}
			return statement(rec, sum)
		},
	})
	switch {
	case err == nil:
		out.signature = passed
	case errors.Is(err, errContent):
		out.signature = skipped(Before)
	case errors.Is(err, smcrypto.ErrInvalidSignature):
		out.signature = failed(SignatureBad)
		if out.digest == passed {
			out.digest = skipped(DigestUncorrelated)
		}
	default:
		out.signature = failed(DoesNotOpen)
	}
	return out
}

var errContent = errors.New("audit: content of the record")

// looker scans a record as it is opened. What is no record is told at the end, so that bytes
// which do not open are reported as such.
type looker struct{ scan record.Scan }

// Write implements io.Writer.
func (l *looker) Write(p []byte) (int, error) {
	_, _ = l.scan.Write(p) // Done returns the error
	return len(p), nil
}

// content reads an opened record and derives its id again. The record, which comes without
// its payload, is nil if it cannot be read as one of this id.
func content(scan *record.Scan, h smcrypto.Header) (*record.Record, Check) {
	found, err := scan.Done()
	if err != nil || found.Record.ID != record.ID(h.RecordID) || found.Record.HospitalMSP != h.MSPID {
		return nil, failed(RecordMalformed)
	}
	if found.ID(h.HospitalNumber) != found.Record.ID {
		return found.Record, failed(RecordIDDiffers)
	}
	return found.Record, passed
}

// statement is what the hospital signed when it sealed the record.
func statement(r *record.Record, sum evidence.Digest) ([]byte, error) {
	return evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
		EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: sum}.SigningBytes()
}
