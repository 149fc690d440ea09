package seal_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func openClaims(t testing.TB, dir string) *claims.Store {
	t.Helper()
	key, err := smcrypto.ParseKey([]byte("master key of c."))
	require.NoError(t, err)
	s, err := claims.Open(dir, claims.Options{Keys: claims.Keys{Current: 1, Master: map[uint32]smcrypto.Key{1: key}}})
	require.NoError(t, err)
	return s
}

// endless gives n bytes that look like base64.
func endless(n int64) io.Reader { return io.LimitReader(new(repeat), n) }

type repeat struct{ at int }

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "ABCDefgh0123+/xyz"[(r.at+i)%17]
	}
	r.at += len(p)
	return len(p), nil
}

// claimed puts the payload of r, n bytes, into a claim and returns the message of the
// normalize stage that refers to it. r gets the id that belongs to it.
func (w *world) claimed(t testing.TB, r *record.Record, n int64) (*claims.Store, bus.Message) {
	t.Helper()
	cs := openClaims(t, filepath.Join(t.TempDir(), "claims"))
	c, err := cs.Take(t.Context(), endless(n))
	require.NoError(t, err)
	c.HandOver()
	r.Payload = nil
	r.ID = record.NewIDFromDigest(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: r.Sender, ControlID: r.ControlID}, c.Digest())
	prefix, err := r.CanonicalPrefix(n)
	require.NoError(t, err)
	body, err := claims.Reference{Claim: c.ID(), Size: n, Digest: c.Digest(), Head: prefix}.Encode()
	require.NoError(t, err)
	return cs, bus.Message{Subject: topology.Normalized, Body: body,
		Meta: topology.Meta{Record: r.ID, Sender: "HIS", ControlID: r.ControlID, Lane: 3, Claim: c.ID()}}
}

func (w *world) handler(cs *claims.Store) stage.Handler {
	return seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: w.store, Claims: cs})
}

func TestLargeBodyIsSealedLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	const n = 5<<20 + 123
	r := sample("1", record.Identifier{Type: record.ResidentID, Value: goodResident})
	cs, m := w.claimed(t, r, n)
	h := w.handler(cs)
	out, err := h.Handle(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, topology.Stored, out[0].Subject)
	require.Empty(t, out[0].Meta.Claim)
	require.Zero(t, cs.Stats().Files, "the claim is removed")
	r.Payload, err = io.ReadAll(endless(n))
	require.NoError(t, err)
	back := w.open(t, r.ID)
	require.True(t, bytes.Equal(r.Payload, back.Payload))
	r.Payload, back.Payload = nil, nil
	require.Equal(t, r, back)

	again, err := h.Handle(t.Context(), m) // the process died before it could say so
	require.NoError(t, err)
	require.Equal(t, out[0].Body, again[0].Body)
}

// open opens a stored record like a recipient does.
func (w *world) open(t testing.TB, id record.ID) *record.Record {
	t.Helper()
	item, data, err := recordstore.ReadAll(t.Context(), w.store, id, smcrypto.MaxEMRLength)
	require.NoError(t, err)
	hospital, err := w.keys.Hospital(t.Context())
	require.NoError(t, err)
	key, err := w.keys.RecordKey(t.Context(), item.Tag, item.Epoch, keystore.RecordID(id))
	require.NoError(t, err)
	digest := [32]byte(item.CipherHash)
	var r *record.Record
	_, err = smcrypto.Open(smcrypto.Default(), key, data, smcrypto.Check{Signer: hospital.SigningKey, CipherDigest: &digest,
		Statement: func(_ smcrypto.Header, emr [32]byte, body []byte) (msg []byte, err error) {
			if r, err = record.Parse(body); err != nil {
				return nil, err
			}
			return evidence.SealStatement{Record: evidence.RecordID(id), Hospital: "H1MSP", Kind: r.Kind, EMR: emr}.SigningBytes()
		}})
	require.NoError(t, err)
	return r
}

func TestLargeBodyThatIsGoneOrDamagedIsParked(t *testing.T) {
	w := newWorld(t)
	for name, spoil := range map[string]func(path string) error{
		"gone":    os.Remove,
		"cut":     func(p string) error { return os.Truncate(p, 100_000) },
		"altered": func(p string) error { return flipByte(p, 2_000_000) },
	} {
		dir := filepath.Join(t.TempDir(), "claims")
		cs := openClaims(t, dir)
		_, m := w.claimed(t, sample(name), 3<<20)
		ref, err := claims.ParseReference(m.Body)
		require.NoError(t, err)
		c, err := cs.Take(t.Context(), endless(3<<20))
		require.NoError(t, err)
		ref.Claim, m.Meta.Claim = c.ID(), c.ID()
		m.Body, err = ref.Encode()
		require.NoError(t, err)
		require.NoError(t, spoil(filepath.Join(dir, c.ID()+".claim")))
		_, err = w.handler(cs).Handle(t.Context(), m)
		var park *stage.ParkError
		require.ErrorAs(t, err, &park, name)
		require.Equal(t, seal.CodeClaim, park.Code, name)
	}
	stats, err := w.store.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Items)
}

func flipByte(path string, at int64) error {
	b, err := os.ReadFile(path)
	if err == nil {
		b[at] ^= 1
		err = os.WriteFile(path, b, 0o600)
	}
	return err
}

func TestLargeMessagesThatDoNotFitTheirReferenceAreParked(t *testing.T) {
	w := newWorld(t)
	cs, good := w.claimed(t, sample("1"), 2<<20)
	ref, err := claims.ParseReference(good.Body)
	require.NoError(t, err)
	encode := func(r claims.Reference) []byte {
		b, err := r.Encode()
		require.NoError(t, err)
		return b
	}
	for name, change := range map[string]func(*bus.Message){
		"no reference":   func(m *bus.Message) { m.Body = []byte("x") },
		"another claim":  func(m *bus.Message) { m.Meta.Claim = "00000000000000000000000000000000" },
		"another record": func(m *bus.Message) { m.Meta.Record[3] ^= 1 },
		"other size":     func(m *bus.Message) { r := ref; r.Size++; m.Body = encode(r) },
		"no envelope":    func(m *bus.Message) { r := ref; r.Head = []byte("x"); m.Body = encode(r) },
	} {
		m := good
		m.Body = bytes.Clone(good.Body)
		change(&m)
		_, err := w.handler(cs).Handle(t.Context(), m)
		var park *stage.ParkError
		require.ErrorAs(t, err, &park, name)
	}
	_, err = w.h.Handle(t.Context(), good)
	var park *stage.ParkError
	require.ErrorAs(t, err, &park, "no folder of claims")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.handler(cs).Handle(ctx, good)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, cs.Stats().Files, "nothing was removed")
}

func TestLargeBodyNeedsLittleMemory(t *testing.T) {
	w := newWorld(t)
	n := int64(32 << 20)
	if testing.Short() { // with the race detector
		n = 12 << 20
	}
	cs, m := w.claimed(t, sample("1"), n)
	h := w.handler(cs)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := h.Handle(t.Context(), m)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n/2), "allocated in all, not at a time")
}
