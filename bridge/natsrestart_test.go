package bridge

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
)

func TestNATSRestartedUnderLoad(t *testing.T) {
	cfg := bus.ServerConfig{Dir: filepath.Join(t.TempDir(), "nats"), Key: []byte("0123456789abcdef0123456789abcdef"), Port: -1}
	server, err := bus.StartServer(cfg)
	require.NoError(t, err)
	url := server.URL()
	_, err = fmt.Sscanf(strings.TrimPrefix(url, "nats://127.0.0.1:"), "%d", &cfg.Port)
	require.NoError(t, err)
	defer func() { server.Stop() }()

	l := newLedger(t)
	r := newRig(t, l, options{urls: []string{url}})
	const patients, each = 12, 20
	var wg sync.WaitGroup
	for p := range patients {
		wg.Go(func() {
			for i := range each {
				for { // a sender repeats what was not acknowledged
					if _, err := r.pipeline.Intake.Submit(t.Context(), testMessage(p, i, "ok")); err == nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 2 {
		time.Sleep(100 * time.Millisecond)
		server.Stop()
		require.Eventually(t, func() bool {
			m := r.pipeline.Ready()
			return len(m) > 0 && m[0].Neighbour == "bus"
		}, 10*time.Second, 5*time.Millisecond)
		server, err = bus.StartServer(cfg)
		require.NoError(t, err)
	}
	wg.Wait()
	settled(t, r, patients*each)
	records, twice := l.counts()
	require.Equal(t, patients*each, records)
	require.Zero(t, twice)
	for tag, ids := range inStoreOrder(t, r) {
		require.Len(t, ids, each)
		numbers := map[string]int{}
		for p := range patients {
			for i := range each {
				numbers[idOf(testMessage(p, i, "ok")).String()] = i
			}
		}
		for i, id := range ids {
			require.Equal(t, i, numbers[id.String()], "order of %s", tag)
		}
	}
	require.Eventually(t, func() bool { return len(r.pipeline.Ready()) == 0 }, 20*time.Second, 20*time.Millisecond)
}
