package bus

import (
	"context"
	"path/filepath"
	"testing"
	"time"

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
