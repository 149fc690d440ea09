//go:build arx

package risk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of this file hold the package against what ARX's test suite (TestRiskMetrics,
// TestAnonymizationKAnonymity) states for the adult data set. The data is not in this
// repository: ARX_DATA names a folder with adult.csv and the adult_hierarchy_*.csv as ARX
// ships them, and the tests run with -tags arx.

var adultColumns = strings.Fields("sex age race marital-status education native-country workclass occupation salary-class")

func readAdult(t *testing.T) (*Table, map[string]Hierarchy) {
	t.Helper()
	dir := os.Getenv("ARX_DATA")
	require.NotEmpty(t, dir, "set ARX_DATA to the folder data of ARX")
	f, err := os.Open(filepath.Join(dir, "adult.csv"))
	require.NoError(t, err)
	defer f.Close()
	table, err := ReadCSV(context.Background(), f, Schema{Quasi: adultColumns}, Limits{})
	require.NoError(t, err)
	h := map[string]Hierarchy{}
	for _, column := range adultColumns {
		f, err := os.Open(filepath.Join(dir, "adult_hierarchy_"+column+".csv"))
		require.NoError(t, err)
		h[column], err = ReadListed(context.Background(), f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	return table, h
}

func TestAdultRisk(t *testing.T) {
	table, h := readAdult(t)
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	assert.Equal(t, 1.0, a.Prosecutor.Max)
	assert.Equal(t, 0.6465751607983555, a.Prosecutor.Average)
	assert.Equal(t, 0.5142895033485844, a.Unique)

	p, err := Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 2}, Metric: LossRank})
	require.NoError(t, err)
	assert.Equal(t, 0.5, p.After.Prosecutor.Max)
	assert.Equal(t, 0.001922949406538028, p.After.Prosecutor.Average)
}

func TestAdultOptimum(t *testing.T) {
	table, h := readAdult(t)
	for _, c := range []struct {
		k      int
		cost   float64
		levels []int
	}{{5, 407289.5388925293, []int{1, 2, 1, 1, 3, 2, 2, 1, 1}}, {100, 453196.8932458743, []int{0, 4, 1, 1, 3, 2, 2, 1, 1}}} {
		p, err := Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: c.k}, Metric: Entropy})
		require.NoError(t, err)
		assert.True(t, p.Exact)
		assert.Equal(t, c.levels, levelsOf(p))
		assert.InDelta(t, c.cost, p.Cost[0], 1e-4)
	}
}
