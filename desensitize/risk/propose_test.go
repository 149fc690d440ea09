package risk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// population makes a table of persons with correlated columns; the same seed gives the same.
func population(t testing.TB, rows int, seed uint64) *Table {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	table, err := NewTable(Schema{Quasi: []string{"age", "sex", "postcode", "admitted"}, Sensitive: []string{"diagnosis", "cost"}})
	require.NoError(t, err)
	codes := []string{"I10.x00", "E11.900", "J18.9", "C34.1", "K35.8", "I21.0", "N18.5", "O80.0"}
	for range rows {
		age := int(45 + 20*r.NormFloat64())
		q := []string{fmt.Sprint(min(99, max(0, age))), []string{"男", "女"}[r.IntN(2)],
			fmt.Sprintf("2100%02d", r.IntN(40)), fmt.Sprintf("2026-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28))}
		require.NoError(t, table.Add(q, []string{codes[r.IntN(len(codes))], fmt.Sprint(1000 * (1 + r.IntN(20)))}, ""))
	}
	return table
}

func typed(t testing.TB, types map[string]string) map[string]Hierarchy {
	t.Helper()
	out := map[string]Hierarchy{}
	for column, name := range types {
		h, err := Builtin(name)
		require.NoError(t, err)
		out[column] = h
	}
	return out
}

var populationTypes = map[string]string{"age": "age", "sex": "sex", "postcode": "postcode", "admitted": "date", "diagnosis": "icd10"}

// TestProposeIsExact compares the search with trying every generalisation.
func TestProposeIsExact(t *testing.T) {
	h := typed(t, populationTypes)
	goals := []Thresholds{{K: 2}, {K: 6}, {K: 6, Suppressed: 0.02}, {K: 20, Suppressed: 0.3}, {K: 3, L: 3},
		{K: 3, L: 2, Suppressed: 0.1}, {K: 2, T: 0.3}, {K: 2, T: 0.2, Suppressed: 0.05}, {AverageRisk: 0.05},
		{AverageRisk: 0.05, Suppressed: 0.1}, {K: 2, EntropyL: 2.5}}
	for seed := range uint64(2) {
		table := population(t, 300, seed)
		for _, th := range goals {
			for _, metric := range Metrics() {
				t.Run(fmt.Sprintf("%d/%+v/%s", seed, th, metric), func(t *testing.T) {
					goal := Goal{Thresholds: th, Metric: metric}
					p, err := Propose(context.Background(), table, h, goal)
					require.NoError(t, err)
					require.True(t, p.Exact)
					want := everyNode(t, table, h, goal)
					assert.Equal(t, want, p.Cost)
					assert.LessOrEqual(t, p.Tried, p.Possible)
					breaches := p.After.Check(Thresholds{K: th.K, L: th.L, EntropyL: th.EntropyL, T: 0, AverageRisk: th.AverageRisk,
						Suppressed: th.Suppressed})
					assert.Empty(t, breaches)
				})
			}
		}
	}
}

func everyNode(t *testing.T, table *Table, h map[string]Hierarchy, goal Goal) []float64 {
	t.Helper()
	require.NoError(t, goal.prepare())
	l, err := newLattice(table, h, goal)
	require.NoError(t, err)
	s := &search{l: l}
	var best []float64
	for id := range s.size() {
		if o := l.try(s.nodeAt(id)); o.ok && (best == nil || less(o.cost, best)) {
			best = o.cost
		}
	}
	return best
}

func TestProposeTellsWhenItCannot(t *testing.T) {
	table := population(t, 5, 1)
	_, err := Propose(context.Background(), table, nil, Goal{Thresholds: Thresholds{K: 6}})
	assert.ErrorIs(t, err, ErrNoSolution)

	p, err := Propose(context.Background(), population(t, 400, 1), typed(t, populationTypes),
		Goal{Thresholds: Thresholds{K: 6}, MaxChecks: 8})
	require.NoError(t, err)
	assert.False(t, p.Exact)
	assert.GreaterOrEqual(t, p.After.K, 6)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Propose(ctx, table, nil, Goal{Thresholds: Thresholds{K: 2}})
	assert.ErrorIs(t, err, context.Canceled)
}

// TestProposeCountsPersons: the rows of one person do not make a group.
func TestProposeCountsPersons(t *testing.T) {
	table, err := NewTable(Schema{Quasi: []string{"age"}, Subject: "pid"})
	require.NoError(t, err)
	for i := range 40 {
		for range 5 {
			require.NoError(t, table.Add([]string{fmt.Sprint(20 + i)}, nil, fmt.Sprint("p", i)))
		}
	}
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	assert.Equal(t, 1, a.K)
	assert.Equal(t, 1.0, a.Unique)
	assert.Equal(t, 40, table.Persons())
	p, err := Propose(context.Background(), table, typed(t, map[string]string{"age": "age"}), Goal{Thresholds: Thresholds{K: 6}})
	require.NoError(t, err)
	assert.Equal(t, []int{2}, levelsOf(p))
	assert.Equal(t, 10, p.After.K)
}

// TestProposeIsExactOverPersons: the same with several rows for a person.
func TestProposeIsExactOverPersons(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	table, err := NewTable(Schema{Quasi: []string{"age", "admitted"}, Sensitive: []string{"diagnosis"}, Subject: "pid"})
	require.NoError(t, err)
	for i := range 120 {
		age := 20 + r.IntN(70)
		for range 1 + r.IntN(5) {
			row := []string{fmt.Sprint(age), fmt.Sprintf("2026-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28))}
			require.NoError(t, table.Add(row, []string{fmt.Sprintf("I%d", 10+r.IntN(5))}, fmt.Sprint(i)))
		}
	}
	h := typed(t, map[string]string{"age": "age", "admitted": "date"})
	for _, th := range []Thresholds{{K: 6}, {K: 6, Suppressed: 0.1}, {K: 3, L: 3, Suppressed: 0.05}} {
		goal := Goal{Thresholds: th}
		p, err := Propose(context.Background(), table, h, goal)
		require.NoError(t, err)
		assert.True(t, p.Exact)
		assert.Equal(t, everyNode(t, table, h, goal), p.Cost)
		assert.GreaterOrEqual(t, p.After.K, th.K)
		assert.Equal(t, 120, table.Persons())
	}
}

func TestSuppressedRowsAreThoseBelowK(t *testing.T) {
	table := population(t, 2000, 3)
	p, err := Propose(context.Background(), table, typed(t, populationTypes),
		Goal{Thresholds: Thresholds{K: 6, Suppressed: 0.05}})
	require.NoError(t, err)
	rows := p.SuppressedRows()
	assert.Len(t, rows, p.Suppressed)
	assert.LessOrEqual(t, len(rows), 100)
	assert.Equal(t, len(rows), p.After.Suppressed)
	assert.Equal(t, 2000-len(rows), p.After.Persons)
}

func TestProposeAtLeast(t *testing.T) {
	table := population(t, 2000, 3)
	h := typed(t, populationTypes)
	free, err := Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 6}})
	require.NoError(t, err)
	p, err := Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 6}, AtLeast: map[string]int{"sex": 1, "age": 2}})
	require.NoError(t, err)
	assert.Equal(t, 1, p.Columns[1].Level)
	assert.GreaterOrEqual(t, p.Columns[0].Level, 2)
	assert.GreaterOrEqual(t, p.Cost[0], free.Cost[0])
	assert.True(t, p.Exact)
	_, err = Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 6}, AtLeast: map[string]int{"sex": 2}})
	assert.ErrorIs(t, err, ErrHierarchy)
}
