package bus

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/topology"
)

// envFirstStart tells this test binary to be a site that is started for the first time.
const envFirstStart = "EMRBRIDGE_TEST_FIRST_START"

// TestKilledInTheFirstStart kills a process while it makes the streams. What is half made
// holds nothing that was acknowledged, and must not keep the next start from working.
func TestKilledInTheFirstStart(t *testing.T) {
	if dir := os.Getenv(envFirstStart); dir != "" {
		b := openFailing(t, dir)
		require.NoError(t, b.Publish(t.Context(), Message{Subject: topology.Received, Body: []byte("x")}))
		time.Sleep(time.Minute) // until killed
	}
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		dir := filepath.Join(t.TempDir(), "bus")
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledInTheFirstStart$") //nolint:gosec // this test itself
		child.Env = append(os.Environ(), envFirstStart+"="+dir)
		require.NoError(t, child.Start())
		after := 20*time.Millisecond + rand.N(400*time.Millisecond) //nolint:gosec // a moment needs no secret
		time.Sleep(after)
		require.NoError(t, child.Process.Kill())
		_ = child.Wait() // killed
		b := openFailing(t, dir)
		require.NoError(t, b.Publish(t.Context(), Message{Subject: topology.Received, Body: []byte("x")}), "killed after %v", after)
	}
}
