package view_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/bridge/view"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a view over a real keystore and a real store.
type rig struct {
	t     *testing.T
	dir   string
	keys  *keystore.File
	store *embedded.Store
	*view.View
	now    time.Time
	bodies func(string) (io.ReadCloser, error)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	ctx := context.Background()
	r := &rig{t: t, dir: t.TempDir(), now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	var err error
	r.keys, err = keystore.Create(ctx, filepath.Join(r.dir, "keys"), []byte("correct horse battery staple"),
		keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, r.keys.GenerateHospitalKeys(ctx))
	r.store, err = embedded.Open(ctx, filepath.Join(r.dir, "store"), embedded.Options{})
	require.NoError(t, err)
	r.open()
	t.Cleanup(func() { require.NoError(t, errors.Join(r.Close(), r.store.Close(), r.keys.Close())) })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.View, err = view.Open(context.Background(), view.Config{Dir: filepath.Join(r.dir, "view"), Custody: r.keys, Store: r.store, Now: func() time.Time { return r.now }, Bodies: r.bodies})
	require.NoError(r.t, err)
}

// crash ends the view and opens it again.
func (r *rig) crash() {
	r.t.Helper()
	require.NoError(r.t, r.Close())
	r.open()
}

const secret = "990101199003071237"

// version makes a version of a patient and its submission.
func version(id string, n int) (index.Submission, index.Entry) {
	raw := []byte(`{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"` + secret + `"}],"name":[{"text":"测试` + id + strings.Repeat("x", n) + `"}]}`)
	s := index.Submission{Raw: raw, Sender: "fhir/his", ControlID: fhir.ControlID("Patient", id, n), Kind: "Patient", ReceivedAt: time.UnixMilli(1_700_000_000_000)}
	s.Record = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID, Payload: raw})
	return s, index.Entry{Type: "Patient", ID: id, Version: n, Updated: time.UnixMilli(1_700_000_000_000 + int64(n)), Method: "PUT", Record: s.Record, Part: -1,
		Tokens: []index.Token{{Parameter: "identifier", System: "urn:oid:2.16.156.10011.1.3", Value: secret}}}
}

// put does what package rest does.
func (r *rig) put(id string, n int) index.Submission {
	r.t.Helper()
	s, e := version(id, n)
	require.NoError(r.t, r.Reserve(context.Background(), s, []index.Entry{e}))
	require.NoError(r.t, r.Commit(context.Background(), s.Record))
	return s
}

// pipeline stores a submission as the bridge does.
func (r *rig) pipeline(s index.Submission) {
	r.t.Helper()
	rec, err := fhir.NewMapper(fhir.MappingConfig{}).Map(fhir.Source{Raw: s.Raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID, ReceivedAt: s.ReceivedAt})
	require.NoError(r.t, err)
	require.Equal(r.t, s.Record, rec.ID, "the mapping names the record as the view does")
	emr, err := rec.Canonical()
	require.NoError(r.t, err)
	h := seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: r.keys, Store: r.store})
	_, err = h.Handle(context.Background(), bus.Message{Subject: topology.Normalized, Meta: topology.Meta{Record: rec.ID, Kind: rec.Kind}, Body: emr})
	require.NoError(r.t, err)
}

func TestReadAfterWriteAndFromTheStore(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	s := r.put("a", 1)
	got, err := r.Payload(ctx, s.Record)
	require.NoError(t, err)
	assert.Equal(t, s.Raw, got, "before the pipeline has it")
	n, err := r.Sweep(ctx)
	require.NoError(t, err)
	assert.Zero(t, n, "a copy stays until the store has the record")
	r.pipeline(s)
	n, err = r.Sweep(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	got, err = r.Payload(ctx, s.Record)
	require.NoError(t, err)
	assert.Equal(t, s.Raw, got, "from the sealed record")
}

func TestDestroyedKeysBlankTheView(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	s := r.put("a", 1)
	r.pipeline(s)
	_, err := r.Sweep(ctx)
	require.NoError(t, err)
	item, err := r.store.Stat(ctx, s.Record)
	require.NoError(t, err)
	require.NoError(t, r.keys.DestroyPatient(ctx, keystore.Tag(item.Tag)))
	_, err = r.Payload(ctx, s.Record)
	require.ErrorIs(t, err, index.ErrGone)
}

func TestACrashBetweenReserveAndCommitHeals(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	s, e := version("a", 1)
	require.NoError(t, r.Reserve(ctx, s, []index.Entry{e}))
	r.crash()
	_, err := r.Current(ctx, "Patient", "a")
	require.ErrorIs(t, err, index.ErrNotFound, "nobody sees what was not promised")
	var again []index.Submission
	submit := func(_ context.Context, m index.Submission) error { again = append(again, m); return nil }
	n, err := r.Heal(ctx, r.now, submit)
	require.NoError(t, err)
	assert.Zero(t, n, "a request may be about to commit it")
	r.now = r.now.Add(2 * time.Minute)
	_, err = r.Heal(ctx, r.now.Add(-time.Minute), func(context.Context, index.Submission) error { return errors.New("bus is away") })
	require.Error(t, err)
	n, err = r.Heal(ctx, r.now.Add(-time.Minute), submit)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	require.Len(t, again, 1)
	assert.Equal(t, s.Raw, again[0].Raw)
	assert.Equal(t, s.ControlID, again[0].ControlID, "the same record")
	got, err := r.Current(ctx, "Patient", "a")
	require.NoError(t, err)
	assert.Equal(t, s.Record, got.Record)
	n, err = r.Heal(ctx, r.now, submit)
	require.NoError(t, err)
	assert.Zero(t, n, "once")
}

// TestLargeContent: content in a claim is read there until it is sealed, submitted again
// after a crash, and forgotten where the crash came before it was on the bus.
func TestLargeContent(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	claims := map[string]string{}
	r.bodies = func(claim string) (io.ReadCloser, error) {
		if text, ok := claims[claim]; ok {
			return io.NopCloser(strings.NewReader(text)), nil
		}
		return nil, index.ErrNotFound
	}
	r.crash()
	var small index.Submission
	for _, id := range []string{"a", "b"} {
		s, e := version(id, 1)
		small = s
		claims[id] = string(s.Raw)
		s.Claim, s.Skeleton, s.Raw = id, []byte("{}"), nil
		require.NoError(t, r.Reserve(ctx, s, []index.Entry{e}))
		got, err := r.Payload(ctx, s.Record)
		require.NoError(t, err)
		require.Equal(t, claims[id], string(got))
	}
	delete(claims, "b")
	_, err := r.Payload(ctx, small.Record)
	require.ErrorIs(t, err, index.ErrNotFound)
	r.crash()
	var again []index.Submission
	r.now = r.now.Add(2 * time.Minute)
	n, err := r.Heal(ctx, r.now, func(_ context.Context, m index.Submission) error {
		if _, ok := claims[m.Claim]; !ok {
			return fmt.Errorf("taken away: %w", index.ErrNotFound)
		}
		again = append(again, m)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Len(t, again, 1)
	require.Equal(t, "{}", string(again[0].Skeleton))
	_, err = r.Current(ctx, "Patient", "a")
	require.NoError(t, err)
	_, err = r.Current(ctx, "Patient", "b")
	require.ErrorIs(t, err, index.ErrNotFound)
	r.pipeline(small)
	got, err := r.Payload(ctx, small.Record)
	require.NoError(t, err)
	require.Equal(t, small.Raw, got)
}

func TestWhatIsOnTheBusIsSeenWhateverTheRequestWasTold(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	s, e := version("a", 1)
	known, err := r.Confirm(ctx, s.Record)
	require.NoError(t, err)
	assert.False(t, known)
	require.NoError(t, r.Reserve(ctx, s, []index.Entry{e}))
	known, err = r.Confirm(ctx, s.Record) // the pipeline is faster than the request
	require.NoError(t, err)
	assert.True(t, known)
	require.NoError(t, r.Abandon(ctx, s.Record), "a request that gives up takes nothing back")
	got, err := r.Current(ctx, "Patient", "a")
	require.NoError(t, err)
	assert.Equal(t, 1, got.Version)
	n, err := r.Heal(ctx, r.now.Add(time.Hour), func(context.Context, index.Submission) error { return errors.New("not again") })
	require.NoError(t, err)
	assert.Zero(t, n)
}

func TestAbandonedVersionsAreFree(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	r.put("a", 1)
	s, e := version("a", 2)
	require.NoError(t, r.Reserve(ctx, s, []index.Entry{e}))
	require.ErrorIs(t, r.Reserve(ctx, s, []index.Entry{e}), index.ErrConflict)
	require.NoError(t, r.Abandon(ctx, s.Record))
	require.NoError(t, r.Abandon(ctx, s.Record))
	got, err := r.Current(ctx, "Patient", "a")
	require.NoError(t, err)
	assert.Equal(t, 1, got.Version)
	r.put("a", 2)
	got, err = r.Current(ctx, "Patient", "a")
	require.NoError(t, err)
	assert.Equal(t, 2, got.Version)
	list, err := r.History(ctx, "Patient", "a", 0, 10)
	require.NoError(t, err)
	assert.Len(t, list, 2)
}

func TestManyReservationsShareATransactionAndOneConflictFailsAlone(t *testing.T) {
	ctx, r := context.Background(), newRig(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	conflicts := 0
	for i := range 40 {
		wg.Go(func() {
			s, e := version("p", i/2+1) // each twice
			err := r.Reserve(ctx, s, []index.Entry{e})
			if errors.Is(err, index.ErrConflict) {
				mu.Lock()
				defer mu.Unlock()
				conflicts++
				return
			}
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.Equal(t, 20, conflicts)
}

func TestNothingPersonalLiesInTheClear(t *testing.T) {
	r := newRig(t)
	r.put("id-of-somebody", 1)
	page, err := r.Search(context.Background(), index.Query{Type: "Patient", Limit: 5,
		Tokens: [][]index.Token{{{Parameter: "identifier", Value: secret}}}})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	require.NoError(t, r.Close())
	for _, name := range []string{view.FileName, view.FileName + "-wal"} {
		data, err := os.ReadFile(filepath.Join(r.dir, "view", name))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, text := range []string{secret, "测试", "id-of-somebody", "2.16.156"} {
			assert.NotContains(t, string(data), text)
		}
	}
	r.open()
}

func TestKeepEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	s, e := version("a", 1)
	require.NoError(t, r.Reserve(context.Background(), s, []index.Entry{e}))
	r.now = r.now.Add(time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Keep(ctx, time.Millisecond, func(context.Context, index.Submission) error { return nil }, slog.New(slog.DiscardHandler))
	}()
	require.Eventually(t, func() bool {
		_, err := r.Current(context.Background(), "Patient", "a")
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	cancel()
	<-done
}
