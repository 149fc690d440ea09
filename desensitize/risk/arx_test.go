package risk

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The figures of this file are those that ARX (arx-deidentifier.org) publishes: in its
// documentation and in its test suite, TestAnonymization, TestRiskMetrics,
// TestRiskQuasiIdentifiers and TestAnonymizationKAnonymity.

const arxSeven = `age;gender;zipcode
34;male;81667
45;female;81675
66;male;81925
70;female;81931
34;female;81931
70;male;81931
45;male;81931
`

func listed(t *testing.T, rows ...string) *Listed {
	t.Helper()
	h, err := ReadListed(context.Background(), strings.NewReader(strings.Join(rows, "\n")))
	require.NoError(t, err)
	return h
}

func arxSevenHierarchies(t *testing.T) map[string]Hierarchy {
	return map[string]Hierarchy{
		"age":    listed(t, "34;<50;*", "45;<50;*", "66;>=50;*", "70;>=50;*"),
		"gender": listed(t, "male;*", "female;*"),
		"zipcode": listed(t, "81667;8166*;816**;81***;8****;*****", "81675;8167*;816**;81***;8****;*****",
			"81925;8192*;819**;81***;8****;*****", "81931;8193*;819**;81***;8****;*****"),
	}
}

func readTable(t *testing.T, text string, s Schema) *Table {
	t.Helper()
	table, err := ReadCSV(context.Background(), strings.NewReader(text), s, Limits{})
	require.NoError(t, err)
	return table
}

func levelsOf(p *Proposal) (levels []int) {
	for _, c := range p.Columns {
		levels = append(levels, c.Level)
	}
	return levels
}

func TestARXTwoAnonymity(t *testing.T) {
	table := readTable(t, arxSeven, Schema{Quasi: []string{"age", "gender", "zipcode"}})
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	assert.Equal(t, 1.0, a.Prosecutor.Max)
	assert.Equal(t, 1.0, a.Prosecutor.Average)

	p, err := Propose(context.Background(), table, arxSevenHierarchies(t), Goal{Thresholds: Thresholds{K: 2}})
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1, 2}, levelsOf(p))
	assert.True(t, p.Exact)
	assert.Equal(t, 0.5, p.After.Prosecutor.Max)
	assert.Equal(t, 0.42857142857142855, p.After.Prosecutor.Average)
	assert.Equal(t, 2, p.After.K)
	got, _ := p.Generalise(0, "34")
	assert.Equal(t, "<50", got)
	got, _ = p.Generalise(2, "81925")
	assert.Equal(t, "819**", got)
}

func TestARXDiversity(t *testing.T) {
	table := readTable(t, arxSeven, Schema{Quasi: []string{"gender", "zipcode"}, Sensitive: []string{"age"}})
	for name, th := range map[string]Thresholds{"distinct": {L: 2}, "entropy": {EntropyL: 2}} {
		t.Run(name, func(t *testing.T) {
			p, err := Propose(context.Background(), table, arxSevenHierarchies(t), Goal{Thresholds: th, Metric: Precision})
			require.NoError(t, err)
			assert.Equal(t, []int{0, 3}, levelsOf(p))
		})
	}
}

const arxNine = `zipcode;age;disease
47677;29;gastric ulcer
47602;22;gastritis
47678;27;stomach cancer
47905;43;gastritis
47909;52;flu
47906;47;bronchitis
47605;30;bronchitis
47673;36;pneumonia
47607;32;stomach cancer
`

func TestARXCloseness(t *testing.T) {
	young, old := "<=40", ">40"
	age := listed(t, "29;"+young+";*", "22;"+young+";*", "27;"+young+";*", "43;"+old+";*", "52;"+old+";*",
		"47;"+old+";*", "30;"+young+";*", "36;"+young+";*", "32;"+young+";*")
	var rows []string
	for _, z := range []string{"47677", "47602", "47678", "47905", "47909", "47906", "47605", "47673", "47607"} {
		rows = append(rows, strings.Join([]string{z, z[:4] + "*", z[:3] + "**", z[:2] + "***", z[:1] + "****", "*****"}, ";"))
	}
	lung, gut, all := "vascular lung disease", "digestive system disease", "respiratory&digestive system disease"
	disease := listed(t,
		"flu;respiratory infection;"+lung+";"+all, "pneumonia;respiratory infection;"+lung+";"+all,
		"bronchitis;respiratory infection;"+lung+";"+all, "pulmonary edema;vascular lung;"+lung+";"+all,
		"pulmonary embolism;vascular lung;"+lung+";"+all, "gastric ulcer;stomach disease;"+gut+";"+all,
		"stomach cancer;stomach disease;"+gut+";"+all, "gastritis;stomach disease;"+gut+";"+all,
		"colitis;colon disease;"+gut+";"+all, "colon cancer;colon disease;"+gut+";"+all)
	table := readTable(t, arxNine, Schema{Quasi: []string{"zipcode", "age"}, Sensitive: []string{"disease"}})
	h := map[string]Hierarchy{"age": age, "zipcode": listed(t, rows...)}

	p, err := Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 2, T: 0.6}, Metric: Entropy})
	require.NoError(t, err)
	assert.LessOrEqual(t, p.After.Sensitive[0].EqualT, 0.6)
	assert.GreaterOrEqual(t, p.After.K, 2)

	h["disease"] = disease
	p, err = Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 2, T: 0.4}, Metric: Entropy,
		Options: Options{Hierarchies: h}})
	require.NoError(t, err)
	require.NotNil(t, p.After.Sensitive[0].HierarchicalT)
	assert.LessOrEqual(t, *p.After.Sensitive[0].HierarchicalT, 0.4)
}

// Li et al. 2007, section 4: the salaries 3k…11k; {3k,4k,5k} is 0.375 away from the table,
// {6k,8k,11k} 0.167.
func TestOrderedClosenessOfThePaper(t *testing.T) {
	var b strings.Builder
	b.WriteString("class,salary\n")
	for i, class := range []string{"a", "a", "a", "b", "c", "b", "c", "c", "b"} {
		b.WriteString(class + "," + string(rune('3'+i)) + "\n")
	}
	text := strings.NewReplacer("c,:", "c,10", "b,;", "b,11").Replace(b.String())
	table := readTable(t, text, Schema{Quasi: []string{"class"}, Sensitive: []string{"salary"}})
	all := table.histogram(0, table.raw())
	d, err := table.distribution(0, all, nil)
	require.NoError(t, err)
	var got []float64
	perClass(all, func(_ uint32, v []share) { got = append(got, d.ordered(v)) })
	assert.InDelta(t, 0.375, got[0], 1e-12)
	assert.InDelta(t, 0.167, got[1], 5e-4)
}

func TestARXColumns(t *testing.T) {
	table := readTable(t, "age;sex;state\n20;Female;CA\n30;Female;CA\n40;Female;TX\n20;Male;NY\n40;Male;CA\n",
		Schema{Quasi: []string{"sex", "state", "age"}})
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	for i, want := range []struct{ distinction, separation float64 }{{0.4, 0.6}, {0.6, 0.7}, {0.6, 0.8}} {
		assert.InDelta(t, want.distinction, a.Columns[i].Distinction, 1e-12)
		assert.InDelta(t, want.separation, a.Columns[i].Separation, 1e-12)
	}
}

// The adult data set itself is not part of this repository, its marginal distributions are
// published (UCI; 30,162 complete records). They suffice for non-uniform entropy, which
// depends on marginals alone: the difference of two of ARX's figures is that of one column.
func TestARXAdultEntropy(t *testing.T) {
	occupations := map[string]int{"Prof-specialty": 4038, "Craft-repair": 4030, "Exec-managerial": 3992,
		"Adm-clerical": 3721, "Sales": 3584, "Other-service": 3212, "Machine-op-inspct": 1966, "Transport-moving": 1572,
		"Handlers-cleaners": 1350, "Farming-fishing": 989, "Tech-support": 912, "Protective-serv": 644,
		"Priv-house-serv": 143, "Armed-Forces": 9}
	groups := map[string]string{"Tech-support": "Technical", "Craft-repair": "Technical", "Prof-specialty": "Technical",
		"Machine-op-inspct": "Technical", "Sales": "Nontechnical", "Exec-managerial": "Nontechnical",
		"Handlers-cleaners": "Nontechnical"}
	table, err := NewTable(Schema{Quasi: []string{"occupation"}})
	require.NoError(t, err)
	var rows [][]string
	for v, n := range occupations {
		group := groups[v]
		if group == "" {
			group = "Other"
		}
		rows = append(rows, []string{v, group, "*"})
		for range n {
			require.NoError(t, table.Add([]string{v}, nil, ""))
		}
	}
	require.Equal(t, 30162, table.Rows())
	h, err := NewListed(rows)
	require.NoError(t, err)
	p, err := Propose(context.Background(), table, map[string]Hierarchy{"occupation": h},
		Goal{Thresholds: Thresholds{K: 100}, Metric: Entropy})
	require.NoError(t, err)
	assert.Equal(t, []int{1}, levelsOf(p))
	// k = 100 without suppression, with and without occupation among the quasi-identifiers.
	assert.InDelta(t, 453196.8932458743-398400.0741806447, p.Cost[0], 1e-6)
}

func TestZayatzOfAWholePopulation(t *testing.T) {
	sizes := []SizeCount{{1, 10}, {2, 5}, {10, 3}}
	assert.InDelta(t, 0.2, zayatz(sizes, 50, 1), 1e-9, "with all persons in the sample, unique there is unique")
	tenth := zayatz(sizes, 50, 0.1)
	assert.Greater(t, tenth, 0.0)
	assert.Less(t, tenth, 0.2)
	assert.False(t, math.IsNaN(zayatz([]SizeCount{{3, 4}}, 12, 0.01)))
}
