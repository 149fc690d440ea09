package trail_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

var update = flag.Bool("update", false, "write golden files")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func openIndex(t *testing.T, dir string) *trail.Index {
	t.Helper()
	x, err := trail.Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func id(i int) record.ID {
	return record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", ControlID: fmt.Sprint(i)})
}

// journey is the way of one record through all stages.
func journey(i int) []trail.Event {
	at := time.UnixMilli(1772323200000 + int64(i)*1000).UTC()
	base := trail.Event{At: at, Sender: "HIS|A", ControlID: fmt.Sprintf("MSG%d", i), Kind: "ADT^A01", Record: id(i).String()}
	var out []trail.Event
	for n, s := range []string{stage.Received, stage.Normalized, stage.Stored, stage.Anchored} {
		e := base
		e.Stage, e.At = s, at.Add(time.Duration(n)*time.Millisecond)
		if n >= 2 {
			e.Tag = fmt.Sprintf("%032x", i%3)
		}
		if n == 3 {
			e.Batch, e.Tx, e.Block = fmt.Sprintf("%032x", 7), "tx-7", 42
		}
		out = append(out, e)
	}
	return out
}

func TestFindByEveryID(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trail")
	x := openIndex(t, dir)
	for i := range 10 {
		_, err := x.Add(t.Context(), journey(i))
		require.NoError(t, err)
	}
	reader, err := trail.OpenReader(t.Context(), dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	one := journey(4)
	for name, q := range map[string]trail.Query{
		"control id": {ControlID: "MSG4"}, "with sender": {ControlID: "MSG4", Sender: "HIS|A"}, "record": {Record: id(4).String()},
	} {
		got, err := reader.Find(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, one, got, name)
	}
	for name, q := range map[string]struct {
		q       trail.Query
		records int
	}{
		"tag": {trail.Query{Tag: one[2].Tag}, 3}, "tx": {trail.Query{Tx: "tx-7"}, 10}, "batch": {trail.Query{Batch: one[3].Batch}, 10},
	} {
		got, err := reader.Find(t.Context(), q.q)
		require.NoError(t, err)
		require.Len(t, got, 4*q.records, name)
	}
	got, err := reader.Find(t.Context(), trail.Query{ControlID: "MSG4", Sender: "other"})
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = reader.Find(t.Context(), trail.Query{Sender: "HIS|A"})
	require.ErrorIs(t, err, trail.ErrQuery)
	_, err = reader.Add(t.Context(), one)
	require.Error(t, err, "a reader does not write")
	n, err := reader.Count(t.Context(), stage.Anchored)
	require.NoError(t, err)
	require.Equal(t, 10, n)
	for _, name := range []string{"MSG4", id(4).String(), "tx-7", one[2].Tag, one[3].Batch} {
		got, err := reader.Lookup(t.Context(), name)
		require.NoError(t, err)
		require.NotEmpty(t, got, name)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trail")
	x := openIndex(t, dir)
	_, err := x.Add(t.Context(), journey(1))
	require.NoError(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
}

func TestAddingAgainAddsNothing(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "trail"))
	for shift := range 3 {
		events := journey(1)
		for i := range events {
			events[i].At = events[i].At.Add(time.Duration(shift) * time.Hour) // done again later
		}
		_, err := x.Add(t.Context(), events)
		require.NoError(t, err)
	}
	got, err := x.Find(t.Context(), trail.Query{Record: id(1).String()})
	require.NoError(t, err)
	require.Equal(t, journey(1), got)
}

func TestParkedTwiceIsTwoEvents(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "trail"))
	e := journey(1)[0]
	e.Stage, e.Code = stage.Parked, "X"
	again := e
	again.At = e.At.Add(time.Minute)
	_, err := x.Add(t.Context(), []trail.Event{e, again, e})
	require.NoError(t, err)
	got, err := x.Find(t.Context(), trail.Query{Record: e.Record})
	require.NoError(t, err)
	require.Equal(t, []trail.Event{e, again}, got)
}

func TestReusedControlIDIsFoundWithoutTheLedger(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "trail"))
	first, second, flagged := journey(1)[0], journey(2)[0], journey(3)[0]
	second.ControlID = first.ControlID
	flagged.Code = stage.CodeReusedID
	found, err := x.Add(t.Context(), []trail.Event{first, second, first, flagged})
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, second.Record, found[0].Record)
	require.Equal(t, flagged.Record, found[1].Record)
	got, err := x.Find(t.Context(), trail.Query{ControlID: first.ControlID})
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, stage.Incident, got[2].Stage)
	found, err = x.Add(t.Context(), []trail.Event{second, flagged})
	require.NoError(t, err)
	require.Empty(t, found, "told once")
}

func TestGoldenJSON(t *testing.T) {
	b, err := json.MarshalIndent(journey(1), "", "  ")
	require.NoError(t, err)
	const golden = "testdata/journey.json"
	if *update {
		require.NoError(t, os.WriteFile(golden, append(b, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(b))
}

// failing fails as often as it is told to.
type failing struct {
	mu    sync.Mutex
	left  int
	index *trail.Index
}

func (f *failing) Add(ctx context.Context, e []trail.Event) ([]trail.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		f.left--
		return nil, errors.New("disk full")
	}
	return f.index.Add(ctx, e)
}

func TestWriterFollowsTheBusAndLosesNothing(t *testing.T) {
	key, err := smcrypto.ParseKey([]byte("busbusbusbusbusb"))
	require.NoError(t, err)
	b, err := bus.Open(t.Context(), bus.Config{Dir: filepath.Join(t.TempDir(), "bus"), Key: make([]byte, 32),
		Cipher: bus.NewCipher(smcrypto.Default(), key), Limits: topology.Limits{AckWait: time.Second}})
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close(context.Background())) }()
	x := openIndex(t, filepath.Join(t.TempDir(), "trail"))
	w := trail.NewWriter(trail.Deps{JetStream: b.JetStream(), Index: &failing{left: 2, index: x}})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })

	subjects := []string{topology.Received, topology.Normalized, topology.Stored, topology.Anchored}
	for n := range 25 {
		for i, e := range journey(n) {
			m := bus.Message{Subject: subjects[i], Body: []byte("body"), Meta: topology.Meta{Record: id(n), Stage: e.Stage, At: e.At,
				Sender: e.Sender, ControlID: e.ControlID, Kind: e.Kind, Tag: e.Tag, Batch: e.Batch, Tx: e.Tx, Block: e.Block}}
			require.NoError(t, b.Publish(t.Context(), m))
		}
	}
	require.Eventually(t, func() bool {
		n, err := x.Count(t.Context(), stage.Anchored)
		return err == nil && n == 25 && w.Ready() == nil
	}, 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		got, err := x.Find(t.Context(), trail.Query{ControlID: "MSG7"})
		return err == nil && assert.ObjectsAreEqual(journey(7), got)
	}, 20*time.Second, 50*time.Millisecond)
	stop()
	wg.Wait()
}

func BenchmarkAdd(b *testing.B) {
	x, err := trail.Open(b.Context(), filepath.Join(b.TempDir(), "trail"))
	require.NoError(b, err)
	defer func() { require.NoError(b, x.Close()) }()
	for i := 0; i < b.N; i += 128 {
		var events []trail.Event
		for j := range 128 {
			events = append(events, journey(i+j)...)
		}
		_, err := x.Add(b.Context(), events)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(4*b.N)/b.Elapsed().Seconds(), "events/s")
}
