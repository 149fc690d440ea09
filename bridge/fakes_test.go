package bridge

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/guard"
)

// hanging is a ledger that never answers.
type hanging struct{ begun chan struct{} }

func (h hanging) Anchor(ctx context.Context, _ evidence.Entry) (chainclient.Receipt, error) {
	h.begun <- struct{}{}
	<-ctx.Done()
	return chainclient.Receipt{}, ctx.Err()
}

func (h hanging) Submit(context.Context, evidence.Body) (chainclient.Commit, error) {
	return chainclient.Commit{}, nil
}

// countingMetrics passes incidents on.
type countingMetrics struct {
	noMetrics
	incidents chan trail.Event
}

func (m *countingMetrics) Incident(e trail.Event) { m.incidents <- e }

func newGuard(t *testing.T) *guard.Guard {
	t.Helper()
	g, err := guard.Open(t.Context(), guard.Config{Embedded: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func consortium(l *ledger) *chaincodetest.Ledger { return l.contract }

// moveAllBut moves the content of a folder, without one entry.
func moveAllBut(t *testing.T, from, to, without string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != without {
			require.NoError(t, os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())))
		}
	}
}
