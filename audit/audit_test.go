package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/audit"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) { retrievetest.VerifyTestMain(m) }

// blocks gives the write sets of the ledger in memory.
type blocks struct{ ledger *chaincodetest.Ledger }

func (b blocks) Height(context.Context) (uint64, error) {
	return uint64(len(b.ledger.Blocks())) + 1, nil
}

func (b blocks) WriteSet(_ context.Context, n uint64) ([]audit.Tx, error) {
	if n == 0 {
		return nil, nil
	}
	var out []audit.Tx
	for _, tx := range b.ledger.Blocks()[n-1] {
		t := audit.Tx{ID: tx.TxID, Valid: tx.Valid, Payload: tx.Payload}
		for _, w := range tx.Set.GetWrites() {
			t.Writes = append(t.Writes, audit.Write{Key: w.GetKey(), Value: w.GetValue(), Delete: w.GetIsDelete()})
		}
		out = append(out, t)
	}
	return out, nil
}

// bent is a store that was tampered with.
type bent struct {
	audit.Store
	bytes map[record.ID]func([]byte) []byte
	items map[record.ID]func(*recordstore.Item)
	gone  map[record.ID]bool
	err   error
}

func bend(s audit.Store) *bent {
	return &bent{Store: s, bytes: map[record.ID]func([]byte) []byte{}, items: map[record.ID]func(*recordstore.Item){}, gone: map[record.ID]bool{}}
}

func (b *bent) Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error) {
	if b.err != nil {
		return recordstore.Item{}, nil, b.err
	}
	item, r, err := b.Store.Open(ctx, id)
	if f := b.bytes[id]; err == nil && f != nil {
		data, rerr := io.ReadAll(r)
		return item, io.NopCloser(bytes.NewReader(f(data))), errors.Join(rerr, r.Close())
	}
	return item, r, err
}

func (b *bent) List(ctx context.Context, after uint64, limit int) ([]recordstore.Item, error) {
	all, err := b.Store.List(ctx, after, limit)
	var out []recordstore.Item
	for _, it := range all {
		if f := b.items[it.ID]; f != nil {
			f(&it)
		}
		if !b.gone[it.ID] {
			out = append(out, it)
		}
	}
	return out, err
}

func (b *bent) Stat(ctx context.Context, id record.ID) (recordstore.Item, error) {
	if b.gone[id] {
		return recordstore.Item{}, recordstore.ErrNotFound
	}
	item, err := b.Store.Stat(ctx, id)
	if f := b.items[id]; err == nil && f != nil {
		f(&item)
	}
	return item, err
}

// house is a hospital with three anchored records.
type house struct {
	*retrievetest.World
	*retrievetest.Hospital
	items []recordstore.Item
	tag   evidence.Tag
}

func newHouse(t *testing.T) *house {
	w := retrievetest.New(t, 1)
	h := &house{World: w, Hospital: w.Hospitals[0]}
	h.tag = h.Tag(retrievetest.Patient(1))
	var entries []evidence.Entry
	for _, text := range []string{"MSH|one", "MSH|two", "MSH|three"} {
		item := h.Put(h.tag, "ADT^A01", h.Seal(h.tag, h.NewRecord("ADT^A01", []byte(text))))
		h.items = append(h.items, item)
		entries = append(entries, item.Entry())
	}
	_, err := h.Anchor(entries...)
	require.NoError(t, err)
	return h
}

const benchRecords = 200

// benchHouse is a hospital with many records of 32 KiB.
func benchHouse(b *testing.B) *house {
	w := retrievetest.New(b, 1)
	h := &house{World: w, Hospital: w.Hospitals[0]}
	h.tag = h.Tag(retrievetest.Patient(1))
	var entries []evidence.Entry
	for range benchRecords {
		item := h.Put(h.tag, "ORU^R01", h.Seal(h.tag, h.NewRecord("ORU^R01", bytes.Repeat([]byte("x"), 32<<10))))
		entries = append(entries, item.Entry())
	}
	_, err := h.Anchor(entries...)
	require.NoError(b, err)
	return h
}

func roots(h *house) []*smcrypto.Certificate { return []*smcrypto.Certificate{h.Authority.Cert} }

func (h *house) verifier(t *testing.T, change func(*audit.Config)) *audit.Verifier {
	t.Helper()
	c := audit.Config{Ledger: h.Ledger, Roots: []*smcrypto.Certificate{h.Authority.Cert}, Blocks: blocks{h.Consortium.Ledger},
		Custody: h.Custody, Hospital: h.Number}
	if change != nil {
		change(&c)
	}
	v, err := audit.New(c)
	require.NoError(t, err)
	return v
}

func TestHonestStoreIsAllOK(t *testing.T) {
	h := newHouse(t)
	var seen int
	rep, err := h.verifier(t, nil).Store(context.Background(), h.Store, func(r audit.RecordReport) error {
		seen++
		assert.Equal(t, audit.AllOK, r.Outcome(), "%+v", r)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 3, seen)
	assert.Equal(t, audit.AllOK, rep.Outcome)
	assert.Equal(t, audit.Tally{Total: 3, OK: 3}, rep.Records)
	assert.Equal(t, audit.Tally{Total: 1, OK: 1}, rep.Batches)
	assert.Equal(t, []string{"gmsm", "tjfoc"}, rep.Providers)
	assert.Zero(t, rep.Outcome.ExitStatus())
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	ok := audit.Check{Status: audit.OK}
	fail := func(r audit.Reason) audit.Check { return audit.Check{Status: audit.Failed, Reason: r} }
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *house, s *bent)
		field func(audit.Checks) audit.Check
		want  audit.Check
	}{
		{"bit flip in the ciphertext", func(_ *testing.T, h *house, s *bent) {
			s.bytes[h.items[0].ID] = func(b []byte) []byte { b[len(b)-20] ^= 1; return b }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.CiphertextDiffers)},
		{"bit flip in the header's time", func(_ *testing.T, h *house, s *bent) {
			s.bytes[h.items[0].ID] = func(b []byte) []byte { b[53] ^= 1; return b }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.CiphertextDiffers)},
		{"header that is none", func(_ *testing.T, h *house, s *bent) {
			s.bytes[h.items[0].ID] = func(b []byte) []byte { b[0] ^= 1; return b }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.HeaderMalformed)},
		{"cut", func(_ *testing.T, h *house, s *bent) {
			s.bytes[h.items[0].ID] = func(b []byte) []byte { return b[:len(b)-1] }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.LengthDiffers)},
		{"longer", func(_ *testing.T, h *house, s *bent) {
			s.bytes[h.items[0].ID] = func(b []byte) []byte { return append(b, 0) }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.LengthDiffers)},
		{"swapped ciphertexts", func(t *testing.T, h *house, s *bent) {
			_, other, err := recordstore.ReadAll(context.Background(), h.Store, h.items[1].ID, 1<<20)
			require.NoError(t, err)
			s.bytes[h.items[0].ID] = func([]byte) []byte { return other }
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.HeaderDiffers)},
		{"another place in the store", func(_ *testing.T, h *house, s *bent) {
			s.items[h.items[0].ID] = func(it *recordstore.Item) { it.Pointer = []byte{9} }
		}, func(c audit.Checks) audit.Check { return c.Pointer }, fail(audit.PointerDiffers)},
		{"bytes that are gone", func(_ *testing.T, h *house, s *bent) {
			s.gone[h.items[0].ID] = true
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.NotInStore)},
		{"ledger state changed behind the contract", func(t *testing.T, h *house, _ *bent) {
			for _, key := range h.Keys() {
				if key[0] == 'm' {
					v := h.State(key)
					if string(v[40:]) == string(h.items[0].Pointer) {
						v[10] ^= 1
						h.Tamper(key, v)
					}
				}
			}
		}, func(c audit.Checks) audit.Check { return c.Ciphertext }, fail(audit.CiphertextDiffers)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			s := bend(h.Store)
			c.spoil(t, h, s)
			for _, keys := range []bool{true, false} {
				rep, err := h.verifier(t, func(c *audit.Config) {
					if !keys {
						c.Custody = nil
					}
				}).Store(context.Background(), s, nil)
				require.NoError(t, err)
				assert.Equal(t, audit.AnyFailed, rep.Outcome)
				assert.Equal(t, 1, rep.Outcome.ExitStatus())
				require.Len(t, rep.Found, 1, "one record is meant and no other")
				assert.Equal(t, h.items[0].ID.String(), rep.Found[0].ID)
				assert.Equal(t, c.want, c.field(rep.Found[0].Checks), "%+v", rep.Found[0])
				assert.Equal(t, audit.Tally{Total: 3, OK: 2, Failed: 1}, rep.Records)
				assert.Equal(t, ok, rep.Found[0].Checks.Batch)
			}
		})
	}
}

func TestForgedContentIsFoundWithKeys(t *testing.T) {
	h := newHouse(t)
	stranger, err := smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	forged := h.NewRecord("ADT^A01", []byte("MSH|forged"))
	a := h.Put(h.tag, "ADT^A01", h.SealAs(h.tag, forged, stranger, nil))
	misnamed := h.NewRecord("ADT^A01", []byte("MSH|misnamed"))
	misnamed.ID[5] ^= 1
	b := h.Put(h.tag, "ADT^A01", h.Seal(h.tag, misnamed))
	_, err = h.Anchor(a.Entry(), b.Entry())
	require.NoError(t, err)
	rep, err := h.verifier(t, nil).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	require.Len(t, rep.Found, 2)
	reasons := map[string]audit.Checks{rep.Found[0].ID: rep.Found[0].Checks, rep.Found[1].ID: rep.Found[1].Checks}
	assert.Equal(t, audit.SignatureBad, reasons[a.ID.String()].Signature.Reason)
	assert.Equal(t, audit.RecordIDDiffers, reasons[b.ID.String()].Digest.Reason)
}

func TestStoredButNotAnchored(t *testing.T) {
	h := newHouse(t)
	h.Put(h.tag, "ADT^A01", h.Seal(h.tag, h.NewRecord("ADT^A01", []byte("MSH|late"))))
	rep, err := h.verifier(t, nil).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome, "it waits for its anchor: %+v", rep.Found)
	rep, err = h.verifier(t, func(c *audit.Config) { c.PendingFor = 1 }).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
	assert.EqualValues(t, 1, rep.MissingOnLedger)
}

func TestABatchWithRecordsAnchoredEarlier(t *testing.T) {
	h := newHouse(t)
	item := h.Put(h.tag, "ADT^A01", h.Seal(h.tag, h.NewRecord("ADT^A01", []byte("MSH|four"))))
	receipt, err := h.Anchor(item.Entry(), h.items[0].Entry())
	require.NoError(t, err)
	require.Len(t, receipt.Duplicates, 1)
	rep, err := h.verifier(t, nil).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome, "%+v", rep.Found)
	assert.Equal(t, audit.Tally{Total: 2, OK: 2}, rep.Batches)
}

func TestErasedRecordIsNoFault(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, h.Custody.DestroyRecord(context.Background(), h.tag, h.items[0].Epoch, h.items[0].ID))
	var reasons []audit.Reason
	rep, err := h.verifier(t, nil).Store(context.Background(), h.Store, func(r audit.RecordReport) error {
		reasons = append(reasons, r.Checks.Signature.Reason)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome)
	assert.Contains(t, reasons, audit.Erased)
}

func TestSingleFile(t *testing.T) {
	h := newHouse(t)
	_, data, err := recordstore.ReadAll(context.Background(), h.Store, h.items[0].ID, 1<<20)
	require.NoError(t, err)
	path := t.TempDir() + "/record.emrs"
	require.NoError(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rep, err := h.verifier(t, nil).Single(context.Background(), f)
	require.NoError(t, err)
	assert.Equal(t, audit.AllOK, rep.Outcome, "%+v", rep.Found)
	require.Len(t, rep.Found, 1)
	data[len(data)-1] ^= 1
	rep, err = h.verifier(t, nil).Single(context.Background(), bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, audit.AnyFailed, rep.Outcome)
	rep, err = h.verifier(t, nil).Single(context.Background(), bytes.NewReader([]byte("no sealed record")))
	require.NoError(t, err)
	assert.Equal(t, audit.HeaderMalformed, rep.Found[0].Checks.Ciphertext.Reason)
}

// A ledger that does not answer leaves checks open; it must not look like success.
type silent struct{ audit.Ledger }

func (silent) Anchor(context.Context, evidence.Tag, evidence.RecordID) (evidence.Anchor, error) {
	return evidence.Anchor{}, errors.New("connection refused")
}

func TestUnreachableLedgerIsNeitherGoodNorBad(t *testing.T) {
	h := newHouse(t)
	rep, err := h.verifier(t, func(c *audit.Config) { c.Ledger, c.Blocks = silent{h.Ledger}, nil }).Store(context.Background(), h.Store, nil)
	require.NoError(t, err)
	assert.Equal(t, audit.Incomplete, rep.Outcome)
	assert.Equal(t, 2, rep.Outcome.ExitStatus())
}

func TestReportFormsAreStable(t *testing.T) {
	rep := audit.Report{Outcome: audit.AnyFailed, Hospital: 1, Providers: []string{"gmsm", "tjfoc"}, Blocks: 3, WithKeys: true,
		Records: audit.Tally{Total: 2, OK: 1, Failed: 1}, Batches: audit.Tally{Total: 1, OK: 1},
		Found: []audit.RecordReport{{ID: "00010000000000000000000000000000", Checks: audit.Checks{
			Ciphertext: audit.Check{Status: audit.Failed, Reason: audit.CiphertextDiffers}, Anchor: audit.Check{Status: audit.OK},
			Pointer: audit.Check{Status: audit.OK}, Batch: audit.Check{Status: audit.OK},
			Signature: audit.Check{Status: audit.NotChecked, Reason: audit.Before}, Digest: audit.Check{Status: audit.NotChecked, Reason: audit.Before}}}}}
	var out bytes.Buffer
	require.NoError(t, rep.WriteJSON(&out))
	golden(t, "report.json", out.Bytes())
	require.True(t, json.Valid(out.Bytes()))
	out.Reset()
	require.NoError(t, rep.WriteTable(&out))
	golden(t, "report.txt", out.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}
