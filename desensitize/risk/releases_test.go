package risk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// release makes a table of persons p0 … pn-1 whose band is given by a function.
func release(t *testing.T, subject string, from, to int, band func(i int) string) *Table {
	t.Helper()
	table, err := NewTable(Schema{Quasi: []string{"band"}, Subject: subject})
	require.NoError(t, err)
	for i := from; i < to; i++ {
		require.NoError(t, table.Add([]string{band(i)}, nil, fmt.Sprint("p", i)))
	}
	return table
}

func tens(i int) string    { return fmt.Sprint(i / 10) }
func shifted(i int) string { return fmt.Sprint((i + 5) / 10) }

func TestReleasesThatGrow(t *testing.T) {
	first, second := release(t, "", 0, 100, tens), release(t, "", 0, 103, tens)
	s, err := AssessReleases([]*Table{first, second}, 6)
	require.NoError(t, err)
	assert.False(t, s.Linked)
	assert.Equal(t, 3, s.K, "the new class itself is too small")

	second = release(t, "", 0, 100, func(i int) string { return tens(i % 98) }) // two more in class 0, two fewer in 9
	s, err = AssessReleases([]*Table{first, second}, 6)
	require.NoError(t, err)
	assert.Equal(t, 8, s.K, "each release alone is well")
	assert.Equal(t, 2, s.Differences)
	assert.Equal(t, 2, s.Smallest)
	assert.Equal(t, []string{"difference = 2 is under 6"}, texts(s.Check()))
}

func TestReleasesThatIntersect(t *testing.T) {
	first, second := release(t, "pid", 0, 100, tens), release(t, "pid", 0, 100, shifted)
	s, err := AssessReleases([]*Table{first, second}, 6)
	require.NoError(t, err)
	assert.True(t, s.Linked)
	assert.Equal(t, 5, s.K, "bands of ten that overlap by five leave groups of five")
	assert.Equal(t, 100, s.Below)
	assert.NotEmpty(t, s.Check())

	s, err = AssessReleases([]*Table{first, release(t, "pid", 0, 100, tens)}, 6)
	require.NoError(t, err)
	assert.Equal(t, 10, s.K)
	assert.Empty(t, s.Check())
	assert.Equal(t, 1.0, s.Comparable)
}

// TestHoldBack: taking out the rows named leaves groups of the limit's size over all releases.
func TestHoldBack(t *testing.T) {
	first := release(t, "pid", 0, 100, tens)
	band := func(i int) string { return fmt.Sprint((i + 3) / 10) } // groups of three and of seven
	second := release(t, "pid", 0, 104, band)
	rows, err := HoldBack([]*Table{first, second}, 6)
	require.NoError(t, err)
	assert.Len(t, rows, 34, "ten groups of three, and four persons who are new")
	kept, err := NewTable(second.Schema())
	require.NoError(t, err)
	for i := range 104 {
		if !slices.Contains(rows, i) {
			require.NoError(t, kept.Add([]string{band(i)}, nil, fmt.Sprint("p", i)))
		}
	}
	s, err := AssessReleases([]*Table{first, kept}, 6)
	require.NoError(t, err)
	assert.Equal(t, 7, s.K)
	_, err = HoldBack([]*Table{first, release(t, "", 0, 9, tens)}, 6)
	assert.ErrorIs(t, err, ErrSchema)
}

func TestReleasesMustFit(t *testing.T) {
	other, err := NewTable(Schema{Quasi: []string{"age"}})
	require.NoError(t, err)
	_, err = AssessReleases([]*Table{other, release(t, "", 0, 5, tens)}, 6)
	assert.ErrorIs(t, err, ErrSchema)
	_, err = AssessReleases(nil, 6)
	assert.ErrorIs(t, err, ErrEmpty)
}

func texts(breaches []Breach) (out []string) {
	for _, b := range breaches {
		out = append(out, b.String())
	}
	return out
}

// TestReport holds the page against its golden, and looks for values of the table.
func TestReport(t *testing.T) {
	table := population(t, 400, 7)
	h := typed(t, populationTypes)
	a, err := Assess(table, Options{Hierarchies: h, Fraction: 0.1})
	require.NoError(t, err)
	limits, err := ThresholdsFor(Agreement)
	require.NoError(t, err)
	limits.Suppressed = 0.02
	p, err := Propose(t.Context(), table, h, Goal{Thresholds: limits})
	require.NoError(t, err)
	s, err := AssessReleases([]*Table{population(t, 390, 7), table}, 6)
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, WriteHTML(&page, Report{Title: "cohort <1>", Made: "2026-01-01", Schema: table.Schema(), Assessment: a,
		Model: Agreement, Limits: limits, Proposal: p, Sequence: s}))
	golden := filepath.Join("testdata", "report.html")
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(golden, page.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), page.String())
	assert.NotRegexp(t, regexp.MustCompile(`E11\.9|2100\d\d|2026-\d\d-\d\d[^<]*</td>|<script`), page.String())
	assert.Contains(t, page.String(), "cohort &lt;1&gt;")
}
