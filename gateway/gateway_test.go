package gateway_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
)

func TestMain(m *testing.M) { retrievetest.VerifyTestMain(m) }

// memoryGuard is a guard without Redis.
type memoryGuard struct {
	mu    sync.Mutex
	seen  map[string]bool
	calls map[string]int
	limit int
	err   error
}

func newGuard() *memoryGuard {
	return &memoryGuard{seen: map[string]bool{}, calls: map[string]int{}, limit: 1000}
}

func (g *memoryGuard) Allow(_ context.Context, caller string) (bool, time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[caller]++
	return g.calls[caller] <= g.limit, 3 * time.Second, g.err
}

func (g *memoryGuard) UseNonce(_ context.Context, scope string, nonce []byte, _ time.Duration) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := scope + string(nonce)
	fresh := !g.seen[key]
	g.seen[key] = true
	return fresh, g.err
}

// serve runs the gateway of a hospital until the test ends.
func serve(t *testing.T, w *retrievetest.World, h *retrievetest.Hospital, change func(*gateway.ServerConfig)) *gateway.Server {
	t.Helper()
	c := gateway.ServerConfig{MSP: h.MSP, Certificate: h.Gateway, Authority: w.GatewayCA, Owner: h.Owner(nil), Members: h.Trust, Guard: newGuard()}
	if change != nil {
		change(&c)
	}
	s, err := gateway.NewServer(c)
	require.NoError(t, err)
	start(t, s, h.Listen)
	return s
}

func start(t *testing.T, s *gateway.Server, l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
}

func client(t *testing.T, w *retrievetest.World, h *retrievetest.Hospital, change func(*gateway.ClientConfig)) *gateway.Client {
	t.Helper()
	c := gateway.ClientConfig{Certificate: h.Gateway, Authority: w.GatewayCA}
	if change != nil {
		change(&c)
	}
	cl, err := gateway.NewClient(c)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func TestRetrievalUnderConsent(t *testing.T) {
	w := retrievetest.New(t, 3)
	h1, h2, h3 := w.Hospitals[0], w.Hospitals[1], w.Hospitals[2]
	serve(t, w, h1, nil)
	serve(t, w, h3, nil)
	patient := retrievetest.Patient(1)
	items := map[evidence.RecordID]string{}
	for _, f := range []struct {
		h       *retrievetest.Hospital
		kind    string
		payload string
	}{{h1, "ADT^A01", "MSH|one"}, {h1, "ORU^R01", "MSH|two"}, {h3, "ORU^R01", "MSH|three"}} {
		items[evidence.RecordID(f.h.File(patient, f.kind, []byte(f.payload)).ID)] = f.payload
	}
	h1.File(retrievetest.Patient(2), "ADT^A01", []byte("MSH|of another patient"))
	h2.Consent(patient, "H2MSP", nil)

	r := h2.Requester(client(t, w, h2, nil), nil)
	res, err := r.Retrieve(context.Background(), retrieve.Query{Patient: patient})
	require.NoError(t, err)
	require.Len(t, res.Deliveries, 2)
	require.Len(t, res.Records(), 3)
	for _, rec := range res.Records() {
		assert.Equal(t, evidence.Genuine, rec.Verdict, rec.Check)
		require.NotNil(t, rec.Record)
		assert.Equal(t, items[rec.ID], string(rec.Record.Payload))
	}
	for _, d := range res.Deliveries {
		assert.True(t, d.Confirmed)
		assert.Equal(t, evidence.Genuine, d.Verdict)
		a, err := h1.Ledger.Access(context.Background(), d.Request)
		require.NoError(t, err)
		assert.Equal(t, evidence.AccessConfirmed, a.State)
		assert.Equal(t, evidence.Genuine, a.Outcome.Verdict)
		assert.Equal(t, a.Delivery.Count, a.Outcome.Count)
	}
	assert.Positive(t, res.Timings.Consensus())
	assert.LessOrEqual(t, res.Timings.Consensus(), res.Timings.Total)
	t.Logf("timings: %+v", res.Timings)
}

func TestRetrievalWithoutConsentIsDeniedOnTheLedger(t *testing.T) {
	w := retrievetest.New(t, 2)
	h1, h2 := w.Hospitals[0], w.Hospitals[1]
	serve(t, w, h1, nil)
	patient := retrievetest.Patient(1)
	h1.File(patient, "ADT^A01", []byte("MSH|one"))
	r := h2.Requester(client(t, w, h2, nil), nil)
	res, err := r.Retrieve(context.Background(), retrieve.Query{Patient: patient})
	var denied *retrieve.DeniedError
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "no-consent", denied.Reason)
	require.Len(t, res.Deliveries, 1)
	assert.Empty(t, res.Records())
	a, err := h2.Ledger.Access(context.Background(), denied.Request)
	require.NoError(t, err)
	assert.Equal(t, evidence.AccessDenied, a.State)
}
