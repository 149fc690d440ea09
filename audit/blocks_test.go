package audit_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/audit"
	"github.com/emrbridge/emrbridge/evidence"
)

// edited are blocks as a dishonest peer shows them.
type edited struct {
	audit.Blocks
	change func(tx *audit.Tx)
	twice  bool
	err    error
}

func (e edited) WriteSet(ctx context.Context, n uint64) ([]audit.Tx, error) {
	txs, err := e.Blocks.WriteSet(ctx, n)
	if e.err != nil {
		return nil, e.err
	}
	for i := range txs {
		if e.change != nil {
			e.change(&txs[i])
		}
	}
	if e.twice {
		txs = append(txs, txs...)
	}
	return txs, err
}

// family edits the writes of one key family.
func family(letter byte, f func(*audit.Write)) func(*audit.Tx) {
	return func(tx *audit.Tx) {
		for i := range tx.Writes {
			if w := &tx.Writes[i]; w.Key[0] == letter {
				w.Value = bytes.Clone(w.Value)
				f(w)
			}
		}
	}
}

func TestBatchesThatDoNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		blocks edited
		want   audit.Check
	}{
		"anchor changed in the block":    {edited{change: family('m', func(w *audit.Write) { w.Value[12] ^= 1 })}, audit.Check{Status: audit.Failed, Reason: audit.BatchFailed}},
		"signature of the header spoilt": {edited{change: family('b', func(w *audit.Write) { w.Value[len(w.Value)-1] ^= 1 })}, audit.Check{Status: audit.Failed, Reason: audit.BatchFailed}},
		"transaction left out":           {edited{change: func(tx *audit.Tx) { tx.Valid = false }}, audit.Check{Status: audit.NotChecked, Reason: audit.Later}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c.blocks.Blocks = blocks{h.Consortium.Ledger}
			rep, err := h.verifier(t, func(cfg *audit.Config) { cfg.Blocks = c.blocks }).Store(context.Background(), h.Store, func(r audit.RecordReport) error {
				assert.Equal(t, c.want, r.Checks.Batch)
				return nil
			})
			require.NoError(t, err)
			assert.EqualValues(t, 3, rep.Records.Total)
			if c.want.Status == audit.Failed {
				assert.Equal(t, audit.AnyFailed, rep.Outcome)
				assert.EqualValues(t, 1, rep.Batches.Failed)
			}
		})
	}
}

func TestAnchoredTwiceIsFound(t *testing.T) {
	h := newHouse(t)
	rep, err := h.verifier(t, func(c *audit.Config) { c.Blocks = edited{Blocks: blocks{h.Consortium.Ledger}, twice: true} }).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
	assert.EqualValues(t, 3, rep.Doubled)
}

func TestRepeatedRecordsWithoutTheAnswerAreNotChecked(t *testing.T) {
	h := newHouse(t)
	item := h.Put(h.tag, "ADT^A01", h.Seal(h.tag, h.NewRecord("ADT^A01", []byte("MSH|four"))))
	_, err := h.Anchor(item.Entry(), h.items[0].Entry())
	require.NoError(t, err)
	rep, err := h.verifier(t, func(c *audit.Config) {
		c.Blocks = edited{Blocks: blocks{h.Consortium.Ledger}, change: func(tx *audit.Tx) { tx.Payload = nil }}
	}).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.Incomplete, rep.Outcome)
	// Naming a wrong record in the answer does not help.
	rep, err = h.verifier(t, func(c *audit.Config) {
		c.Blocks = edited{Blocks: blocks{h.Consortium.Ledger}, change: func(tx *audit.Tx) {
			tx.Payload = bytes.ReplaceAll(tx.Payload, []byte(h.items[0].ID.String()), []byte(h.items[1].ID.String()))
		}}
	}).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
}

func TestUnreadableBlocksAndStoresAreErrors(t *testing.T) {
	h := newHouse(t)
	down := errors.New("connection refused")
	_, err := h.verifier(t, func(c *audit.Config) { c.Blocks = edited{Blocks: blocks{h.Consortium.Ledger}, err: down} }).Store(context.Background(), h.Store, nil)
	require.ErrorIs(t, err, down)
	s := bend(h.Store)
	s.err = down
	rep, err := h.verifier(t, nil).Store(context.Background(), s, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.Incomplete, rep.Outcome, "single records that cannot be read")
	stop := errors.New("enough")
	_, err = h.verifier(t, nil).Store(context.Background(), h.Store, func(audit.RecordReport) error { return stop })
	require.ErrorIs(t, err, stop)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = h.verifier(t, nil).Store(ended, h.Store, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnotherHospitalsNumberIsNotAccepted(t *testing.T) {
	h := newHouse(t)
	rep, err := h.verifier(t, func(c *audit.Config) { c.Hospital = 2 }).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
	assert.Equal(t, audit.OtherHospital, rep.Found[0].Checks.Anchor.Reason)
	assert.NotZero(t, evidence.RecordID(h.items[0].ID).HospitalNumber())
}

// BenchmarkStore is the verification of one record of 32 KiB with keys and both libraries.
func BenchmarkStore(b *testing.B) {
	h := benchHouse(b)
	v, err := audit.New(audit.Config{Ledger: h.Ledger, Roots: roots(h), Custody: h.Custody})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		rep, err := v.Store(context.Background(), h.Store, nil)
		if err != nil || rep.Outcome != audit.AllOK {
			b.Fatal(err, rep.Found)
		}
	}
	b.ReportMetric(float64(b.N)*benchRecords/b.Elapsed().Seconds(), "records/s")
}
