package obs_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/internal/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestReadinessNamesTheMissingNeighbour(t *testing.T) {
	ready := &obs.Readiness{}
	chain := errors.New("connection refused")
	ready.Add("bus", func(context.Context) error { return nil })
	ready.Add("chain", func(context.Context) error { return chain })
	ctx, cancel := context.WithCancel(t.Context())
	addr, wait, err := obs.Serve(ctx, "127.0.0.1:0", obs.Handler(obs.NewRegistry(), ready))
	require.NoError(t, err)
	base := "http://" + addr.String()

	code, body := get(t, base+"/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	var report obs.Report
	require.NoError(t, json.Unmarshal([]byte(body), &report))
	assert.Equal(t, []string{"chain"}, report.Missing)
	assert.Equal(t, map[string]string{"bus": "ok", "chain": "connection refused"}, report.Detail)

	chain = nil
	code, _ = get(t, base+"/readyz")
	assert.Equal(t, http.StatusOK, code, "it heals")
	code, _ = get(t, base+"/healthz")
	assert.Equal(t, http.StatusOK, code)
	_, body = get(t, base+"/metrics")
	assert.Contains(t, body, "process_resident_memory_bytes")

	_, _, err = obs.Serve(ctx, addr.String(), http.NewServeMux())
	require.ErrorContains(t, err, "observe.addr")
	cancel()
	require.NoError(t, wait())
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	_, err := obs.NewLogger(io.Discard, "loud", "text")
	require.Error(t, err)
	_, err = obs.NewLogger(io.Discard, "info", "xml")
	require.Error(t, err)
	var out strings.Builder
	log, err := obs.NewLogger(&out, "warn", "json")
	require.NoError(t, err)
	log.Info("hidden")
	log.Warn("shown")
	assert.NotContains(t, out.String(), "hidden")
	assert.Contains(t, out.String(), "shown")
}
