package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConsortiumNodesKilled kills nodes of the consortium under load. The hospital goes on
// acknowledging all the time, and anchors everything.
func TestConsortiumNodesKilled(t *testing.T) {
	leader := func(t *testing.T) string {
		o, err := w.net.Leader(t.Context())
		require.NoError(t, err)
		return o.Process
	}
	follower := func(t *testing.T) string {
		lead := leader(t)
		for _, o := range w.net.Orderers() {
			if o.Process != lead {
				return o.Process
			}
		}
		return ""
	}
	for _, c := range []struct {
		name     string
		facility string
		node     func(*testing.T) string
	}{
		{"own peer", "PEER", func(*testing.T) string { return w.net.Hospitals()[0].PeerProcess }},
		{"own contract process", "CONTRACT", func(*testing.T) string { return w.net.Hospitals()[0].ContractProcess }},
		{"an orderer", "ORDERER", follower},
		{"the leading orderer", "LEADER", leader},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.up(t, 1, nil)
			l := s.flow(t, c.facility, 50*time.Millisecond)
			eventually(t, "the load is on", func() bool { return l.acked.Load() > 30 })
			node := c.node(t)
			require.NoError(t, w.net.Kill(t.Context(), node))
			t.Logf("%s killed", node)
			killed, anchored := l.acked.Load(), len(w.anchored(t))
			eventually(t, "messages are acknowledged while it is away", func() bool { return l.acked.Load() > killed+30 })
			eventually(t, "records are anchored while it is away", func() bool { return len(w.anchored(t)) > anchored })
			require.NoError(t, w.net.Start(t.Context(), node))
			back := l.acked.Load()
			eventually(t, "messages are acknowledged when it is back", func() bool { return l.acked.Load() > back+30 })
			l.finish(t)
			// On an idle machine nobody sends anything again; a starved one may answer AE now and then.
			assert.LessOrEqual(t, l.again.Load(), l.acked.Load()/20, "the sender hardly notices")
			s.reconcile(t)
		})
	}
}
