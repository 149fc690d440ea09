package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func example() *Results {
	r := NewResults()
	r.add(group("any"), "any: single records", 251.4, "tx/s", "published scheme: 17; target 250")
	r.add(group("any"), "any: in batches of 500", 121.25, "bytes/record", "")
	report(r, map[string][]float64{"total": {200, 220, 310}, "consensus": {190, 200, 300}, "confirm": {50, 60, 70}, "lookup": {9, 10, 11}})
	return r
}

func TestWriteLeavesFiguresAndPlots(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "sealing.svg")
	require.NoError(t, os.WriteFile(stale, []byte("of an earlier run"), 0o600))
	r := example()
	require.NoError(t, r.Write(dir))

	raw, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	require.NoError(t, err)
	var back Results
	require.NoError(t, json.Unmarshal(raw, &back))
	assert.Equal(t, *r, back)

	assert.NoFileExists(t, stale, "no figure for it in this run")
	for _, name := range []string{"singles.svg", "bytes.svg", "retrieval.svg", "retrieval-steps.svg"} {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, wellFormed(f), name)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "singles.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "published scheme")
	assert.Contains(t, string(svg), "251")
}

func wellFormed(r io.Reader) error {
	for d := xml.NewDecoder(r); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestReportOfRetrievals(t *testing.T) {
	values := map[string]float64{}
	for _, f := range example().Figures {
		values[f.Name] = f.Value
	}
	assert.InDelta(t, 220, values["p50"], 0)
	assert.InDelta(t, 310, values["p99"], 0)
	assert.InDelta(t, 160, values["until the record is proved, p50"], 0)
	assert.InDelta(t, 100*690.0/730, values["share of consensus"], 1e-9)
	assert.InDelta(t, 10, values["lookup"], 0)
}

func TestRowsNameAGroupOnce(t *testing.T) {
	rows := example().Rows()
	assert.Equal(t, group("any"), rows[0][0])
	assert.Empty(t, rows[1][0])
	assert.Equal(t, "251", rows[0][2])
	assert.Equal(t, "retrieval of one record", rows[2][0])
}

func TestQuantile(t *testing.T) {
	assert.Zero(t, quantile(nil, 0.5))
	assert.InDelta(t, 7, quantile([]float64{7}, 0.99), 0)
	v := []float64{4, 1, 3, 2}
	assert.InDelta(t, 3, median(v), 0)
	assert.Equal(t, []float64{4, 1, 3, 2}, v, "the caller's order stays")
}

func TestOpenSSLFigures(t *testing.T) {
	out := []byte("+DT:sm3:1:32768\n+R:9000:sm3:1.00\n+F:22:sm3:294912000.00\n")
	v, ok := lastField(out, "+F:", 3)
	assert.True(t, ok)
	assert.InDelta(t, 294912000, v, 0)
	_, ok = lastField(out, "+F7:", 4)
	assert.False(t, ok)
}

func TestUnknownPart(t *testing.T) {
	err := NewResults().Run(t.Context(), Options{}, "weather")
	require.Error(t, err)
	assert.ErrorContains(t, err, "crypto, ")
}

func TestProcessorTime(t *testing.T) {
	const stat = "42 (a (strange) name) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 100 1 1"
	assert.InDelta(t, 3, processTime(stat), 1e-9)
	assert.Zero(t, processTime("42 (short) S"))
	const machine = "cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1 1 1 1\n"
	assert.InDelta(t, 1.71, machineTime(machine), 1e-9)
}
