package risk

import (
	"fmt"
	"math"
	"slices"
)

// Options of an assessment. The zero value measures with the defaults.
type Options struct {
	// Threshold is the risk of one person above which the person counts as at risk. Default
	// 1/6: a group of more than five is safe (GB/T 39725-2020, data-use agreement).
	Threshold float64
	// C is the constant of recursive (c,l)-diversity, default 3.
	C float64
	// Hierarchies of sensitive columns, for hierarchical t-closeness; may be nil.
	Hierarchies map[string]Hierarchy
	// Population is a table with the same quasi-identifying columns that covers all persons
	// an attacker may choose from, for the journalist's and the marketer's risk; may be nil.
	Population *Table
	// Fraction is the part of the population that the table is a sample of, in (0,1]. It
	// serves the estimate of population uniqueness; 0 leaves that out.
	Fraction float64
}

func (o Options) withDefaults() (Options, error) {
	if o.Threshold == 0 {
		o.Threshold = 1.0 / 6
	}
	if o.C == 0 {
		o.C = DefaultC
	}
	if !(o.Threshold > 0 && o.Threshold <= 1) || !(o.C > 0) || !(o.Fraction >= 0 && o.Fraction <= 1) {
		return o, fmt.Errorf("%w: the threshold and the sampling fraction lie between 0 and 1, c is positive", ErrSchema)
	}
	return o, nil
}

// Assessment is what an attacker who knows the quasi-identifiers can do with a table. Shares
// and risks are between 0 and 1.
type Assessment struct {
	Records int `json:"records"`
	// Persons counts the members of all classes: rows, or with a subject column persons, one
	// for each class they occur in. Rows taken out do not count.
	Persons    int `json:"persons"`
	Suppressed int `json:"suppressed_records"`
	Classes    int `json:"classes"`
	// K is the size of the smallest class: the table is K-anonymous.
	K       int     `json:"k"`
	Largest int     `json:"largest_class"`
	Mean    float64 `json:"mean_class"`
	// Unique is the share of persons who are alone in their class.
	Unique float64 `json:"unique"`
	// Prosecutor knows that the person is in the table.
	Prosecutor Risk `json:"prosecutor"`
	// Journalist does not; without a population the table is taken for the population.
	Journalist Risk `json:"journalist"`
	// Marketer is the share of persons that a linkage of all of them gets right.
	Marketer float64 `json:"marketer"`
	// PopulationUnique estimates the share of persons unique in the population (Zayatz).
	PopulationUnique *float64 `json:"population_unique,omitempty"`
	// Discernibility and AverageClass are measures of what is left to see (Bayardo and
	// Agrawal 2005; LeFevre et al. 2006, for K).
	Discernibility float64         `json:"discernibility"`
	Sizes          []SizeCount     `json:"sizes"`
	Columns        []ColumnRisk    `json:"columns,omitempty"`
	Sensitive      []SensitiveRisk `json:"sensitive,omitempty"`
	Direct         []Direct        `json:"direct_identifiers,omitempty"`
}

// Risk is the chance of finding the right person.
type Risk struct {
	Max     float64 `json:"max"`     // of the person worst off
	Average float64 `json:"average"` // over all persons
	// AtRisk is the share of persons whose risk is above the threshold.
	AtRisk    float64 `json:"at_risk"`
	Threshold float64 `json:"threshold"`
}

// SizeCount says how many classes have a size.
type SizeCount struct {
	Size    int `json:"size"`
	Classes int `json:"classes"`
}

// ColumnRisk says how far a column alone tells rows apart.
type ColumnRisk struct {
	Column string `json:"column"`
	Values int    `json:"values"`
	// Distinction is the number of values over the number of rows.
	Distinction float64 `json:"distinction"`
	// Separation is the share of pairs of rows that the column tells apart.
	Separation float64 `json:"separation"`
	// KWithout is the k that the table would have without the column.
	KWithout int `json:"k_without"`
}

// Assess measures a table as it is.
func Assess(t *Table, o Options) (*Assessment, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if t.Rows() == 0 {
		return nil, ErrEmpty
	}
	a, err := t.assess(t.raw(), o)
	if err != nil {
		return nil, err
	}
	a.Columns, a.Direct = t.columnRisks(), t.direct
	if o.Population != nil {
		if err := a.against(t, o); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// assess measures a grouping of the table.
func (t *Table) assess(g classes, o Options) (*Assessment, error) {
	a := &Assessment{Records: t.Rows()}
	for _, n := range t.rowTuple {
		if c := g.of[n]; c == noClass || g.out[c] {
			a.Suppressed++
		}
	}
	a.measure(kept(g), o)
	a.Discernibility += float64(a.Suppressed) * float64(a.Records)
	for i := range t.sensitive {
		s, err := t.assessSensitive(i, g, o)
		if err != nil {
			return nil, err
		}
		a.Sensitive = append(a.Sensitive, s)
	}
	return a, nil
}

// kept lists the sizes of the classes that are not taken out, rising.
func kept(g classes) []int {
	var sizes []int
	for c, n := range g.size {
		if !g.out[c] && n > 0 {
			sizes = append(sizes, n)
		}
	}
	slices.Sort(sizes)
	return sizes
}

// measure fills in what the sizes of the classes tell; sizes rise.
func (a *Assessment) measure(sizes []int, o Options) {
	p := Risk{Threshold: o.Threshold}
	unique, atRisk := 0, 0
	for _, n := range sizes {
		a.Persons += n
		a.Discernibility += float64(n) * float64(n)
		if n == 1 {
			unique++
		}
		if 1/float64(n) > o.Threshold*(1+1e-12) {
			atRisk += n
		}
		if last := len(a.Sizes) - 1; last >= 0 && a.Sizes[last].Size == n {
			a.Sizes[last].Classes++
		} else {
			a.Sizes = append(a.Sizes, SizeCount{n, 1})
		}
	}
	if a.Classes = len(sizes); a.Classes > 0 {
		a.K, a.Largest = sizes[0], sizes[len(sizes)-1]
		a.Mean = float64(a.Persons) / float64(a.Classes)
		a.Unique = float64(unique) / float64(a.Persons)
		p.Max = 1 / float64(a.K)
		p.Average = float64(a.Classes) / float64(a.Persons)
		p.AtRisk = float64(atRisk) / float64(a.Persons)
	}
	a.Prosecutor, a.Journalist, a.Marketer = p, p, p.Average
	if o.Fraction > 0 && a.Classes > 0 {
		u := zayatz(a.Sizes, a.Persons, o.Fraction)
		a.PopulationUnique = &u
	}
}

// against replaces the journalist's and the marketer's risk by those over a population.
func (a *Assessment) against(t *Table, o Options) error {
	p := o.Population
	if !slices.Equal(p.schema.Quasi, t.schema.Quasi) {
		return fmt.Errorf("%w: the population has other quasi-identifying columns", ErrSchema)
	}
	sizes, missing := t.populationSizes(p)
	if missing > 0 {
		return fmt.Errorf("%w: %d classes of the table are not in the population", ErrSchema, missing)
	}
	g := t.raw()
	j := Risk{Threshold: o.Threshold}
	classes, inPopulation, right, persons := 0.0, 0.0, 0.0, 0.0
	for c, n := range g.size {
		f, big := float64(n), float64(max(n, sizes[c]))
		classes, inPopulation = classes+1, inPopulation+big
		right, persons = right+f/big, persons+f
		j.Max = max(j.Max, 1/big)
		if 1/big > o.Threshold*(1+1e-12) {
			j.AtRisk += f
		}
	}
	j.AtRisk /= persons
	// El Emam 2013: the average is the greater of the two ways to draw a person.
	a.Marketer = right / persons
	j.Average = max(classes/inPopulation, a.Marketer)
	a.Journalist = j
	return nil
}

// populationSizes finds for each class of the table how many persons of the population fall
// into it, and counts the classes that the population lacks.
func (t *Table) populationSizes(p *Table) (sizes []int, missing int) {
	mine, theirs := t.raw(), p.raw()
	sizes = make([]int, len(mine.size))
	key := make([]byte, 0, 4*len(t.quasi))
	for tuple, c := range mine.of {
		if c == noClass {
			continue
		}
		k, ok := p.keyOf(key[:0], t, tuple)
		n, found := p.tuples[string(k)]
		if !ok || !found {
			missing++
			continue
		}
		if pc := theirs.of[n]; pc != noClass {
			sizes[c] = theirs.size[pc]
		}
	}
	return sizes, missing
}

// columnRisks says for each quasi-identifying column what it contributes.
func (t *Table) columnRisks() []ColumnRisk {
	w, rows, f := t.weigh(), float64(t.Rows()), newFolder()
	out := make([]ColumnRisk, len(t.quasi))
	for i := range t.quasi {
		counts := make([]int, len(t.quasi[i].values))
		for tuple, n := range w.rows {
			counts[t.code(tuple, i)] += n
		}
		same := 0.0
		for _, n := range counts {
			same += float64(n) * float64(n-1)
		}
		r := ColumnRisk{Column: t.schema.Quasi[i], Values: len(counts), Distinction: float64(len(counts)) / rows}
		if rows > 1 {
			r.Separation = 1 - same/(rows*(rows-1))
		}
		r.KWithout = t.kWithout(i, w, f)
		out[i] = r
	}
	return out
}

// kWithout is the k of the table with one column left out.
func (t *Table) kWithout(column int, w weights, f folder) int {
	columns := make([]folded, len(t.quasi))
	for i := range columns {
		if i != column {
			columns[i].groups = len(t.quasi[i].values)
		}
	}
	of, n := f.classes(t, columns)
	k := 0
	for _, n := range w.count(of, n) {
		if n > 0 && (k == 0 || n < k) { // a class may hold suppressed rows only
			k = n
		}
	}
	return k
}

// zayatz estimates the share of persons unique in the population: sample uniques times the
// chance that one is unique in the population too, where the sizes of the population's
// classes are taken to be distributed as those of the sample (Zayatz 1991).
func zayatz(sizes []SizeCount, persons int, fraction float64) float64 {
	population := math.Round(float64(persons) / fraction)
	total, ones := 0, 0
	for _, s := range sizes {
		total += s.Classes
		if s.Size == 1 {
			ones = s.Classes
		}
	}
	if ones == 0 || total == 0 {
		return 0
	}
	all := 0.0
	for _, s := range sizes {
		all += float64(s.Classes) / float64(total) * drawnOnce(population, float64(persons), s.Size)
	}
	conditional := float64(ones) / float64(total) * drawnOnce(population, float64(persons), 1) / all
	return float64(ones) / float64(persons) * conditional
}

// drawnOnce is the chance that a sample of n out of N holds exactly one of a class of size m:
// the hypergeometric probability, over logarithms.
func drawnOnce(population, n float64, m int) float64 {
	rest := population - float64(m)
	if rest < n-1 {
		return 0
	}
	return math.Exp(math.Log(float64(m)) + lchoose(rest, n-1) - lchoose(population, n))
}

func lchoose(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}
