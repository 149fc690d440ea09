package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// walk is what the blocks told about the records of one store, in a few bits for each.
type walk struct {
	height  uint64
	batches bitsets // by sequence number in the store
	// speaking holds the signing key of each member at this point of the blocks.
	speaking map[string]smcrypto.PublicKey
}

// keys returns the keys under which a batch of a member may be signed at this point: the
// one that the last registration brought, because the contract hears no other. Where the
// blocks brought none, any key of the member counts.
func (w *walk) keys(msp string, m member) []smcrypto.PublicKey {
	if key, ok := w.speaking[msp]; ok {
		return []smcrypto.PublicKey{key}
	}
	return m.keys
}

// bitsets hold three facts for each sequence number.
type bitsets struct {
	seen      bitset // a batch in a block brought it
	bad       bitset // that batch failed
	unchecked bitset // that batch could not be checked
	twice     bitset // more than one batch brought it
}

// bitset is a set of sequence numbers. Numbers beyond maxSequence are not kept.
type bitset []uint64

const maxSequence = 1 << 32 // 512 MiB of bits: far beyond any store

func (b *bitset) add(n uint64) {
	if n >= maxSequence {
		return
	}
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, make([]uint64, max(64, len(*b)))...)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitset) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }

// walkBlocks reads every block, verifies the batches of the hospital, and reports records
// that the ledger has and the store lacks.
func (v *Verifier) walkBlocks(ctx context.Context, store Store, rep *Report, each func(RecordReport) error) (*walk, error) {
	w := &walk{speaking: map[string]smcrypto.PublicKey{}}
	if v.Blocks == nil {
		return w, nil
	}
	var err error
	if w.height, err = v.Blocks.Height(ctx); err != nil {
		return nil, fmt.Errorf("audit: height of the ledger: %w", err)
	}
	for n := range w.height {
		txs, err := v.Blocks.WriteSet(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("audit: read block %d: %w", n, err)
		}
		for _, tx := range txs {
			if !tx.Valid {
				continue
			}
			if err := v.transaction(ctx, w, store, tx, rep, each); err != nil {
				return nil, err
			}
		}
		rep.Blocks = n + 1
		v.report(w.height, rep)
	}
	return w, nil
}

// transaction verifies the batch that a transaction wrote, if it did.
func (v *Verifier) transaction(ctx context.Context, w *walk, store Store, tx Tx, rep *Report, each func(RecordReport) error) error {
	for _, kv := range tx.Writes {
		if kv.Key != "" && kv.Key[0] == memberFamily && !kv.Delete {
			if msp, key, ok := v.members.learn(kv.Value); ok {
				w.speaking[msp] = key
			}
		}
	}
	b, ok, err := batchOf(tx.Writes)
	if !ok || err == nil && v.Hospital != 0 && b.number != v.Hospital {
		return nil
	}
	result := failed(BatchMalformed)
	if err == nil {
		result = v.batch(ctx, w, store, b, tx.Payload)
	}
	rep.Batches.add(batchOutcome(result))
	return v.note(ctx, w, store, b, result, each)
}

func batchOutcome(c Check) Outcome { return RecordReport{Checks: Checks{Batch: c}}.Outcome() }

// batch verifies the hospital's signature over a batch header, and its root over the
// write set.
func (v *Verifier) batch(ctx context.Context, w *walk, store Store, b batch, payload []byte) Check {
	msp, m := v.members.byNumber(ctx, b.number)
	if m.fault != passed {
		return m.fault
	}
	if b.st.Actor != msp || b.st.Nonce != b.nonce {
		return failed(BatchMalformed)
	}
	for _, e := range b.entries {
		if e.ID.HospitalNumber() != b.number {
			return failed(OtherHospital)
		}
	}
	err := v.agree(func(p smcrypto.Provider) error {
		var err error
		for _, key := range w.keys(msp, m) {
			if err = p.Verify(key, evidence.SigningBytes(b.signed.Statement), b.signed.Signature); err == nil {
				return nil
			}
		}
		return err
	})
	switch {
	case errors.Is(err, errDisagree):
		return failed(ProvidersDisagree)
	case err != nil:
		return failed(SignatureBad)
	}
	entries := b.entries
	if uint32(len(entries)) < b.header.Count {
		// Records that were anchored before belong to the batch and were not written
		// again. If the ones found have the signed root, they are the right ones.
		entries = v.withEarlier(ctx, store, b, payload)
	}
	switch {
	case uint32(len(entries)) != b.header.Count && len(b.entries) < int(b.header.Count):
		return skipped(Duplicates)
	case !evidence.BatchRoot(entries).Equal(b.header.Root):
		return failed(RootDiffers)
	}
	return passed
}

// withEarlier adds the records of a batch that were anchored earlier, as the store has
// them. Those that it does not find are left out.
func (v *Verifier) withEarlier(ctx context.Context, store Store, b batch, payload []byte) []evidence.Entry {
	var receipt evidence.AnchorReceipt
	if len(payload) == 0 || json.Unmarshal(payload, &receipt) != nil || len(receipt.Duplicates) > evidence.MaxBatch {
		return b.entries
	}
	all := slices.Clone(b.entries)
	for _, id := range receipt.Duplicates {
		if item, err := store.Stat(ctx, record.ID(id)); err == nil {
			all = append(all, item.Entry())
		}
	}
	evidence.Sort(all)
	return all
}

// note marks the records of a batch and reports those that the store lacks.
func (v *Verifier) note(ctx context.Context, w *walk, store Store, b batch, result Check, each func(RecordReport) error) error {
	for _, e := range b.entries {
		item, err := store.Stat(ctx, record.ID(e.ID))
		switch {
		case errors.Is(err, recordstore.ErrNotFound):
			if v.Hospital == 0 {
				continue
			}
			if err := each(missing(e, result)); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("audit: look for record %s: %w", e.ID, err)
		}
		seq := item.Sequence()
		if w.batches.seen.has(seq) {
			w.batches.twice.add(seq)
		}
		w.batches.seen.add(seq)
		switch result.Status {
		case Failed:
			w.batches.bad.add(seq)
		case NotChecked:
			w.batches.unchecked.add(seq)
		}
	}
	return nil
}

// missing reports a record that the ledger has and the store lacks.
func missing(e evidence.Entry, batch Check) RecordReport {
	return RecordReport{ID: e.ID.String(), Checks: Checks{Ciphertext: failed(NotInStore), Anchor: passed,
		Pointer: skipped(Before), Batch: batch, Signature: skipped(Before), Digest: skipped(Before)}}
}

// batchCheck is what the walk found about the batch of one record.
func (w *walk) batchCheck(item recordstore.Item, anchor Check) Check {
	seq := item.Sequence()
	switch {
	case w.height == 0:
		return skipped(NoBlocks)
	case w.batches.bad.has(seq):
		return failed(BatchFailed)
	case w.batches.unchecked.has(seq):
		return skipped(BatchUnchecked)
	case w.batches.seen.has(seq):
		return passed
	case anchor != passed:
		return skipped(Before)
	case item.Anchor == nil || item.Anchor.Block >= w.height:
		return skipped(Later)
	}
	return failed(NotInBatch)
}
