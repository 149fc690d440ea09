package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/obs"
)

// figures are the samples of /metrics, by name and labels as they are written.
type figures map[string]float64

// get asks the hospital's observation address.
func (s *site) get(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Config.Observe.Addr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func (s *site) metrics(ctx context.Context) (figures, error) {
	status, body, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d", status)
	}
	out := figures{}
	for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %q: %w", line, err)
		}
		out[line[:i]] = v
	}
	return out, nil
}

// of sums the samples of a name that bear all the given labels (name, value, name, value …).
func (f figures) of(name string, labels ...string) (sum float64, found bool) {
next:
	for k, v := range f {
		base, rest, _ := strings.Cut(k, "{")
		if base != name {
			continue
		}
		for i := 0; i+1 < len(labels); i += 2 {
			if !strings.Contains(rest, fmt.Sprintf("%s=%q", labels[i], labels[i+1])) {
				continue next
			}
		}
		sum, found = sum+v, true
	}
	return sum, found
}

// figure is one metric, which has to be there.
func (s *site) figure(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	m, err := s.metrics(t.Context())
	require.NoError(t, err)
	v, ok := m.of(name, labels...)
	require.True(t, ok, "no metric %s %v", name, labels)
	return v
}

// readiness asks /readyz once.
func (s *site) readiness(t testing.TB) (status int, r obs.Report) {
	t.Helper()
	status, body, err := s.get(t.Context(), "/readyz")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &r), "%s", body)
	return status, r
}
