package dpcount

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func count(t *testing.T, o Options, rows int, group func(i int) string) *Result {
	t.Helper()
	c, err := New(1, o)
	require.NoError(t, err)
	for i := range rows {
		require.NoError(t, c.Add([]string{group(i)}, ""))
	}
	r, err := c.Result()
	require.NoError(t, err)
	_, err = c.Result()
	assert.ErrorIs(t, err, ErrOptions, "drawing twice would cost twice")
	return r
}

func TestCountsAreNearAndSmallGroupsHidden(t *testing.T) {
	group := func(i int) string {
		if i < 2 {
			return "rare"
		}
		return []string{"a", "b"}[i%2]
	}
	r := count(t, Options{Epsilon: 1, Delta: 1e-6}, 10_002, group)
	require.Len(t, r.Cells, 2, "a group of two is not shown")
	for _, c := range r.Cells {
		assert.InDelta(t, 5000, c.Count, 60)
		assert.LessOrEqual(t, c.Low, c.Count)
		assert.GreaterOrEqual(t, c.High, c.Count)
	}
	assert.Greater(t, r.Threshold, int64(10))
}

func TestKnownGroupsAreAllShown(t *testing.T) {
	for _, o := range []Options{{Epsilon: 2}, {Epsilon: 2, Delta: 1e-6, Noise: Gaussian}} {
		o.Known = [][]string{{"a"}, {"b"}, {"nobody"}}
		r := count(t, o, 500, func(i int) string { return []string{"a", "b", "unlisted"}[i%3] })
		require.Len(t, r.Cells, 3)
		assert.Equal(t, []string{"nobody"}, r.Cells[2].Group)
		assert.Less(t, r.Cells[2].Count, int64(40))
		assert.GreaterOrEqual(t, r.Cells[2].Count, int64(0))
	}
}

// TestNoiseHasTheScaleThatEpsilonAsks: the standard deviation of Laplace noise is √2·m/ε.
func TestNoiseHasTheScaleThatEpsilonAsks(t *testing.T) {
	const draws = 4000
	sum, squares := 0.0, 0.0
	var known [][]string
	for i := range draws {
		known = append(known, []string{fmt.Sprint(i)})
	}
	c, err := New(1, Options{Epsilon: 0.5, Known: known})
	require.NoError(t, err)
	for i := range draws {
		for range 100 {
			require.NoError(t, c.Add([]string{fmt.Sprint(i)}, ""))
		}
	}
	r, err := c.Result()
	require.NoError(t, err)
	for _, cell := range r.Cells {
		d := float64(cell.Count - 100)
		sum, squares = sum+d, squares+d*d
	}
	assert.InDelta(t, 0, sum/draws, 0.3)
	assert.InDelta(t, math.Sqrt2/0.5, math.Sqrt(squares/draws), 0.35)
}

// TestAPersonCountsInSoManyGroups: rows of one person count once, and in a bounded number of
// groups that does not depend on the order of the rows.
func TestAPersonCountsInSoManyGroups(t *testing.T) {
	total := func(order []int) int64 {
		c, err := New(1, Options{Epsilon: 20, Known: [][]string{{"0"}, {"1"}, {"2"}, {"3"}}, Groups: 2})
		require.NoError(t, err)
		for p := range 1000 {
			for _, g := range order {
				require.NoError(t, c.Add([]string{fmt.Sprint(g)}, fmt.Sprint("p", p)))
				require.NoError(t, c.Add([]string{fmt.Sprint(g)}, fmt.Sprint("p", p)))
			}
		}
		groups := c.subjects["p7"]
		assert.Len(t, groups, 2)
		r, err := c.Result()
		require.NoError(t, err)
		n := int64(0)
		for _, cell := range r.Cells {
			n += cell.Count
		}
		return n
	}
	assert.InDelta(t, 2000, total([]int{0, 1, 2, 3}), 30)
	assert.InDelta(t, 2000, total([]int{3, 2, 1, 0}), 30)
}

func TestOptionsThatDoNotFit(t *testing.T) {
	for name, o := range map[string]Options{
		"no epsilon":       {Delta: 1e-6},
		"no delta":         {Epsilon: 1},
		"delta over known": {Epsilon: 1, Delta: 1e-6, Known: [][]string{{"a"}}},
		"great delta":      {Epsilon: 1, Delta: 0.5},
		"unknown noise":    {Epsilon: 1, Delta: 1e-6, Noise: "uniform"},
		"not a number":     {Epsilon: math.NaN(), Delta: 1e-6},
		"narrow group":     {Epsilon: 1, Known: [][]string{{"a", "b"}}},
		"many groups":      {Epsilon: 1, Delta: 1e-6, Groups: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(1, o)
			assert.ErrorIs(t, err, ErrOptions)
		})
	}
}

func TestBudget(t *testing.T) {
	b := &Budget{EpsilonLimit: 1, DeltaLimit: 1e-5}
	for range 10 {
		require.NoError(t, b.Spend(Spent{Epsilon: 0.1, Delta: 1e-6}))
	}
	assert.ErrorIs(t, b.Spend(Spent{Epsilon: 0.1}), ErrBudget)
	assert.ErrorIs(t, b.Spend(Spent{Epsilon: -1}), ErrBudget)
	assert.Len(t, b.Spent, 10)
	epsilon, _ := b.Left()
	assert.InDelta(t, 0, epsilon, 1e-9)
}

func TestKeys(t *testing.T) {
	for _, g := range [][]string{{""}, {"a", "b"}, {"1:a", ":"}, {"甲", "", "乙"}} {
		assert.Equal(t, g, unkey(key(g)))
	}
}
