package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/audit"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/recordstore"
)

// file seals, stores and anchors one more record with the hospital's present key.
func (h *house) file(t *testing.T, text string) {
	t.Helper()
	item := h.Put(h.tag, "ADT^A01", h.Seal(h.tag, h.NewRecord("ADT^A01", []byte(text))))
	_, err := h.Anchor(item.Entry())
	require.NoError(t, err)
	h.items = append(h.items, item)
}

func TestRecordsOfAMemberThatRenewedItsKeyStayGood(t *testing.T) {
	h := newHouse(t)
	h.Renew()
	h.file(t, "MSH|under the second key")
	h.Renew()
	h.file(t, "MSH|under the third key")
	for name, blocks := range map[string]audit.Blocks{"with blocks": blocks{h.Consortium.Ledger}, "with the ledger's list alone": nil} {
		rep, err := h.verifier(t, func(c *audit.Config) { c.Blocks = blocks }).Store(context.Background(), h.Store, func(r audit.RecordReport) error {
			assert.Equal(t, audit.OK, r.Checks.Signature.Status, name)
			return nil
		})
		require.NoError(t, err)
		assert.Zero(t, rep.Records.Failed, "%s: %+v", name, rep.Found)
		assert.EqualValues(t, 5, rep.Records.Total)
		if blocks != nil {
			assert.Equal(t, audit.AllOK, rep.Outcome)
			assert.Equal(t, audit.Tally{Total: 3, OK: 3}, rep.Batches)
		}
	}
	// One record alone: there are no blocks to learn from.
	_, data, err := recordstore.ReadAll(context.Background(), h.Store, h.items[0].ID, 1<<20)
	require.NoError(t, err)
	rep, err := h.verifier(t, nil).Single(context.Background(), bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome, "%+v", rep.Found)
}

// lister is a ledger whose peer changes what it shows of a member.
type lister struct {
	audit.Ledger
	change func(*evidence.Member)
}

func (l lister) Member(ctx context.Context, msp string) (evidence.Member, error) {
	m, err := l.Ledger.Member(ctx, msp)
	l.change(&m)
	return m, err
}

func TestEarlierRegistrationsMustVerify(t *testing.T) {
	for name, change := range map[string]func(*evidence.Member){
		"hidden":           func(m *evidence.Member) { m.Earlier = nil },
		"signature spoilt": func(m *evidence.Member) { m.Earlier[0].Signed.Signature[20] ^= 1 },
		"no statement":     func(m *evidence.Member) { m.Earlier[0].Signed.Statement = []byte("x") },
		"beyond the bound": func(m *evidence.Member) {
			for range evidence.MaxEarlier {
				m.Earlier = append([]evidence.Earlier{{Signed: m.Signed}}, m.Earlier...)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.Renew()
			rep, err := h.verifier(t, func(c *audit.Config) { c.Ledger, c.Blocks = lister{h.Ledger, change}, nil }).Store(context.Background(), h.Store, nil)
			require.NoError(t, err)
			assert.Equal(t, audit.AnyFailed, rep.Outcome)
			require.NotEmpty(t, rep.Found)
			assert.Equal(t, audit.SignatureBad, rep.Found[0].Checks.Signature.Reason)
		})
	}
}

// In the blocks the order says which key could speak: a batch under a former key, shown
// after the renewal, was never accepted by the contract.
func TestABatchUnderAFormerKeyAfterTheRenewalFails(t *testing.T) {
	h := newHouse(t)
	h.Renew()
	last := uint64(len(h.Blocks()))
	// The last two blocks are the batch and the renewal; the peer exchanges them.
	rep, err := h.verifier(t, func(c *audit.Config) {
		c.Blocks = reordered{blocks{h.Consortium.Ledger}, map[uint64]uint64{last: last - 1, last - 1: last}}
	}).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
	assert.Equal(t, audit.Tally{Total: 1, Failed: 1}, rep.Batches)
}

type reordered struct {
	audit.Blocks
	to map[uint64]uint64
}

func (r reordered) WriteSet(ctx context.Context, n uint64) ([]audit.Tx, error) {
	if to, ok := r.to[n]; ok {
		n = to
	}
	return r.Blocks.WriteSet(ctx, n)
}

// Blocks written before the contract kept the list still teach the earlier keys.
func TestBlocksWithoutTheListTeachTheEarlierKeys(t *testing.T) {
	h := newHouse(t)
	h.Renew()
	strip := func(w *audit.Write) {
		var m evidence.Member
		if json.Unmarshal(w.Value, &m) == nil {
			m.Earlier = nil
			w.Value, _ = json.Marshal(m)
		}
	}
	rep, err := h.verifier(t, func(c *audit.Config) {
		c.Ledger = lister{h.Ledger, func(m *evidence.Member) { m.Earlier = nil }}
		c.Blocks = edited{Blocks: blocks{h.Consortium.Ledger}, change: family('M', strip)}
	}).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome, "%+v", rep.Found)
}
