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
	assert.Equal(t, []int{1, 1}, levelsOf(p))
	assert.LessOrEqual(t, p.After.Sensitive[0].EqualT, 0.6)
	assert.GreaterOrEqual(t, p.After.K, 2)

	h["disease"] = disease
	p, err = Propose(context.Background(), table, h, Goal{Thresholds: Thresholds{K: 2, T: 0.4}, Metric: Entropy,
		Options: Options{Hierarchies: h}})
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1}, levelsOf(p))
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

// The adult data set itself is not part of this repository; the marginal distributions of
// its 30,162 complete records are published. They suffice for non-uniform entropy, which
// depends on marginals alone: sums and differences of ARX's figures are those of columns.
var adult = map[string]map[string]int{
	"sex":  {"Male": 20380, "Female": 9782},
	"race": {"White": 25933, "Black": 2817, "Asian-Pac-Islander": 895, "Amer-Indian-Eskimo": 286, "Other": 231},
	"marital-status": {"Married-civ-spouse": 14065, "Never-married": 9726, "Divorced": 4214, "Separated": 939,
		"Widowed": 827, "Married-spouse-absent": 370, "Married-AF-spouse": 21},
	"occupation": {"Prof-specialty": 4038, "Craft-repair": 4030, "Exec-managerial": 3992, "Adm-clerical": 3721,
		"Sales": 3584, "Other-service": 3212, "Machine-op-inspct": 1966, "Transport-moving": 1572, "Handlers-cleaners": 1350,
		"Farming-fishing": 989, "Tech-support": 912, "Protective-serv": 644, "Priv-house-serv": 143, "Armed-Forces": 9},
	"native-country": {"United-States": 27504, "Mexico": 610, "Philippines": 188, "Germany": 128, "Puerto-Rico": 109,
		"Canada": 107, "India": 100, "El-Salvador": 100, "Cuba": 92, "England": 86, "Jamaica": 80, "South": 71, "China": 68,
		"Italy": 68, "Dominican-Republic": 67, "Vietnam": 64, "Guatemala": 63, "Japan": 59, "Poland": 56, "Columbia": 56,
		"Iran": 42, "Taiwan": 42, "Haiti": 42, "Portugal": 34, "Nicaragua": 33, "Peru": 30, "Greece": 29, "France": 27,
		"Ecuador": 27, "Ireland": 24, "Hong": 19, "Cambodia": 18, "Trinadad&Tobago": 18, "Laos": 17, "Thailand": 17,
		"Yugoslavia": 16, "Outlying-US(Guam-USVI-etc)": 14, "Hungary": 13, "Honduras": 12, "Scotland": 11, "Holand-Netherlands": 1},
}

// adultGroups is the first level of ARX's hierarchies, by its groups.
var adultGroups = map[string]map[string]string{
	"marital-status": {"spouse present": "Married-civ-spouse Married-AF-spouse",
		"spouse not present": "Divorced Never-married Separated Widowed Married-spouse-absent"},
	"occupation": {"Technical": "Tech-support Craft-repair Prof-specialty Machine-op-inspct",
		"Nontechnical": "Sales Exec-managerial Handlers-cleaners",
		"Other":        "Other-service Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv Armed-Forces"},
	"native-country": { // England has a group of its own there, by a slip of the pen
		"North America": "United-States Puerto-Rico Canada Outlying-US(Guam-USVI-etc) Cuba Honduras Jamaica Mexico Dominican-Republic Haiti Guatemala El-Salvador",
		"Asia":          "Cambodia India Japan China Iran Philippines Vietnam Laos Taiwan Thailand Hong",
		"Europe":        "Germany Greece Italy Poland Portugal Ireland France Hungary Scotland Yugoslavia Holand-Netherlands",
		"South America": "Ecuador Columbia Nicaragua Trinadad&Tobago Peru", "Africa": "South", "Europa": "England"},
}

// adultEntropy is what a column of the adult data set loses at a level, in bits.
func adultEntropy(t *testing.T, column string, level int) float64 {
	t.Helper()
	table, err := NewTable(Schema{Quasi: []string{column}})
	require.NoError(t, err)
	group := map[string]string{}
	for g, members := range adultGroups[column] {
		for v := range strings.FieldsSeq(members) {
			group[v] = g
		}
	}
	var rows [][]string
	for v, n := range adult[column] {
		row := []string{v, "*"}
		if adultGroups[column] != nil {
			require.Contains(t, group, v)
			row = []string{v, group[v], "*"}
		}
		rows = append(rows, row)
		for range n {
			require.NoError(t, table.Add([]string{v}, nil, ""))
		}
	}
	require.Equal(t, 30162, table.Rows())
	h, err := NewListed(rows)
	require.NoError(t, err)
	l, err := newLattice(table, map[string]Hierarchy{column: h}, Goal{Metric: Entropy})
	require.NoError(t, err)
	o := l.try(node{level})
	require.True(t, o.ok)
	return o.cost[0]
}

func TestARXAdultEntropy(t *testing.T) {
	// Levels of sex, age, race, marital-status, education, native-country, workclass, occupation,
	// salary-class; the second figure and those below are without occupation.
	const (
		k100       = 453196.8932458743  // 0 4 1 1 3 2 2 1 1
		k100no     = 398400.0741806447  // 0 4 1 1 3 2 2 – 1
		k5no       = 377622.78458729305 // 1 4 0 0 3 2 2 – 1, 4 % suppressed
		k5noOfHalf = 390436.40440636466 // 1 4 1 0 3 1 2 – 1, 4 % suppressed
	)
	sex, race := adultEntropy(t, "sex", 1), adultEntropy(t, "race", 1)
	marital, occupation := adultEntropy(t, "marital-status", 1), adultEntropy(t, "occupation", 1)
	country := adultEntropy(t, "native-country", 2) - adultEntropy(t, "native-country", 1)
	assert.InDelta(t, k100-k100no, occupation, 1e-5)
	assert.InDelta(t, k100no-race-marital, k5no-sex, 1e-5)
	assert.InDelta(t, k5no-sex-country, k5noOfHalf-sex-race, 1e-5)
}

func TestZayatzOfAWholePopulation(t *testing.T) {
	sizes := []SizeCount{{1, 10}, {2, 5}, {10, 3}}
	assert.InDelta(t, 0.2, zayatz(sizes, 50, 1), 1e-9, "with all persons in the sample, unique there is unique")
	tenth := zayatz(sizes, 50, 0.1)
	assert.Greater(t, tenth, 0.0)
	assert.Less(t, tenth, 0.2)
	assert.False(t, math.IsNaN(zayatz([]SizeCount{{3, 4}}, 12, 0.01)))
}
