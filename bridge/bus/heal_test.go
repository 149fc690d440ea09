package bus

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func openFailing(t *testing.T, dir string) *Bus {
	t.Helper()
	key, err := smcrypto.ParseKey([]byte("busbusbusbusbusb"))
	require.NoError(t, err)
	b, err := Open(t.Context(), Config{Dir: dir, Key: []byte("0123456789abcdef"), Cipher: NewCipher(smcrypto.Default(), key),
		Heal: 200 * time.Millisecond, CommitTimeout: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

func TestServerThatStoppedIsStartedAgain(t *testing.T) {
	b := openFailing(t, filepath.Join(t.TempDir(), "bus"))
	m := Message{Subject: topology.Received, Body: []byte("x")}
	require.NoError(t, b.Publish(t.Context(), m))
	b.server.Stop()
	require.ErrorIs(t, b.Ready(), ErrUnavailable)
	require.Eventually(t, func() bool { return b.Publish(t.Context(), m) == nil && b.Ready() == nil }, 20*time.Second, 20*time.Millisecond)
	s, err := b.js.Stream(t.Context(), topology.StreamReceived)
	require.NoError(t, err)
	require.GreaterOrEqual(t, s.CachedInfo().State.Msgs, uint64(2))
}

// A server that does not stop still holds its files: nothing else may be started on them.
func TestServerThatDoesNotStopEndsTheBus(t *testing.T) {
	b := openFailing(t, filepath.Join(t.TempDir(), "bus"))
	let := make(chan struct{})
	halt := b.server.halt
	b.server.mu.Lock()
	b.server.patience = 100 * time.Millisecond
	b.server.halt = func(srv *server.Server) { <-let; halt(srv) }
	b.server.mu.Unlock()
	for range 3 {
		b.health.observe(topology.StreamReceived, ErrUnavailable)
		time.Sleep(200 * time.Millisecond)
	}
	select {
	case err := <-b.Dead():
		require.ErrorIs(t, err, ErrStuck)
	case <-time.After(10 * time.Second):
		require.Fail(t, "nobody is told")
	}
	require.ErrorIs(t, b.server.Restart(), ErrStuck)
	require.False(t, b.server.Healthy())
	close(let)
}

func TestCostLearns(t *testing.T) {
	var c cost
	for range 50 {
		c.observe(false, 10, 10*time.Millisecond) // 1 ms each
		c.observe(true, 10, 20*time.Millisecond)
	}
	require.False(t, c.batchPays(1))
	require.False(t, c.batchPays(10))
	require.True(t, c.batchPays(100))
	for range 2000 { // what is never chosen is tried again at last
		c.observe(false, 10, 10*time.Millisecond)
	}
	require.True(t, c.batchPays(10))
}
