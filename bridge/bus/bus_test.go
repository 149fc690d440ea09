package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var fileKey = []byte("0123456789abcdef0123456789abcdef")

func testCipher(t testing.TB) bus.Cipher {
	key, err := smcrypto.ParseKey([]byte("busbusbusbusbusb"))
	require.NoError(t, err)
	return bus.NewCipher(smcrypto.Default(), key)
}

func open(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	if cfg.Dir == "" && len(cfg.URLs) == 0 {
		cfg.Dir = filepath.Join(t.TempDir(), "bus")
	}
	cfg.Key, cfg.Cipher = fileKey, testCipher(t)
	b, err := bus.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t testing.TB, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, b.Close(ctx))
}

func message(subject string, i int) bus.Message {
	id := record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", ControlID: fmt.Sprint(i)})
	return bus.Message{Subject: subject, Meta: topology.Meta{Record: id, ControlID: fmt.Sprint(i), Lane: uint64(i)},
		Body: []byte(fmt.Sprintf("secret patient text %d", i))}
}

func fetch(t testing.TB, b *bus.Bus, stream, consumer string, n int) []bus.Message {
	t.Helper()
	c, err := b.JetStream().Consumer(t.Context(), stream, consumer)
	require.NoError(t, err)
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
	require.NoError(t, err)
	var out []bus.Message
	for m := range batch.Messages() {
		got, err := b.Decode(m.Subject(), m.Headers(), m.Data())
		require.NoError(t, err)
		out = append(out, got)
		require.NoError(t, m.DoubleAck(t.Context()))
	}
	return out
}

func TestPublishIsDurableAndComesBackWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := open(t, bus.Config{Dir: dir})
	want := message(topology.Received, 1)
	require.NoError(t, b.Publish(t.Context(), want))
	require.NoError(t, b.Ready())
	closeBus(t, b)

	again := open(t, bus.Config{Dir: dir})
	got := fetch(t, again, topology.StreamReceived, topology.ConsumerNormalize, 1)
	require.Equal(t, []bus.Message{want}, got)
}

func TestNothingLiesInTheClear(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bus")
	b := open(t, bus.Config{Dir: dir})
	for i := range 20 {
		require.NoError(t, b.Publish(t.Context(), message(topology.Received, i)))
	}
	closeBus(t, b)
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err == nil {
			assert.NotContains(t, string(data), "secret patient", path)
			assert.NotContains(t, string(data), "Emr-Record-Id", path)
		}
		return err
	}))
	require.Positive(t, files)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestConcurrentPublishesShareCommitsAndKeepEachCallersOrder(t *testing.T) {
	b := open(t, bus.Config{})
	const callers, each = 64, 8
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				assert.NoError(t, b.Publish(t.Context(), message(topology.Received, c*1000+i)))
			}
		})
	}
	wg.Wait()
	got := fetch(t, b, topology.StreamReceived, topology.ConsumerNormalize, callers*each)
	require.Len(t, got, callers*each)
	next := map[uint64]uint64{}
	for _, m := range got {
		c, i := m.Meta.Lane/1000, m.Meta.Lane%1000
		require.Equal(t, next[c], i, "caller %d", c)
		next[c]++
	}
}

func TestPublishBatchIsAllOrNothing(t *testing.T) {
	b := open(t, bus.Config{Limits: topology.Limits{ReceivedBytes: 64 << 10}})
	var msgs []bus.Message
	for i := range 10 {
		m := message(topology.Received, i)
		m.Body = make([]byte, 10<<10)
		msgs = append(msgs, m)
	}
	err := b.PublishBatch(t.Context(), msgs)
	require.ErrorIs(t, err, bus.ErrFull)
	require.NoError(t, b.PublishBatch(t.Context(), msgs[:4]))
	require.Len(t, fetch(t, b, topology.StreamReceived, topology.ConsumerNormalize, 4), 4)

	mixed := []bus.Message{message(topology.Received, 1), message(topology.Stored, 2)}
	require.ErrorContains(t, b.PublishBatch(t.Context(), mixed), "spans streams")
}

func TestFullRefusesAndTrimFrees(t *testing.T) {
	b := open(t, bus.Config{Limits: topology.Limits{ReceivedBytes: 64 << 10}, Heal: 50 * time.Millisecond})
	big := message(topology.Received, 1)
	big.Body = make([]byte, 20<<10)
	stored := 0
	var err error
	for err == nil && stored < 10 {
		if err = b.Publish(t.Context(), big); err == nil {
			stored++
		}
	}
	require.ErrorIs(t, err, bus.ErrFull)
	require.ErrorIs(t, b.Ready(), bus.ErrFull)
	time.Sleep(200 * time.Millisecond) // a full stream is no reason to restart the server
	require.ErrorIs(t, b.Ready(), bus.ErrFull)

	fetch(t, b, topology.StreamReceived, topology.ConsumerNormalize, stored)
	removed, err := b.Trim(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed, "the trail has not seen them yet")
	fetch(t, b, topology.StreamReceived, topology.ConsumerTrail, stored)
	require.Eventually(t, func() bool {
		n, err := b.Trim(t.Context())
		removed += n
		return err == nil && removed == uint64(stored)
	}, 5*time.Second, 20*time.Millisecond)
	require.NoError(t, b.Publish(t.Context(), big))
	require.NoError(t, b.Ready())
}

func TestTooLargeIsRefusedAndHarmsNobody(t *testing.T) {
	b := open(t, bus.Config{Limits: topology.Limits{MaxMessage: 1 << 20}})
	m := message(topology.Received, 1)
	m.Body = make([]byte, 1<<20+1)
	require.ErrorIs(t, b.Publish(t.Context(), m), bus.ErrTooLarge)
	m.Body = m.Body[:1<<20]
	require.NoError(t, b.Publish(t.Context(), m), "exactly the limit fits")
	require.NoError(t, b.Ready())
}

func TestMovedOrForeignBodiesDoNotOpen(t *testing.T) {
	b := open(t, bus.Config{})
	sent := message(topology.Received, 1)
	require.NoError(t, b.Publish(t.Context(), sent))
	c, err := b.JetStream().Consumer(t.Context(), topology.StreamReceived, topology.ConsumerNormalize)
	require.NoError(t, err)
	m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
	require.NoError(t, err)
	_, err = b.Decode(topology.Normalized, m.Headers(), m.Data())
	require.ErrorIs(t, err, bus.ErrSealed)
	h := message("", 2).Meta.Header()
	_, err = b.Decode(topology.Received, h, m.Data())
	require.ErrorIs(t, err, bus.ErrSealed)
	data := append([]byte{}, m.Data()...)
	data[len(data)-1] ^= 1
	_, err = b.Decode(topology.Received, m.Headers(), data)
	require.ErrorIs(t, err, bus.ErrSealed)
	for _, key := range []string{topology.HeaderControlID, topology.HeaderLane, topology.HeaderSender, topology.HeaderReceivedAt} {
		h := maps.Clone(m.Headers())
		h[key] = []string{"17"}
		_, err = b.Decode(topology.Received, h, m.Data())
		require.ErrorIs(t, err, bus.ErrSealed, key)
	}
	h = m.Headers()
	h[topology.HeaderCode] = []string{"SET_ASIDE"} // what a stage may write
	_, err = b.Decode(topology.Received, h, m.Data())
	require.NoError(t, err)
	h[topology.HeaderRecord] = []string{"nonsense"}
	_, err = b.Decode(topology.Received, h, m.Data())
	require.ErrorIs(t, err, topology.ErrHeader)
}

func TestExternalServerThatRestarts(t *testing.T) {
	cfg := bus.ServerConfig{Dir: filepath.Join(t.TempDir(), "nats"), Key: fileKey, Port: -1}
	s, err := bus.StartServer(cfg)
	require.NoError(t, err)
	url := s.URL()
	var port int
	_, err = fmt.Sscanf(strings.TrimPrefix(url, "nats://127.0.0.1:"), "%d", &port)
	require.NoError(t, err)
	b := open(t, bus.Config{URLs: []string{url}, CommitTimeout: 2 * time.Second})
	require.NoError(t, b.Publish(t.Context(), message(topology.Received, 1)))

	s.Stop()
	require.Eventually(t, func() bool { return b.Ready() != nil }, 5*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, b.Publish(t.Context(), message(topology.Received, 2)), bus.ErrUnavailable)

	cfg.Port = port
	s2, err := bus.StartServer(cfg)
	require.NoError(t, err)
	t.Cleanup(s2.Stop)
	require.Eventually(t, func() bool { return b.Publish(t.Context(), message(topology.Received, 3)) == nil },
		10*time.Second, 50*time.Millisecond)
	got := fetch(t, b, topology.StreamReceived, topology.ConsumerNormalize, 2)
	require.Equal(t, "1", got[0].Meta.ControlID)
	require.NoError(t, b.Ready())
}

func TestCloseRefusesAndLeavesNothing(t *testing.T) {
	b := open(t, bus.Config{})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for {
				if err := b.Publish(t.Context(), message(topology.Received, i)); err != nil {
					assert.True(t, errors.Is(err, bus.ErrClosed), "%v", err)
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	closeBus(t, b)
	wg.Wait()
	closeBus(t, b)
}

func TestConfigIsChecked(t *testing.T) {
	_, err := bus.Open(t.Context(), bus.Config{Cipher: testCipher(t)})
	require.ErrorContains(t, err, "either a folder")
	_, err = bus.Open(t.Context(), bus.Config{Dir: t.TempDir() + "/x", Key: fileKey})
	require.ErrorContains(t, err, "no cipher")
	_, err = bus.Open(t.Context(), bus.Config{Dir: t.TempDir() + "/x", Cipher: testCipher(t)})
	require.ErrorContains(t, err, "needs a key")
}

func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprint(callers, "callers"), func(b *testing.B) {
			bs := open(b, bus.Config{Dir: filepath.Join(b.TempDir(), "bus")})
			m := message(topology.Received, 1)
			m.Body = make([]byte, 1200)
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range callers {
				wg.Go(func() {
					for range (b.N + callers - 1 - c) / callers {
						if err := bs.Publish(b.Context(), m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
