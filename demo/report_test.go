package demo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func good() *Report {
	return &Report{
		Acknowledged: 10, Sealed: 10, Anchored: 10, Hospitals: 4, Orderers: 4, Retrieval: Quantiles{P50: 200, P99: 300},
		RetrievalWithConsent: true, RetrievalWithoutConsentDenied: true, TamperDetected: true, OrdererLossSurvived: true,
		BreakGlassFlagged: true, StoreVerified: true, Problems: []string{}, Retrievals: []float64{190, 200, 300},
		Timeline: []Point{{Seconds: 0}, {Seconds: 1, Acknowledged: 10, Anchored: 4}, {Seconds: 2, Acknowledged: 10, Anchored: 10}},
	}
}

func TestOneFailureIsEnough(t *testing.T) {
	require.True(t, good().OK())
	for name, spoil := range map[string]func(*Report){
		"nothing sent": func(r *Report) { r.Acknowledged = 0 }, "lost": func(r *Report) { r.Lost = 1 },
		"doubled": func(r *Report) { r.Duplicated = 1 }, "not anchored": func(r *Report) { r.Anchored = 9 },
		"consent": func(r *Report) { r.RetrievalWithConsent = false }, "denial": func(r *Report) { r.RetrievalWithoutConsentDenied = false },
		"tamper": func(r *Report) { r.TamperDetected = false }, "orderer": func(r *Report) { r.OrdererLossSurvived = false },
		"glass": func(r *Report) { r.BreakGlassFlagged = false }, "store": func(r *Report) { r.StoreVerified = false },
		"problem": func(r *Report) { r.Problems = []string{"x"} },
	} {
		r := good()
		spoil(r)
		assert.False(t, r.OK(), name)
	}
}

func TestReportFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, good().Write(dir))
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(b, &keys))
	for _, key := range []string{"acknowledged", "sealed", "anchored", "lost", "duplicated", "blocks", "chain_bytes_per_record", "retrieval_ms",
		"retrieval_with_consent", "retrieval_without_consent_denied", "tamper_detected", "orderer_loss_survived", "break_glass_flagged"} {
		assert.Contains(t, keys, key)
	}
	assert.Contains(t, keys["retrieval_ms"], "p50")
	assert.Contains(t, keys["retrieval_ms"], "p99")
	html, err := os.ReadFile(filepath.Join(dir, "report.html"))
	require.NoError(t, err)
	assert.Contains(t, string(html), "<svg")
	assert.Contains(t, string(html), "全部通过")
	assert.NotContains(t, string(html), "ZgotmplZ")
}

func TestQuantiles(t *testing.T) {
	assert.Equal(t, Quantiles{}, quantiles(nil))
	assert.Equal(t, Quantiles{P50: 3, P99: 5}, quantiles([]float64{5, 1, 3, 2, 4}))
}

func TestInputWithoutMessagesIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.hl7")
	require.NoError(t, os.WriteFile(path, []byte("nothing"), 0o600))
	_, err := fileLanes(path)
	require.ErrorContains(t, err, "begins with MSH")
	_, err = fileLanes(path + ".none")
	require.Error(t, err)
}
