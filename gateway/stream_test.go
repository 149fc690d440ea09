package gateway_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
)

const large = 256 << 20

// bulk is an owner with one record of 256 MiB.
type bulk struct{}

func (bulk) Deliver(_ context.Context, _ retrieve.Party, _ wire.Request, out *wire.Writer, _ func() error) (retrieve.Outcome, error) {
	if err := out.Record(wire.RecordHead{ID: evidence.RecordID{1}, Length: large}, io.LimitReader(zeros{}, large)); err != nil {
		return retrieve.Outcome{}, err
	}
	return retrieve.Outcome{}, out.End(false)
}

func TestLargeDeliveriesPassAtFlatMemory(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	serve(t, w, h1, func(c *gateway.ServerConfig) { c.Owner = bulk{} })
	owner, err := h2.Trust.Active(context.Background(), h1.MSP)
	require.NoError(t, err)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	err = client(t, w, h2, nil).Deliver(context.Background(), owner, envelope(t, h2, nil), func(r *wire.Reader) error {
		item, err := r.Next()
		require.NoError(t, err)
		require.IsType(t, &wire.RecordHead{}, item)
		var total int64
		for err == nil {
			var n int64
			n, err = io.CopyN(io.Discard, r, 16<<20)
			total += n
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
		}
		require.ErrorIs(t, err, io.EOF)
		require.EqualValues(t, large, total)
		item, err = r.Next()
		assert.IsType(t, &wire.End{}, item)
		return err
	})
	require.NoError(t, err)
	t.Logf("heap before %d KiB, peak %d KiB for %d MiB", before.HeapAlloc>>10, peak>>10, large>>20)
	assert.Less(t, peak, before.HeapAlloc+(24<<20))
}

// BenchmarkRetrieve is one record of 32 KiB from end to end on a ledger that commits at
// once: what retrieval costs beside consensus.
func BenchmarkRetrieve(b *testing.B) {
	w := retrievetest.New(b, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	s, err := gateway.NewServer(gateway.ServerConfig{MSP: h1.MSP, Certificate: h1.Gateway, Authority: w.GatewayCA, Owner: h1.Owner(nil), Members: h1.Trust, Guard: &memoryGuard{seen: map[string]bool{}, calls: map[string]int{}, limit: 1 << 30}})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h1.Listen) }()
	cl, err := gateway.NewClient(gateway.ClientConfig{Certificate: h2.Gateway, Authority: w.GatewayCA})
	require.NoError(b, err)
	patient := retrievetest.Patient(1)
	h1.File(patient, "ORU^R01", bytes.Repeat([]byte("x"), 32<<10))
	h1.Consent(patient, "H2MSP", nil)
	r := h2.Requester(cl, nil)
	for b.Loop() {
		res, err := r.Retrieve(context.Background(), retrieve.Query{Patient: patient})
		if err != nil || res.Deliveries[0].Verdict != evidence.Genuine {
			b.Fatal(err)
		}
	}
	cl.Close()
	cancel()
	require.NoError(b, <-done)
}
