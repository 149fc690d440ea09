package seal_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

const goodResident = "11010519491231002X"

type world struct {
	keys  *keystore.File
	store *embedded.Store
	h     stage.Handler
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	keys, err := keystore.Create(t.Context(), filepath.Join(dir, "keys"), []byte("correct horse battery"),
		keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, keys.GenerateHospitalKeys(t.Context()))
	store, err := embedded.Open(t.Context(), filepath.Join(dir, "store"), embedded.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, store.Close())
		require.NoError(t, keys.Close())
	})
	return &world{keys: keys, store: store,
		h: seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: keys, Store: store})}
}

func sample(control string, ids ...record.Identifier) *record.Record {
	r := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: "H1MSP", Sender: "HIS", ControlID: control, Kind: "ADT^A01",
		MediaType: "x/y", ReceivedAt: 1772323200000, Payload: []byte("payload " + control), Patient: record.Patient{Identifiers: ids}}
	r.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "HIS", ControlID: control, Payload: r.Payload})
	return r
}

func messageOf(t testing.TB, r *record.Record) bus.Message {
	t.Helper()
	emr, err := r.Canonical()
	require.NoError(t, err)
	return bus.Message{Subject: topology.Normalized, Body: emr, Meta: topology.Meta{Record: r.ID, Sender: "HIS", ControlID: r.ControlID, Lane: 3}}
}

func (w *world) sealed(t testing.TB, r *record.Record) seal.Stored {
	t.Helper()
	out, err := w.h.Handle(t.Context(), messageOf(t, r))
	require.NoError(t, err)
	require.Len(t, out, 1)
	require.Equal(t, topology.Stored, out[0].Subject)
	s, err := seal.ParseStored(out[0].Body)
	require.NoError(t, err)
	require.Equal(t, s.Entry.Tag.String(), out[0].Meta.Tag)
	return s
}

func TestSealedRecordOpensAndVerifies(t *testing.T) {
	w := newWorld(t)
	r := sample("1", record.Identifier{Type: record.ResidentID, Value: goodResident})
	s := w.sealed(t, r)
	item, data, err := recordstore.ReadAll(t.Context(), w.store, r.ID, 1<<20)
	require.NoError(t, err)
	require.True(t, s.Entry.Equal(item.Entry()))
	require.False(t, s.Registration.IsZero())
	hospital, err := w.keys.Hospital(t.Context())
	require.NoError(t, err)
	key, err := w.keys.RecordKey(t.Context(), item.Tag, item.Epoch, keystore.RecordID(r.ID))
	require.NoError(t, err)
	digest := [32]byte(s.Entry.CipherHash)
	for _, p := range smcrypto.Providers() {
		opened, err := smcrypto.Open(p, key, data, smcrypto.Check{Signer: hospital.SigningKey, CipherDigest: &digest,
			Statement: func(_ smcrypto.Header, emr [32]byte, _ []byte) ([]byte, error) {
				return evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: "H1MSP", Kind: r.Kind, EMR: emr}.SigningBytes()
			}})
		require.NoError(t, err, p.Name())
		back, err := record.Parse(opened.EMR)
		require.NoError(t, err)
		require.Equal(t, r, back)
	}
}

func TestSealingAgainAnchorsWhatIsStored(t *testing.T) {
	w := newWorld(t)
	r := sample("1", record.Identifier{Type: record.LocalPatient, Value: "P1"})
	first := w.sealed(t, r)
	require.Equal(t, first, w.sealed(t, r), "fresh nonces, same ciphertext")
}

func TestWhoARecordBelongsTo(t *testing.T) {
	w := newWorld(t)
	id := func(kind record.IdentifierType, value string) record.Identifier {
		return record.Identifier{Authority: "H1", Type: kind, Value: value}
	}
	tag := func(control string, ids ...record.Identifier) evidence.Tag {
		return w.sealed(t, sample(control, ids...)).Entry.Tag
	}
	resident := tag("1", id(record.LocalPatient, "P1"), id(record.ResidentID, goodResident))
	require.Equal(t, resident, tag("2", id(record.ResidentID, " 11010519491231002x ")), "the resident number names a person everywhere")
	localTag := tag("3", id(record.LocalPatient, "P2"))
	require.NotEqual(t, resident, localTag)
	require.Equal(t, localTag, tag("4", id(record.InpatientNo, "ZY9"), id(record.LocalPatient, "P2")), "the person before the visit")
	require.Equal(t, localTag, tag("5", id(record.ResidentID, "110105194912310021"), id(record.LocalPatient, "P2")), "a bad check digit is passed over")
	bad := tag("6", id(record.ResidentID, "110105194912310021"))
	require.Equal(t, bad, tag("7", id(record.ResidentID, "110105194912310021")), "alone it still is a name")
	require.NotEqual(t, tag("8"), tag("9"), "records without a patient stand alone")
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	good := messageOf(t, sample("1"))
	broken, moved := good, good
	broken.Body = good.Body[:len(good.Body)-1]
	moved.Meta.Record[7] ^= 1
	foreign := sample("2")
	foreign.HospitalMSP = "H2MSP"
	for code, m := range map[string]bus.Message{seal.CodeUnreadable: broken, seal.CodeIDMismatch: moved, seal.CodeForeign: messageOf(t, foreign)} {
		_, err := w.h.Handle(t.Context(), m)
		require.Equal(t, code, stage.CodeOf(err), "%v", err)
	}
}

// failingStore answers puts with an error.
type failingStore struct {
	recordstore.Store
	put, stats error
}

func (f failingStore) PutStream(_ context.Context, _ recordstore.Draft, r io.Reader) (recordstore.Item, bool, error) {
	_, _ = io.CopyN(io.Discard, r, 1<<20)
	return recordstore.Item{}, false, f.put
}

func (f failingStore) Stat(context.Context, record.ID) (recordstore.Item, error) {
	return recordstore.Item{}, recordstore.ErrNotFound
}

func (f failingStore) Put(context.Context, recordstore.Draft, []byte) (recordstore.Item, bool, error) {
	return recordstore.Item{}, false, f.put
}

func (f failingStore) Stats(context.Context) (recordstore.Stats, error) {
	return recordstore.Stats{}, f.stats
}

func TestStoreErrorsAreSorted(t *testing.T) {
	w := newWorld(t)
	odd := errors.New("odd")
	for name, c := range map[string]struct {
		store failingStore
		want  any
	}{
		"full": {failingStore{put: recordstore.ErrFull}, new(*stage.UnavailableError)}, "closed": {failingStore{put: recordstore.ErrClosed}, new(*stage.UnavailableError)},
		"too large": {failingStore{put: recordstore.ErrTooLarge}, new(*stage.ParkError)}, "invalid": {failingStore{put: recordstore.ErrInvalid}, new(*stage.ParkError)},
		"uncertain":       {failingStore{put: recordstore.ErrUncertain}, new(*stage.RetryError)},
		"odd, store well": {failingStore{put: odd}, new(*stage.RetryError)}, "odd, store ill": {failingStore{put: odd, stats: odd}, new(*stage.UnavailableError)},
	} {
		h := seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: c.store})
		_, err := h.Handle(t.Context(), messageOf(t, sample("1")))
		require.ErrorAs(t, err, c.want, name)
		cs, m := w.claimed(t, sample("1"), 3<<20)
		h = seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: c.store, Claims: cs})
		_, err = h.Handle(t.Context(), m)
		require.ErrorAs(t, err, c.want, "large, %s", name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.h.Handle(ctx, messageOf(t, sample("1")))
	require.ErrorIs(t, err, context.Canceled)
}

func TestClosedKeystoreIsANeighbourAway(t *testing.T) {
	w := newWorld(t)
	m := messageOf(t, sample("1"))
	require.NoError(t, w.keys.Close())
	_, err := w.h.Handle(t.Context(), m)
	var away *stage.UnavailableError
	require.ErrorAs(t, err, &away)
	require.Equal(t, seal.NeighbourKeystore, away.Neighbour)
}

type sink struct{ got []bus.Message }

func (s *sink) Publish(_ context.Context, m bus.Message) error {
	s.got = append(s.got, m)
	return nil
}

func TestReconcileVouchesOnlyForWhatOpens(t *testing.T) {
	w, out := newWorld(t), &sink{}
	good, onBus := sample("1"), sample("2")
	first := w.sealed(t, good)
	w.sealed(t, onBus)
	// Whoever can write into the store has put other bytes under an id of ours.
	forged := sample("3")
	junk := []byte("not sealed by us")
	_, _, err := w.store.Put(t.Context(), recordstore.Draft{ID: forged.ID, Tag: first.Entry.Tag, Kind: "X", Epoch: 1, SealedAt: 1,
		CipherHash: smcrypto.Default().SM3(junk)}, junk)
	require.NoError(t, err)
	c := seal.Reconciler{Custody: w.keys, Store: w.store, Bus: out, OnBus: func(id record.ID) bool { return id == onBus.ID }}
	done, err := c.Run(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, seal.Reconciled{Recovered: 1, Suspect: []record.ID{forged.ID}}, done)
	require.Len(t, out.got, 1)
	back, err := seal.ParseStored(out.got[0].Body)
	require.NoError(t, err)
	require.Equal(t, first, back)
	require.Equal(t, stage.Recovered, out.got[0].Meta.Stage)
	done, err = c.Run(t.Context(), time.Unix(0, 0))
	require.NoError(t, err)
	require.Zero(t, done.Recovered, "later records are left to the stages")
}

func FuzzStored(f *testing.F) {
	f.Add(seal.Stored{Entry: evidence.Entry{ID: evidence.RecordID{1}, Pointer: []byte{7}}}.Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := seal.ParseStored(b)
		if err != nil {
			require.ErrorIs(t, err, evidence.ErrMalformed)
			return
		}
		require.Equal(t, b, s.Encode())
	})
}

func BenchmarkSeal32KB(b *testing.B) {
	w := newWorld(b)
	r := sample("1", record.Identifier{Type: record.ResidentID, Value: goodResident})
	r.Payload = make([]byte, 32<<10)
	h := seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: nowhere{}})
	m := messageOf(b, r)
	b.SetBytes(int64(len(m.Body)))
	for b.Loop() {
		if _, err := h.Handle(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere stores nothing, so that the benchmark shows sealing alone.
type nowhere struct{ recordstore.Store }

func (nowhere) Put(_ context.Context, d recordstore.Draft, data []byte) (recordstore.Item, bool, error) {
	return recordstore.Item{ID: d.ID, Tag: d.Tag, CipherHash: d.CipherHash, Pointer: []byte{1}}, true, nil
}

func (nowhere) Stats(context.Context) (recordstore.Stats, error) { return recordstore.Stats{}, nil }
