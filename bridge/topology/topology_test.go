package topology_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
)

func connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: filepath.Join(t.TempDir(), "js"), DontListen: true, NoSigs: true})
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(s))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func TestEnsure(t *testing.T) {
	js, ctx := connect(t), t.Context()
	limits := topology.Limits{ReceivedBytes: 1 << 20}
	require.NoError(t, topology.Ensure(ctx, js, limits))
	require.NoError(t, topology.Ensure(ctx, js, limits), "idempotent")

	limits.ReceivedBytes, limits.InFlight = 2<<20, 7
	require.NoError(t, topology.Ensure(ctx, js, limits), "limits change in place")
	s, err := js.Stream(ctx, topology.StreamReceived)
	require.NoError(t, err)
	assert.Equal(t, int64(2<<20), s.CachedInfo().Config.MaxBytes)
	assert.Equal(t, jetstream.DiscardNew, s.CachedInfo().Config.Discard)
	c, err := js.Consumer(ctx, topology.StreamReceived, topology.ConsumerNormalize)
	require.NoError(t, err)
	assert.Equal(t, 7, c.CachedInfo().Config.MaxAckPending)
	assert.Equal(t, -1, c.CachedInfo().Config.MaxDeliver)
}

func TestEnsureReportsDrift(t *testing.T) {
	js, ctx := connect(t), t.Context()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: topology.StreamStored, Subjects: []string{topology.Stored},
		Discard: jetstream.DiscardOld, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	err = topology.Ensure(ctx, js, topology.Limits{})
	require.ErrorIs(t, err, topology.ErrDrift)
	require.ErrorContains(t, err, topology.StreamStored)
	require.ErrorContains(t, err, "storage, discard policy")
}

func TestEverySubjectBelongsToItsStream(t *testing.T) {
	owner := map[string]string{}
	for _, s := range topology.Streams(topology.Limits{}) {
		for _, subject := range s.Config.Subjects {
			owner[subject] = s.Config.Name
		}
		assert.NotEmpty(t, s.Consumers, s.Config.Name)
		assert.Positive(t, s.Config.MaxBytes, "no stream is unbounded")
	}
	for _, subject := range []string{topology.Received, topology.Normalized, topology.Stored, topology.Anchored, topology.Trail} {
		assert.Equal(t, owner[subject], topology.StreamOf(subject))
	}
	assert.Equal(t, topology.StreamAside, topology.StreamOf(topology.ParkedSubject("seal", "00")))
	assert.Equal(t, topology.StreamReceipts, topology.StreamOf(topology.RejectedSubject("00")))
}

func sampleMeta() topology.Meta {
	return topology.Meta{
		Record: record.NewID(record.Origin{HospitalNumber: 3}), Sender: "检验|三院\r\nX: y", ControlID: "MSG 00001/α",
		Kind: "ADT^A01", MediaType: "x-application/hl7-v2+er7", Charset: "GB 18030-2000", Peer: "10.0.0.7:4711", Lane: 0xfedcba9876543210,
		ReceivedAt: time.UnixMilli(1772323200123), At: time.UnixMilli(1772323200456), Stage: "stored", Tag: "00ff",
		Code: "OK", Batch: "ab", Tx: "cd", Block: 17, Quarantine: "q", Origin: topology.Received,
	}
}

func TestMetaSurvivesItsHeaders(t *testing.T) {
	want := sampleMeta()
	h := want.Header()
	for k, v := range h {
		require.Len(t, v, 1)
		assert.NotContains(t, v[0], "\n", k)
		assert.NotContains(t, v[0], "\r", k)
	}
	got, err := topology.MetaOf(h)
	require.NoError(t, err)
	require.Equal(t, want, got)

	zero, err := topology.MetaOf(topology.Meta{}.Header())
	require.NoError(t, err)
	require.Equal(t, topology.Meta{}, zero)
}

func TestMetaCutsNames(t *testing.T) {
	h := topology.Meta{Sender: strings.Repeat("s", 5000), ControlID: strings.Repeat("c", 5000)}.Header()
	m, err := topology.MetaOf(h)
	require.NoError(t, err)
	assert.Len(t, m.Sender, topology.MaxName)
	assert.Len(t, m.ControlID, topology.MaxID)
}

func TestMetaRefuses(t *testing.T) {
	for key, value := range map[string]string{
		topology.HeaderRecord: "zz", topology.HeaderLane: "-1", topology.HeaderAt: "x", topology.HeaderReceivedAt: "99999999999999999999",
		topology.HeaderBlock: "0x1", topology.HeaderSender: "%zz", topology.HeaderControlID: strings.Repeat("c", 9999),
	} {
		h := sampleMeta().Header()
		h[key] = []string{value}
		_, err := topology.MetaOf(h)
		assert.ErrorIs(t, err, topology.ErrHeader, key)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add("Emr-Sender", "a%20b", "Emr-Lane", "ff")
	f.Add("Emr-Record-Id", "00", "Emr-At", "1")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		m, err := topology.MetaOf(nats.Header{k1: {v1}, k2: {v2}})
		if err != nil {
			return
		}
		again, err := topology.MetaOf(m.Header())
		require.NoError(t, err)
		if len(m.Sender) <= topology.MaxName && len(m.Kind) <= topology.MaxName {
			require.Equal(t, m.Record, again.Record)
			require.Equal(t, m.Lane, again.Lane)
			require.Equal(t, m.ControlID, again.ControlID)
		}
	})
}
